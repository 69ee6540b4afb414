#include "cmd/recorded.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include "base/tree.h"
#include "base/when.h"
#include "cmd/cmd.h"
#include "store/events.h"

static json_t *whole(int64_t v) { return v >= 0 ? json_integer((json_int_t)v) : json_null(); }
static json_t *word(const char *s) { return s && *s ? json_string(s) : json_null(); }

static json_t *counts(const int32_t *count, int n)
{
    json_t *list = n ? json_array() : json_null();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(count[i]));
    return list;
}

static json_t *row(const struct event *ev)
{
    char t[WHEN_TEXT];
    when_text(t, ev->t);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "id", ev->id, "choice", ev->choice, "request", ev->request, "t", t, "server", ev->server, "model", ev->model, "version", ev->version ? json_integer((json_int_t)ev->version) : json_null(),
                     "root", ev->root, "arm", word(ev->arm), "user", word(ev->user), "api", ev->api, "prompt_tokens", whole(ev->prompt_tokens), "cached_tokens", whole(ev->cached_tokens),
                     "answer_tokens", whole(ev->answer_tokens), "prompt_nll", tree_number(ev->prompt_nll), "prompt_nll_tokens", whole(ev->prompt_nll_tokens), "entropy", tree_number(ev->entropy),
                     "confidence", tree_number(ev->confidence), "logprob", tree_number(ev->logprob), "prompt_language", word(ev->prompt_language), "answer_language", word(ev->answer_language), "finish", ev->finish,
                     "error", word(ev->error), "refused", whole(ev->refused), "schema_ok", whole(ev->schema_ok), "tool_calls", whole(ev->tool_calls), "tool_ok", whole(ev->tool_ok), "first_s", tree_number(ev->first_s),
                     "total_s", tree_number(ev->total_s), "experts", counts(ev->expert, ev->n_expert), "experts_effective", tree_number(ev->n_expert ? ev->experts_effective : (double)NAN), "score", tree_number(ev->score), "prompt", word(ev->prompt), "answer", word(ev->answer));
}

static int show(void *ctx, const struct event *ev, struct err *err)
{
    json_t *o = cmd_json ? row(ev) : NULL;
    char t[WHEN_TEXT];
    if (cmd_json && (!o || json_array_append_new(ctx, o)))
        return ERR(err, NOMEM, "no memory to tell what was recorded");
    if (cmd_json)
        return 0;
    when_text(t, ev->t);
    printf("%.19sZ  %s[%d]  %s", t, ev->id, ev->choice, ev->model);
    if (ev->version)
        printf(" version %lld", (long long)ev->version);
    printf("  %s", ev->root);
    printf(*ev->arm ? "  %s" : "%s", ev->arm);
    printf("  on %s: %lld tokens, %s, %.2f s\n", ev->server, (long long)ev->answer_tokens, ev->finish, ev->total_s);
    return 0;
}

int recorded_show(const char *id, const char *where, struct err *err)
{
    struct events *e;
    TRY(events_open(&e, where, false, err));
    json_t *list = json_array();
    const int rc = events_find(e, id, show, list, err);
    events_close(e);
    if (!rc && cmd_json)
        return cmd_print_json(json_pack("{s:o}", "answers", list), err);
    json_decref(list);
    return rc;
}
