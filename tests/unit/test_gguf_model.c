/* test_gguf_model.c - models from GGUF files: the configuration and the weights of tests/golden/gguf, which llama.cpp's
 * converter made of tests/golden/families, give the logits of transformers; what is wrong with a file is said. */
#include <dirent.h>
#include <math.h>
#include <unistd.h>
#include "golden.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "model/decoder.h"
#include "model/gguf_config.h"
#include "model/gguf_export.h"
#include "model/weights_gguf.h"

#define FOLDER "tests/golden/gguf"
#define TOLERANCE 1e-4

static struct pool *pool;
static struct err err;

struct gmodel { struct gguf *g; struct config c; struct weights_list *l; struct safetensors *want; };

static void open_model(struct gmodel *m, const char *file, const char *family)
{
    char path[300];
    struct buf warnings;
    buf_init(&warnings);
    OK(gguf_open(&m->g, file, &err));
    OK(gguf_config(&m->c, m->g, &warnings, &err));
    assert_string_equal(warnings.data, "");
    buf_release(&warnings);
    OK(weights_list_new(&m->l, &m->c, &err));
    OK(weights_gguf_parts(m->l, m->g, &err));
    snprintf(path, sizeof path, "tests/golden/families/%s/golden.safetensors", family);
    OK(safetensors_open(&m->want, path, &err));
}

static void close_model(struct gmodel *m)
{
    weights_list_free(m->l);
    gguf_free(m->g);
    safetensors_free(m->want);
}

/* Runs the prompt and compares every logit, or with an encoder every number of the last layer. */
static void check_prompt(const struct gmodel *m, const char *name, int i_prompt)
{
    const struct st_tensor *ids = find_of(m->want, "ids", i_prompt), *want_t = find_of(m->want, m->c.encoder ? "hidden" : "logits", i_prompt);
    const int T = (int)ids->n, width = m->c.encoder ? m->c.d_model : m->c.vocab_size;
    const int32_t start[2] = { 0, T };
    struct decoder d;
    const struct decoder_opts o = { .use = m->c.encoder ? DECODER_HIDDEN : DECODER_LOGITS, .compute = DT_F32, .ctx = T };
    OK(decoder_record(&d, &m->c, &o, &err));
    OK(decoder_plan(&d, T, 1, 2, NULL, &err));
    OK(decoder_bind(&d, pool, NULL, &err));
    OK(weights_gguf_load(m->l, m->g, decoder_weight, &d, &err));
    memcpy(d.g->tensor[d.ids].data, ids->data, (size_t)T * sizeof(int32_t));
    for (int t = 0; t < T; t++)
        ((int32_t *)d.g->tensor[d.pos].data)[t] = t;
    const struct step s = { .T = T, .S = 1, .seq_start = start };
    graph_run(d.g, PASS_PREPARE, &s);
    graph_run(d.g, PASS_FORWARD, &s);
    float *want = mem_alloc_array((size_t)want_t->n, sizeof *want);
    OK(st_read_f32(want_t, 0, want_t->n, want, &err));
    const float *got = d.g->tensor[m->c.encoder ? d.hidden : d.logits].data;
    assert_int_equal(want_t->n, (int64_t)T * width);
    for (int64_t i = 0; i < want_t->n; i++)
        if (!(fabsf(got[i] - want[i]) <= (float)TOLERANCE))
            fail_msg("%s, prompt %d, token %lld: %g, expected %g", name, i_prompt, (long long)(i / width), (double)got[i], (double)want[i]);
    mem_free(want);
    decoder_release(&d);
}

/* The same through the engine, from the cache: the file's types in panels, the prompt in pieces that do not fit its steps. */
static void check_engine(const char *path, const struct gmodel *m, const char *name, int i_prompt)
{
    const struct st_tensor *ids = find_of(m->want, "ids", i_prompt), *logits = find_of(m->want, "logits", i_prompt);
    const int T = (int)ids->n, V = m->c.vocab_size;
    const struct engine_opts o = { .n_slot = 2, .ctx = T, .step_tokens = 7, .no_tok = true };
    struct engine *e;
    OK(engine_new(&e, path, &o, pool, &err));
    float *want = mem_alloc_array((size_t)V, sizeof *want);
    for (int at = 0, n = 10; at < T; at += n, n = at + 3 < T ? 3 : 1) {
        const float *got;
        OK(engine_feed(e, 1, at, (const int32_t *)ids->data + at, n, &got, &err));
        OK(st_read_f32(logits, (int64_t)(at + n - 1) * V, V, want, &err));
        for (int i = 0; i < V; i++)
            if (!(fabsf(got[i] - want[i]) <= (float)TOLERANCE))
                fail_msg("%s, prompt %d, token %d by the engine: %g, expected %g", name, i_prompt, at + n - 1, (double)got[i], (double)want[i]);
    }
    mem_free(want);
    engine_free(e);
}

static void check_file(const char *path, const char *family)
{
    struct gmodel m;
    open_model(&m, path, family);
    for (int i = 0; i < 2; i++) {
        check_prompt(&m, family, i);
        if (!m.c.encoder)
            check_engine(path, &m, family, i);
    }
    close_model(&m);
}

static void same_logits_as_transformers(void **state)
{
    char path[300], family[100];
    const char *file = *state;
    snprintf(family, sizeof family, "%.*s", (int)(strlen(file) - strlen(".gguf")), file);
    snprintf(path, sizeof path, FOLDER "/%s", file);
    check_file(path, family);
}

/* ---- and written by us ---- */

/* What GGUF has no words for. */
static const struct { const char *family, *message; } refused[] = {
    { "gemma2_older", "divided by the root of 20" },
    { "gemma3_text", "divided by the root of 20" },
    { "gpt2", "the exact GELU" },
    { "llama_dynamic", "type dynamic" },
    { "mistral_window", "layer 0 has a window" },
    { "mixtral_window", "layer 0 has a window" },
    { "olmoe_linear_tied", "gates are renormalised" },
    { "qwen2_moe_window", "layer 0 has a window" },
    { "qwen2_window", "layer 1 has a window" },
    { "qwen3_moe_yarn_tied", "gates are not renormalised" },
    { "qwen3_window", "layer 1 has a window" },
    { "smollm3_yarn_window", "layer 1 has a window" },
    { "deepseek_v3_halves_tied", "RoPE over halves" },
    { "gpt_oss_tied", "truncate" },
    { "modernbert_biases", "biases" },
};

static const float *weight_of(void *ctx, int i) { return ((float **)ctx)[i]; }
static float *place(void *ctx, int i) { return ((float **)ctx)[i]; }

static void export_family(const char *family, const char *path)
{
    struct config c;
    struct weights_list *l;
    struct safetensors *st;
    char folder[300];
    snprintf(folder, sizeof folder, "tests/golden/families/%s", family);
    OK(config_load(&c, folder, NULL, &err));
    OK(weights_list_new(&l, &c, &err));
    OK(safetensors_open(&st, folder, &err));
    float **w = mem_alloc_array((size_t)l->n_weight, sizeof *w);
    for (int i = 0; i < l->n_weight; i++)
        w[i] = mem_alloc_array((size_t)l->weight[i].n, sizeof **w);
    OK(weights_load(l, st, place, w, &err));
    const struct gguf_export x = { .config = &c, .type = TYPE_F32, .source = weight_of, .ctx = w };
    const int rc = gguf_export(&x, path, &err);
    for (int i = 0; i < l->n_weight; i++)
        mem_free(w[i]);
    mem_free(w);
    safetensors_free(st);
    weights_list_free(l);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!strcmp(refused[i].family, family)) {
            if (rc >= 0 || !strstr(err.msg, refused[i].message))
                fail_msg("%s: %s, expected an error with: %s", family, rc < 0 ? err.msg : "was written", refused[i].message);
            return;
        }
    if (rc < 0)
        fail_msg("%s: %s", family, err.msg);
}

static void what_we_write_is_the_same_model_or_refused(void **state)
{
    const char *family = *state;
    char dir[] = "/tmp/lathe-gguf-XXXXXX", path[100];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    export_family(family, path);
    FILE *f = fopen(path, "r");
    if (f) {
        fclose(f);
        check_file(path, family);
        unlink(path);
    }
    rmdir(dir);
}

/* ---- a trained model: stories260K in four types ---- */

/* Mean negative log-likelihood of the story, whose float64 value lies beside it. */
static double story_nll(const char *path)
{
    struct gmodel m = { 0 };
    OK(gguf_open(&m.g, path, &err));
    OK(gguf_config(&m.c, m.g, NULL, &err));
    OK(weights_list_new(&m.l, &m.c, &err));
    OK(weights_gguf_parts(m.l, m.g, &err));
    int32_t ids[300];
    int n = 0;
    char line[200];
    FILE *f = fopen(shared("stories260K/golden_tokens.txt"), "r");
    assert_non_null(f);
    while (n < 257 && fgets(line, sizeof line, f))
        if (*line != '#')
            ids[n++] = (int32_t)strtol(line, NULL, 10);
    fclose(f);
    assert_int_equal(n, 257);
    struct decoder d;
    const struct decoder_opts o = { .use = DECODER_SCORE, .compute = DT_F32 };
    OK(decoder_record(&d, &m.c, &o, &err));
    OK(decoder_plan(&d, n - 1, 1, 2, NULL, &err));
    OK(decoder_bind(&d, pool, NULL, &err));
    OK(weights_gguf_load(m.l, m.g, decoder_weight, &d, &err));
    for (int t = 0; t < n - 1; t++) {
        ((int32_t *)d.g->tensor[d.ids].data)[t] = ids[t];
        ((int32_t *)d.g->tensor[d.pos].data)[t] = t;
        ((int32_t *)d.g->tensor[d.target].data)[t] = ids[t + 1];
    }
    const int32_t start[2] = { 0, n - 1 };
    const struct step s = { .T = n - 1, .S = 1, .seq_start = start };
    graph_run(d.g, PASS_PREPARE, &s);
    graph_run(d.g, PASS_FORWARD, &s);
    double sum = 0;
    for (int t = 0; t < n - 1; t++)
        sum += (double)((const float *)d.g->tensor[d.nll].data)[t];
    decoder_release(&d);
    close_model(&m);
    return sum / (n - 1);
}

/* 0.457346 in float64 with the float weights; the others differ by what their types lose. */
static void stories260k_tells_its_story_in_every_type(void **state)
{
    (void)state;
    static const struct { const char *type; double tolerance; } types[] = { { "f32", 1e-5 }, { "f16", 1e-3 }, { "bf16", 5e-3 }, { "q8_0", 1e-2 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[60];
        snprintf(name, sizeof name, "stories260K-gguf/stories260K-%s.gguf", types[i].type);
        const double nll = story_nll(shared(name));
        if (!(fabs(nll - 0.457346) <= types[i].tolerance))
            fail_msg("%s: %.6f, expected 0.457346 within %g", types[i].type, nll, types[i].tolerance);
    }
}

/* ---- files that are not as they should be: a model of 2 dimensions, and one thing changed ---- */

struct file { struct buf pairs, infos; int n_pair, n_tensor; size_t data; };

static void add(struct buf *b, const void *p, size_t n) { OK(buf_add(b, p, n, &err)); }
static void add_u32(struct buf *b, uint32_t v) { add(b, &v, sizeof v); }
static void add_u64(struct buf *b, uint64_t v) { add(b, &v, sizeof v); }
static void add_str(struct buf *b, const char *s)
{
    add_u64(b, strlen(s));
    add(b, s, strlen(s));
}

static void put_int(struct file *f, const char *key, uint32_t v)
{
    add_str(&f->pairs, key);
    add_u32(&f->pairs, 4);
    add_u32(&f->pairs, v);
    f->n_pair++;
}

static void put_num(struct file *f, const char *key, float v)
{
    add_str(&f->pairs, key);
    add_u32(&f->pairs, 6);
    add(&f->pairs, &v, sizeof v);
    f->n_pair++;
}

static void put_str(struct file *f, const char *key, const char *v)
{
    add_str(&f->pairs, key);
    add_u32(&f->pairs, 8);
    add_str(&f->pairs, v);
    f->n_pair++;
}

static void put_tensor(struct file *f, const char *name, int rows, int cols)
{
    add_str(&f->infos, name);
    add_u32(&f->infos, rows ? 2 : 1);
    add_u64(&f->infos, (uint64_t)cols);
    if (rows)
        add_u64(&f->infos, (uint64_t)rows);
    add_u32(&f->infos, 0);
    add_u64(&f->infos, f->data);
    f->data += ((size_t)(rows ? rows * cols : cols) * 4 + 31) / 32 * 32;
    f->n_tensor++;
}

/* without: a key or tensor that is left out; its place may be taken before. */
static void fill(struct file *f, const char *arch, const char *without)
{
    static const struct { const char *key; uint32_t v; } ints[] = {
        { "llama.block_count", 1 }, { "llama.context_length", 8 }, { "llama.embedding_length", 4 }, { "llama.feed_forward_length", 3 },
        { "llama.attention.head_count", 2 }, { "tokenizer.ggml.eos_token_id", 1 } };
    static const struct { const char *name; int rows, cols; } tensors[] = {
        { "token_embd.weight", 5, 4 }, { "blk.0.attn_norm.weight", 0, 4 }, { "blk.0.attn_q.weight", 4, 4 }, { "blk.0.attn_k.weight", 4, 4 },
        { "blk.0.attn_v.weight", 4, 4 }, { "blk.0.attn_output.weight", 4, 4 }, { "blk.0.ffn_norm.weight", 0, 4 }, { "blk.0.ffn_gate.weight", 3, 4 },
        { "blk.0.ffn_up.weight", 3, 4 }, { "blk.0.ffn_down.weight", 4, 3 }, { "output_norm.weight", 0, 4 } };
    if (arch)
        put_str(f, "general.architecture", arch);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (strcmp(ints[i].key, without))
            put_int(f, ints[i].key, ints[i].v);
    if (strcmp("llama.attention.layer_norm_rms_epsilon", without))
        put_num(f, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (strcmp(tensors[i].name, without))
            put_tensor(f, tensors[i].name, tensors[i].rows, tensors[i].cols);
}

static void file_init(struct file *f)
{
    *f = (struct file){ 0 };
    buf_init(&f->pairs);
    buf_init(&f->infos);
}

/* Reads it all; returns what went wrong, in err, or 0. */
static int try(struct file *f, struct config *c, struct buf *warnings)
{
    struct buf all;
    struct gguf *g;
    struct weights_list *l = NULL;
    buf_init(&all);
    add(&all, "GGUF", 4);
    add_u32(&all, 3);
    add_u64(&all, (uint64_t)f->n_tensor);
    add_u64(&all, (uint64_t)f->n_pair);
    add(&all, f->pairs.data, f->pairs.len);
    add(&all, f->infos.data, f->infos.len);
    while (all.len % 32)
        add(&all, "", 1);
    for (size_t i = 0; i < f->data; i++)
        add(&all, "", 1);
    OK(gguf_parse(&g, all.data, all.len, "file", &err));
    int rc = gguf_config(c, g, warnings, &err);
    if (!rc) {
        OK(weights_list_new(&l, c, &err));
        OK(weights_gguf_parts(l, g, &err));
        rc = weights_gguf_check(l, g, &err);
    }
    weights_list_free(l);
    gguf_free(g);
    buf_release(&all);
    buf_release(&f->pairs);
    buf_release(&f->infos);
    return rc;
}

static void the_small_file_is_right_and_says_what_it_does_not_use(void **state)
{
    (void)state;
    struct file f;
    struct config c;
    struct buf warnings;
    buf_init(&warnings);
    file_init(&f);
    fill(&f, "llama", "");
    put_int(&f, "llama.new_thing", 1);
    OK(try(&f, &c, &warnings));
    assert_string_equal(warnings.data, "file: llama.new_thing: unknown key, not used\n");
    buf_release(&warnings);
    assert_int_equal(c.family, FAMILY_LLAMA);
    assert_int_equal(c.vocab_size, 5);
    assert_int_equal(c.d_head, 2);
    assert_true(c.norm_eps == 1e-5);             /* not the float */
    assert_true(c.tie_embeddings);
    assert_int_equal(c.n_eos, 1);
}

struct fault { const char *arch, *without, *key; uint32_t v; const char *message; };

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct fault faults[] = {
        { NULL, "", NULL, 0, "found no general.architecture" },
        { "mamba", "", NULL, 0, "general.architecture is 'mamba', expected one of: llama" },
        { "llama", "llama.embedding_length", NULL, 0, "found no llama.embedding_length" },
        { "llama", "llama.attention.layer_norm_rms_epsilon", NULL, 0, "found no llama.attention.layer_norm_rms_epsilon" },
        { "llama", "llama.block_count", NULL, 0, "num_hidden_layers" },
        { "llama", "llama.attention.head_count", "llama.attention.head_count", 0, "num_attention_heads" },
        { "llama", "llama.attention.head_count", "llama.attention.head_count", 3, "as config.json: num_attention_heads is 3, expected a divisor of hidden_size" },
        { "llama", "llama.embedding_length", "llama.embedding_length", 8, "tensor 'token_embd.weight': shape [5, 4], expected [5, 8]" },
        { "llama", "llama.block_count", "llama.block_count", 2, "tensor 'blk.1.attn_norm.weight' is missing" },
        { "llama", "llama.block_count", "llama.block_count", 1000000, "num_hidden_layers" },
        { "llama", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eos_token_id", 5, "tokenizer.ggml.eos_token_id" },
        { "llama", "token_embd.weight", NULL, 0, "found no tensor 'token_embd.weight'" },
        { "llama", "blk.0.ffn_up.weight", NULL, 0, "tensor 'blk.0.ffn_up.weight' is missing" },
        { "llama", "", "llama.attention.value_length", 3, "2 numbers in keys and 3 in values" },
        { "llama", "", "llama.rope.scaling.type", 1, "llama.rope.scaling.type" },
        { "llama", "", "llama.expert_count", 4, "found no llama.expert_used_count" },
        { "gpt2", "", NULL, 0, "found no gpt2.context_length" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct file f;
        struct config c;
        file_init(&f);
        fill(&f, faults[i].arch, faults[i].without);
        if (faults[i].key)
            put_int(&f, faults[i].key, faults[i].v);
        if (try(&f, &c, NULL) == 0)
            fail_msg("fault %zu was not seen, expected: %s", i, faults[i].message);
        if (!strstr(err.msg, faults[i].message))
            fail_msg("fault %zu: '%s', expected: %s", i, err.msg, faults[i].message);
    }
}

static void unknown_tensors_and_unknown_scaling_are_errors(void **state)
{
    (void)state;
    struct file f;
    struct config c;
    file_init(&f);
    fill(&f, "llama", "");
    put_tensor(&f, "blk.0.attn_mystery.weight", 4, 4);
    assert_true(try(&f, &c, NULL) < 0);
    assert_non_null(strstr(err.msg, "'blk.0.attn_mystery.weight': not part of this model"));
    file_init(&f);
    fill(&f, "llama", "");
    put_str(&f, "llama.rope.scaling.type", "spiral");
    assert_true(try(&f, &c, NULL) < 0);
    assert_non_null(strstr(err.msg, "rope.scaling.type is 'spiral'"));
    for (int i = 0; i < 2; i++) {
        file_init(&f);
        fill(&f, "llama", "");
        put_str(&f, "llama.rope.scaling.type", i ? "yarn" : "linear");
        put_num(&f, "llama.rope.scaling.factor", 4);
        put_num(&f, "llama.rope.scaling.attn_factor", 1.5f);
        assert_int_equal(try(&f, &c, NULL), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "rope.scaling.attn_factor is 1.5 without"));
    }
}

/* ---- one test for each file, and the others ---- */

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

/* Appends a test for each entry of the folder; the entries stay. */
static void add_tests(struct CMUnitTest **tests, int *n, const char *folder, CMUnitTestFunction test)
{
    struct dirent **entry;
    const int more = scandir(folder, &entry, visible, alphasort);
    *tests = realloc(*tests, (size_t)(*n + (more > 0 ? more : 0) + 8) * sizeof **tests);
    for (int i = 0; i < more; i++) {
        (*tests)[(*n)++] = (struct CMUnitTest){ entry[i]->d_name, test, NULL, NULL, strdup(entry[i]->d_name) };
        (*tests)[*n - 1].name = (*tests)[*n - 1].initial_state;
        free(entry[i]);
    }
    if (more >= 0)
        free(entry);
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(stories260k_tells_its_story_in_every_type),
        cmocka_unit_test(the_small_file_is_right_and_says_what_it_does_not_use),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(unknown_tensors_and_unknown_scaling_are_errors),
    };
    struct CMUnitTest *tests = NULL;
    int n = 0;
    add_tests(&tests, &n, FOLDER, same_logits_as_transformers);
    add_tests(&tests, &n, "tests/golden/families", what_we_write_is_the_same_model_or_refused);
    const int n_named = n;
    if (!n || pool_new(&pool, 2, &err) < 0)
        return 1;
    memcpy(tests + n, others, sizeof others);
    n += (int)(sizeof others / sizeof *others);
    const int failed = _cmocka_run_group_tests("gguf", tests, (size_t)n, NULL, NULL);
    for (int i = 0; i < n_named; i++)
        free(tests[i].initial_state);
    free(tests);
    pool_free(pool);
    return failed;
}
