/* test_compare_tasks.c - tasks put to two models: the same values in either order, none for the same model, and a stop when a loss is shown. */
#include <math.h>
#include "../test.h"
#include "base/tree.h"
#include "eval/compare_tasks.h"

static struct err err;
enum { ITEMS = 240 };

static void copy(const char *from, const char *to)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(from, 1 << 24, &b, &err));
    OK(file_write_all(to, b.data, b.len, &err));
    buf_release(&b);
}

static void make_model(const char *name)
{
    OK(file_mkdirs(in_dir(name), &err));
    copy("tests/golden/llama/config.json", path_in(in_dir(name), "config.json"));
    copy("tests/golden/llama/model.safetensors", path_in(in_dir(name), "model.safetensors"));
    copy("tests/golden/eval/tokenizer.json", path_in(in_dir(name), "tokenizer.json"));
    OK(file_write_all(path_in(in_dir(name), "tokenizer_config.json"), "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}", 41, &err));
}

/* Every fourth number of the file from the middle on has the other sign: a model of the same form that says other things. */
static void spoil(const char *name)
{
    struct buf b;
    uint64_t head;
    buf_init(&b);
    OK(file_read(path_in(in_dir(name), "model.safetensors"), 1 << 24, &b, &err));
    memcpy(&head, b.data, sizeof head);
    for (size_t i = 8 + head; i + 16 <= b.len; i += 16)
        b.data[i + 3] ^= (char)0x80;
    OK(file_write_all(path_in(in_dir(name), "model.safetensors"), b.data, b.len, &err));
    buf_release(&b);
}

static void write_task(const char *name, const char *data)
{
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "task: %s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s}}\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: c\n"
                            "doc_to_target: y\nmetric_list: [{metric: acc}, {metric: acc_norm}]\nmetadata: {version: 1.0}\n", name, data));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

/* Items of choice.yaml; kept: only those whose number is true. */
static void write_items(const char *name, const bool *kept)
{
    static const char *const word[] = { "the cat sat", "the dog ran", "a man ate", "rain on the mat", "the old mill", "it ran to the man" };
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < ITEMS; i++)
        if (!kept || kept[i])
            OK(buf_printf(&b, &err, "{\"q\": \"%s and %s %s\", \"c\": [\"%s\", \"a ham\", \"%s\"], \"y\": %d, \"i\": %d}\n", word[i % 6], word[i / 6 % 6], word[i / 36 % 6], word[(i + 1) % 6],
                          word[(i + 3) % 6], i % 3, i));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

static struct compare_tasks_opts options(const char *old, const char *new, bool sequential)
{
    struct compare_tasks_opts o = { .metric = NULL, .sequential = sequential, .alpha = 0.05, .seed = 3, .n_thread = 2 };
    for (int k = 0; k < 2; k++)
        o.run[k] = (struct run_opts){ .model = k ? new : old, .batch = 4, .seed = TASK_SEED };
    return o;
}

static struct task_list open_task(const char *name)
{
    struct task_list l = { 0 };
    const struct task_opts o = TASK_OPTS;
    OK(task_list_add(&l, in_dir(name), &o, &err));
    return l;
}

static double value(const struct compare_tasks *t, int which, int64_t item) { return t->e[which].task[0].value[item * t->e[which].task[0].n_metric + t->metric[0]].v; }

static void a_model_loses_nothing_to_itself(void **state)
{
    (void)state;
    struct task_list l = open_task("choice.yaml");
    for (int sequential = 0; sequential < 2; sequential++) {
        struct compare_tasks t;
        struct samples old, new;
        struct sample_pairs p;
        const struct compare_tasks_opts o = options(in_dir("m"), in_dir("m"), sequential);
        OK(compare_tasks_run(&t, &l, &o, &err));
        assert_true(!t.shown && t.e[0].task[0].counts.n_scored == ITEMS && t.e[1].task[0].counts.n_scored == ITEMS);
        if (sequential)
            assert_true(t.n_stream == 1 && t.stream[0].next == ITEMS && t.stream[0].e.b == 0 && t.stream[0].e.c == 0 && t.stream[0].e.n_item == ITEMS);
        OK(compare_tasks_samples(&t, &old, &new, &err));
        assert_true(old.n == 1 && new.n == 1 && old.set[0].n == ITEMS && !strcmp(old.set[0].metric, "acc") && !strcmp(old.set[0].task, "choice.yaml"));
        OK(samples_pair(&p, &old.set[0], &new.set[0], &err));
        assert_int_equal(p.n, ITEMS);
        for (int i = 0; i < ITEMS; i++)
            assert_true(old.set[0].item[i].value == new.set[0].item[i].value && old.set[0].item[i].value == value(&t, 0, i) && !strcmp(old.set[0].item[i].answer, new.set[0].item[i].answer));
        assert_non_null(strstr(old.set[0].item[7].text, "the dog ran and the dog ran"));
        sample_pairs_release(&p);
        samples_release(&old);
        samples_release(&new);
        compare_tasks_release(&t);
    }
    task_list_release(&l);
}

/* Of the items that the older model has right; both ways have the same values, and the one that stops is done sooner. */
static void a_loss_is_shown_before_all_items_are_done(void **state)
{
    (void)state;
    struct compare_tasks all, some;
    struct samples old, new;
    bool kept[ITEMS];
    struct task_list l = open_task("choice.yaml");
    struct compare_tasks_opts o = options(in_dir("m"), in_dir("other"), false);
    o.metric = "acc_norm";
    OK(compare_tasks_run(&all, &l, &o, &err));
    for (int i = 0; i < ITEMS; i++)
        kept[i] = value(&all, 0, i) == 1;
    compare_tasks_release(&all);
    task_list_release(&l);
    write_items("right.jsonl", kept);
    write_task("right.yaml", in_dir("right.jsonl"));
    l = open_task("right.yaml");
    OK(compare_tasks_run(&all, &l, &o, &err));
    o.sequential = true;
    OK(compare_tasks_run(&some, &l, &o, &err));
    const struct compare_stream *s = &some.stream[0];
    const int64_t n = all.e[0].task[0].n;
    print_message("stopped after %lld of %lld items, %lld lost, %lld won, shown %d, next %lld\n", (long long)s->e.stopped_at, (long long)n, (long long)s->e.b, (long long)s->e.c, some.shown, (long long)s->next);
    assert_true(some.shown && s->e.stopped_at > 4 && s->next == s->e.stopped_at && s->next < n / 2 && s->e.c == 0 && s->e.b >= 5);
    for (int64_t k = 0; k < s->next; k++) {
        const int64_t item = compare_stream_item(s, k);
        for (int which = 0; which < 2; which++)
            assert_true(value(&some, which, item) == value(&all, which, item) && (which || value(&all, which, item) == 1));
    }
    OK(compare_tasks_samples(&some, &old, &new, &err));
    assert_true(old.set[0].n == s->next && new.set[0].n == s->next);
    samples_release(&old);
    samples_release(&new);
    compare_tasks_release(&some);
    compare_tasks_release(&all);
    task_list_release(&l);
}

static bool stop(void *ctx, int which, int64_t n_answered, int64_t n_item)
{
    (void)ctx, (void)which;
    return n_item == ITEMS && n_answered < 8;
}

static void what_cannot_be_is_an_error(void **state)
{
    (void)state;
    struct compare_tasks t;
    struct task_list l = open_task("choice.yaml");
    struct compare_tasks_opts o = options(in_dir("m"), in_dir("none"), false);
    for (int sequential = 0; sequential < 2; sequential++) {
        o = options(in_dir("m"), in_dir("none"), sequential);
        assert_true(compare_tasks_run(&t, &l, &o, &err) < 0);
        o = options(in_dir("m"), in_dir("m"), sequential);
        o.metric = "f1";
        assert_int_equal(compare_tasks_run(&t, &l, &o, &err), ERR_NOTFOUND);
        o.metric = "acc_norm", o.goes_on = stop;
        assert_int_equal(compare_tasks_run(&t, &l, &o, &err), ERR_STOPPED);
    }
    task_list_release(&l);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    make_model("m");
    make_model("other");
    spoil("other");
    write_items("choice.jsonl", NULL);
    write_task("choice.yaml", in_dir("choice.jsonl"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_loses_nothing_to_itself),
        cmocka_unit_test(a_loss_is_shown_before_all_items_are_done),
        cmocka_unit_test(what_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
