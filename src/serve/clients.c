#include "serve/clients.h"
#include <pthread.h>
#include <string.h>
#include "base/mem.h"

struct client {
    struct clients *of;
    int number;
    bool known;                              /* the last file has it */
    struct key key;
    struct quota_use use;
};

struct clients {
    pthread_mutex_t lock;
    bool keys;                               /* there are some, or there was a file */
    char *path;
    struct client **client; int n;
};

/* ---- keys in, clients out ---- */

static struct client *named(struct clients *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->client[i]->key.name, name))
            return c->client[i];
    return NULL;
}

/* Room for all names of the file that are new, before anything is changed. */
static int make_clients(struct clients *c, const struct key_file *f, struct err *err)
{
    struct client **more = mem_realloc_array(c->client, (size_t)c->n + (size_t)f->n, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for %d keys", f->n);
    c->client = more;
    for (int i = 0; i < f->n; i++) {
        struct client *k = named(c, f->key[i].name);
        if (k)
            continue;
        if (!(k = mem_alloc_zero(sizeof *k)))
            return ERR(err, NOMEM, "no memory for %d keys", f->n);
        *k = (struct client){ .of = c, .number = c->n + 1 };
        strcpy(k->key.name, f->key[i].name);
        c->client[c->n++] = k;
    }
    return 0;
}

static void swap_keys(struct clients *c, struct key_file *f)
{
    for (int i = 0; i < c->n; i++)
        c->client[i]->known = !strcmp(c->client[i]->key.name, CLIENT_OF_KEY);
    for (int i = 0; i < f->n; i++) {
        struct client *k = named(c, f->key[i].name);
        const struct key old = k->key;
        k->key = f->key[i], f->key[i] = old;         /* released with the file */
        k->known = true;
    }
}

static int take_file(struct clients *c, struct key_file *f, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    const int rc = make_clients(c, f, err);
    if (!rc)
        swap_keys(c, f);
    pthread_mutex_unlock(&c->lock);
    keys_release(f);
    return rc;
}

int clients_reload(struct clients *c, struct err *err)
{
    struct key_file f;
    if (!c->path)
        return 0;
    TRY(keys_load(&f, c->path, err));
    return take_file(c, &f, err);
}

static int take_secret(struct clients *c, const char *secret, struct err *err)
{
    struct key_file f = { mem_alloc_array(1, sizeof *f.key), 1 };
    if (!f.key)
        return ERR(err, NOMEM, "no memory for a key");
    strcpy(f.key->name, CLIENT_OF_KEY);
    strcpy(f.key->tenant, KEY_SHARED);
    f.key->keep_text = true;
    keys_digest(f.key->sha256, secret);
    return take_file(c, &f, err);
}

int clients_new(struct clients **out, const char *secret, const char *path, struct err *err)
{
    *out = NULL;
    struct clients *c = mem_alloc_zero(sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "no memory for keys");
    secret = secret && *secret ? secret : NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->keys = secret || path;
    int rc = path && !(c->path = mem_strdup(path)) ? ERR(err, NOMEM, "no memory for keys") : 0;
    rc = rc || !secret ? rc : take_secret(c, secret, err);
    rc = rc ? rc : clients_reload(c, err);
    if (rc < 0)
        clients_free(c);
    else
        *out = c;
    return rc;
}

void clients_free(struct clients *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++) {
        key_release(&c->client[i]->key);
        mem_free(c->client[i]);
    }
    pthread_mutex_destroy(&c->lock);
    mem_free(c->client);
    mem_free(c->path);
    mem_free(c);
}

bool clients_open(const struct clients *c) { return !c->keys; }

int clients_count(struct clients *c)
{
    int n = 0;
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->n; i++)
        n += c->client[i]->known;
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* ---- who asks ---- */

/* All keys are looked at, and all of each. */
static struct client *whose(struct clients *c, const unsigned char sha256[SHA256_BYTES])
{
    struct client *found = NULL;
    for (int i = 0; i < c->n; i++) {
        unsigned char differ = !c->client[i]->known;
        for (int j = 0; j < SHA256_BYTES; j++)
            differ |= (unsigned char)(c->client[i]->key.sha256[j] ^ sha256[j]);
        found = differ ? found : c->client[i];
    }
    return found;
}

struct client *clients_find(struct clients *c, const char *secret, double now, bool *expired)
{
    unsigned char sha256[SHA256_BYTES];
    *expired = false;
    keys_digest(sha256, secret);
    pthread_mutex_lock(&c->lock);
    struct client *k = whose(c, sha256);
    *expired = k && k->key.expires > 0 && now >= k->key.expires;
    pthread_mutex_unlock(&c->lock);
    return *expired ? NULL : k;
}

void client_rights(struct client *k, struct client_rights *out)
{
    pthread_mutex_lock(&k->of->lock);
    const int64_t minute = k->key.quota.tokens_minute, day = k->key.quota.tokens_day;
    *out = (struct client_rights){ .number = k->number, .priority = k->key.priority, .tokens_most = day && (!minute || day < minute) ? day : minute, .texts_most = k->key.quota.texts, .keep_text = k->key.keep_text, .admin = k->key.admin };
    strcpy(out->name, k->key.name);
    strcpy(out->tenant, k->key.tenant);
    pthread_mutex_unlock(&k->of->lock);
}

bool client_may_use(struct client *k, const char *model)
{
    pthread_mutex_lock(&k->of->lock);
    bool may = !k->key.model;
    for (int i = 0; i < k->key.n_model; i++)
        may = may || !strcmp(k->key.model[i], model);
    pthread_mutex_unlock(&k->of->lock);
    return may;
}

/* ---- how much ---- */

bool client_take(struct client *k, double now, struct quota_ask ask, struct quota_grant *g, struct quota_no *no)
{
    pthread_mutex_lock(&k->of->lock);
    const bool may = quota_take(&k->use, &k->key.quota, now, ask, g, no);
    pthread_mutex_unlock(&k->of->lock);
    return may;
}

void client_settle(struct client *k, double now, const struct quota_grant *g, int64_t tokens, bool counts)
{
    pthread_mutex_lock(&k->of->lock);
    quota_settle(&k->use, &k->key.quota, now, g, tokens, counts);
    pthread_mutex_unlock(&k->of->lock);
}

void client_left(struct client *k, double now, struct quota_left *requests, struct quota_left *tokens)
{
    pthread_mutex_lock(&k->of->lock);
    quota_left(&k->use, &k->key.quota, now, requests, tokens);
    pthread_mutex_unlock(&k->of->lock);
}

void clients_used(struct clients *c, const char *name, double now, int64_t requests, int64_t tokens)
{
    pthread_mutex_lock(&c->lock);
    struct client *k = named(c, name);
    if (k)
        quota_add_day(&k->use, &k->key.quota, now, requests, tokens);
    pthread_mutex_unlock(&c->lock);
}
