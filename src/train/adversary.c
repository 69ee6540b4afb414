#include "train/adversary.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

static int64_t numbers_of(const struct config *m) { return (int64_t)config_n_patch(m) * config_patch_numbers(m); }

size_t adversary_bytes(const struct run *r) { return (size_t)(r->micro * numbers_of(&r->c.model)) * sizeof(float); }

int adversary_take(struct run *r, struct err *err)
{
    if (!r->attacker.g)
        return 0;
    const size_t *own = r->attacker.g->plan.bytes;
    assert(!own[TENSOR_WEIGHT] && !own[TENSOR_PACKED] && !own[TENSOR_GRAD] && !own[TENSOR_MOMENT]);      /* all are the model's, and as it learns them */
    TRY(decoder_bind(&r->attacker, r->pool, &r->model, err));
    if (!(r->images = mem_map(adversary_bytes(r))))
        return ERR(err, NOMEM, "no memory for %lld images", (long long)r->micro);
    return 0;
}

void adversary_release(struct run *r)
{
    mem_unmap(r->images, r->images ? adversary_bytes(r) : 0);
    decoder_release(&r->attacker);
}

/* A step of one image; by: of each number from 0 to 1.  slope NULL: to a random place within eps. */
struct move { const struct run *r; const float *slope; float *x; double by; uint64_t key; int64_t first; };

static void move_image(void *ctx, int row, int i_thread)
{
    (void)i_thread;
    const struct move *v = ctx;
    const struct config *m = &v->r->c.model;
    const int64_t N = numbers_of(m), of_channel = (int64_t)m->patch_size * m->patch_size;
    const float *image = v->r->images + row * N, *slope = v->slope ? v->slope + row * N : NULL;
    float *x = v->x + row * N;
    const uint64_t key = rng_u64(v->key, (uint64_t)(v->first + row));
    for (int64_t i = 0; i < N; i++) {
        const int channel = (int)(i / of_channel % m->n_channel);
        const double std = v->r->classes.vision.std[channel], mean = v->r->classes.vision.mean[channel], eps = v->r->c.adversarial.eps / std;
        const double way = !slope ? 2 * rng_uniform(key, (uint64_t)i) - 1 : slope[i] > 0 ? 1 : slope[i] < 0 ? -1 : 0;
        const double to = fmin(fmax(x[i] + way * v->by / std, image[i] - eps), image[i] + eps);
        x[i] = (float)fmin(fmax(to, (0 - mean) / std), (1 - mean) / std);
    }
}

void adversary_change(struct run *r, int64_t i_micro, const struct batch *b)
{
    if (!r->attacker.g)
        return;
    struct graph *g = r->attacker.g;
    struct tensor *pixels = &r->model.g->tensor[r->model.pixels], *x = &g->tensor[r->attacker.pixels];
    const size_t bytes = (size_t)(b->n_seq * numbers_of(&r->c.model)) * sizeof(float);
    const double step = r->c.adversarial.step > 0 ? r->c.adversarial.step : 2.5 * r->c.adversarial.eps / (double)r->c.adversarial.n_step;
    const struct step s = { .T = b->n, .S = b->n_seq, .seq_start = b->seq_start, .loss_scale = 1, .seed = (uint64_t)r->c.seed, .i_step = (uint64_t)i_micro };
    memcpy(r->images, pixels->data, bytes);
    memcpy(x->data, pixels->data, bytes);
    memcpy(g->tensor[r->attacker.label].data, r->model.g->tensor[r->model.label].data, (size_t)b->n_seq * (size_t)r->c.model.n_label * sizeof(float));
    struct move v = { .r = r, .x = x->data, .by = r->c.adversarial.eps, .key = rng_key((uint64_t)r->c.seed, "adversarial"), .first = i_micro * r->micro };
    pool_for(r->pool, b->n_seq, move_image, &v);
    v.slope = g->tensor[x->grad].data, v.by = step;
    for (int64_t i = 0; i < r->c.adversarial.n_step; i++) {
        graph_run(g, PASS_FORWARD, &s);
        graph_run(g, PASS_BACKWARD, &s);
        pool_for(r->pool, b->n_seq, move_image, &v);
    }
    memcpy(pixels->data, x->data, bytes);
}
