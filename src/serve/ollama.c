#include "serve/ollama.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/when.h"
#include "serve/constraint.h"
#include "serve/embeddings.h"
#include "serve/json_out.h"
#include "serve/ollama_reply.h"
#include "serve/tools.h"
#include "serve/visit.h"

static const struct dialect *const words = &ollama_chat_dialect;

static void reply(struct http_request *q, struct buf *b, int rc)
{
    struct refusal e = { 0 };
    if (rc < 0) {
        wish_no_memory(&e);
        exchange_refuse(q, words, &e);
    } else {
        http_reply(q, 200, "application/json", b->data, b->len);
    }
    buf_release(b);
}

/* Takes v; NULL: there was no memory. */
static void reply_json(struct http_request *q, json_t *v) { exchange_reply_json(q, words, v); }

/* ---- what requests share ---- */

/* Which of served_model_find(). */
static int read_model(struct in *f, const struct served_model *s)
{
    const char *model = NULL;
    if (!in_str(f, "model", &model, NULL) && !in_str(f, "name", &model, NULL))
        refuse(f->e, "model", "model is missing");
    const int which = model ? served_model_find_latest(s, model) : 0;
    if (which < 0)
        refuse_as(f->e, 404, NULL, "model_not_found", "model", "model '%.100s' is not served here, '%s' is", model, s->name);
    return which < 0 ? 0 : which;
}

/* How long a model stays in memory: this one always does. */
static void read_keep_alive(struct in *f)
{
    const json_t *v = NULL;
    if (in_any(f, "keep_alive", &v) && !json_is_number(v) && !json_is_string(v))
        refuse(f->e, "keep_alive", "keep_alive is neither a number nor a text");
}

static void read_num_ctx(struct in *o, const struct served_model *s)
{
    int64_t ctx = 0;
    if (in_int(o, "num_ctx", 1, INT64_MAX, &ctx) && ctx > served_model_ctx(s))
        refuse_as(o->e, 400, NULL, "context_length_exceeded", "options.num_ctx", "options.num_ctx is %lld, but there are %d positions", (long long)ctx, served_model_ctx(s));
}

/* Of how a model is loaded and run. */
static void pass_runner(struct in *o) { in_pass(o, "num_keep|num_batch|num_gpu|main_gpu|num_thread|numa|low_vram|f16_kv|use_mmap|use_mlock|vocab_only|logits_all|embedding_only|draft_num_predict"); }

static void read_options(struct wish *w, struct in *f, const struct served_model *s)
{
    const json_t *v = NULL;
    struct in o;
    struct answer_wish *a = &w->answer;
    int64_t most = -1, k = 40, seed = -1, window = -1;
    a->sampling.temperature = 0.8, a->sampling.top_p = 0.9;
    if (in_object(f, "options", &v)) {
        in_begin(&o, v, f->e, "options");
        in_int(&o, "num_predict", -2, INT32_MAX, &most);
        in_num(&o, "temperature", 0, 100, &a->sampling.temperature);
        in_num(&o, "top_p", 0, 1, &a->sampling.top_p);
        in_num(&o, "min_p", 0, 1, &a->sampling.min_p);
        in_num(&o, "repeat_penalty", 0.01, 100, &a->repetition);
        in_num(&o, "presence_penalty", -2, 2, &a->presence);
        in_num(&o, "frequency_penalty", -2, 2, &a->frequency);
        in_int(&o, "top_k", -1, INT32_MAX, &k);
        in_int(&o, "seed", INT64_MIN, INT64_MAX, &seed);
        const bool looks_back = in_int(&o, "repeat_last_n", -1, INT32_MAX, &window) && window >= 0;
        if (looks_back && ((a->repetition != 0 && a->repetition != 1) || a->presence != 0 || a->frequency != 0))
            refuse(f->e, "options.repeat_last_n", "options.repeat_last_n: only -1 can be done here, penalties look at all of a text");
        in_only(&o, "mirostat", "0");
        in_pass(&o, "mirostat_tau|mirostat_eta|penalize_newline");
        in_num(&o, "typical_p", 1, 1, &(double){ 0 });
        in_num(&o, "tfs_z", 1, 1, &(double){ 0 });
        wish_stops(w, &o, "stop");
        read_num_ctx(&o, s);
        pass_runner(&o);
        in_end(&o, NULL);
    }
    a->most = most < 0 ? -1 : (int)most, a->sampling.top_k = k > 0 ? (int)k : 0;
    w->seed = seed == -1 ? w->seed : (uint64_t)seed;
}

/* "", "json", or a schema. */
static void read_format(struct wish *w, struct in *f)
{
    const json_t *v = NULL;
    const char *s;
    if (!in_any(f, "format", &v))
        return;
    s = in_word(v);
    if (json_is_object(v) || (s && !strcmp(s, "json")))
        constraint_schema(w, s ? NULL : v, "format", f->e);
    else if (!s || *s)
        refuse(f->e, "format", "format is neither \"json\" nor a schema");
}

static void read_shared(struct wish *w, struct in *f, const struct served_model *s)
{
    bool probs = false;
    int64_t top = 0;
    w->stream = true;
    w->as = served_model_as(s, read_model(f, s));
    w->answer.adapter = w->as.adapter, w->answer.place = w->as.place, w->answer.root = w->as.root;
    read_keep_alive(f);
    read_options(w, f, s);
    in_bool(f, "stream", &w->stream);
    in_bool(f, "logprobs", &probs);
    if (in_int(f, "top_logprobs", 0, 20, &top) && top && !probs)
        refuse(f->e, "top_logprobs", "top_logprobs without logprobs");
    w->answer.n_logprob = probs ? (int)top : -1;
    read_format(w, f);
    in_pass(f, "truncate|shift");            /* what is to be done with prompts that are too long: they are refused */
}

/* ---- prompts ---- */

/* Tools and thoughts, as the fields that chats have for them here; also OpenAI's choice of tools.  think: whether to, or how hard. */
static json_t *read_extras(struct in *f, bool *thinks)
{
    static const char *const same[] = { "tools", "tool_choice", "parallel_tool_calls" };
    const json_t *v = NULL, *think = NULL;
    json_t *fields = json_object();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (in_any(f, same[i], &v))
            json_object_set(fields, same[i], (json_t *)(uintptr_t)v);
    if (in_any(f, "think", &think) && json_is_string(think)) {
        if (in_choice(f, "think", "low|medium|high", &(int){ 0 }))
            json_object_set(fields, "reasoning_effort", (json_t *)(uintptr_t)think);
    } else if (think && !json_is_boolean(think)) {
        refuse(f->e, "think", "think is neither true, false, low, medium nor high");
    } else if (think) {
        json_object_set_new(fields, "chat_template_kwargs", json_pack("{s:O}", "enable_thinking", think));
    }
    *thinks = json_is_true(think);
    return fields;
}

/* The messages by the model's template; fields: as of read_extras(). */
static void take_chat(struct wish *w, const struct served_model *s, const json_t *messages, const json_t *fields, bool thinks, struct refusal *e)
{
    struct tools tools = { 0 };
    struct in f;
    if (e->status)
        return;
    in_begin(&f, fields, e, "%s", "");
    tools_read(&tools, &f);
    const struct chat_request c = { .messages = messages, .tools = tools.list, .variables = tools.variables };
    tools_check(&tools, s, &c, e);
    if (thinks && s->chat && !chat_wants_for(s->chat, &c)->thinks)
        refuse(e, "think", "think: the model's chat template knows of no thoughts");
    if (!e->status)
        wish_chat(w, s, &c, NULL, e);
    if (!e->status)
        tools_finish(&tools, w, s, &c, e);
    tools_release(&tools);
}

static void check_message(const json_t *m, size_t i, struct refusal *e)
{
    struct in f;
    const json_t *calls = NULL;
    const char *s;
    size_t n;
    in_begin(&f, m, e, "messages[%zu]", i);
    if (!in_choice(&f, "role", "system|user|assistant|tool", &(int){ 0 }))
        refuse(e, f.path, "messages[%zu] has no role", i);
    in_array(&f, "tool_calls", &calls);
    tools_check_calls(calls, f.path, true, e);
    if (!in_str(&f, "content", &s, &n) && !json_array_size(calls))
        refuse(e, f.path, "messages[%zu] has no content", i);
    in_only(&f, "images", "[]");
    in_pass_texts(&f, "tool_name|tool_call_id|thinking");
    in_end(&f, NULL);
}

/* Ollama's calls need have no ids: then they get some, and results answer them in their order.  waiting: ids of calls without a result. */
static json_t *name_calls(const json_t *calls, json_t *waiting, int *n_call)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *const call = json_deep_copy(json_array_get(calls, i));
        char made[24];
        snprintf(made, sizeof made, "call%05d", ++*n_call);
        if (!json_object_get(call, "id"))
            json_object_set_new(call, "id", json_string(made));
        json_object_set_new(call, "type", json_string("function"));
        json_array_append(waiting, json_object_get(call, "id"));
        json_array_append_new(list, call);
    }
    return list;
}

/* In OpenAI's form, as templates have them. */
static json_t *chat_messages(const json_t *messages)
{
    json_t *list = json_array(), *waiting = json_array();
    int n_call = 0;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *const m = json_copy(json_array_get(messages, i)), *calls = json_object_get(m, "tool_calls");
        if (json_array_size(calls))
            json_object_set_new(m, "tool_calls", name_calls(calls, waiting, &n_call));
        if (json_is_string(json_object_get(m, "thinking")))
            json_object_set(m, "reasoning_content", json_object_get(m, "thinking"));
        if (json_is_string(json_object_get(m, "tool_name")))
            json_object_set(m, "name", json_object_get(m, "tool_name"));
        if (!strcmp(json_string_value(json_object_get(json_array_get(messages, i), "role")), "tool")) {
            if (!json_is_string(json_object_get(m, "tool_call_id")) && json_array_size(waiting))
                json_object_set(m, "tool_call_id", json_array_get(waiting, 0));
            json_array_remove(waiting, 0);
        }
        json_array_append_new(list, m);
    }
    json_decref(waiting);
    return list;
}

void ollama_read_chat(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f;
    const json_t *messages = NULL;
    const uint64_t refused = mem_json_refused();
    bool thinks = false;
    wish_begin(w, &ollama_chat_dialect, "messages", request, s);
    in_begin(&f, request, e, "%s", "");
    read_shared(w, &f, s);
    in_array(&f, "messages", &messages);
    for (size_t i = 0; i < json_array_size(messages) && !e->status; i++)
        check_message(json_array_get(messages, i), i, e);
    json_t *fields = read_extras(&f, &thinks);
    wish_lost(refused, e);
    if (!e->status && json_array_size(messages)) {
        json_t *list = chat_messages(messages);
        take_chat(w, s, list, fields, thinks, e);
        json_decref(list);
    }
    json_decref(fields);
    wish_lost(refused, e);
    wish_done(w, &f);
}

/* A text is a chat of one message, if the model has a form for chats. */
static void take_prompt(struct wish *w, const struct served_model *s, const char *system, size_t n_system, const char *prompt, size_t n, bool raw, const json_t *fields, bool thinks, struct refusal *e)
{
    if (!raw && s->chat) {
        json_t *messages = system ? json_pack("[{s:s, s:s%}, {s:s, s:s%}]", "role", "system", "content", system, n_system, "role", "user", "content", prompt, n)
                                  : json_pack("[{s:s, s:s%}]", "role", "user", "content", prompt, n);
        take_chat(w, s, messages, fields, thinks, e);
        json_decref(messages);
    } else if (system) {
        refuse(e, "system", raw ? "system with raw: a raw prompt is all that the model sees" : "system: the model has no chat template to put it into");
    } else if (thinks) {
        refuse(e, "think", "think: there is no chat template that knows of thoughts");
    } else if (wish_prompts(w, 1, e)) {
        w->answer.goes_on = true;
        wish_text(w, s, prompt, n, 0, e);
    }
}

void ollama_read_generate(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f;
    const char *prompt = "", *system = NULL;
    const uint64_t refused = mem_json_refused();
    size_t n = 0, n_system = 0;
    bool raw = false, thinks = false;
    wish_begin(w, &ollama_generate_dialect, "prompt", request, s);
    in_begin(&f, request, e, "%s", "");
    read_shared(w, &f, s);
    in_str(&f, "prompt", &prompt, &n);
    in_str(&f, "system", &system, &n_system);
    in_bool(&f, "raw", &raw);
    in_only(&f, "suffix", "\"\"");
    in_only(&f, "template", "\"\"");
    in_only(&f, "context", "[]");
    in_only(&f, "images", "[]");
    in_only(&f, "tools", "[]");
    json_t *fields = read_extras(&f, &thinks);
    wish_lost(refused, e);
    if (!e->status && n)
        take_prompt(w, s, n_system ? system : NULL, n_system, prompt, n, raw, fields, thinks, e);
    json_decref(fields);
    wish_lost(refused, e);
    wish_done(w, &f);
}

/* ---- replies ---- */

/* Clients ask without a prompt to have a model loaded.  keep_alive 0 is to take it out of memory. */
static void reply_load(struct http_request *q, const struct wish *w)
{
    const json_t *keep = json_object_get(w->request, "keep_alive");
    struct refusal e = { 0 };
    struct buf b;
    if ((json_is_number(keep) && json_number_value(keep) == 0) || (json_is_string(keep) && !strcmp(json_string_value(keep), "0"))) {
        refuse(&e, "keep_alive", "keep_alive 0 is to unload the model: it is served as long as this server runs");
        exchange_refuse(q, words, &e);
        return;
    }
    buf_init(&b);
    int rc = ollama_head(&b, w->as.name, time(NULL), NULL);
    rc = rc ? rc : buf_add_str(&b, w->dialect == &ollama_chat_dialect ? "\"message\":{\"role\":\"assistant\",\"content\":\"\"}," : "\"response\":\"\",", NULL);
    rc = rc ? rc : buf_add_str(&b, "\"done\":true,\"done_reason\":\"load\"}\n", NULL);
    reply(q, &b, rc);
}

static void answer(struct http_request *q, struct served_model *s, json_t *request, void (*read)(struct wish *w, json_t *request, struct served_model *s, struct refusal *e))
{
    struct refusal e = { 0 };
    struct wish w;
    read(&w, request, s, &e);
    if (e.status) {
        exchange_refuse(q, words, &e);
    } else if (w.n_prompt) {
        exchange_start(q, s, &w);
    } else {
        reply_load(q, &w);
        wish_release(&w);
    }
}

void ollama_chat(struct http_request *q, struct served_model *s, json_t *request) { answer(q, s, request, ollama_read_chat); }
void ollama_generate(struct http_request *q, struct served_model *s, json_t *request) { answer(q, s, request, ollama_read_generate); }

/* ---- vectors ---- */

static int vectors_begin(struct buf *b, const struct embed_wish *w, const struct served_model *s, struct err *err)
{
    (void)s;
    TRY(buf_add_str(b, "{\"model\":", err));
    TRY(out_string(b, w->as.name, strlen(w->as.name), err));
    return buf_add_str(b, ",\"embeddings\":[", err);
}

static int one_vector(struct buf *b, const struct embed_wish *w, int i, const float *x, struct err *err)
{
    TRY(i ? buf_add_char(b, ',', err) : 0);
    return embed_write_floats(b, x, w->n_out, err);
}

static int vectors_end(struct buf *b, const struct embed_wish *w, const struct served_model *s, int64_t n_token, struct err *err)
{
    (void)s;
    return buf_printf(b, err, "],\"total_duration\":%lld,\"load_duration\":0,\"prompt_eval_count\":%lld}\n", (long long)((clock_wall() - w->begun) * 1e9), (long long)n_token);
}

static int one_begin(struct buf *b, const struct embed_wish *w, const struct served_model *s, struct err *err)
{
    (void)w, (void)s;
    return buf_add_str(b, "{\"embedding\":", err);
}

static int one_end(struct buf *b, const struct embed_wish *w, const struct served_model *s, int64_t n_token, struct err *err)
{
    (void)w, (void)s, (void)n_token;
    return buf_add_str(b, "}\n", err);
}

static void embed(struct http_request *q, struct served_model *s, json_t *request, const char *param, bool one)
{
    static const struct embed_words many_words = { vectors_begin, one_vector, vectors_end }, one_words = { one_begin, one_vector, one_end };
    struct embed_wish w = { .n_out = served_model_config(s)->d_model, .param = param, .words = one ? &one_words : &many_words, .dialect = words };
    struct refusal e = { 0 };
    struct in f, o;
    const json_t *v = NULL, *input = NULL;
    int64_t n = w.n_out;
    in_begin(&f, request, &e, "%s", "");
    w.as = served_model_as(s, read_model(&f, s));
    read_keep_alive(&f);
    if (in_object(&f, "options", &v)) {
        in_begin(&o, v, &e, "options");
        read_num_ctx(&o, s);
        pass_runner(&o);
        in_end(&o, NULL);
    }
    if (!one && in_int(&f, "dimensions", 0, INT32_MAX, &n) && n)
        embed_check_size(s, n, "dimensions", &e);
    w.n_out = n ? (int)n : w.n_out;
    in_pass(&f, "truncate");
    if (!in_any(&f, param, &input))
        refuse(&e, param, "%s is missing", param);
    in_end(&f, NULL);
    if (one && input && !json_is_string(input))
        refuse(&e, param, "%s is no text", param);
    embed_read_inputs(&w, s, input, true, &e);
    json_decref(request);
    if (!e.status) {
        embed_start(q, s, &w);
        return;
    }
    embed_wish_release(&w);
    exchange_refuse(q, words, &e);
}

void ollama_embed(struct http_request *q, struct served_model *s, json_t *request) { embed(q, s, request, "input", false); }
void ollama_embeddings(struct http_request *q, struct served_model *s, json_t *request) { embed(q, s, request, "prompt", true); }

/* ---- models ---- */

static json_t *details(const struct served_model *s)
{
    const struct config *c = served_model_config(s);
    const char *family = family_name(c->family);
    char size[32];
    int64_t n = 0;
    config_params(c, &n, NULL);
    snprintf(size, sizeof size, n >= 1000000000 ? "%.1fB" : "%.1fM", (double)n / (n >= 1000000000 ? 1e9 : 1e6));
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", "", "format", s->gguf ? "gguf" : "safetensors", "family", family, "families", family, "parameter_size", size, "quantization_level", s->level);
}

/* What /api/tags and /api/ps have in common; running: what only the latter has.  When it was made nobody knows: the time is when it was loaded. */
static json_t *entry(const struct served_model *s, int which, bool running)
{
    const struct served_as as = served_model_as(s, which);
    char since[WHEN_TEXT];
    when_seconds(since, s->since);
    json_t *e = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", as.name, "model", as.name, "modified_at", since, "size", (json_int_t)served_model_weight_bytes(s), "digest", as.digest, "details", details(s));
    if (e && running)
        json_object_update_new(e, json_pack("{s:s, s:i, s:i}", "expires_at", "9999-12-31T23:59:59Z", "size_vram", 0, "context_length", served_model_ctx(s)));
    return e;
}

/* Of those that the client may use. */
static void list(struct http_request *q, struct served_model *const *models, int n, bool running)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        for (int which = 0; which <= models[i]->n_adapter; which++)
            if (visit_may_use(q, served_model_as(models[i], which).name))
                json_array_append_new(all, entry(models[i], which, running));
    reply_json(q, json_pack("{s:o}", "models", all));
}

void ollama_tags(struct http_request *q, struct served_model *const *models, int n) { list(q, models, n, false); }
void ollama_ps(struct http_request *q, struct served_model *const *models, int n) { list(q, models, n, true); }

static json_t *model_info(const struct served_model *s)
{
    const struct config *c = served_model_config(s);
    const char *family = family_name(c->family);
    const struct { const char *key; json_int_t value; } numbers[] = { { "context_length", served_model_ctx(s) }, { "embedding_length", c->d_model }, { "block_count", c->n_layer },
                                                                       { "attention.head_count", c->n_head }, { "attention.head_count_kv", c->n_kv_head }, { "vocab_size", c->vocab_size } };
    int64_t n = 0;
    char key[80];
    config_params(c, &n, NULL);
    json_t *o = json_pack("{s:s, s:I}", "general.architecture", family, "general.parameter_count", (json_int_t)n);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(key, sizeof key, "%s.%s", family, numbers[i].key);
        json_object_set_new(o, key, json_integer(numbers[i].value));
    }
    return o;
}

/* The chat template as the files have it; "" where there is none. */
static json_t *template_of(const char *path)
{
    struct chat_files *f;
    struct err err;
    if (chat_files_open(&f, path, true, &err) < 0)
        return json_string("");
    const struct chat_source *t = chat_files_template(f, 0);
    json_t *text = t ? json_stringn(t->text, t->n) : json_string("");
    chat_files_close(f);
    return text;
}

void ollama_show(struct http_request *q, struct served_model *s, json_t *request)
{
    static const char *const can[] = { [SERVED_TEXTS] = "completion", [SERVED_VECTORS] = "embedding", [SERVED_CLASSES] = "classification" };
    char since[WHEN_TEXT];
    struct in f;
    struct refusal e = { 0 };
    in_begin(&f, request, &e, "%s", "");
    const int which = read_model(&f, s);
    in_bool(&f, "verbose", &(bool){ 0 });
    in_end(&f, NULL);
    json_decref(request);
    visit_model(q, served_model_as(s, which).name, &e);
    if (e.status) {
        exchange_refuse(q, words, &e);
        return;
    }
    when_seconds(since, s->since);
    reply_json(q, json_pack("{s:s, s:s, s:o, s:o, s:o, s:[s], s:s, s:s}", "modelfile", "", "parameters", "", "template", template_of(s->path), "details", details(s), "model_info", model_info(s),
                            "capabilities", can[s->kind], "modified_at", since, "digest", served_model_as(s, which).digest));
}

/* A server that takes models in from anybody who may ask it would be another one: what is served is chosen when it is started. */
void ollama_pull(struct http_request *q)
{
    struct refusal e = { 0 };
    visit_take_request(q, &e);
    refuse_as(&e, 501, NULL, NULL, NULL, "models are not pulled by a running server: use lathe pull, then lathe serve");
    exchange_refuse(q, words, &e);
}
