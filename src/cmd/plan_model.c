#include "cmd/plan_model.h"
#include <jansson.h>
#include <stdio.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf_config.h"
#include "model/source.h"
#include "plan/device.h"
#include "plan/published.h"

static double bits_of(const struct source *s)
{
    double bytes = 0, n = 0;
    for (int i = 0; i < source_count(s); i++)
        bytes += (double)source_at(s, i)->bytes, n += (double)source_at(s, i)->n;
    return n > 0 ? 8 * bytes / n : 0;
}

/* A folder may have its configuration alone. */
static int read_files(struct plan_model *m, const char *path, struct buf *warnings, struct err *err)
{
    struct source *s = NULL;
    struct err no_weights;
    const bool named = file_name_ends(path, ".json");
    const int rc = named ? ERR_NOTFOUND : source_open(&s, path, &no_weights);
    if (rc < 0 && (named || file_is_dir(path)))
        return config_load(&m->config, path, warnings, err);
    if (rc < 0)
        return *err = no_weights, rc;
    m->file_bits = bits_of(s);
    const struct gguf *g = source_gguf(s);
    const int read = g ? gguf_config(&m->config, g, warnings, err) : config_load(&m->config, path, warnings, err);
    source_free(s);
    return read;
}

int plan_model_open(struct plan_model *m, const char *given, struct err *err)
{
    *m = (struct plan_model){ .path = file_exists(given) ? given : NULL };
    struct buf warnings;
    size_t n;
    buf_init(&warnings);
    const char *name = file_last_name(given, &n);
    utf8_fit(m->name, sizeof m->name, name, n);
    const int rc = m->path ? read_files(m, given, &warnings, err) : published_config(&m->config, given, err);
    if (!rc && warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    TRY(rc);
    TRY(model_facts(&m->facts, &m->config, err));
    return m->facts.causal && !config_vision(&m->config) ? 0 : ERR(err, UNSUPPORTED, "%s is no decoder of texts, which plans are for", m->name);
}

/* ---- told ---- */

static const enum number told[] = { NUMBER_BF16, NUMBER_FP8, NUMBER_FP4 };
enum { N_TOLD = sizeof told / sizeof *told };

static double bytes_as(const struct plan_model *m, enum number n)
{
    const double bits = 8 * number_bytes(n);
    return facts_weight_bytes(&m->facts, &(struct weight_bits){ bits, bits, 16, 16 });
}

void plan_model_print(const struct plan_model *m)
{
    char a[32], b[32], d[32];
    const struct model_facts *f = &m->facts;
    printf("%s: %s parameters", m->name, fmt_count(a, f->params));
    if (f->params_active < f->params)
        printf(", %s of them for a token", fmt_count(b, f->params_active));
    printf(" (");
    bool first = true;
    for (int p = 0; p < N_FACTS_PART; p++)
        if (f->part[p] > f->params / 200)
            printf("%s%s %s", first ? "" : ", ", facts_part_name((enum facts_part)p), fmt_count(d, f->part[p])), first = false;
    printf(")\nweights:");
    for (int i = 0; i < N_TOLD; i++)
        printf(" %s as %s,", fmt_bytes(a, bytes_as(m, told[i])), number_name(told[i]));
    if (m->file_bits > 0)
        printf(" %s in its files (%.2f bits a number)\n", fmt_bytes(a, f->params * m->file_bits / 8), m->file_bits);
    else
        printf(" before scales\n");
    printf("keys and values: %s a token in bf16", fmt_bytes(a, 2 * (f->kv_full + f->kv_windowed)));
    if (f->n_windowed)
        printf(", of which %s stay within a window of %d", fmt_bytes(b, 2 * f->kv_windowed), f->window);
    printf("; %s for a text of %d tokens, the longest\n", fmt_bytes(a, 2 * facts_cache_numbers(f, config_ctx_max(&m->config))), config_ctx_max(&m->config));
    printf("operations: %s a token that sees 1,024 others; trained at 4,096, %s (PaLM's count %s)\n", fmt_count(a, facts_forward_flops(f, 1024)),
           fmt_count(b, facts_train_flops(f, 4096, FLOPS_CAUSAL)), fmt_count(d, facts_train_flops(f, 4096, FLOPS_PALM)));
}

json_t *plan_model_json(const struct plan_model *m)
{
    const struct model_facts *f = &m->facts;
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "name", m->name, "parameters", f->params, "active_parameters", f->params_active, "kv_bytes_per_token_bf16",
                          2 * (f->kv_full + f->kv_windowed), "kv_bytes_per_token_windowed", 2 * f->kv_windowed, "forward_flops_1024", facts_forward_flops(f, 1024), "train_flops_causal_4096",
                          facts_train_flops(f, 4096, FLOPS_CAUSAL), "train_flops_palm_4096", facts_train_flops(f, 4096, FLOPS_PALM), "ctx", config_ctx_max(&m->config), "window", f->window);
    json_t *parts = json_object(), *bytes = json_object();
    for (int p = 0; p < N_FACTS_PART; p++)
        json_object_set_new(parts, facts_part_name((enum facts_part)p), json_real(f->part[p]));
    for (int i = 0; i < N_TOLD; i++)
        json_object_set_new(bytes, number_name(told[i]), json_real(bytes_as(m, told[i])));
    if (m->file_bits > 0)
        json_object_set_new(bytes, "files", json_real(f->params * m->file_bits / 8));
    if (o)
        json_object_set_new(o, "parts", parts), json_object_set_new(o, "weight_bytes", bytes);
    return o;
}
