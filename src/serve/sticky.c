#include "serve/sticky.h"
#include <string.h>
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/arms.h"
#include "serve/visit.h"

#define TEXT 256
#define TOKENS 64

int sticky_place(uint64_t salt, const char *kind, const void *id, size_t n)
{
    unsigned char inner[SHA256_BYTES], text[8 + 16 + 1 + SHA256_BYTES], sum[SHA256_BYTES];
    const size_t n_kind = strlen(kind);
    uint64_t place = 0;
    for (int i = 0; i < 8; i++)
        text[i] = (unsigned char)(salt >> (56 - 8 * i));
    sha256_bytes(id, n, inner);
    memcpy(text + 8, kind, n_kind + 1);
    memcpy(text + 8 + n_kind + 1, inner, sizeof inner);
    sha256_bytes(text, 8 + n_kind + 1 + sizeof inner, sum);
    for (int i = 0; i < 8; i++)
        place = place << 8 | sum[i];
    return (int)(place % RELEASE_ALL);
}

/* A text that is there and not empty. */
static const json_t *text_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_string_length(v) ? v : NULL;
}

static int by_text(uint64_t salt, const char *kind, const json_t *v) { return sticky_place(salt, kind, json_string_value(v), json_string_length(v)); }

static int add_value(struct buf *b, const json_t *v)
{
    char *text = v ? tree_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const int rc = text ? buf_add_str(b, text, NULL) : 0;
    mem_free(text);
    return rc;
}

static void add_messages(struct buf *b, const json_t *messages)
{
    size_t i;
    const json_t *m;
    json_array_foreach(messages, i, m) {
        const char *role = json_string_value(json_object_get(m, "role"));
        add_value(b, m);
        if (role && !strcmp(role, "user"))
            return;
    }
}

static void add_prompt(struct buf *b, const json_t *prompt)
{
    if (json_is_string(prompt)) {
        const size_t n = json_string_length(prompt);
        buf_add(b, json_string_value(prompt), n < TEXT ? n : TEXT, NULL);
        return;
    }
    const json_t *first = json_array_get(prompt, 0);
    if (json_is_string(first) || json_is_array(first)) {         /* several: by the first */
        add_prompt(b, first);
        return;
    }
    for (size_t i = 0; i < json_array_size(prompt) && i < TOKENS; i++)
        add_value(b, json_array_get(prompt, i));
}

/* What there is no memory for is left out: another place, for once. */
static int by_prompt(uint64_t salt, const json_t *request)
{
    struct buf b;
    buf_init(&b);
    add_value(&b, json_object_get(request, "system"));
    add_messages(&b, json_object_get(request, "messages"));
    add_prompt(&b, json_object_get(request, "prompt"));
    add_prompt(&b, json_object_get(request, "input"));
    const int place = sticky_place(salt, "prompt", b.len ? b.data : "", b.len);
    buf_release(&b);
    return place;
}

const json_t *request_user(const json_t *request)
{
    const json_t *user = text_of(request, "user");
    user = user ? user : text_of(request, "safety_identifier");
    return user ? user : text_of(json_object_get(request, "metadata"), "user_id");
}

int sticky_place_of(uint64_t salt, struct http_request *q, const json_t *request)
{
    const struct visit *v = http_user(q);
    const json_t *user = request_user(request), *conversation = text_of(request, "conversation");
    conversation = conversation ? conversation : text_of(json_object_get(request, "conversation"), "id");
    conversation = conversation ? conversation : text_of(request, "prompt_cache_key");
    if (user || conversation)
        return by_text(salt, user ? "user" : "conversation", user ? user : conversation);
    if (v->client && strcmp(v->rights.name, CLIENT_OF_KEY))
        return sticky_place(salt, "key", v->rights.name, strlen(v->rights.name));
    return by_prompt(salt, request);
}
