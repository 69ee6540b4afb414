#include "store/oci_remote.h"
#include <curl/curl.h>
#include <lathe.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/fetch.h"
#include "store/models.h"

enum { TOKEN_MAX = 16384, CONFIG_MAX = 1 << 20, ERROR_MAX = 65536 };
#define STALL_S 60L

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a request"); }

/* ---- who asks ---- */

/* USER:PASSWORD in base64. */
static int read_auth(struct oci_remote *r, const char *text, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = base64_read(&b, text, strlen(text), err);
    char *colon = rc ? NULL : strchr(b.data, ':');
    if (colon) {
        *colon = 0;
        r->user = mem_strdup(b.data), r->password = mem_strdup(colon + 1);
        rc = r->user && r->password ? 0 : no_memory(err);
    }
    buf_release(&b);
    return rc;
}

static int read_docker(struct oci_remote *r, const char *path, struct err *err)
{
    json_t *o;
    TRY(tree_load(&o, path, CONFIG_MAX, err));
    const json_t *auths = json_object_get(o, "auths");
    const char *host = strcmp(r->ref.host, "docker.io") ? r->ref.host : "https://index.docker.io/v1/", *auth = tree_text_at(json_object_get(auths, host), "auth");
    const int rc = *auth ? read_auth(r, auth, err) : 0;
    json_decref(o);
    return rc ? err_context(err, "%s: the auth of %s", path, host) : 0;
}

static int find_user(struct oci_remote *r, struct err *err)
{
    const char *user = getenv("LATHE_OCI_USER"), *password = getenv("LATHE_OCI_PASSWORD"), *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    if (password && *password) {
        r->user = mem_strdup(user && *user ? user : "lathe"), r->password = mem_strdup(password);
        return r->user && r->password ? 0 : no_memory(err);
    }
    if ((!dir || !*dir) && (!home || !*home))
        return 0;
    char *path = dir && *dir ? file_join(dir, "config.json") : file_join(home, ".docker/config.json");
    const int rc = !path ? no_memory(err) : file_exists(path) ? read_docker(r, path, err) : 0;
    mem_free(path);
    return rc;
}

int oci_remote_open(struct oci_remote *r, const struct oci_ref *ref, const struct oci_remote_opts *o, struct err *err)
{
    *r = (struct oci_remote){ .ref = *ref, .o = *o };
    snprintf(r->base, sizeof r->base, "%s://%s/v2/%s", o->plain_http || oci_ref_is_local(ref) ? "http" : "https", strcmp(ref->host, "docker.io") ? ref->host : "registry-1.docker.io", ref->repository);
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return no_memory(err);
    const int rc = find_user(r, err);
    if (rc)
        oci_remote_close(r);
    return rc;
}

void oci_remote_close(struct oci_remote *r)
{
    mem_free(r->user);
    mem_free(r->password);
    mem_free(r->authorization);
    r->user = r->password = r->authorization = NULL;
}

/* ---- one try ---- */

struct try { struct oci_call *c; struct oci_remote *r; struct err err; int rc; uint64_t sent; };

static size_t on_header(char *line, size_t one, size_t n, void *ctx)
{
    struct oci_call *c = ((struct try *)ctx)->c;
    const struct { const char *name; char *to; size_t size; } wanted[] = {
        { "Location", c->location, sizeof c->location }, { "Range", c->sent_range, sizeof c->sent_range }, { "Docker-Content-Digest", c->digest, sizeof c->digest },
        { "OCI-Subject", c->subject, sizeof c->subject }, { "WWW-Authenticate", c->challenge, sizeof c->challenge },
        { "Link", c->link, sizeof c->link } };
    const char *colon = memchr(line, ':', n);
    (void)one;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && colon; i++)
        if (strlen(wanted[i].name) == (size_t)(colon - line) && !strncasecmp(line, wanted[i].name, (size_t)(colon - line)))
            fetch_copy_value(wanted[i].to, wanted[i].size, colon + 1, n - (size_t)(colon - line) - 1);
    return n;
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    struct try *t = ctx;
    (void)one;
    if (!t->c->out)
        return n;
    if (t->c->out->len + n > t->c->out_max)
        t->rc = ERR(&t->err, RANGE, "the answer has more than the %zu bytes that are accepted here", t->c->out_max);
    else
        t->rc = buf_add(t->c->out, p, n, &t->err);
    return t->rc ? 0 : n;
}

static size_t on_read(char *p, size_t one, size_t n, void *ctx)
{
    struct try *t = ctx;
    const int64_t got = file_stream_read(t->c->file, p, one * n, &t->err);
    if (got < 0) {
        t->rc = (int)got;
        return CURL_READFUNC_ABORT;
    }
    t->sent += (uint64_t)got;
    if (t->c->progress)
        t->c->progress(t->c->ctx, t->sent);
    return (size_t)got;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct try *t = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return t->r->o.stop && *t->r->o.stop;
}

static int add_header(struct curl_slist **list, const char *name, const char *value, struct err *err)
{
    char *line = value ? mem_printf("%s: %s", name, value) : NULL;
    struct curl_slist *more = line ? curl_slist_append(*list, line) : NULL;
    mem_free(line);
    if (value && !more)
        return no_memory(err);
    *list = more ? more : *list;
    return 0;
}

static int set_headers(const struct oci_remote *r, const struct oci_call *c, struct curl_slist **list, struct err *err)
{
    const char *host = strstr(r->base, "://") + 3;
    const bool own = !strncmp(c->url, r->base, (size_t)(strchr(host, '/') + 1 - r->base));
    TRY(add_header(list, "Authorization", own || c->to_realm ? r->authorization : NULL, err));
    TRY(add_header(list, "Accept", c->accept, err));
    TRY(add_header(list, "Content-Range", c->range, err));
    return add_header(list, "Content-Type", c->type, err);
}

static int set_request(CURL *h, struct try *t, struct curl_slist *headers, struct err *err)
{
    const struct oci_call *c = t->c;
    const char *schemes = !strncasecmp(c->url, "https:", 6) ? "https" : "http,https";
    const bool sends = strcmp(c->method, "GET") && strcmp(c->method, "HEAD") && strcmp(c->method, "DELETE");
    const curl_off_t size = c->file ? (curl_off_t)(c->file->size - c->file->at) : (curl_off_t)c->n_body;
    CURLcode bad = curl_easy_setopt(h, CURLOPT_URL, c->url);
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(h, (option), (value))
    SET(CURLOPT_PROTOCOLS_STR, schemes);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, schemes);
    SET(CURLOPT_FOLLOWLOCATION, sends ? 0L : 1L);
    SET(CURLOPT_MAXREDIRS, 8L);
    SET(CURLOPT_USERAGENT, "lathe/" LATHE_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT, 30L);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, STALL_S);
    SET(CURLOPT_NOBODY, strcmp(c->method, "HEAD") ? 0L : 1L);
    if (sends && c->file) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
        SET(CURLOPT_INFILESIZE_LARGE, size);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, (void *)t);
    } else if (sends) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, size);
        SET(CURLOPT_POSTFIELDS, c->body ? c->body : "");
    }
    if (strcmp(c->method, "HEAD"))
        SET(CURLOPT_CUSTOMREQUEST, c->method);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)t);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, (void *)t);
    SET(CURLOPT_NOPROGRESS, 0L);
#undef SET
    return bad ? ERR(err, IO, "%s: %s", c->url, curl_easy_strerror(bad)) : 0;
}

static int try_once(struct oci_remote *r, struct oci_call *c, struct err *err)
{
    struct try t = { .c = c, .r = r };
    struct curl_slist *headers = NULL;
    CURL *h = curl_easy_init();
    CURLcode code = CURLE_OK;
    long status = 0;
    c->status = 0;
    *c->location = *c->sent_range = *c->digest = *c->subject = *c->challenge = *c->link = 0;
    if (c->out)
        buf_clear(c->out);
    int rc = h ? set_headers(r, c, &headers, err) : no_memory(err);
    if (!rc)
        rc = set_request(h, &t, headers, err);
    if (!rc) {
        code = curl_easy_perform(h);
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
        c->status = (int)status;
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(h);
    if (rc)
        return rc;
    if (t.rc) {
        *err = t.err;
        return t.rc;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ERR(err, STOPPED, "stopped");
    return code ? ERR(err, IO, "%s: %s", c->url, curl_easy_strerror(code)) : 0;
}

/* ---- tokens ---- */

/* A value of the challenge: key="value". */
static bool value_of(const char *challenge, const char *key, char *out, size_t size)
{
    const size_t n = strlen(key);
    *out = 0;
    for (const char *at = challenge; (at = strcasestr(at, key)); at++)
        if (at > challenge && strchr(" ,", at[-1]) && !strncmp(at + n, "=\"", 2)) {
            const char *from = at + n + 2;
            const size_t len = strcspn(from, "\"");
            snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), from);
            return len < size;
        }
    return false;
}

static int set_authorization(struct oci_remote *r, const char *scheme, const char *value, struct err *err)
{
    mem_free(r->authorization);
    r->authorization = mem_printf("%s %s", scheme, value);
    return r->authorization ? 0 : no_memory(err);
}

static int use_basic(struct oci_remote *r, struct err *err)
{
    struct buf pair, text;
    buf_init(&pair);
    buf_init(&text);
    int rc = buf_printf(&pair, err, "%s:%s", r->user, r->password);
    if (!rc)
        rc = base64_write(&text, pair.data, pair.len, err);
    if (!rc)
        rc = set_authorization(r, "Basic", text.data, err);
    buf_release(&pair);
    buf_release(&text);
    return rc;
}

static int token_url(const struct oci_remote *r, const char *challenge, struct buf *url, struct err *err)
{
    char realm[512], service[256], scope[512];
    const bool plain = !strncmp(r->base, "http:", 5);
    if (!value_of(challenge, "realm", realm, sizeof realm) || (strncmp(realm, "https://", 8) && (!plain || strncmp(realm, "http://", 7))))
        return ERR(err, FORMAT, "%s: tokens are at '%.200s', expected an address of https", r->ref.host, realm);
    if (!value_of(challenge, "scope", scope, sizeof scope))
        snprintf(scope, sizeof scope, "repository:%s:pull%s", r->ref.repository, r->o.pushes ? ",push" : "");
    TRY(buf_printf(url, err, "%s%sscope=", realm, strchr(realm, '?') ? "&" : "?"));
    TRY(model_escape(scope, false, url, err));
    if (!value_of(challenge, "service", service, sizeof service))
        return 0;
    TRY(buf_add_str(url, "&service=", err));
    return model_escape(service, false, url, err);
}

static int read_token(struct oci_remote *r, const struct buf *text, struct err *err)
{
    json_t *o;
    TRY(tree_parse_json(&o, text->data, text->len, "the token", err));
    const char *token = tree_text_at(o, "token"), *access = tree_text_at(o, "access_token"), *found = *token ? token : access;
    const int rc = *found && !strpbrk(found, "\r\n") ? set_authorization(r, "Bearer", found, err) : ERR(err, FORMAT, "%s gave no token", r->ref.host);
    json_decref(o);
    return rc;
}

static int use_bearer(struct oci_remote *r, const char *challenge, struct err *err)
{
    struct buf url, text;
    buf_init(&url);
    buf_init(&text);
    mem_free(r->authorization);
    r->authorization = NULL;
    int rc = token_url(r, challenge, &url, err);
    if (!rc && r->user)
        rc = use_basic(r, err);
    struct oci_call c = { .method = "GET", .url = url.data, .to_realm = true, .out = &text, .out_max = TOKEN_MAX };
    if (!rc)
        rc = try_once(r, &c, err);
    if (!rc && c.status != 200)
        rc = ERR(err, IO, "%s gives no token: HTTP status %d", r->ref.host, c.status);
    if (!rc)
        rc = read_token(r, &text, err);
    buf_release(&url);
    buf_release(&text);
    return rc;
}

static int answer_challenge(struct oci_remote *r, const char *challenge, bool *again, struct err *err)
{
    char kept[1024];
    snprintf(kept, sizeof kept, "%s", challenge);
    *again = true;
    if (!strncasecmp(kept, "Bearer ", 7) && strcasestr(kept, "realm="))
        return use_bearer(r, kept, err);
    *again = r->user != NULL;
    return r->user ? use_basic(r, err) : 0;
}

/* ---- until it is answered ---- */

static void pause_s(const struct oci_remote *r, int n)
{
    for (int i = 0; i < (5 << (n < 6 ? n : 6)) && !(r->o.stop && *r->o.stop); i++)
        nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
}

int oci_call(struct oci_remote *r, struct oci_call *c, struct err *err)
{
    bool shown = false, again = false;
    const uint64_t from = c->file ? c->file->at : 0;
    for (int n = 0;; ) {
        int rc = try_once(r, c, err);
        if (!rc && c->status == 401 && !shown) {
            TRY(answer_challenge(r, c->challenge, &again, err));
            shown = true;
            if (c->file)
                TRY(file_stream_seek(c->file, from, err));
            if (again)
                continue;
        }
        const bool passes = rc == ERR_IO || c->status == 429 || (c->status >= 500 && c->status != 501 && c->status != 507);
        if (!passes || c->file || ++n >= r->o.n_try)
            return rc;
        pause_s(r, n);
    }
}

int oci_absolute(char **url, const struct oci_remote *r, const char *place, const char *what, struct err *err)
{
    const char *host = strstr(r->base, "://") + 3, *end = strchr(host, '/');
    if (!strncmp(place, "https://", 8) || (!strncmp(place, "http://", 7) && !strncmp(r->base, "http:", 5)))
        *url = mem_strdup(place);
    else if (*place == '/')
        *url = mem_printf("%.*s%s", (int)(end - r->base), r->base, place);
    else
        return ERR(err, FORMAT, "%s: %s is '%.200s', expected an address", r->ref.host, what, place);
    return *url ? 0 : no_memory(err);
}

int oci_call_error(const struct oci_remote *r, const struct oci_call *c, const char *what, struct err *err)
{
    json_t *o = NULL;
    struct err none;
    char words[300] = "";
    if (c->out && c->out->len && !tree_parse_json(&o, c->out->data, c->out->len, "an answer", &none)) {
        const json_t *e = json_array_get(json_object_get(o, "errors"), 0);
        snprintf(words, sizeof words, ": %.40s: %.240s", tree_text_at(e, "code"), tree_text_at(e, "message"));
        err_tidy(words);
    }
    json_decref(o);
    const char *hint = c->status == 401 ? r->user ? " (user or password are wrong)" : " (docker login, or LATHE_OCI_USER and LATHE_OCI_PASSWORD, tell who asks)" : "";
    const int code = c->status == 404 ? ERR_NOTFOUND : c->status == 429 ? ERR_BUSY : ERR_IO;
    err_set(err, code, __FILE__, __LINE__, "%s: %s: HTTP status %d%s%s", r->ref.host, what, c->status, words, hint);
    return code;
}
