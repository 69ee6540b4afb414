#include "serve/classify.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/image.h"
#include "serve/embeddings.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"
#include "serve/visit.h"

#define INPUTS 2048

struct classes {
    struct http_request *q;
    struct served_model *s;
    json_t *request;             /* the inputs are in it */
    const json_t *input;         /* a text, or a list */
    int n_input, next;
    enum image_fit fit;
    atomic_bool gone;
    struct refusal e;
    int64_t n_token;
    struct buf reply, file;
    uint8_t *pixels;             /* [CLASSIFY_BATCH] images */
    float *probs;                /* [CLASSIFY_BATCH][n_label] */
    struct turn turn;
};

static void classes_free(struct classes *x)
{
    json_decref(x->request);
    buf_release(&x->reply);
    buf_release(&x->file);
    mem_free(x->pixels);
    mem_free(x->probs);
    mem_free(x);
}

/* ---- the reply ---- */

static int write_head(struct classes *x)
{
    static atomic_ullong count;
    const time_t now = time(NULL);
    TRY(buf_printf(&x->reply, NULL, "{\"id\":\"classify-%016llx\",\"object\":\"list\",\"created\":%lld,\"model\":",
                   (unsigned long long)rng_u64((uint64_t)now, atomic_fetch_add(&count, 1)), (long long)now));
    TRY(out_string(&x->reply, x->s->name, strlen(x->s->name), NULL));
    return buf_add_str(&x->reply, ",\"data\":[", NULL);
}

static int write_class(struct classes *x, int i, const float *probs)
{
    const struct labels *l = classifier_labels(x->s->classifier);
    int best = 0;
    visit_note_first(x->q);
    for (int k = 1; k < l->n; k++)
        if (probs[k] > probs[best])
            best = k;
    TRY(buf_printf(&x->reply, NULL, "%s{\"index\":%d,\"label\":", i ? "," : "", i));
    TRY(out_string(&x->reply, l->name[best], strlen(l->name[best]), NULL));
    TRY(buf_add_str(&x->reply, ",\"probs\":", NULL));
    TRY(embed_write_floats(&x->reply, probs, l->n, NULL));
    return buf_printf(&x->reply, NULL, ",\"num_classes\":%d}", l->n);
}

static void finish(struct classes *x)
{
    if (!x->e.status && buf_printf(&x->reply, NULL, "],\"system_fingerprint\":\"%s\",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld,\"completion_tokens\":0}}\n", x->s->fingerprint,
                                   (long long)x->n_token, (long long)x->n_token) < 0)
        wish_no_memory(&x->e);
    visit_note_counts(x->q, "", x->n_token, 0, 0);
    visit_settle(x->q, x->n_token);
    if (x->e.status)
        openai_refuse(x->q, &x->e);
    else
        http_reply(x->q, 200, "application/json", x->reply.data, x->reply.len);
    classes_free(x);
}

/* ---- inputs ---- */

static const json_t *input_at(const struct classes *x, int i) { return json_is_array(x->input) ? json_array_get(x->input, (size_t)i) : x->input; }

static void fail_by(struct classes *x, int i, const struct err *err)
{
    if (err->code == ERR_NOMEM)
        refuse_as(&x->e, 503, NULL, NULL, "input", "%s", err->msg);
    else if (err->code == ERR_RANGE)
        refuse_as(&x->e, 400, NULL, "context_length_exceeded", "input", "input %d: %s", i, err->msg);
    else
        refuse(&x->e, "input", "input %d: %s", i, err->msg);
}

static void one_text(struct classes *x)
{
    struct classifier *c = x->s->classifier;
    const json_t *text = input_at(x, x->next);
    const size_t n = json_string_length(text), most = ((size_t)classifier_ctx(c) + 1) * WISH_TOKEN_BYTES;
    struct err err;
    int rc = n > most ? ERR(&err, RANGE, "a text of %zu bytes, but there are %d positions", n, classifier_ctx(c)) : classifier_text(c, json_string_value(text), n, x->probs, &err);
    if (rc < 0) {
        fail_by(x, x->next, &err);
        return;
    }
    x->n_token += classifier_n_token(c);
    if (write_class(x, x->next++, x->probs) < 0)
        wish_no_memory(&x->e);
}

/* "data:image/png;base64,..." or what stands behind the comma. */
static int take_image(struct classes *x, int i, uint8_t *pixels, struct err *err)
{
    const struct config *m = classifier_config(x->s->classifier);
    const char *s = json_string_value(input_at(x, i));
    size_t n = json_string_length(input_at(x, i));
    struct image image;
    if (n > 5 && !memcmp(s, "data:", 5)) {
        const char *comma = memchr(s, ',', n < 200 ? n : 200);
        if (!comma || comma - s < 7 || memcmp(comma - 7, ";base64", 7))
            return ERR(err, FORMAT, "a data URL that is not in base64, expected data:image/png;base64,... or data:image/jpeg;base64,...");
        n -= (size_t)(comma + 1 - s), s = comma + 1;
    }
    buf_clear(&x->file);
    TRY(base64_read(&x->file, s, n, err));
    TRY(image_decode(&image, x->file.data, x->file.len, m->n_channel, "the image", err));
    const int rc = image_fit(&image, x->fit, m->image_size, pixels, "the image", err);
    image_release(&image);
    return rc;
}

static void some_images(struct classes *x)
{
    const struct config *m = classifier_config(x->s->classifier);
    const int left = x->n_input - x->next, n = left < CLASSIFY_BATCH ? left : CLASSIFY_BATCH;
    const int64_t numbers = (int64_t)m->n_channel * m->image_size * m->image_size;
    struct err err;
    for (int k = 0; k < n; k++)
        if (take_image(x, x->next + k, x->pixels + k * numbers, &err) < 0) {
            fail_by(x, x->next + k, &err);
            return;
        }
    classifier_images(x->s->classifier, x->pixels, n, x->probs);
    for (int k = 0; k < n && !x->e.status; k++)
        if (write_class(x, x->next + k, x->probs + (ptrdiff_t)k * m->n_label) < 0)
            wish_no_memory(&x->e);
    x->next += n, x->n_token += (int64_t)n * m->ctx;
}

static bool piece(void *ctx, bool stop)
{
    struct classes *x = ctx;
    const int from = x->next;
    if (stop || x->gone)
        refuse_as(&x->e, 503, NULL, NULL, NULL, "%s", stop ? WISH_ENDS : WISH_LATE);
    else if (config_vision(classifier_config(x->s->classifier)))
        some_images(x);
    else
        one_text(x);
    if (x->e.status)
        visit_note_text(x->q, stop || x->gone ? ANSWER_CANCELLED : ANSWER_FAILED, NULL);
    for (int i = from; i < x->next && !x->e.status; i++)
        visit_note_text(x->q, ANSWER_STOP, NULL);
    if (!x->e.status && x->next < x->n_input)
        return true;
    finish(x);
    return false;
}

/* ---- begin ---- */

static void gone(void *ctx)
{
    struct classes *x = ctx;
    atomic_store(&x->gone, true);
}

static void check_inputs(struct classes *x)
{
    const size_t n = json_is_array(x->input) ? json_array_size(x->input) : 1;
    if (!n || n > INPUTS)
        refuse(&x->e, "input", "%zu inputs, expected 1 to %d", n, INPUTS);
    x->n_input = (int)n;
    for (int i = 0; i < x->n_input && !x->e.status; i++)
        if (!json_is_string(input_at(x, i)))
            refuse(&x->e, "input", "input is neither a text nor a list of texts");
        else if (!json_string_length(input_at(x, i)))
            refuse(&x->e, "input", "input %d is empty", i);
}

/* Tokens are known when they are classified: no text has more than it has bytes, and two that the tokenizer adds. */
static void take_limits(struct classes *x)
{
    const struct classifier *c = x->s->classifier;
    const bool images = config_vision(classifier_config(c));
    int64_t n_token = 0;
    for (int i = 0; i < x->n_input && !x->e.status; i++) {
        const size_t n = json_string_length(input_at(x, i)) + 2, ctx = (size_t)classifier_ctx(c);
        n_token += (int64_t)(images || n > ctx ? ctx : n);
    }
    visit_take_texts(x->q, 1, n_token, 0, false, &x->e);
}

static void read_request(struct classes *x)
{
    struct in f;
    int fit = IMAGE_STRETCH;
    struct served_as as;
    in_begin(&f, x->request, &x->e, "%s", "");
    wish_find(&f, x->s, &as);
    if (!in_any(&f, "input", &x->input))
        refuse(&x->e, "input", "input is missing");
    if (config_vision(classifier_config(x->s->classifier)))
        in_choice(&f, "fit", "refuse|stretch|crop", &fit);
    in_pass_texts(&f, "user|request_id");
    in_end(&f, NULL);
    x->fit = (enum image_fit)fit;
    if (!x->e.status)
        check_inputs(x);
    take_limits(x);
}

static void take_memory(struct classes *x)
{
    const struct config *m = classifier_config(x->s->classifier);
    const size_t numbers = config_vision(m) ? (size_t)m->n_channel * (size_t)m->image_size * (size_t)m->image_size : 1;
    x->pixels = mem_alloc_array(CLASSIFY_BATCH, numbers);
    x->probs = mem_alloc_array(CLASSIFY_BATCH * (size_t)m->n_label, sizeof *x->probs);
    if (!x->pixels || !x->probs || write_head(x) < 0)
        wish_no_memory(&x->e);
}

static void take_turn(struct classes *x)
{
    struct err err;
    http_on_gone(x->q, gone, x);
    x->turn = (struct turn){ .piece = piece, .ctx = x, .tenant = visit_tenant(x->q) };
    if (turns_add(x->s->turns, &x->turn, &err) == 0)
        return;
    wish_not_taken(&x->e, &err);
    finish(x);
}

void classify_start(struct http_request *q, struct served_model *s, json_t *request)
{
    struct refusal e = { 0 };
    struct classes *x = mem_alloc_zero(sizeof *x);
    if (!x) {
        json_decref(request);
        wish_no_memory(&e);
        openai_refuse(q, &e);
        return;
    }
    x->q = q, x->s = s, x->request = request;
    buf_init(&x->reply), buf_init(&x->file);
    read_request(x);
    if (!x->e.status)
        take_memory(x);
    if (x->e.status)
        finish(x);
    else
        take_turn(x);
}
