/* test_families.c - every model of tests/golden/families (transformers in float64, tools/golden/families.py): logits in
 * fp32 and bf16, whole and from the cache; of encoders the hidden states.  Then each is written back, and trained.  Each folder is a
 * test of its own. */
#include <dirent.h>
#include <math.h>
#include <unistd.h>
#include "golden.h"
#include "base/mem.h"
#include "base/tree.h"
#include "infer/engine.h"
#include "infer/engine.h"
#include "model/decoder.h"

#define FOLDER "tests/golden/families"
#define TOLERANCE 1e-4
#define CLIMB_TOLERANCE 0.005
#define GRADIENT_TOLERANCE 1e-5     /* ||a-b|| / ||b|| */
#define N_PROMPT 2

static struct pool *pool;
static struct err err;

/* ---- a case ---- */

struct prompt { int T; const int32_t *ids; float *want, bf16_error; };      /* logits, or hidden states */
struct fcase {
    const char *name;
    struct config c;
    struct weights_list *l;
    struct safetensors *model, *want;
    struct prompt prompt[N_PROMPT];
};

static int width(const struct fcase *f) { return f->c.encoder ? f->c.d_model : f->c.vocab_size; }

static void open_family(struct fcase *f, const char *name)
{
    char path[200];
    struct buf warnings;
    buf_init(&warnings);
    snprintf(path, sizeof path, FOLDER "/%s", name);
    f->name = name;
    OK(config_load(&f->c, path, &warnings, &err));
    if (warnings.len)
        print_message("%s", warnings.data);
    buf_release(&warnings);
    OK(weights_list_new(&f->l, &f->c, &err));
    OK(safetensors_open(&f->model, path, &err));
    snprintf(path, sizeof path, FOLDER "/%s/golden.safetensors", name);
    OK(safetensors_open(&f->want, path, &err));
    for (int i = 0; i < N_PROMPT; i++) {
        struct prompt *p = &f->prompt[i];
        const struct st_tensor *ids = find_of(f->want, "ids", i), *want = find_of(f->want, f->c.encoder ? "hidden" : "logits", i);
        p->T = (int)ids->n;
        p->ids = ids->data;
        assert_int_equal(want->n, (int64_t)p->T * width(f));
        p->want = mem_alloc_array((size_t)want->n, sizeof *p->want);
        OK(st_read_f32(want, 0, want->n, p->want, &err));
        OK(st_read_f32(find_of(f->want, "bf16_error", i), 0, 1, &p->bf16_error, &err));
    }
}

static void close_family(struct fcase *f)
{
    for (int i = 0; i < N_PROMPT; i++)
        mem_free(f->prompt[i].want);
    weights_list_free(f->l);
    safetensors_free(f->model);
    safetensors_free(f->want);
}

/* ctx is the prompt's length: dynamic and longrope scaling follow it, as they follow the prompt's in transformers. */
static void load(const struct fcase *f, struct decoder *d, enum decoder_use use, enum dtype compute, int T, int n_slot)
{
    const struct decoder_opts o = { .use = use, .compute = compute, .n_slot = n_slot, .ctx = T };
    OK(decoder_record(d, &f->c, &o, &err));
    OK(decoder_plan(d, T, n_slot, 2, NULL, &err));
    OK(decoder_bind(d, pool, NULL, &err));
    OK(weights_load(f->l, f->model, decoder_weight, d, &err));
    graph_run(d->g, PASS_PREPARE, &(struct step){ .T = T, .S = n_slot });
}

/* Logits (hidden states) of tokens at .. at+n-1: of each of them, or with a cache of the last. */
static const float *feed(const struct fcase *f, struct decoder *d, int i_prompt, int at, int32_t n, const int32_t *slot)
{
    const int32_t start[2] = { 0, n }, pos0 = at;
    for (int t = 0; t < n; t++) {
        ((int32_t *)d->g->tensor[d->ids].data)[t] = f->prompt[i_prompt].ids[at + t];
        ((int32_t *)d->g->tensor[d->pos].data)[t] = at + t;
    }
    if (d->last >= 0)
        ((int32_t *)d->g->tensor[d->last].data)[0] = n - 1;
    graph_run(d->g, PASS_FORWARD, &(struct step){ .T = n, .S = 1, .seq_start = start, .pos0 = slot ? &pos0 : NULL, .slot = slot });
    if (d->last >= 0)
        graph_run(d->g, PASS_HEAD, &(struct step){ .S = 1 });
    return d->g->tensor[d->logits >= 0 ? d->logits : d->hidden].data;
}

static float difference(const float *a, const float *b, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= most))        /* NaN too */
            most = fabsf(a[i] - b[i]);
    return most;
}

/* ---- what is shown of each ---- */

/* From the cache: the prompt in pieces of 1, 2, 3, ... tokens, then token by token, has the bits of the whole. */
static void check_cache(const struct fcase *f, int i_prompt, enum dtype compute, const float *whole)
{
    const int V = f->c.vocab_size, T = f->prompt[i_prompt].T;
    const int32_t slot = 1;
    struct decoder d;
    load(f, &d, DECODER_GENERATE, compute, T, 2);
    for (int at = 0, n = 1; at < T; at += n, n = at < T / 2 ? n + 1 : 1) {
        const float *got = feed(f, &d, i_prompt, at, n, &slot), *row = whole + (ptrdiff_t)(at + n - 1) * V;
        if (memcmp(got, row, (size_t)V * sizeof *got))
            fail_msg("%s, prompt %d: token %d from the cache differs by %.3g from the whole prompt's", f->name, i_prompt, at + n - 1,
                     (double)difference(got, row, V));
    }
    decoder_release(&d);
}

/* The engine, with the file's types in panels, beside another sequence; the prompt in pieces that do not fit its steps. */
static void check_engine(const struct fcase *f, int i_prompt)
{
    const struct prompt *p = &f->prompt[i_prompt], *other = &f->prompt[0];
    const int V = f->c.vocab_size;
    const struct engine_opts o = { .n_slot = 2, .ctx = p->T, .step_tokens = 12, .no_tok = true };
    struct engine *e;
    char path[200];
    snprintf(path, sizeof path, FOLDER "/%s", f->name);
    OK(engine_new(&e, path, &o, pool, &err));
    for (int at = 0, n = 5; at < p->T; at += n, n = at + 4 < p->T ? 4 : 1) {
        const struct engine_part parts[2] = { { 0, at, n, other->ids + at, NULL, 0 }, { 1, at, n, p->ids + at, NULL, 0 } };
        const int32_t row = 2 * n - 1;
        const float *got;
        OK(engine_run(e, parts, 2, &err));
        OK(engine_head(e, &row, 1, &got, &err));
        const float diff = difference(got, p->want + (ptrdiff_t)(at + n - 1) * V, V);
        if (!(diff <= (float)TOLERANCE))
            fail_msg("%s, prompt %d, token %d by the engine: logits differ by %.3g, expected at most %g", f->name, i_prompt, at + n - 1,
                     (double)diff, TOLERANCE);
    }
    engine_free(e);
}

static void check_fp32(const struct fcase *f, int i_prompt)
{
    const struct prompt *p = &f->prompt[i_prompt];
    const int V = width(f);
    struct decoder d;
    load(f, &d, f->c.encoder ? DECODER_HIDDEN : DECODER_LOGITS, DT_F32, p->T, 1);
    const float *got = feed(f, &d, i_prompt, 0, p->T, NULL);
    for (int t = 0; t < p->T; t++) {
        const float diff = difference(got + (ptrdiff_t)t * V, p->want + (ptrdiff_t)t * V, V);
        if (!(diff <= (float)TOLERANCE))
            fail_msg("%s, prompt %d, token %d: differs by %.3g, expected at most %g", f->name, i_prompt, t, (double)diff, TOLERANCE);
    }
    if (!f->c.encoder) {
        check_cache(f, i_prompt, DT_F32, got);
        check_engine(f, i_prompt);
    }
    decoder_release(&d);
}

static int top(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static float margin(const float *x, int n)
{
    const int best = top(x, n);
    float second = -INFINITY;
    for (int i = 0; i < n; i++)
        if (i != best && x[i] > second)
            second = x[i];
    return x[best] - second;
}

/* The experts of each token in each layer, by the counts of steps of one token. */
static double *choices(const struct fcase *f, int i_prompt, enum dtype compute, size_t *n_of_token)
{
    const struct prompt *p = &f->prompt[i_prompt];
    const int32_t slot = 0;
    const size_t E = (size_t)f->c.n_expert;
    struct decoder d;
    load(f, &d, DECODER_GENERATE, compute, p->T, 1);
    *n_of_token = (size_t)d.n_stats * E;
    double *out = mem_alloc_array((size_t)p->T * *n_of_token + 1, sizeof *out);
    for (int t = 0; t < p->T; t++) {
        feed(f, &d, i_prompt, t, 1, &slot);
        for (int i = 0; i < d.n_stats; i++)
            memcpy(out + (size_t)t * *n_of_token + (size_t)i * E, d.g->tensor[d.stats[i]].data, E * sizeof *out);
    }
    decoder_release(&d);
    return out;
}

/* The first token that has other experts in bf16 than in fp32: from it on nothing follows from the margin.  T if none. */
static int first_other_choice(const struct fcase *f, int i_prompt)
{
    const int T = f->prompt[i_prompt].T;
    if (!f->c.n_expert)
        return T;
    size_t n;
    double *a = choices(f, i_prompt, DT_F32, &n), *b = choices(f, i_prompt, DT_BF16, &n);
    int t = 0;
    while (t < T && !memcmp(a + (size_t)t * n, b + (size_t)t * n, n * sizeof *a))
        t++;
    mem_free(a);
    mem_free(b);
    return t;
}

struct share { int n, n_clear, n_other; float error; };      /* tokens, those with a clear margin, after other experts; largest difference */

/* The top token is fp32's wherever its margin is more than twice the error that PyTorch's bf16 makes: ours may not be worse.
 * (The prompts are such that PyTorch chose no other expert; ours may, at another token.) */
static void check_bf16(const struct fcase *f, int i_prompt, struct share *s)
{
    const struct prompt *p = &f->prompt[i_prompt];
    const int V = f->c.vocab_size;
    struct decoder d;
    load(f, &d, DECODER_LOGITS, DT_BF16, p->T, 1);
    const float *got = feed(f, &d, i_prompt, 0, p->T, NULL);
    const int n_same = first_other_choice(f, i_prompt);
    s->n += p->T;
    s->n_other += p->T - n_same;
    for (int t = 0; t < n_same; t++) {
        const float *want = p->want + (ptrdiff_t)t * V, *row = got + (ptrdiff_t)t * V;
        s->error = fmaxf(s->error, difference(row, want, V));
        if (!(margin(want, V) > 2 * p->bf16_error))
            continue;
        s->n_clear++;
        if (top(row, V) != top(want, V))
            fail_msg("%s, prompt %d, token %d: bf16 has %d on top, fp32 %d by %.3g; PyTorch's bf16 error is %.3g", f->name, i_prompt, t,
                     top(row, V), top(want, V), (double)margin(want, V), (double)p->bf16_error);
    }
    check_cache(f, i_prompt, DT_BF16, got);
    decoder_release(&d);
}

/* Encoders: no more than twice PyTorch's error. */
static void check_bf16_hidden(const struct fcase *f, int i_prompt, struct share *s)
{
    const struct prompt *p = &f->prompt[i_prompt];
    struct decoder d;
    load(f, &d, DECODER_HIDDEN, DT_BF16, p->T, 1);
    const float diff = difference(feed(f, &d, i_prompt, 0, p->T, NULL), p->want, (int64_t)p->T * width(f));
    s->error = fmaxf(s->error, diff);
    if (!(diff <= 2 * p->bf16_error))
        fail_msg("%s, prompt %d: bf16 differs by %.3g, PyTorch's by %.3g", f->name, i_prompt, (double)diff, (double)p->bf16_error);
    decoder_release(&d);
}

/* ---- by the engine, with its own forms of weights ---- */

static void same_logits_from_the_engine(void **state)
{
    struct fcase f;
    char path[200];
    open_family(&f, *state);
    snprintf(path, sizeof path, FOLDER "/%s", f.name);
    for (int i = 0; i < N_PROMPT; i++) {
        const struct prompt *p = &f.prompt[i];
        struct engine *e;
        const struct engine_opts o = { .n_slot = 2, .ctx = p->T, .step_tokens = 7, .no_tok = true, .as = WEIGHTS_F32 };
        if (f.c.encoder) {
            assert_int_equal(engine_new(&e, path, &o, pool, &err), ERR_UNSUPPORTED);
            break;
        }
        OK(engine_new(&e, path, &o, pool, &err));
        const float *logits;
        OK(engine_feed(e, 1, 0, p->ids, p->T, &logits, &err));
        const float diff = difference(logits, p->want + (ptrdiff_t)(p->T - 1) * f.c.vocab_size, f.c.vocab_size);
        if (!(diff <= (float)TOLERANCE))
            fail_msg("%s, prompt %d: the engine's logits differ by %.3g, expected at most %g", f.name, i, (double)diff, TOLERANCE);
        engine_free(e);
    }
    close_family(&f);
}

/* ---- written back ---- */

struct store { const struct weights_list *l; float **w; };
static float *place(void *ctx, int i) { return ((struct store *)ctx)->w[i]; }
static const float *source(void *ctx, int i) { return ((struct store *)ctx)->w[i]; }

/* Numbers that transformers wrote without a point are written so: it takes no others for some keys.  A pad_token_id that it would take
 * for missing, beyond the vocabulary, is written as none. */
static void check_as_transformers_reads_it(const struct fcase *f, const char *written)
{
    char path[200];
    const char *key;
    json_t *theirs, *ours = json_loads(written, 0, NULL), *v;
    snprintf(path, sizeof path, FOLDER "/%s/config.json", f->name);
    OK(tree_load(&theirs, path, 1 << 20, &err));
    json_object_foreach(ours, key, v)
        if (json_is_integer(json_object_get(theirs, key)) && json_is_number(v) && !json_is_integer(v))
            fail_msg("%s: %s is written as %g", f->name, key, json_number_value(v));
    const bool beyond = f->c.family == FAMILY_PHI3 || f->c.family == FAMILY_SMOLLM3;
    assert_int_equal(json_is_null(json_object_get(ours, "pad_token_id")), beyond);
    json_decref(theirs);
    json_decref(ours);
}

static void check_config_text(const struct fcase *f)
{
    struct buf a, b, warnings;
    struct config c;
    buf_init(&a);
    buf_init(&b);
    buf_init(&warnings);
    OK(config_write(&f->c, &a, &err));
    OK(config_parse(&c, a.data, a.len, "written", &warnings, &err));
    OK(config_write(&c, &b, &err));
    assert_string_equal(a.data, b.data);
    check_as_transformers_reads_it(f, a.data);
    if (strstr(warnings.data, "not used"))
        fail_msg("%s%s", warnings.data, a.data);
    assert_true(c.family == f->c.family && !memcmp(&c.rope, &f->c.rope, sizeof c.rope) && !memcmp(c.layer, f->c.layer, sizeof c.layer) && c.window == f->c.window &&
                c.d_v == f->c.d_v && c.d_ff_shared == f->c.d_ff_shared && c.n_group == f->c.n_group && c.score_cap == f->c.score_cap && c.rope_share == f->c.rope_share);
    buf_release(&a);
    buf_release(&b);
    buf_release(&warnings);
}

/* Every tensor that is written has the numbers it was read from.  Gemma's weights of norms went by way of 1 + w. */
static void check_tensors(const struct fcase *f, const char *path)
{
    struct safetensors *again;
    OK(safetensors_open(&again, path, &err));
    for (int i = 0; i < again->n_tensor; i++) {
        const struct st_tensor *a = &again->tensor[i], *b = safetensors_find(f->model, a->name);
        if (!b || a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape))
            fail_msg("%s: tensor '%s' was not in the file, or of another shape", f->name, a->name);
        for (int64_t k = 0; k < a->n; k++) {
            float x, y;
            OK(st_read_f32(a, k, 1, &x, &err));
            OK(st_read_f32(b, k, 1, &y, &err));
            if (f->c.norm_plus_one && strstr(a->name, "norm") ? fabsf(x - y) > 1.2e-7f : x != y)
                fail_msg("%s: %s[%lld] is %.9g, was %.9g", f->name, a->name, (long long)k, (double)x, (double)y);
        }
    }
    safetensors_free(again);
}

static void written_back_as_it_was_read(void **state)
{
    struct fcase f;
    char path[] = "/tmp/lathe-families-XXXXXX";
    open_family(&f, *state);
    check_config_text(&f);
    struct store s = { f.l, mem_alloc_array((size_t)f.l->n_weight, sizeof *s.w) };
    for (int i = 0; i < f.l->n_weight; i++)
        s.w[i] = mem_alloc_array((size_t)f.l->weight[i].n, sizeof **s.w);
    OK(weights_load(f.l, f.model, place, &s, &err));
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    OK(weights_save(f.l, path, ST_F32, source, &s, NULL, 0, NULL, NULL, &err));
    check_tensors(&f, path);
    unlink(path);
    for (int i = 0; i < f.l->n_weight; i++)
        mem_free(s.w[i]);
    mem_free(s.w);
    close_family(&f);
}

/* ---- training ---- */

/* Of one tensor of the file, or the part of it that the part is. */
static void check_gradient(const struct fcase *f, const struct safetensors *want, const float *grad, const struct weight_part *p)
{
    double diff = 0, norm = 0;
    const struct st_tensor *t = find(want, p->name);
    for (int64_t k = 0; k < p->n_row * p->n_col; k++) {
        float b;
        OK(st_read_f32(t, p->at + k, 1, &b, &err));
        const double a = (double)grad[weight_part_place(p, k)];
        diff += (a - (double)b) * (a - (double)b), norm += (double)b * (double)b;
    }
    if (!(sqrt(diff) <= GRADIENT_TOLERANCE * sqrt(norm)))
        fail_msg("%s: the gradient of %s differs by %.3g, expected at most %g", f->name, p->name, sqrt(diff / norm), GRADIENT_TOLERANCE);
}

/* Of both prompts, packed into one batch: loss and gradients by the file's tensors. */
static void check_gradients(const struct fcase *f, const struct safetensors *want, enum recompute recompute)
{
    const struct prompt *p = f->prompt;
    const int T = p[0].T + p[1].T;
    const int32_t start[3] = { 0, p[0].T, T };
    const struct step step = { .T = T, .S = 2, .seq_start = start, .loss_scale = 1.0 / (T - 2), .aux_scale = 1 };
    const struct decoder_opts o = { .use = DECODER_TRAIN, .compute = DT_F32, .recompute = recompute, .ctx = p[0].T };
    struct decoder d;
    OK(decoder_record(&d, &f->c, &o, &err));
    OK(decoder_plan(&d, T, 2, 2, NULL, &err));
    OK(decoder_bind(&d, pool, NULL, &err));
    OK(weights_load(f->l, f->model, decoder_weight, &d, &err));
    const struct tensor *x = d.g->tensor;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < p[s].T; i++) {
            ((int32_t *)x[d.ids].data)[start[s] + i] = p[s].ids[i];
            ((int32_t *)x[d.pos].data)[start[s] + i] = i;
            ((int32_t *)x[d.target].data)[start[s] + i] = i + 1 < p[s].T ? p[s].ids[i + 1] : -1;
        }
    graph_run(d.g, PASS_PREPARE, &step);
    graph_run(d.g, PASS_FORWARD, &step);
    graph_run(d.g, PASS_BACKWARD, &step);
    double loss = 0, expected;
    for (int i = 0; i < T; i++)
        loss += (double)((const float *)x[d.nll].data)[i] * step.loss_scale;
    memcpy(&expected, find(want, "loss")->data, sizeof expected);
    if (!(fabs(loss - expected) <= GRADIENT_TOLERANCE * expected))
        fail_msg("%s: loss %.9g, expected %.9g", f->name, loss, expected);
    for (int i = 0; i < f->l->n_weight; i++)
        for (int j = 0; j < f->l->weight[i].n_part; j++) {
            const struct weight_part part = weight_part(f->l, &f->l->weight[i], j);
            assert_int_equal(x[i].grad < 0, f->l->weight[i].balances);
            if (x[i].grad >= 0)
                check_gradient(f, want, x[x[i].grad].data, &part);
        }
    decoder_release(&d);
}

static void same_gradients_as_transformers(void **state)
{
    struct fcase f;
    struct safetensors *want;
    char path[200];
    open_family(&f, *state);
    snprintf(path, sizeof path, FOLDER "/%s/gradients.safetensors", f.name);
    f.c.dropout = f.c.aux_loss = f.c.z_loss = 0;
    OK(safetensors_open(&want, path, &err));
    check_gradients(&f, want, RECOMPUTE_NONE);
    check_gradients(&f, want, RECOMPUTE_BLOCK);
    safetensors_free(want);
    close_family(&f);
}

struct trained { struct decoder d; int T; const int32_t *ids; };

static double train_loss(struct trained *t)
{
    const struct tensor *x = t->d.g->tensor;
    const int32_t start[2] = { 0, t->T };
    const struct step step = { .T = t->T, .S = 1, .seq_start = start, .loss_scale = 1.0 / (t->T - 1), .aux_scale = 1 };
    for (int i = 0; i < t->T; i++) {
        ((int32_t *)x[t->d.ids].data)[i] = t->ids[i];
        ((int32_t *)x[t->d.pos].data)[i] = i;
        ((int32_t *)x[t->d.target].data)[i] = i + 1 < t->T ? t->ids[i + 1] : -1;
    }
    graph_run(t->d.g, PASS_PREPARE, &step);
    graph_run(t->d.g, PASS_FORWARD, &step);
    graph_run(t->d.g, PASS_BACKWARD, &step);
    double sum = 0;
    for (int i = 0; i < t->T; i++)
        sum += (double)((const float *)x[t->d.nll].data)[i] * step.loss_scale;
    for (int i = 0; i < t->d.n_stats; i++) {
        const struct aux_losses l = graph_aux_losses(x[t->d.stats[i]].data, &t->d.route);
        sum += l.lb + l.z;
    }
    return sum;
}

/* w += step * direction, for all weights. */
static void move_weights(struct trained *t, const struct weights_list *l, float *const *direction, double step)
{
    for (int i = 0; i < l->n_weight; i++)
        for (int64_t k = 0; k < l->weight[i].n; k++)
            decoder_weight(&t->d, i)[k] += (float)(step * (double)direction[i][k]);
}

/* Sum over layers and experts of a number that tells how many tokens chose which. */
static double sum_of_choices(const struct trained *t)
{
    double sum = 0;
    for (int i = 0; i < t->d.n_stats; i++)
        for (int e = 0; e < t->d.route.n_expert; e++)
            sum += ((const double *)t->d.g->tensor[t->d.stats[i]].data)[e] * sqrt(2 + 3 * i + 50 * e);
    return sum;
}

/* Along the gradient of all weights the loss climbs by the gradient's length: operations together, as the family has them. */
static void the_loss_climbs_as_steeply_as_the_gradient_says(void **state)
{
    struct fcase f;
    open_family(&f, *state);
    struct trained t = { .T = f.prompt[0].T, .ids = f.prompt[0].ids };
    const struct decoder_opts o = { .use = DECODER_TRAIN, .compute = DT_F32, .recompute = RECOMPUTE_CHEAP, .ctx = t.T };
    f.c.dropout = 0;
    if (config_untrainable(&f.c)) {
        assert_int_equal(decoder_record(&t.d, &f.c, &o, &err), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "encoder"));
        close_family(&f);
        return;
    }
    OK(decoder_record(&t.d, &f.c, &o, &err));
    OK(decoder_plan(&t.d, t.T, 1, 2, NULL, &err));
    OK(decoder_bind(&t.d, pool, NULL, &err));
    OK(weights_load(f.l, f.model, decoder_weight, &t.d, &err));
    train_loss(&t);
    const double choices_before = sum_of_choices(&t);
    float **direction = mem_alloc_array((size_t)f.l->n_weight, sizeof *direction);
    double square = 0;
    for (int i = 0; i < f.l->n_weight; i++) {
        const int64_t n = f.l->weight[i].n;
        direction[i] = mem_alloc_array((size_t)n, sizeof **direction);
        assert_int_equal(t.d.g->tensor[i].grad >= 0, !f.l->weight[i].balances);
        if (f.l->weight[i].balances)
            continue;
        memcpy(direction[i], t.d.g->tensor[t.d.g->tensor[i].grad].data, (size_t)n * sizeof **direction);
        for (int64_t k = 0; k < n; k++)
            square += (double)direction[i][k] * (double)direction[i][k];
    }
    const double length = sqrt(square);
    double h = 2e-3, slope = 0;
    for (bool same = false; !same && h > 5e-5; h /= 2) {      /* a step on which a token changes experts, or the slope itself changes, is too long */
        move_weights(&t, f.l, direction, h / length);
        const double up = train_loss(&t);
        same = sum_of_choices(&t) == choices_before;
        move_weights(&t, f.l, direction, -2 * h / length);
        slope = (up - train_loss(&t)) / (2 * h);
        same = same && sum_of_choices(&t) == choices_before && fabs(slope - length) <= CLIMB_TOLERANCE * length;
        move_weights(&t, f.l, direction, h / length);
    }
    if (!(fabs(slope - length) <= CLIMB_TOLERANCE * length))
        fail_msg("%s: the loss climbs by %.6g, the gradient says %.6g", f.name, slope, length);
    for (int i = 0; i < f.l->n_weight; i++)
        mem_free(direction[i]);
    mem_free(direction);
    decoder_release(&t.d);
    close_family(&f);
}

static void same_logits_as_transformers(void **state)
{
    const char *name = *state;
    struct fcase f;
    struct share s = { 0 };
    open_family(&f, name);
    for (int i = 0; i < N_PROMPT; i++)
        check_fp32(&f, i);
    for (int i = 0; i < N_PROMPT; i++)
        (f.c.encoder ? check_bf16_hidden : check_bf16)(&f, i, &s);
    print_message("%s: bf16 off by at most %.3f (PyTorch %.3f)", name, (double)s.error, (double)fmaxf(f.prompt[0].bf16_error, f.prompt[1].bf16_error));
    if (!f.c.encoder)
        print_message(", same top token at all %d of %d tokens with a clear margin; %d after another choice of experts", s.n_clear, s.n, s.n_other);
    print_message("\n");
    close_family(&f);
}

/* ---- one test for each folder, and of its gradients where they are known ---- */

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

static bool has_gradients(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, FOLDER "/%s/gradients.safetensors", name);
    return !access(path, R_OK);
}

/* state: the folders. */
static void gradients_of_every_family_of_decoders_are_known(void **state)
{
    struct dirent **entry = *state;
    int known = F_GPT2 | F_LLAMA | F_MIXTRAL | F_OLMOE | F_LATHE_GPT | F_VIT | F_ENCODERS;      /* by other tests: test_golden, test_vit, test_text_classes */
    for (; *entry; entry++) {
        char path[300];
        struct config c;
        struct buf warnings;
        if (!has_gradients((*entry)->d_name))
            continue;
        buf_init(&warnings);
        snprintf(path, sizeof path, FOLDER "/%s", (*entry)->d_name);
        OK(config_load(&c, path, &warnings, &err));
        buf_release(&warnings);
        known |= 1 << c.family;
    }
    assert_int_equal(known, F_ALL);
}

#define N_KIND 4

int main(void)
{
    struct dirent **entry;
    const int n = scandir(FOLDER, &entry, visible, alphasort);
    struct CMUnitTest *tests = n > 0 ? calloc((N_KIND + 1) * (size_t)n + 1, sizeof *tests) : NULL;
    struct dirent **folders = n > 0 ? calloc((size_t)n + 1, sizeof *folders) : NULL;      /* and NULL */
    if (!tests || !folders || pool_new(&pool, 2, &err) < 0)
        return 1;
    int n_test = N_KIND * n;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < N_KIND; k++)
            tests[k * n + i] = (struct CMUnitTest){ entry[i]->d_name, k == 0 ? same_logits_as_transformers : k == 1 ? written_back_as_it_was_read : k == 2 ? same_logits_from_the_engine :
                                                    the_loss_climbs_as_steeply_as_the_gradient_says, NULL, NULL, entry[i]->d_name };
    for (int i = 0; i < n; i++)
        if (has_gradients(entry[i]->d_name))
            tests[n_test++] = (struct CMUnitTest){ entry[i]->d_name, same_gradients_as_transformers, NULL, NULL, entry[i]->d_name };
    memcpy(folders, entry, (size_t)n * sizeof *folders);
    tests[n_test++] = (struct CMUnitTest){ "gradients of every family of decoders are known", gradients_of_every_family_of_decoders_are_known, NULL, NULL, folders };
    const int failed = _cmocka_run_group_tests("families", tests, (size_t)n_test, NULL, NULL);
    free(folders);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    free(tests);
    pool_free(pool);
    return failed;
}
