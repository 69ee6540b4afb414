#include "serve/feedback.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/when.h"
#include "serve/visit.h"

#define LABEL 64

/* A reply that is still to be given. */
struct later { struct http_request *q; const struct dialect *d; void (*wake)(void *ctx); void *ctx; };

static void tell(void *ctx, int rc, int64_t n, const struct err *err)
{
    struct later *l = ctx;
    struct refusal e = { 0 };
    if (rc == ERR_NOTFOUND)
        refuse_as(&e, 404, "not_found_error", "answer_not_found", "id", "%s", err->msg);
    else if (rc)
        refuse_as(&e, 503, "unavailable_error", "not_recorded", NULL, "it could not be written down: %s", err->msg);
    if (e.status)
        exchange_refuse(l->q, l->d, &e);
    else
        exchange_reply_json(l->q, l->d, json_pack("{s:s, s:I}", "object", "feedback", "answers", (json_int_t)n));
    l->wake(l->ctx);
    mem_free(l);
}

static void read_text(struct in *f, const char *name, size_t most, const char **out)
{
    if (in_str(f, name, out, NULL) && *out && strlen(*out) > most)
        refuse(f->e, name, "%s has %zu bytes, expected at most %zu", name, strlen(*out), most);
}

/* The texts are the request's. */
static void read_feedback(struct feedback *out, const json_t *request, struct refusal *e)
{
    struct in f;
    int64_t choice = -1;
    *out = (struct feedback){ .score = (double)NAN, .t = when_now() };
    in_begin(&f, request, e, "%s", "");
    if (!in_str(&f, "id", &out->id, NULL))
        refuse(e, "id", "id is missing: that of an answer, or of a request");
    in_int(&f, "choice", 0, INT32_MAX, &choice);
    in_num(&f, "score", -1, 1, &out->score);
    read_text(&f, "label", LABEL, &out->label);
    read_text(&f, "comment", FEEDBACK_COMMENT, &out->comment);
    in_end(&f, NULL);
    out->choice = (int)choice;
    if (isnan(out->score) && !out->label && !out->comment)
        refuse(e, "score", "score, label and comment are missing: expected one of them");
}

void feedback_take(struct http_request *q, struct recorder *r, const struct dialect *d, void (*wake)(void *ctx), void *ctx)
{
    const struct visit *v = http_user(q);
    struct refusal e = { 0 };
    struct feedback f;
    struct err err;
    visit_take_request(q, &e);
    if (!r)
        refuse_as(&e, 404, "not_found_error", "not_recorded", NULL, "nothing of answers is recorded here (lathe serve --record)");
    json_t *request = e.status ? NULL : in_parse(http_body(q)->data, http_body(q)->len, &e);
    if (!e.status)
        read_feedback(&f, request, &e);
    struct later *l = e.status ? NULL : mem_alloc(sizeof *l);
    if (!e.status && !l)
        wish_no_memory(&e);
    if (!e.status) {
        *l = (struct later){ q, d, wake, ctx };
        f.owner = v->client ? v->rights.name : "";
        const int rc = recorder_feedback(r, &f, tell, l, &err);
        if (rc)
            refuse_as(&e, rc == ERR_BUSY ? 429 : 503, NULL, NULL, NULL, "%s", err.msg), mem_free(l);
    }
    if (e.status)
        exchange_refuse(q, d, &e);
    json_decref(request);
}
