#include "serve/openai.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "serve/constraint.h"
#include "serve/openai_reply.h"
#include "serve/tools.h"

#define N_MAX 128
#define PROMPTS_MAX 1024
#define IDS_MAX 4096             /* of a list of tokens */

/* ---- what chats and completions share ---- */

/* V: of the vocabulary. */
static void read_bias(struct in *f, struct wish *w, int V)
{
    const json_t *v = NULL;
    const char *key;
    json_t *bias;
    if (!in_object(f, "logit_bias", &v) || !(w->bias = wish_room(json_object_size(v), sizeof *w->bias, f->e)))
        return;
    json_object_foreach((json_t *)(uintptr_t)v, key, bias) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (*key < '0' || *key > '9' || (*key == '0' && key[1]) || *end || id < 0 || id > INT32_MAX)
            refuse(f->e, "logit_bias", "logit_bias has the key '%.40s', expected the number of a token", key);
        else if (id >= V)
            refuse(f->e, "logit_bias", "logit_bias has token %ld, expected 0 to %d", id, V - 1);
        else if (!json_is_number(bias) || fabs(json_number_value(bias)) > 100)
            refuse(f->e, "logit_bias", "logit_bias of token %ld is no number of -100 to 100", id);
        else
            w->bias[w->answer.n_bias++] = (struct token_bias){ (int32_t)id, (float)json_number_value(bias) };
    }
    w->answer.bias = w->bias;
}

static int32_t *read_ids(struct in *f, const char *name, int *n, int V)
{
    const json_t *v = NULL;
    int32_t *ids;
    *n = 0;
    if (!in_array(f, name, &v))
        return NULL;
    if (!json_array_size(v) || json_array_size(v) > IDS_MAX) {
        refuse(f->e, name, "%s has %zu tokens, expected 1 to %d", name, json_array_size(v), IDS_MAX);
        return NULL;
    }
    if (!(ids = wish_room(json_array_size(v), sizeof *ids, f->e)))
        return NULL;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!in_id(json_array_get(v, i), V, &ids[(*n)++]))
            refuse(f->e, name, "%s[%zu] is not the number of a token, expected 0 to %d", name, i, V - 1);
    return ids;
}

static void read_sampling(struct in *f, struct wish *w, int V)
{
    struct answer_wish *a = &w->answer;
    int64_t k = 0, seed = 0, min = 0, priority = 0, n = 1;
    in_num(f, "temperature", 0, 2, &a->sampling.temperature);
    in_num(f, "top_p", 0, 1, &a->sampling.top_p);
    in_num(f, "min_p", 0, 1, &a->sampling.min_p);
    in_num(f, "presence_penalty", -2, 2, &a->presence);
    in_num(f, "frequency_penalty", -2, 2, &a->frequency);
    in_num(f, "repetition_penalty", 0.01, 100, &a->repetition);
    in_int(f, "top_k", -1, INT32_MAX, &k);
    in_int(f, "min_tokens", 0, INT32_MAX, &min);
    w->prioritised = in_int(f, "priority", -1000000, 1000000, &priority);
    in_int(f, "n", 1, N_MAX, &n);
    if (in_int(f, "seed", INT64_MIN, INT64_MAX, &seed))
        w->seed = (uint64_t)seed;
    a->sampling.top_k = k > 0 ? (int)k : 0, a->min = (int)min, a->priority = (int)priority, w->n = (int)n;
    in_bool(f, "ignore_eos", &a->ignore_end);
    in_bool(f, "include_stop_str_in_output", &a->keep_stop);
    bool skip = true;
    in_bool(f, "skip_special_tokens", &skip);
    a->keep_specials = !skip;
    w->stop_token = read_ids(f, "stop_token_ids", &a->n_stop_token, V);
    w->allowed = read_ids(f, "allowed_token_ids", &a->n_allowed, V);
    a->stop_token = w->stop_token, a->allowed = w->allowed;
    wish_stops(w, f, "stop");
    read_bias(f, w, V);
}

static void read_stream(struct in *f, struct wish *w)
{
    const json_t *v = NULL;
    in_bool(f, "stream", &w->stream);
    if (!in_object(f, "stream_options", &v))
        return;
    struct in s;
    in_begin(&s, v, f->e, "stream_options");
    in_bool(&s, "include_usage", &w->usage);
    in_bool(&s, "include_obfuscation", &(bool){ false });
    in_end(&s, NULL);
    if (!w->stream)
        refuse(f->e, "stream_options", "stream_options without stream");
}

/* Nothing would ever end such an answer but its length. */
static void check_least(struct in *f, const struct wish *w)
{
    const struct answer_wish *a = &w->answer;
    if (a->most >= 0 && a->min > a->most)
        refuse(f->e, "min_tokens", "min_tokens is %d, expected at most the %d tokens that the answer may have", a->min, a->most);
}

static void read_common(struct in *f, struct wish *w, const struct served_model *s)
{
    wish_model(w, f, s);
    read_sampling(f, w, s->answers.V);
    read_stream(f, w);
    wish_salt(f, &w->answer.root);
    in_pass_texts(f, "user|safety_identifier|prompt_cache_key|service_tier|request_id");
    in_object(f, "metadata", &(const json_t *){ NULL });
    in_only(f, "store", "false");
}

/* ---- chats ---- */

/* Of a content that is a list.  Texts alone can be taken, also where the template knows a place for more. */
static void check_parts(const json_t *parts, const char *path, struct refusal *e)
{
    for (size_t i = 0; i < json_array_size(parts) && !e->status; i++) {
        struct in f;
        const char *s;
        size_t n;
        in_begin(&f, json_array_get(parts, i), e, "%s.content[%zu]", path, i);
        if (!e->status && !in_choice(&f, "type", "text|input_text|output_text", &(int){ 0 }) && !e->status)
            refuse(e, f.path, "%s has no type", f.path);
        if (!in_str(&f, "text", &s, &n) && !e->status)
            refuse(e, f.path, "%s has no text", f.path);
        in_pass(&f, "cache_control|prompt_cache_breakpoint");        /* every prefix is kept */
        in_only(&f, "annotations", "[]");
        in_end(&f, NULL);
    }
}

static void check_messages(const json_t *messages, struct refusal *e)
{
    for (size_t i = 0; i < json_array_size(messages) && !e->status; i++) {
        struct in f;
        const json_t *content = NULL, *calls = NULL;
        const char *s;
        size_t n;
        int role = 0;
        in_begin(&f, json_array_get(messages, i), e, "messages[%zu]", i);
        if (!e->status && !in_choice(&f, "role", "system|developer|user|assistant|tool", &role) && !e->status)
            refuse(e, f.path, "messages[%zu] has no role", i);
        in_any(&f, "content", &content);
        in_array(&f, "tool_calls", &calls);
        if (!in_str(&f, "tool_call_id", &s, &n) && role == 4 && !e->status)
            refuse(e, f.path, "messages[%zu] is of a tool and has no tool_call_id", i);
        if (calls && role != 3)
            refuse(e, f.path, "messages[%zu].tool_calls, but the role is not assistant", i);
        tools_check_calls(calls, f.path, false, e);
        in_pass_texts(&f, "name|reasoning_content|reasoning");
        in_only(&f, "refusal", "null");      /* an answer that comes back has these, too */
        in_only(&f, "audio", "null");
        in_only(&f, "function_call", "null");
        in_only(&f, "annotations", "[]");
        if (!e->status && !content && !calls)
            refuse(e, f.path, "messages[%zu] has neither content nor tool_calls", i);
        else if (!e->status && content && !json_is_string(content) && !json_is_array(content))
            refuse(e, f.path, "messages[%zu].content is neither a string nor an array", i);
        check_parts(json_is_array(content) ? content : NULL, f.path, e);
        in_end(&f, NULL);
    }
}

/* What OpenAI's description has, nothing here does, and clients send as null. */
static void pass_unset(struct in *f)
{
    static const char *const names[] = { "audio", "functions", "moderation", "prediction", "prompt_cache_options", "prompt_cache_retention", "web_search_options" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        in_only(f, names[i], "null");
    in_only(f, "function_call", "\"none\"");
    in_only(f, "verbosity", "\"medium\"");
}

void openai_chat(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f;
    struct chat_request c = { 0 };
    struct tools tools;
    const json_t *messages = NULL;
    int64_t most = -1, top = 0;
    bool probs = false, prompt = true;
    wish_begin(w, &openai_chat_dialect, "messages", request, s);
    in_begin(&f, request, e, "%s", "");
    read_common(&f, w, s);
    if (!in_array(&f, "messages", &messages))
        refuse(e, "messages", "messages is missing");
    else if (!json_array_size(messages))
        refuse(e, "messages", "messages is empty");
    check_messages(messages, e);
    if (!in_int(&f, "max_completion_tokens", 1, INT32_MAX, &most))
        in_int(&f, "max_tokens", 1, INT32_MAX, &most);
    else
        in_pass(&f, "max_tokens");
    in_bool(&f, "logprobs", &probs);
    if (in_int(&f, "top_logprobs", 0, 20, &top) && !probs)
        refuse(e, "top_logprobs", "top_logprobs without logprobs");
    in_array(&f, "documents", &c.documents);
    in_bool(&f, "add_generation_prompt", &prompt);
    constraint_read(w, &f, true);
    tools_read(&tools, &f);
    in_only(&f, "modalities", "[\"text\"]");
    pass_unset(&f);
    w->answer.most = (int)most, w->answer.n_logprob = probs ? (int)top : -1;
    check_least(&f, w);
    c.messages = messages, c.no_generation_prompt = !prompt, c.tools = tools.list, c.variables = tools.variables;
    tools_check(&tools, s, &c, e);
    if (!e->status)
        wish_chat(w, s, &c, NULL, e);
    if (!e->status)
        tools_finish(&tools, w, s, &c, e);
    tools_release(&tools);
    wish_done(w, &f);
}

/* ---- completions ---- */

static void take_ids(struct wish *w, const struct served_model *s, const json_t *ids, size_t i, struct refusal *e)
{
    const size_t n = json_array_size(ids);
    struct tok_ids *to = &w->prompt[i];
    if (!(to->id = wish_room(n, sizeof *to->id, e)))
        return;
    to->cap = n + 1;
    for (; to->n < n; to->n++)
        if (!in_id(json_array_get(ids, to->n), s->answers.V, &to->id[to->n]))
            refuse(e, "prompt", "prompt has a token that is none, expected integers of 0 to %d", s->answers.V - 1);
}

/* A text, a list of texts, the ids of one, or a list of those. */
static void read_prompts(struct wish *w, const struct served_model *s, const json_t *p, struct refusal *e)
{
    const bool list = json_is_array(p) && !in_whole(json_array_get(p, 0), &(int64_t){ 0 });
    const size_t n = list ? json_array_size(p) : 1;
    if (!n || n > PROMPTS_MAX) {
        refuse(e, "prompt", "%zu prompts, expected 1 to %d", n, PROMPTS_MAX);
        return;
    }
    if (!wish_prompts(w, n, e))
        return;
    for (size_t i = 0; i < n && !e->status; i++) {
        const json_t *one = list ? json_array_get(p, i) : p;
        if (json_is_string(one))
            wish_text(w, s, json_string_value(one), json_string_length(one), i, e);
        else if (json_is_array(one))
            take_ids(w, s, one, i, e);
        else
            refuse(e, "prompt", "prompt is neither a text nor the ids of tokens, nor a list of either");
    }
}

static void read_best_of(struct in *f, struct wish *w)
{
    int64_t best = w->n;
    if (!in_int(f, "best_of", 1, N_MAX, &best))
        return;
    if (best < w->n)
        refuse(f->e, "best_of", "best_of is %lld, expected at least n, which is %d", (long long)best, w->n);
    else if (best > w->n && w->stream)
        refuse(f->e, "best_of", "best_of is more than n, but which are the best is known only when all have ended: expected no stream");
    w->n_made = best > w->n ? (int)best : 0;
}

void openai_completion(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f;
    const json_t *prompt = NULL;
    int64_t most = 16, probs = -1;
    wish_begin(w, &openai_completion_dialect, "prompt", request, s);
    in_begin(&f, request, e, "%s", "");
    read_common(&f, w, s);
    if (!in_any(&f, "prompt", &prompt))
        refuse(e, "prompt", "prompt is missing");
    in_int(&f, "max_tokens", 0, INT32_MAX, &most);
    in_int(&f, "logprobs", 0, 5, &probs);
    in_bool(&f, "echo", &w->answer.echo);
    read_best_of(&f, w);
    constraint_read(w, &f, true);
    in_only(&f, "suffix", "\"\"");
    w->answer.most = (int)most, w->answer.n_logprob = (int)probs, w->answer.goes_on = w->answer.show_end = true;
    check_least(&f, w);
    if (!e->status)
        read_prompts(w, s, prompt, e);
    wish_done(w, &f);
}
