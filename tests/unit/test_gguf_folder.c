/* test_gguf_folder.c - a model of Hugging Face's files written as GGUF gives the same logits from there, to the bit where its
 * numbers can say the same. */
#include <math.h>
#include "../test.h"
#include "infer/engine.h"
#include "model/folder_from_gguf.h"
#include "model/gguf_from_folder.h"

static struct pool *pool;
static struct err err;
static int n_exact, n_back;

static const char tokenizer[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]},\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}]}";

static void copy(const char *folder, const char *name)
{
    struct buf b;
    char from[300];
    buf_init(&b);
    snprintf(from, sizeof from, "%s/%s", folder, name);
    OK(file_read(from, 1 << 26, &b, &err));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

/* The GGUF file as a folder again has the tensors of the first, where that has F32. */
static void check_back(const char *folder)
{
    struct model m;
    struct safetensors *x, *y;
    OK(model_open(&m, in_dir("m.gguf"), NULL, &err));
    OK(folder_from_gguf(&m, in_dir("back"), ST_F32, &err));
    model_release(&m);
    OK(safetensors_open(&x, folder, &err));
    OK(safetensors_open(&y, in_dir("back"), &err));
    for (int i = 0; i < y->n_tensor; i++) {
        const struct st_tensor *t = &y->tensor[i], *from = safetensors_find(x, t->name);
        if (!from || from->dtype != ST_F32)
            continue;
        n_back++;
        assert_int_equal(from->n, t->n);
        const double tolerance = strstr(folder, "gemma") && strstr(t->name, "norm") ? 0x1p-23 : 0;       /* GGUF has 1 + w */
        for (int64_t k = 0; k < t->n; k++)
            if (fabs((double)((const float *)from->data)[k] - (double)((const float *)t->data)[k]) > tolerance)
                fail_msg("%s: tensor '%s' came back changed", folder, t->name);
    }
    safetensors_free(x);
    safetensors_free(y);
    OK(model_open(&m, in_dir("back"), NULL, &err));
    model_release(&m);
}

/* False when GGUF cannot say what the model is. */
static bool check(const char *folder)
{
    enum { N = 20 };
    struct model m;
    struct engine *a, *b;
    const struct engine_opts o = { .n_slot = 1, .step_tokens = N, .n_logits = 1, .no_tok = true };
    copy(folder, "config.json");
    copy(folder, "model.safetensors");
    OK(model_open(&m, test_dir, NULL, &err));
    const int rc = gguf_from_folder(&m, test_dir, in_dir("m.gguf"), &err);
    model_release(&m);
    if (rc == ERR_UNSUPPORTED)
        return false;
    if (rc < 0)
        fail_msg("%s: %s", folder, err.msg);
    OK(engine_new(&a, folder, &o, pool, &err));
    OK(engine_new(&b, in_dir("m.gguf"), &o, pool, &err));
    const int V = engine_config(a)->vocab_size;
    int32_t ids[N];
    const float *x, *y;
    for (int i = 0; i < N; i++)
        ids[i] = (3 + i * i * 5) % V;
    OK(engine_feed(a, 0, 0, ids, N, &x, &err));
    float *kept = malloc((size_t)V * sizeof *kept);
    memcpy(kept, x, (size_t)V * sizeof *kept);
    OK(engine_feed(b, 0, 0, ids, N, &y, &err));
    /* Numbers of the metadata are f32 there; where a factor of RoPE is rounded by that, the last bits differ. */
    n_exact += !memcmp(kept, y, (size_t)V * sizeof *y);
    if (memcmp(kept, y, (size_t)V * sizeof *y))
        print_message("not exact: %s\n", folder);
    for (int i = 0; i < V; i++)
        if (fabs((double)y[i] - (double)kept[i]) > 1e-5)
            fail_msg("%s: logit %d from GGUF is %g, expected %g", folder, i, (double)y[i], (double)kept[i]);
    free(kept);
    engine_free(a);
    engine_free(b);
    check_back(folder);
    return true;
}

static void logits_from_gguf_are_those_of_the_folder(void **state)
{
    (void)state;
    char **names, path[200];
    int n, n_written = 0, n_decoder = 0;
    assert_true(check("tests/golden/llama") && check("tests/golden/mixtral") && check("tests/golden/gpt2") && check("tests/golden/olmoe"));
    OK(file_list("tests/golden/families", &names, &n, &err));
    for (int i = 0; i < n; i++) {
        if (strstr(names[i], "bert"))
            continue;
        snprintf(path, sizeof path, "tests/golden/families/%s", names[i]);
        const bool written = check(path);
        if (!written)
            print_message("not written: %s\n", err.msg);
        n_written += written, n_decoder++;
    }
    print_message("%d of %d models written, %d exact to the bit\n", n_written, n_decoder, n_exact - 4);
    assert_true(n_written >= n_decoder / 2 && n_exact - 4 >= n_written - 3);
    assert_true(n_back > 300);
    file_list_free(names, n);
}

static void halves_are_the_floats_rounded(void **state)
{
    (void)state;
    struct model m;
    struct safetensors *x, *y;
    assert_true(check("tests/golden/llama"));
    OK(model_open(&m, in_dir("m.gguf"), NULL, &err));
    OK(folder_from_gguf(&m, in_dir("halves"), ST_F16, &err));
    model_release(&m);
    OK(safetensors_open(&x, "tests/golden/llama", &err));
    OK(safetensors_open(&y, in_dir("halves"), &err));
    assert_int_equal(x->n_tensor, y->n_tensor);
    for (int i = 0; i < y->n_tensor; i++) {
        const struct st_tensor *from = safetensors_find(x, y->tensor[i].name);
        assert_int_equal(y->tensor[i].dtype, ST_F16);
        for (int64_t k = 0; k < from->n; k++)
            assert_int_equal(((const uint16_t *)y->tensor[i].data)[k], float_to_half(((const float *)from->data)[k]));
    }
    safetensors_free(x);
    safetensors_free(y);
}

static void what_fails_leaves_no_file(void **state)
{
    (void)state;
    struct model m;
    copy("tests/golden/llama", "config.json");
    copy("tests/golden/llama", "model.safetensors");
    OK(model_open(&m, test_dir, NULL, &err));
    file_remove_tree(in_dir("tokenizer.json"), NULL);
    assert_int_equal(gguf_from_folder(&m, test_dir, in_dir("never.gguf"), &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "no tokenizer.json"));
    assert_false(file_exists(in_dir("never.gguf")));
    model_release(&m);
}

/* The digests are sha256sum's: of one file, and of "a\0xb\0yz". */
static void a_digest_is_of_the_bytes_alone(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    OK(file_mkdirs(in_dir("digest/below"), &err));
    OK(file_write_all(in_dir("digest/b"), "yz", 2, &err));
    OK(file_write_all(in_dir("digest/a"), "x", 1, &err));
    OK(model_digest(in_dir("digest/b"), hex, &err));
    assert_string_equal(hex, "68d617d6d2ee5715af77d9795566cfaba9a43a33d14cbbc95831c507c935bad1");
    OK(model_digest(in_dir("digest"), hex, &err));
    assert_string_equal(hex, "b55ee8514c141070b612a34a448b2030b8a65ce4f0ad10644f52b6a12aa98ffd");
    assert_int_equal(model_digest(in_dir("digest/none"), hex, &err), ERR_NOTFOUND);
}

static int set_up(void **state)
{
    return !make_dir(state) && !file_write_all(in_dir("tokenizer.json"), tokenizer, strlen(tokenizer), &err) ? pool_new(&pool, 2, &err) : -1;
}
static int tear_down(void **state) { pool_free(pool); return remove_dir(state); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_from_gguf_are_those_of_the_folder),
        cmocka_unit_test(halves_are_the_floats_rounded),
        cmocka_unit_test(what_fails_leaves_no_file),
        cmocka_unit_test(a_digest_is_of_the_bytes_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
