#include "model/lora.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"

static const char *const words[] = { "q", "k", "v", "o", "gate", "up", "down" };
#define N_WORD ((int)(sizeof words / sizeof *words))

double lora_scale(const struct lora *o) { return o->alpha / (o->rslora ? sqrt(o->rank) : o->rank); }

int lora_targets(struct lora *o, const char *text, struct err *err)
{
    o->targets = 0, o->all = false;
    for (const char *p = text; *(p += strspn(p, ", "));) {
        size_t n = strcspn(p, ", ");
        const size_t whole = n;
        unsigned found = 0;
        if (n > 5 && !memcmp(p + n - 5, "_proj", 5))
            n -= 5;
        for (int i = 0; i < N_WORD; i++)
            if (strlen(words[i]) == n && !memcmp(words[i], p, n))
                found = 1u << i;
        if (whole == 3 && !memcmp(p, "all", 3))
            found = LORA_ALL, o->all = true;
        if (!found)
            return ERR(err, USAGE, "targets: '%.*s', expected all, or some of q, k, v, o, gate, up, down", (int)(whole < 40 ? whole : 40), p);
        o->targets |= found;
        p += whole;
    }
    return o->targets ? 0 : ERR(err, USAGE, "targets: nothing, expected all, or some of q, k, v, o, gate, up, down");
}

/* What a weight of a layer consists of: the target of each of its thirds or halves; 0: it has no adapters. */
static int matrices_of(const struct weight *w, unsigned mask[3])
{
    static const struct { const char *name; int n; unsigned mask[3]; } kinds[] = {
        { "qkv.w", 3, { LORA_Q, LORA_K, LORA_V } }, { "o.w", 1, { LORA_O } }, { "gate_up.w", 2, { LORA_GATE, LORA_UP } }, { "up.w", 1, { LORA_UP } }, { "down.w", 1, { LORA_DOWN } },
        { "q.w", 1, { LORA_Q } }, { "q_a.w", 1, { LORA_Q } }, { "q_b.w", 1, { LORA_Q } }, { "kv_a.w", 1, { LORA_K | LORA_V } }, { "kv_b.w", 1, { LORA_K | LORA_V } },      /* latent attention */
    };
    const char *name = strchr(w->name, '.');
    if (w->layer < 0 || w->rank != 2 || !name)
        return 0;
    name++;
    if (!strncmp(name, "shared.", 7))
        name += 7;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(name, kinds[i].name)) {
            memcpy(mask, kinds[i].mask, sizeof kinds[i].mask);
            return kinds[i].n;
        }
    return 0;
}

/* The adapters of weight i; returns their number. */
static int site_of(struct lora_site *s, const struct weights_list *l, int i, const struct lora *o, unsigned *found, struct err *err)
{
    unsigned mask[3];
    const struct weight *w = &l->weight[i];
    const int n = matrices_of(w, mask);
    *s = (struct lora_site){ .weight = i, .a = -1, .b = { -1, -1, -1 } };
    for (int j = 0; n && j < w->n_part; j++) {
        const struct weight_part p = weight_part(l, w, j);
        const unsigned of_part = w->n_part == n ? mask[j] : mask[0] | mask[1] * (n > 1) | mask[2] * (n > 2);
        if (!(o->targets & of_part))
            continue;
        if ((o->targets & of_part) != of_part)
            return ERR(err, USAGE, "targets: '%s' is one matrix in this model; name all that it holds", p.name);
        *found |= of_part;
        struct lora_part *part = &s->part[s->n_part++];
        *part = (struct lora_part){ .row = p.row, .n_row = p.n_row, .i_part = j };
        memcpy(part->module, p.name, strlen(p.name) - strlen(".weight"));
    }
    return s->n_part;
}

int lora_sites(struct lora_site **out, int *n, const struct weights_list *l, const struct lora *o, struct err *err)
{
    unsigned found = 0;
    struct lora_site *sites = mem_alloc_array((size_t)l->n_weight, sizeof *sites);
    *out = NULL, *n = 0;
    int rc = sites ? 0 : ERR(err, NOMEM, "no memory for adapters of %d weights", l->n_weight);
    for (int i = 0; i < l->n_weight && rc >= 0; i++)
        *n += (rc = site_of(&sites[*n], l, i, o, &found, err)) > 0;
    for (int i = 0; i < N_WORD && rc >= 0; i++)
        if (!o->all && (o->targets & ~found) >> i & 1)
            rc = ERR(err, USAGE, "targets: this model has no '%s' that an adapter can be put on (those of experts can not)", words[i]);
    if (rc >= 0 && !*n)
        rc = ERR(err, UNSUPPORTED, "this model has no matrix that an adapter can be put on");
    if (rc < 0) {
        mem_free(sites);
        return rc;
    }
    *out = sites;
    return 0;
}
