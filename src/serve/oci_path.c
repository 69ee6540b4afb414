#include "serve/oci_path.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool oci_is_path(const char *path) { return !strncmp(path, "/v2", 3) && (!path[3] || path[3] == '/'); }

/* The name is all that stands before the last "/blobs/" and its like; our names have no '/'. */
static const char *last_of(const char *path, const char *word)
{
    const char *found = NULL;
    for (const char *at = path; (at = strstr(at, word)); at++)
        found = at;
    return found;
}

static void set_name(struct oci_path *out, const char *name, size_t n, struct refusal *e)
{
    if (n < sizeof out->name) {
        memcpy(out->name, name, n);
        out->name[n] = 0;
    }
    if (n >= sizeof out->name || !registry_name_ok(out->name))
        refuse_as(e, 404, NULL, "NAME_UNKNOWN", NULL, "there is no '%.*s' here: names have letters, digits, '.', '_' and '-', at most %d, and no '/'", (int)(n < 200 ? n : 200), name, REGISTRY_NAME - 1);
}

static void set_what(struct oci_path *out, const char *what, struct refusal *e)
{
    const char *digest = oci_digest(what);
    const bool by_digest = out->kind == OCI_AT_BLOB || out->kind == OCI_AT_REFERRERS || (out->kind == OCI_AT_MANIFEST && strchr(what, ':'));
    if (by_digest && !digest)
        refuse_as(e, 400, NULL, "DIGEST_INVALID", NULL, "found the digest '%.140s', expected sha256: and 64 hexadecimal digits", what);
    else if (out->kind == OCI_AT_MANIFEST && !by_digest && !oci_tag_ok(what))
        refuse_as(e, 404, NULL, "MANIFEST_UNKNOWN", NULL, "found '%.140s', expected a tag or a digest", what);
    else if (strlen(what) >= sizeof out->what)
        refuse_as(e, 404, NULL, "BLOB_UPLOAD_UNKNOWN", NULL, "there is no such upload");
    else
        strcpy(out->what, by_digest && out->kind != OCI_AT_MANIFEST ? digest : what);
}

void oci_path_parse(struct oci_path *out, const char *path, struct refusal *e)
{
    static const struct { const char *word; enum oci_kind kind; } words[] = {
        { "/blobs/", OCI_AT_BLOB }, { "/manifests/", OCI_AT_MANIFEST }, { "/referrers/", OCI_AT_REFERRERS }, { "/tags/list", OCI_AT_TAGS }, { "/blobs/uploads", OCI_AT_UPLOADS } };
    *out = (struct oci_path){ .kind = OCI_AT_BASE };
    if (!strcmp(path, "/v2") || !strcmp(path, "/v2/"))
        return;
    const char *at = NULL, *rest = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *found = last_of(path + 3, words[i].word);
        if (found && found >= at)                            /* "/blobs/uploads" is the longer one */
            at = found, rest = found + strlen(words[i].word), out->kind = words[i].kind;
    }
    if (out->kind == OCI_AT_UPLOADS && *rest == '/')
        rest++, out->kind = *rest ? OCI_AT_UPLOAD : OCI_AT_UPLOADS;
    if (!at || at == path + 3 || ((out->kind == OCI_AT_TAGS || out->kind == OCI_AT_UPLOADS) && *rest)) {
        refuse_as(e, 404, NULL, "UNSUPPORTED", NULL, "there is no path %.200s of the OCI's API", path);
        return;
    }
    set_name(out, path + 4, (size_t)(at - path - 4), e);
    if (!e->status && out->kind != OCI_AT_TAGS && out->kind != OCI_AT_UPLOADS)
        set_what(out, rest, e);
}

static bool number(const char **s, uint64_t *out)
{
    const size_t n = strspn(*s, "0123456789");
    *out = n && n < 19 ? strtoull(*s, NULL, 10) : 0;
    *s += n;
    return n && n < 19;
}

bool oci_content_range(const char *value, uint64_t *from, uint64_t *to)
{
    const char *s = value + (!strncasecmp(value, "bytes ", 6) ? 6 : 0);
    return number(&s, from) && *s++ == '-' && number(&s, to) && (!*s || *s == '/') && *to >= *from;
}

int oci_range(const char *value, uint64_t n, uint64_t *from, uint64_t *to)
{
    uint64_t a, b = n ? n - 1 : 0;
    *from = 0, *to = b;
    if (!value || strncasecmp(value, "bytes=", 6) || strchr(value, ','))
        return 200;
    const char *s = value + 6;
    if (*s == '-') {
        if (!number((s++, &s), &a) || *s)
            return 200;
        *from = a < n ? n - a : 0;
        return a && n ? 206 : 416;
    }
    if (!number(&s, &a) || *s++ != '-' || (*s && (!number(&s, &b) || *s || b < a)))
        return 200;
    if (a >= n)
        return 416;
    *from = a, *to = b < n ? b : n - 1;
    return 206;
}
