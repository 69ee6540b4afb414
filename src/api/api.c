/* api.c - include/lathe.h over the engine: checks what a caller may get wrong, and keeps what the calls of a handle share. */
#include <lathe.h>
#include <assert.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "base/mem.h"
#include "infer/embed.h"
#include "infer/ends.h"
#include "infer/engine.h"
#include "infer/sample.h"
#include "infer/score.h"
#include "model/chat.h"
#include "model/unicode.h"

#define SEQUENCE_MAX 4096
#define TOKENS_MAX 65536         /* of a step, of rows of logits */
#define THREAD_MAX 4096

struct lathe_model {
    struct pool *pool;
    struct engine *engine;
    struct chat *chat;           /* NULL: none, chat_err tells why */
    struct err chat_err;
    struct ends ends;
    struct buf warnings;
    int32_t *held; int *n_held;  /* [n_sequence][context] tokens that the sequences hold, [n_sequence] */
    int32_t *slot;               /* [n_sequence] */
    struct sample_scratch scratch;
};

struct lathe_embedder {
    struct pool *pool;
    struct embedder *embedder;
    struct buf warnings;
};

#define SAME(name) static_assert((int)LATHE_##name == (int)ERR_##name, "codes are part of the interface")
SAME(USAGE);
SAME(FORMAT);
SAME(RANGE);
SAME(NOMEM);
SAME(IO);
SAME(NOTFOUND);
SAME(CORRUPT);
SAME(UNSUPPORTED);
SAME(BUSY);
SAME(NUMERIC);
SAME(STOPPED);
SAME(REFUSED);
static_assert((int)LATHE_SPECIALS == (int)TOK_SPECIALS && (int)LATHE_ADD == (int)TOK_ADD, "flags of tokenizers");
static_assert((int)LATHE_SCORE_HALF == (int)SCORE_LLAMACPP && (int)LATHE_SCORE_ROLLING == (int)SCORE_ROLLING && (int)LATHE_SCORE_ALL == (int)SCORE_ALL, "conventions");
static_assert((int)LATHE_POOL_MEAN == (int)POOL_MEAN + 1 && (int)LATHE_POOL_FIRST == (int)POOL_CLS + 1 && (int)LATHE_POOL_LAST == (int)POOL_LAST + 1, "poolings");
static_assert(sizeof ((struct err *)0)->msg <= sizeof ((struct lathe_error *)0)->message, "messages fit");

const char *lathe_version(void) { return LATHE_VERSION; }
const char *lathe_code_name(int code) { return err_word(code); }

/* Every function that can fail ends here. */
static int done(int rc, const struct err *e, struct lathe_error *out)
{
    if (out) {
        out->code = rc < 0 ? rc : 0;
        memcpy(out->message, rc < 0 ? e->msg : "", rc < 0 ? strlen(e->msg) + 1 : 1);
    }
    return rc < 0 ? rc : 0;
}

static bool all_zero(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)p)[i])
            return false;
    return true;
}
#define CHECK_RESERVED(o, err)                                                                                                              \
    do {                                                                                                                                    \
        if (!all_zero((o)->reserved, sizeof (o)->reserved))                                                                                 \
            return ERR(err, USAGE, "reserved fields are set, expected 0: begin with { 0 }, or a newer library is needed"); \
    } while (0)

/* Numbers in files have a point, whatever the program's locale says: the thread reads them in the C locale, and then goes back. */
static locale_t c_locale;
static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }
static locale_t enter_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}
static void leave_locale(locale_t before)
{
    if (before)
        uselocale(before);
}

/* ---- options ---- */

static int in_range(const char *name, int value, int max, struct err *err)
{
    return value < 0 || value > max ? ERR(err, USAGE, "%s is %d, expected 0 to %d", name, value, max) : 0;
}

static int check_options(const struct lathe_options *o, struct err *err)
{
    TRY(in_range("n_thread", o->n_thread, THREAD_MAX, err));
    TRY(in_range("context", o->context, INT_MAX, err));
    TRY(in_range("n_sequence", o->n_sequence, SEQUENCE_MAX, err));
    TRY(in_range("step_tokens", o->step_tokens, TOKENS_MAX, err));
    TRY(in_range("n_logits", o->n_logits, TOKENS_MAX, err));
    TRY(in_range("precision", (int)o->precision, LATHE_F16, err));
    CHECK_RESERVED(o, err);
    return 0;
}

static enum weights_as weights_as(enum lathe_precision p)
{
    static const enum weights_as as[] = { [LATHE_AS_FILE] = WEIGHTS_FILE, [LATHE_F32] = WEIGHTS_F32, [LATHE_BF16] = WEIGHTS_BF16, [LATHE_F16] = WEIGHTS_F16 };
    return as[p];
}

static struct engine_opts engine_options(const struct lathe_options *o, struct buf *warnings)
{
    return (struct engine_opts){ .n_slot = o->n_sequence ? o->n_sequence : 1, .ctx = o->context, .ctx_clip = o->context_clip, .step_tokens = o->step_tokens ? o->step_tokens : 512,
                                 .n_logits = o->n_logits, .no_tok = o->no_tokenizer, .rope_scaling = o->rope_scaling, .as = weights_as(o->precision), .warnings = warnings };
}

/* The workers take no signals: handlers of the program run in its own threads. */
static int new_pool(struct pool **out, int n, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pool_new(out, n, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int n_thread(const struct lathe_options *o) { return o->n_thread ? o->n_thread : pool_cpu_count(); }

/* ---- models ---- */

/* A template that cannot be used is no reason not to open the model: lathe_chat tells it then. */
static int load_chat(struct lathe_model *m, const char *path, struct err *err)
{
    const int rc = chat_load(&m->chat, path, NULL, &m->chat_err);
    if (rc == ERR_NOMEM) {
        *err = m->chat_err;
        return rc;
    }
    return 0;
}

static int open_model(struct lathe_model *m, const char *path, const struct lathe_options *o, struct err *err)
{
    TRY(check_options(o, err));
    if (cpu_level_error())
        return ERR(err, USAGE, "%s", cpu_level_error());
    TRY(new_pool(&m->pool, n_thread(o), err));
    const struct engine_opts eo = engine_options(o, &m->warnings);
    TRY(engine_new(&m->engine, path, &eo, m->pool, err));
    TRY(ends_load(&m->ends, path, err));
    const size_t V = (size_t)engine_config(m->engine)->vocab_size, S = (size_t)engine_n_slot(m->engine);
    m->held = mem_alloc_array(S * (size_t)engine_ctx(m->engine), sizeof *m->held);
    m->n_held = mem_alloc_array(S, sizeof *m->n_held);
    m->scratch = (struct sample_scratch){ mem_alloc_array(V, 2 * sizeof *m->scratch.id), mem_alloc_array(V, sizeof *m->scratch.p) };
    if (!m->held || !m->n_held || !m->scratch.id || !m->scratch.p)
        return ERR(err, NOMEM, "no memory for %zu sequences over %zu tokens", S, V);
    return o->no_tokenizer ? ERR(&m->chat_err, USAGE, "the model was opened without its tokenizer"), 0 : load_chat(m, path, err);
}

int lathe_model_open(struct lathe_model **out, const char *path, const struct lathe_options *o, struct lathe_error *error)
{
    static const struct lathe_options defaults = { 0 };
    struct err err = { 0 };
    const locale_t before = enter_locale();
    struct lathe_model *m = mem_alloc_array(1, sizeof *m);
    int rc;
    *out = NULL;
    if (m) {
        buf_init(&m->warnings);
        rc = open_model(m, path, o ? o : &defaults, &err);
    } else {
        rc = ERR(&err, NOMEM, "no memory for %s", path);
    }
    leave_locale(before);
    if (rc < 0)
        lathe_model_free(m);
    else
        *out = m;
    return done(rc, &err, error);
}

void lathe_model_free(struct lathe_model *m)
{
    if (!m)
        return;
    chat_free(m->chat);
    engine_free(m->engine);
    pool_free(m->pool);
    mem_free(m->held);
    mem_free(m->n_held);
    mem_free(m->scratch.id);
    mem_free(m->scratch.p);
    buf_release(&m->warnings);
    mem_free(m);
}

int lathe_model_plan(size_t *bytes, const char *path, const struct lathe_options *o, struct lathe_error *error)
{
    static const struct lathe_options defaults = { 0 };
    struct err err = { 0 };
    struct buf warnings;
    size_t n = 0;
    o = o ? o : &defaults;
    const locale_t before = enter_locale();
    buf_init(&warnings);
    int rc = check_options(o, &err);
    if (!rc) {
        const struct engine_opts eo = engine_options(o, &warnings);
        rc = engine_plan_bytes(&n, path, &eo, n_thread(o), &err);
    }
    buf_release(&warnings);
    leave_locale(before);
    if (!rc)
        *bytes = n;
    return done(rc, &err, error);
}

void lathe_model_info(const struct lathe_model *m, struct lathe_info *out)
{
    const struct engine *e = m->engine;
    const struct config *c = engine_config(e);
    const struct tok *t = engine_tok(e);
    *out = (struct lathe_info){
        .family = family_name(c->family), .warnings = m->warnings.data, .n_vocabulary = c->vocab_size, .n_layer = c->n_layer, .d_model = c->d_model,
        .context = engine_ctx(e), .context_model = c->ctx, .n_sequence = engine_n_slot(e), .step_tokens = engine_step_tokens(e), .n_thread = pool_n_thread(m->pool),
        .begin_id = t ? tok_bos(t) : -1, .end_id = t ? tok_eot(t) : -1, .has_chat = m->chat != NULL, .bytes = engine_bytes(e), .weight_bytes = engine_weight_bytes(e),
    };
}

/* ---- text and tokens ---- */

static int tokenizer(const struct lathe_model *m, const struct tok **t, struct err *err)
{
    *t = engine_tok(m->engine);
    return *t ? 0 : ERR(err, USAGE, "the model was opened without its tokenizer");
}

/* Copies what was made to the caller's room; have and what: for the message. */
static int hand_out(void *to, size_t max, const void *from, size_t n, size_t size, const char *what, size_t *n_out, struct err *err)
{
    *n_out = n;
    if (max && n > max)
        return ERR(err, RANGE, "%zu %s, and room for %zu", n, what, max);
    if (max && n)
        memcpy(to, from, n * size);
    return 0;
}

static int tokenize(const struct lathe_model *m, const char *text, size_t n, unsigned flags, struct tok_ids *ids, struct err *err)
{
    const struct tok *t;
    TRY(tokenizer(m, &t, err));
    if (flags & ~(unsigned)(LATHE_SPECIALS | LATHE_ADD))
        return ERR(err, USAGE, "flags are %#x, expected LATHE_SPECIALS and LATHE_ADD", flags);
    return engine_encode(m->engine, n ? text : "", n, flags, ids, err);
}

int lathe_tokenize(const struct lathe_model *m, const char *text, size_t n_text, unsigned flags, int32_t *ids, size_t max, size_t *n, struct lathe_error *error)
{
    struct err err = { 0 };
    struct tok_ids made = { 0 };
    int rc = tokenize(m, text, n_text, flags, &made, &err);
    if (!rc)
        rc = hand_out(ids, max, made.id, made.n, sizeof *ids, "tokens", n, &err);
    tok_ids_release(&made);
    return done(rc, &err, error);
}

static int detokenize(const struct lathe_model *m, const int32_t *ids, size_t n, unsigned flags, struct buf *text, struct err *err)
{
    const struct tok *t;
    TRY(tokenizer(m, &t, err));
    if (flags & ~(unsigned)LATHE_SPECIALS)
        return ERR(err, USAGE, "flags are %#x, expected LATHE_SPECIALS or 0", flags);
    if (flags & LATHE_SPECIALS)
        return tok_decode(t, ids, n, text, err);
    struct tok_stream s;
    tok_stream_begin(&s, t, TOK_SKIP_SPECIALS);
    for (size_t i = 0; i < n; i++)
        TRY(tok_stream_add(&s, ids[i], text, err));
    return tok_stream_end(&s, text, err);
}

int lathe_detokenize(const struct lathe_model *m, const int32_t *ids, size_t n_ids, unsigned flags, char *text, size_t max, size_t *n, struct lathe_error *error)
{
    struct err err = { 0 };
    struct buf made;
    buf_init(&made);
    int rc = detokenize(m, ids, n_ids, flags, &made, &err);
    if (!rc)
        rc = hand_out(text, max, made.data, made.len, 1, "bytes", n, &err);
    buf_release(&made);
    return done(rc, &err, error);
}

int lathe_is_end(const struct lathe_model *m, int32_t id) { return ends_at(&m->ends, m->engine, id); }

/* ---- chat ---- */

static int read_json(json_t **out, const char *what, const char *text, struct err *err)
{
    json_error_t e;
    *out = text ? json_loads(text, JSON_REJECT_DUPLICATES, &e) : NULL;
    return text && !*out ? ERR(err, FORMAT, "%s: line %d: %s", what, e.line, e.text) : 0;
}

static bool is_text(const char *s) { return s && unicode_is_utf8(s, strlen(s)); }

static int make_messages(json_t **out, const struct lathe_message *message, size_t n, struct err *err)
{
    if (!(*out = json_array()))
        return ERR(err, NOMEM, "no memory for %zu messages", n);
    for (size_t i = 0; i < n; i++) {
        json_t *role = json_string(message[i].role), *content = json_string(message[i].content);
        if (!role || !content) {
            json_decref(role);
            json_decref(content);
            return is_text(message[i].role) && is_text(message[i].content) ? ERR(err, NOMEM, "no memory for message %zu", i) : ERR(err, FORMAT, "message %zu is not UTF-8", i);
        }
        if (json_array_append_new(*out, json_pack("{s:o, s:o}", "role", role, "content", content)))
            return ERR(err, NOMEM, "no memory for message %zu", i);
    }
    return 0;
}

static int chat(const struct lathe_model *m, const struct lathe_message *message, size_t n, const struct lathe_chat_options *o, struct tok_ids *ids, struct err *err)
{
    CHECK_RESERVED(o, err);
    if (!m->chat) {
        *err = m->chat_err;
        return err->code;
    }
    json_t *messages = NULL, *tools = NULL, *variables = NULL;
    struct jinja_text text;
    jinja_text_init(&text);
    int rc = make_messages(&messages, message, n, err);
    if (!rc)
        rc = read_json(&tools, "tools", o->tools, err);
    if (!rc)
        rc = read_json(&variables, "variables", o->variables, err);
    if (!rc)
        rc = chat_render(m->chat, &(struct chat_request){ .messages = messages, .tools = tools, .variables = variables, .name = o->name, .no_generation_prompt = o->no_generation_prompt },
                         &text, err);
    if (!rc)
        rc = chat_encode(engine_tok(m->engine), &text, ids, err);
    jinja_text_release(&text);
    json_decref(messages);
    json_decref(tools);
    json_decref(variables);
    return rc;
}

int lathe_chat(const struct lathe_model *m, const struct lathe_message *message, size_t n_message, const struct lathe_chat_options *o, int32_t *ids, size_t max, size_t *n,
               struct lathe_error *error)
{
    static const struct lathe_chat_options defaults = { 0 };
    struct err err = { 0 };
    struct tok_ids made = { 0 };
    const locale_t before = enter_locale();
    int rc = chat(m, message, n_message, o ? o : &defaults, &made, &err);
    leave_locale(before);
    if (!rc)
        rc = hand_out(ids, max, made.id, made.n, sizeof *ids, "tokens", n, &err);
    tok_ids_release(&made);
    return done(rc, &err, error);
}

/* ---- running ---- */

static int32_t *held(const struct lathe_model *m, int sequence) { return m->held + (size_t)sequence * (size_t)engine_ctx(m->engine); }

static void note(struct lathe_model *m, int sequence, int pos, const int32_t *ids, int n)
{
    memcpy(held(m, sequence) + pos, ids, (size_t)n * sizeof *ids);
    m->n_held[sequence] = pos + n;
}

/* That the engine's positions before pos were written: the engine itself cannot know. */
static int check_place(const struct lathe_model *m, int sequence, int pos, struct err *err)
{
    if (sequence < 0 || sequence >= engine_n_slot(m->engine))
        return ERR(err, RANGE, "sequence %d, expected 0 to %d", sequence, engine_n_slot(m->engine) - 1);
    if (pos < 0 || pos > m->n_held[sequence])
        return ERR(err, RANGE, "position %d of sequence %d, which holds %d", pos, sequence, m->n_held[sequence]);
    return 0;
}

static int feed(struct lathe_model *m, int sequence, int pos, const int32_t *ids, int n, const float **logits, struct err *err)
{
    TRY(check_place(m, sequence, pos, err));
    TRY(engine_feed(m->engine, sequence, pos, ids, n, logits, err));
    note(m, sequence, pos, ids, n);
    return 0;
}

int lathe_feed(struct lathe_model *m, int sequence, int pos, const int32_t *ids, int n, const float **logits, struct lathe_error *error)
{
    struct err err = { 0 };
    return done(feed(m, sequence, pos, ids, n, logits, &err), &err, error);
}

static int step(struct lathe_model *m, int n, const int *sequence, const int *pos, const int32_t *ids, const float **logits, struct err *err)
{
    static_assert(sizeof(int) == sizeof(int32_t), "the engine's arrays");
    for (int i = 0; i < n && i < engine_n_slot(m->engine); i++)
        TRY(check_place(m, sequence[i], pos[i], err));
    TRY(engine_step(m->engine, n, sequence, pos, ids, logits, err));
    for (int i = 0; i < n; i++)
        note(m, sequence[i], pos[i], ids + i, 1);
    return 0;
}

int lathe_step(struct lathe_model *m, int n, const int *sequence, const int *pos, const int32_t *ids, const float **logits, struct lathe_error *error)
{
    struct err err = { 0 };
    return done(step(m, n, sequence, pos, ids, logits, &err), &err, error);
}

int lathe_length(const struct lathe_model *m, int sequence) { return sequence < 0 || sequence >= engine_n_slot(m->engine) ? 0 : m->n_held[sequence]; }

static int check_sampling(const struct lathe_sampling *s, struct err *err)
{
    CHECK_RESERVED(s, err);
    if (!(s->temperature >= 0 && s->temperature <= 1e6))
        return ERR(err, USAGE, "temperature is %g, expected 0 to 1e6", s->temperature);
    if (s->top_k < 0)
        return ERR(err, USAGE, "top_k is %d, expected 0 or more", s->top_k);
    if (!(s->top_p >= 0 && s->top_p <= 1))
        return ERR(err, USAGE, "top_p is %g, expected 0 to 1", s->top_p);
    return 0;
}

static int sample(struct lathe_model *m, const float *logits, const struct lathe_sampling *s, uint64_t position, int32_t *id, struct err *err)
{
    const struct sampling p = { .temperature = s->temperature, .top_k = s->top_k, .top_p = s->top_p > 0 ? s->top_p : 1, .seed = s->seed };
    const int drawn = sample_token(logits, sample_ids(engine_tok(m->engine), engine_config(m->engine)->vocab_size), &p, position, m->scratch);
    if (drawn < 0)
        return ERR(err, NUMERIC, "the model gave values that are not numbers at position %llu", (unsigned long long)position);
    *id = drawn;
    return 0;
}

int lathe_sample(struct lathe_model *m, const float *logits, const struct lathe_sampling *s, uint64_t position, int32_t *id, struct lathe_error *error)
{
    struct err err = { 0 };
    int rc = check_sampling(s, &err);
    if (!rc)
        rc = sample(m, logits, s, position, id, &err);
    return done(rc, &err, error);
}

/* ---- generating ---- */

struct output { struct buf text; lathe_text_fn *fn; void *ctx; bool stop; };

static void show(struct output *o)
{
    if (o->text.len && o->fn && !o->stop)
        o->stop = o->fn(o->ctx, o->text.data, o->text.len) != 0;
    buf_clear(&o->text);
}

static int feed_prompt(struct lathe_model *m, int sequence, const int32_t *ids, int n, struct lathe_generated *r, const float **logits, struct err *err)
{
    const int32_t *have = held(m, sequence);
    int kept = 0;
    while (kept < n - 1 && kept < m->n_held[sequence] && have[kept] == ids[kept])
        kept++;
    const double start = clock_wall();
    TRY(feed(m, sequence, kept, ids + kept, n - kept, logits, err));
    r->n_prompt = n, r->n_kept = kept, r->prompt_s = clock_wall() - start;
    return 0;
}

/* As `lathe generate`: the token at a position is drawn with that position's random number. */
static int draw_all(struct lathe_model *m, const struct lathe_generation *o, const float *logits, struct tok_stream *stream, struct output *out, struct lathe_generated *r,
                    struct err *err)
{
    for (int pos = r->n_prompt;; pos++) {
        int32_t id;
        TRY(sample(m, logits, &o->sampling, (uint64_t)pos, &id, err));
        r->n_token++;
        r->end = LATHE_END_MODEL;
        if (ends_at(&m->ends, m->engine, id))
            return 0;
        TRY(tok_stream_add(stream, id, &out->text, err));
        show(out);
        r->end = out->stop ? LATHE_END_CALLER : o->max_tokens && r->n_token == o->max_tokens ? LATHE_END_LENGTH : LATHE_END_CONTEXT;
        if (r->end != LATHE_END_CONTEXT || pos == engine_ctx(m->engine))
            return 0;
        TRY(feed(m, o->sequence, pos, &id, 1, &logits, err));
    }
}

static int check_generation(const struct lathe_model *m, const int32_t *ids, size_t n, const struct lathe_generation *o, struct err *err)
{
    CHECK_RESERVED(o, err);
    TRY(check_sampling(&o->sampling, err));
    TRY(check_place(m, o->sequence, 0, err));
    if (o->max_tokens < 0)
        return ERR(err, USAGE, "max_tokens is %d, expected 0 or more", o->max_tokens);
    if (!n)
        return ERR(err, RANGE, "the prompt is empty, expected at least one token");
    if (n > (size_t)engine_ctx(m->engine))
        return ERR(err, RANGE, "the prompt has %zu tokens, and there is room for %d", n, engine_ctx(m->engine));
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= engine_config(m->engine)->vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", ids[i], engine_config(m->engine)->vocab_size - 1);
    return 0;
}

static int generate(struct lathe_model *m, const int32_t *ids, size_t n, const struct lathe_generation *o, struct output *out, struct lathe_generated *r, struct err *err)
{
    const struct tok *t;
    const float *logits;
    struct tok_stream stream;
    TRY(tokenizer(m, &t, err));
    TRY(check_generation(m, ids, n, o, err));
    TRY(feed_prompt(m, o->sequence, ids, (int)n, r, &logits, err));
    tok_stream_begin(&stream, t, TOK_SKIP_SPECIALS);
    stream.begun = !o->own_text;
    const double start = clock_wall();
    TRY(draw_all(m, o, logits, &stream, out, r, err));
    r->token_s = clock_wall() - start;
    TRY(tok_stream_end(&stream, &out->text, err));
    show(out);
    return 0;
}

int lathe_generate(struct lathe_model *m, const int32_t *ids, size_t n, const struct lathe_generation *o, lathe_text_fn *fn, void *ctx, struct lathe_generated *result,
                   struct lathe_error *error)
{
    static const struct lathe_generation defaults = { 0 };
    struct err err = { 0 };
    struct output out = { .fn = fn, .ctx = ctx };
    struct lathe_generated r = { 0 };
    buf_init(&out.text);
    const int rc = generate(m, ids, n, o ? o : &defaults, &out, &r, &err);
    buf_release(&out.text);
    if (result && !rc)
        *result = r;
    return done(rc, &err, error);
}

/* ---- scores ---- */

static int score(struct lathe_model *m, const char *text, size_t n_text, struct score_opts *o, struct lathe_score *out, struct err *err)
{
    struct tok_ids ids = { 0 };
    struct score s;
    if ((int)o->convention < 0 || o->convention >= N_SCORE_CONVENTION)
        return ERR(err, USAGE, "convention %d, expected 0 to %d", (int)o->convention, N_SCORE_CONVENTION - 1);
    if (o->ctx < 0 || o->ctx > engine_ctx(m->engine))
        return ERR(err, RANGE, "a window of %d tokens, and the context has %d", o->ctx, engine_ctx(m->engine));
    o->ctx = o->ctx ? o->ctx : engine_ctx(m->engine);
    const struct tok *t;
    TRY(tokenizer(m, &t, err));
    int rc = score_encode(t, n_text ? text : "", n_text, o, &ids, err);
    if (!rc) {
        memset(m->n_held, 0, (size_t)engine_n_slot(m->engine) * sizeof *m->n_held);
        rc = score_tokens(m->engine, ids.id, ids.n, o, NULL, NULL, &s, err);
    }
    if (!rc)
        *out = (struct lathe_score){ .n_text = ids.n, .n_token = s.n_token, .nll = s.nll, .perplexity = score_perplexity(&s), .perplexity_stderr = score_perplexity(&s) * score_stderr(&s) };
    tok_ids_release(&ids);
    return rc;
}

int lathe_score(struct lathe_model *m, const char *text, size_t n_text, enum lathe_convention convention, int window, struct lathe_score *out, struct lathe_error *error)
{
    struct err err = { 0 };
    struct score_opts o = { .convention = (enum score_convention)convention, .ctx = window };
    return done(score(m, text, n_text, &o, out, &err), &err, error);
}

/* ---- vectors ---- */

static int open_embedder(struct lathe_embedder *e, const char *path, const struct lathe_options *o, struct err *err)
{
    TRY(check_options(o, err));
    if (o->context_clip || o->n_sequence || o->step_tokens || o->n_logits)
        return ERR(err, USAGE, "context_clip, n_sequence, step_tokens and n_logits say nothing about embedding, expected 0");
    if (cpu_level_error())
        return ERR(err, USAGE, "%s", cpu_level_error());
    TRY(new_pool(&e->pool, n_thread(o), err));
    const struct embed_opts eo = { .ctx = o->context, .no_tok = o->no_tokenizer, .rope_scaling = o->rope_scaling, .as = weights_as(o->precision), .warnings = &e->warnings };
    return embedder_new(&e->embedder, path, &eo, e->pool, err);
}

int lathe_embedder_open(struct lathe_embedder **out, const char *path, const struct lathe_options *o, struct lathe_error *error)
{
    static const struct lathe_options defaults = { 0 };
    struct err err = { 0 };
    const locale_t before = enter_locale();
    struct lathe_embedder *e = mem_alloc_array(1, sizeof *e);
    int rc;
    *out = NULL;
    if (e) {
        buf_init(&e->warnings);
        rc = open_embedder(e, path, o ? o : &defaults, &err);
    } else {
        rc = ERR(&err, NOMEM, "no memory for %s", path);
    }
    leave_locale(before);
    if (rc < 0)
        lathe_embedder_free(e);
    else
        *out = e;
    return done(rc, &err, error);
}

void lathe_embedder_free(struct lathe_embedder *e)
{
    if (!e)
        return;
    embedder_free(e->embedder);
    pool_free(e->pool);
    buf_release(&e->warnings);
    mem_free(e);
}

int lathe_embedder_size(const struct lathe_embedder *e) { return embedder_config(e->embedder)->d_model; }
const char *lathe_embedder_warnings(const struct lathe_embedder *e) { return e->warnings.data; }

static int embed(struct lathe_embedder *e, const int32_t *ids, int n, enum lathe_pooling pooling, float *out, struct err *err)
{
    TRY(in_range("pooling", (int)pooling, LATHE_POOL_LAST, err));
    const enum pool_kind kind = pooling ? (enum pool_kind)(pooling - 1) : embedder_pooling(e->embedder);
    return embedder_run(e->embedder, ids, n, kind, embedder_normalizes(e->embedder), out, err);
}

int lathe_embed_ids(struct lathe_embedder *e, const int32_t *ids, int n, enum lathe_pooling pooling, float *out, struct lathe_error *error)
{
    struct err err = { 0 };
    return done(embed(e, ids, n, pooling, out, &err), &err, error);
}

int lathe_embed(struct lathe_embedder *e, const char *text, size_t n, enum lathe_pooling pooling, float *out, struct lathe_error *error)
{
    struct err err = { 0 };
    struct tok_ids ids = { 0 };
    const struct tok *t = embedder_tok(e->embedder);
    int rc = t ? tok_encode(t, n ? text : "", n, TOK_ADD, &ids, &err) : ERR(&err, USAGE, "the model was opened without its tokenizer");
    if (!rc && ids.n > INT_MAX)
        rc = ERR(&err, RANGE, "the text has %zu tokens", ids.n);
    if (!rc)
        rc = embed(e, ids.id, (int)ids.n, pooling, out, &err);
    tok_ids_release(&ids);
    return done(rc, &err, error);
}
