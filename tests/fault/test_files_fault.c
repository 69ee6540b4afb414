/* test_files_fault.c - the n-th allocation or the n-th system call fails, for n = 0, 1, 2 ... until the work succeeds:
 * an error with a message each time, nothing leaked, no file left behind, and an old file still whole. */
#include "each_allocation.h"
#include "base/tree.h"
#include "model/convert.h"
#include "model/gguf.h"
#include "model/merge.h"
#include "model/weights.h"

static char dir[] = "/tmp/lathe-fault-XXXXXX";
static char model[100], shards[100], target[100], config_path[100];
static struct weights_list *list;
static struct pool *pool;

static const char config_text[] =
    "{\"model_type\":\"mixtral\",\"vocab_size\":7,\"hidden_size\":4,\"num_hidden_layers\":2,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"intermediate_size\":6,\"num_local_experts\":3,\"unknown\":[1,2]}";
static float memory[4096];

static float *place(void *ctx, int i) { (void)ctx, (void)i; return memory; }
static const float *source(void *ctx, int i) { (void)ctx, (void)i; return memory; }

/* ---- the work that is made to fail ---- */

static int read_config(struct err *err)
{
    struct config c;
    struct buf warnings, out;
    buf_init(&warnings);
    buf_init(&out);
    int rc = config_load(&c, config_path, &warnings, err);
    if (!rc)
        rc = config_write(&c, &out, err);
    buf_release(&warnings);
    buf_release(&out);
    return rc;
}

static int load_from(const char *path, struct err *err)
{
    struct safetensors *st;
    TRY(safetensors_open(&st, path, err));
    const int rc = weights_load(list, st, place, NULL, err);
    safetensors_free(st);
    return rc;
}
static int load_file(struct err *err) { return load_from(model, err); }
static int load_shards(struct err *err) { return load_from(shards, err); }

static int make_list(struct err *err)
{
    struct weights_list *l;
    TRY(weights_list_new(&l, &list->config, err));
    weights_list_free(l);
    return 0;
}

static int save(struct err *err)
{
    const struct st_pair pair = { "made-by", "test" };
    struct weight_digest *digest;
    int n;
    TRY(weights_save(list, target, ST_BF16, source, NULL, &pair, 1, &digest, &n, err));
    mem_free(digest);
    return 0;
}

static int open_source_at(const char *path, struct err *err)
{
    struct source *s;
    char row[64 * 24];
    TRY(source_open(&s, path, err));
    int rc = 0;
    for (int i = 0; i < source_count(s) && !rc; i++)
        if (source_at(s, i)->type < N_CPU_TYPE)
            rc = source_read_rows(s, source_at(s, i), 0, 1, row, err);
    source_free(s);
    return rc;
}
static int open_gguf(struct err *err) { return open_source_at("tests/golden/quant/small.gguf", err); }
static int open_parts(struct err *err) { return open_source_at("tests/golden/composite/gptq_act_order", err); }

static int write_gguf(struct err *err)
{
    static const int64_t shape[] = { 2, 32 };
    struct gguf_writer *w;
    TRY(gguf_writer_new(&w, target, err));
    int rc = gguf_put_str(w, "k", "v", err);
    if (!rc)
        rc = gguf_declare(w, "w", 8, 2, shape, err);
    if (!rc)
        rc = gguf_writer_add(w, 0, memory, 68, err);
    if (!rc)
        rc = gguf_writer_commit(w, err);
    gguf_writer_free(w);
    return rc;
}

static int quantise_gguf(struct err *err)
{
    struct source *s;
    const struct convert c = { .mix = mix_find("q4_0"), .pool = pool };
    TRY(source_open(&s, "tests/golden/quant/small.gguf", err));
    const int rc = convert_gguf(s, target, &c, err);
    source_free(s);
    return rc;
}

static int merge(struct err *err)
{
    struct model m;
    struct adapter *a = NULL;
    char out[120];
    snprintf(out, sizeof out, "%s/merged", dir);
    TRY(model_open(&m, "tests/golden/llama", NULL, err));
    int rc = adapter_open(&a, "tests/golden/lora", err);
    if (!rc)
        rc = merge_check(&m, a, err);
    if (!rc)
        rc = merge_folder(&m, "tests/golden/llama", a, out, ST_F32, err);
    adapter_free(a);
    model_release(&m);
    return rc;
}

static const struct { const char *name; int (*run)(struct err *err); } works[] = {
    { "open a GGUF file", open_gguf }, { "open weights in parts", open_parts }, { "write a GGUF file", write_gguf }, { "quantise", quantise_gguf },
    { "read a config", read_config }, { "make the list", make_list }, { "load one file", load_file }, { "load shards", load_shards }, { "save", save },
    { "merge", merge },
};

/* ---- the loop ---- */

static uint64_t n_live(void)
{
    struct mem_stats s;
    mem_stats_get(&s);
    return s.n_live;
}

/* Only target may be in its folder, with the old bytes, or with the new ones when saving reached the rename. */
static void check_target(const char *what)
{
    char **names;
    int n;
    assert_int_equal(file_list(shards, &names, &n, NULL), 0);
    int n_odd = 0;
    for (int i = 0; i < n; i++)
        n_odd += strstr(names[i], ".tmp") != NULL;
    file_list_free(names, n);
    if (n_odd)
        fail_msg("%s: %d temporary files left", what, n_odd);
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read(target, 1 << 20, &b, NULL), 0);
    struct safetensors *st = NULL;
    struct gguf *g = NULL;
    if (strcmp(b.data, "old") && safetensors_parse(&st, b.data, b.len, "target", NULL) && gguf_parse(&g, b.data, b.len, "target", NULL))
        fail_msg("%s: the target is neither the old nor the new file", what);
    safetensors_free(st);
    gguf_free(g);
    buf_release(&b);
}

static void fail_each(int kind, void (*arm)(int64_t), int code_a, int code_b)
{
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        for (int64_t n = 0;; n++) {
            char what[100];
            snprintf(what, sizeof what, "%s, %s %lld", works[i].name, kind ? "system call" : "allocation", (long long)n);
            assert_int_equal(file_write_all(target, "old", 3, NULL), 0);
            const uint64_t before = n_live();
            struct err err = { 0 };
            arm(n);
            const int rc = works[i].run(&err);
            const int64_t asked = kind ? file_fail_count() : mem_fail_count();
            arm(-1);
            if (n_live() != before)
                fail_msg("%s: %lld blocks leaked", what, (long long)(n_live() - before));
            check_target(what);
            if (asked <= n) {
                if (rc)
                    fail_msg("%s: %s", what, err.msg);
                break;
            }
            if (rc != code_a && rc != code_b)
                fail_msg("%s: code %d (%s)", what, rc, err.msg);
            if (!*err.msg || err.code != rc)
                fail_msg("%s: no message", what);
            assert_true(n < 10000);
        }
}

static void arm_alloc(int64_t n) { mem_fail_at(n); }
static void arm_file(int64_t n) { file_fail_at(n, EIO); }

static void each_allocation_may_fail(void **state) { (void)state; fail_each(0, arm_alloc, ERR_NOMEM, ERR_NOMEM); }
static void each_system_call_may_fail(void **state) { (void)state; fail_each(1, arm_file, ERR_IO, ERR_IO); }

/* ---- the files ---- */

/* The tensors of the model, half in each of two files. */
static void write_shards(void)
{
    struct safetensors *st;
    struct err err = { 0 };
    assert_int_equal(safetensors_open(&st, model, NULL), 0);
    struct buf index;
    buf_init(&index);
    for (int part = 0; part < 2; part++) {
        char path[150];
        snprintf(path, sizeof path, "%s/part-%d.safetensors", shards, part);
        struct st_decl *d = calloc((size_t)st->n_tensor, sizeof *d);
        int n = 0;
        for (int i = part; i < st->n_tensor; i += 2) {
            d[n] = (struct st_decl){ st->tensor[i].name, st->tensor[i].dtype, st->tensor[i].rank, { 0 } };
            memcpy(d[n++].shape, st->tensor[i].shape, sizeof d->shape);
            buf_printf(&index, NULL, "%s\"%s\":\"part-%d.safetensors\"", index.len ? "," : "{\"weight_map\":{", st->tensor[i].name, part);
        }
        struct st_writer *w = NULL;
        if (st_writer_new(&w, path, d, n, NULL, 0, &err))
            fail_msg("%s", err.msg);
        for (int i = 0; i < n; i++) {
            const struct st_tensor *t = &st->tensor[2 * i + part];
            assert_int_equal(st_writer_add(w, i, t->data, t->end - t->begin, NULL), 0);
        }
        assert_int_equal(st_writer_commit(w, NULL), 0);
        st_writer_free(w);
        free(d);
    }
    buf_add_str(&index, "}}", NULL);
    char path[150];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", shards);
    assert_int_equal(file_write_all(path, index.data, index.len, NULL), 0);
    buf_release(&index);
    safetensors_free(st);
}

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(model, sizeof model, "%s/model.safetensors", dir);
    snprintf(shards, sizeof shards, "%s/shards", dir);
    snprintf(target, sizeof target, "%s/shards/target.safetensors", dir);
    snprintf(config_path, sizeof config_path, "%s/config.json", dir);
    struct config c;
    struct err err;
    if (pool_new(&pool, 1, &err) || file_mkdirs(shards, &err) || file_write_all(config_path, config_text, strlen(config_text), &err) ||
        config_load(&c, config_path, NULL, &err) || weights_list_new(&list, &c, &err) ||
        weights_save(list, model, ST_F32, source, NULL, NULL, 0, NULL, NULL, &err))
        return -1;
    write_shards();
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    weights_list_free(list);
    pool_free(pool);
    return file_remove_tree(dir, NULL);
}

static int read_json(void *text)
{
    struct err err;
    json_t *o;
    const int rc = tree_parse_json(&o, text, strlen(text), "text", &err);
    json_decref(o);
    return rc;
}

/* Tokens whose last byte, or the one after, is where jansson's buffer must grow (16, 32, ... bytes): the string's quote, a number's
 * digit, the character that ends it. */
static void json_read_with_every_failed_allocation(void **state)
{
    (void)state;
    for (int len = 1; len < 70; len++)
        for (int form = 0; form < 5; form++) {
            static const char *const before[] = { "[\"", "[\"", "[0.", "{\"", "[1, {\"k\": [true, \"" }, *const after[] = { "\"]", "\\n\", 1]", ", 2]", "\": 1}", "\"]}]" };
            char text[200];
            snprintf(text, sizeof text, "%s%.*s%s", before[form], len, form == 2 ? "1234567890123456789012345678901234567890123456789012345678901234567890" :
                                                                                  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv", after[form]);
            assert_true(each_allocation(read_json, text, false) > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(each_system_call_may_fail),
        cmocka_unit_test(json_read_with_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
