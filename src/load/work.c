#include "load/work.h"
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

#define PROMPTS_MAX ((size_t)1 << 30)

struct prompt { char *json; bool messages; int output; };      /* a string, or the items of a list of messages */
struct work {
    struct work_opts o;
    struct buf tail;                     /* of each body: ,"temperature":0 ... } */
    char *model;                         /* as JSON */
    struct buf *shared;                  /* of each group, as it stands in a body */
    struct prompt *prompt; int n_prompt;
    uint64_t key;
};

/* Of one token each in the vocabularies that were looked at, with the space before them. */
static const char *const words[] = {
    "the", "of", "and", "to", "in", "is", "that", "it", "for", "was", "on", "are", "with", "as", "his", "they", "be", "at", "one", "have", "this", "from", "or", "had", "by", "but",
    "some", "what", "there", "we", "can", "out", "other", "were", "all", "your", "when", "up", "use", "how", "said", "an", "each", "she", "which", "do", "their", "time", "if", "will",
    "way", "about", "many", "then", "them", "would", "like", "so", "these", "her", "long", "make", "thing", "see",
};

/* ---- random tokens ---- */

/* Adds n of them that are a function of key; ids parted by commas, or words. */
static int add_tokens(const struct work *w, struct buf *b, uint64_t key, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        if (!w->o.vocab) {
            TRY(buf_add_char(b, ' ', err));
            TRY(buf_add_str(b, words[rng_below(key, (uint64_t)i, sizeof words / sizeof *words)], err));
            continue;
        }
        char text[16];
        const int len = snprintf(text, sizeof text, "%d,", (int)rng_below(key, (uint64_t)i, (uint64_t)w->o.vocab));
        TRY(buf_add(b, text, (size_t)len, err));
    }
    return 0;
}

static uint64_t key_of(const struct work *w, const char *what, int i, int turn)
{
    char name[64];
    snprintf(name, sizeof name, "%s %d %d", what, i, turn);
    return rng_key(w->o.seed, name);
}

static int drawn_length(const struct work *w, const char *what, int i, int length)
{
    const double x = 1 + w->o.spread * (2 * rng_uniform(rng_key(w->o.seed, what), (uint64_t)i) - 1);
    const int n = (int)lround(length * x);
    return n < 1 ? 1 : n;
}

int work_n_prompt(const struct work *w) { return w->n_prompt; }

int work_input(const struct work *w, int i)
{
    return w->n_prompt ? 0 : w->o.trace ? w->o.trace[i % w->o.n_trace].input : drawn_length(w, "input", i, w->o.input);
}

int work_output(const struct work *w, int i)
{
    if (w->n_prompt && w->prompt[i % w->n_prompt].output)
        return w->prompt[i % w->n_prompt].output;
    return w->o.trace ? w->o.trace[i % w->o.n_trace].output : drawn_length(w, "output", i, w->o.output);
}

/* ---- a body ---- */

static int add_prompt(const struct work *w, int i, struct buf *b, struct err *err)
{
    if (w->n_prompt) {
        TRY(buf_add_str(b, ",\"prompt\":", err));
        return buf_add_str(b, w->prompt[i % w->n_prompt].json, err);
    }
    TRY(buf_add_str(b, w->o.vocab ? ",\"prompt\":[" : ",\"prompt\":\"", err));
    if (w->o.shared)
        TRY(buf_add(b, w->shared[i % w->o.n_group].data, w->shared[i % w->o.n_group].len, err));
    TRY(add_tokens(w, b, key_of(w, "own", i, 0), work_input(w, i), err));
    if (w->o.vocab)
        b->len--;                        /* the last comma */
    return buf_add_char(b, w->o.vocab ? ']' : '"', err);
}

static int add_message(const struct work *w, int i, int turn, struct buf *b, struct err *err)
{
    const struct prompt *p = w->n_prompt ? &w->prompt[(i + turn) % w->n_prompt] : NULL;
    if (p && p->messages)
        return buf_add_str(b, p->json, err);
    TRY(buf_add_str(b, "{\"role\":\"user\",\"content\":", err));
    if (p) {
        TRY(buf_add_str(b, p->json, err));
    } else {
        TRY(buf_add_char(b, '"', err));
        TRY(add_tokens(w, b, key_of(w, "own", i, turn), work_input(w, i), err));
        TRY(buf_add_char(b, '"', err));
    }
    return buf_add_char(b, '}', err);
}

static int add_messages(const struct work *w, int i, int turn, struct buf *said, struct buf *b, struct err *err)
{
    struct buf *to = said ? said : b;
    if (!said)
        TRY(buf_add_str(b, ",\"messages\":[", err));
    if (!turn && w->o.shared) {
        TRY(buf_add_str(to, "{\"role\":\"system\",\"content\":\"", err));
        TRY(buf_add(to, w->shared[i % w->o.n_group].data, w->shared[i % w->o.n_group].len, err));
        TRY(buf_add_str(to, "\"},", err));
    }
    if (turn)
        TRY(buf_add_char(to, ',', err));
    TRY(add_message(w, i, turn, to, err));
    if (!said)
        return buf_add_char(b, ']', err);
    TRY(buf_add_str(b, ",\"messages\":[", err));
    TRY(buf_add(b, said->data, said->len, err));
    return buf_add_char(b, ']', err);
}

int work_body(const struct work *w, int i, int turn, struct buf *said, struct buf *out, struct err *err)
{
    TRY(buf_printf(out, err, "{\"model\":%s", w->model));
    TRY(w->o.chat ? add_messages(w, i, turn, said, out, err) : add_prompt(w, i, out, err));
    TRY(buf_printf(out, err, ",\"max_tokens\":%d", work_output(w, i)));
    return buf_add(out, w->tail.data, w->tail.len, err);
}

int work_answer(struct buf *said, const char *text, size_t n, struct err *err)
{
    TRY(buf_add_str(said, ",{\"role\":\"assistant\",\"content\":\"", err));
    TRY(buf_add(said, text, n, err));
    return buf_add_str(said, "\"}", err);
}

/* ---- what is the same in all of them ---- */

static int make_tail(struct work *w, struct err *err)
{
    json_t *base = json_pack("{s:i, s:b, s:{s:b}}", "temperature", 0, "stream", 1, "stream_options", "include_usage", 1), *more = NULL;
    int rc = base ? 0 : ERR(err, NOMEM, "no memory for requests");
    if (!rc && w->o.ignore_eos)
        json_object_set_new(base, "ignore_eos", json_true());
    if (!rc && w->o.fields) {
        json_error_t e;
        more = json_loads(w->o.fields, JSON_REJECT_DUPLICATES, &e);
        const char *key;
        json_t *v;
        if (!json_is_object(more))
            rc = ERR(err, USAGE, "--fields: %s, expected an object of JSON", more ? "no object" : e.text);
        else
            json_object_foreach(more, key, v)
                if (!strcmp(key, "model") || !strcmp(key, "prompt") || !strcmp(key, "messages") || !strcmp(key, "max_tokens") || !strcmp(key, "stream") || !strcmp(key, "stream_options"))
                    rc = ERR(err, USAGE, "--fields: '%s' is set by the benchmark itself", key);
        if (!rc && json_object_update(base, more) < 0)
            rc = ERR(err, NOMEM, "no memory for requests");
    }
    char *text = rc ? NULL : json_dumps(base, JSON_COMPACT);
    if (!rc && !text)
        rc = ERR(err, NOMEM, "no memory for requests");
    if (!rc)
        rc = buf_printf(&w->tail, err, ",%s", text + 1);
    mem_free(text);
    json_decref(more);
    json_decref(base);
    return rc;
}

static int make_shared(struct work *w, struct err *err)
{
    if (!w->o.shared)
        return 0;
    if (!(w->shared = mem_alloc_array((size_t)w->o.n_group, sizeof *w->shared)))
        return ERR(err, NOMEM, "no memory for %d groups", w->o.n_group);
    for (int g = 0; g < w->o.n_group; g++)
        buf_init(&w->shared[g]);
    for (int g = 0; g < w->o.n_group; g++)
        TRY(add_tokens(w, &w->shared[g], key_of(w, "shared", g, 0), w->o.shared, err));
    return 0;
}

/* ---- a file of prompts ---- */

/* A line's prompt as it stands in a body: a string, or the items of a list. */
static int take_prompt(struct work *w, json_t *line, int number, struct prompt *out, struct err *err)
{
    const json_t *text = json_object_get(line, "prompt"), *messages = json_object_get(line, "messages"), *most = json_object_get(line, "max_tokens");
    if (!json_is_string(text) == !(json_is_array(messages) && json_array_size(messages)) || (most && (!json_is_integer(most) || json_integer_value(most) < 1 || json_integer_value(most) > 1000000)))
        return ERR(err, FORMAT, "%s, line %d: expected {\"prompt\": text} or {\"messages\": [..]}, and max_tokens of 1 to 1000000 where there are any", w->o.prompts, number);
    if (messages && (!w->o.chat || w->o.turns > 1))
        return ERR(err, USAGE, "%s, line %d has messages, expected prompts %s", w->o.prompts, number, w->o.chat ? "where --turns adds the messages" : "without --api chat");
    *out = (struct prompt){ .messages = messages != NULL, .output = (int)json_integer_value(most) };
    out->json = json_dumps(messages ? messages : text, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!out->json)
        return ERR(err, NOMEM, "no memory for prompts");
    if (messages) {                      /* without its brackets */
        const size_t n = strlen(out->json);
        memmove(out->json, out->json + 1, n - 2);
        out->json[n - 2] = 0;
    }
    return 0;
}

static int read_lines(struct work *w, char *text, size_t n_line, struct err *err)
{
    if (!(w->prompt = mem_alloc_array(n_line, sizeof *w->prompt)))
        return ERR(err, NOMEM, "no memory for %zu prompts", n_line);
    int number = 0, rc = 0;
    for (char *line = text, *next; line && !rc; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        number++;
        if (!line[strspn(line, " \t\r")])
            continue;
        json_error_t e;
        json_t *v = json_loads(line, JSON_REJECT_DUPLICATES, &e);
        rc = v ? take_prompt(w, v, number, &w->prompt[w->n_prompt], err) : ERR(err, FORMAT, "%s, line %d: %s", w->o.prompts, number, e.text);
        w->n_prompt += w->prompt[w->n_prompt].json != NULL;
        json_decref(v);
    }
    return rc ? rc : w->n_prompt ? 0 : ERR(err, FORMAT, "%s has no prompts", w->o.prompts);
}

static int read_prompts(struct work *w, struct err *err)
{
    struct buf text;
    if (!w->o.prompts)
        return 0;
    buf_init(&text);
    int rc = file_read(w->o.prompts, PROMPTS_MAX, &text, err);
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    if (!rc && strlen(text.data) != text.len)
        rc = ERR(err, FORMAT, "%s is no text: it has a NUL", w->o.prompts);
    rc = rc ? rc : read_lines(w, text.data, n, err);
    buf_release(&text);
    return rc;
}

int work_new(struct work **out, const struct work_opts *o, struct err *err)
{
    struct work *w = mem_alloc_zero(sizeof *w);
    *out = w;
    if (!w)
        return ERR(err, NOMEM, "no memory for requests");
    w->o = *o;
    buf_init(&w->tail);
    json_t *name = json_string(o->model);
    w->model = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    json_decref(name);
    int rc = w->model ? 0 : ERR(err, USAGE, "the model's name is no UTF-8");
    rc = rc ? rc : make_tail(w, err);
    rc = rc ? rc : make_shared(w, err);
    rc = rc ? rc : read_prompts(w, err);
    if (rc) {
        work_free(w);
        *out = NULL;
    }
    return rc;
}

void work_free(struct work *w)
{
    if (!w)
        return;
    for (int i = 0; w->shared && i < w->o.n_group; i++)
        buf_release(&w->shared[i]);
    for (int i = 0; i < w->n_prompt; i++)
        mem_free(w->prompt[i].json);
    buf_release(&w->tail);
    mem_free(w->shared);
    mem_free(w->prompt);
    mem_free(w->model);
    mem_free(w);
}
