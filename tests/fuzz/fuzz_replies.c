/* fuzz_replies.c - any bytes as the replies that a stopped run left: refused, or taken, and then the same again when it goes on twice. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "eval/replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];
static struct task_list list;
static json_t *of;

static void write_file(const char *name, const void *p, size_t n)
{
    char path[128];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_write_all(path, p, n, &err) < 0)
        abort();
}

static void remove_folder(void)
{
    task_list_release(&list);
    json_decref(of);
    file_remove_tree(folder, NULL);
}

/* Two tasks of four documents: choices, and texts. */
static void begin(void)
{
    static const char docs[] = "{\"q\": \"a\", \"c\": [\"x\", \"y\"], \"y\": 0}\n{\"q\": \"b\", \"c\": [\"x\", \"y\"], \"y\": 1}\n{\"q\": \"c\", \"c\": [\"x\", \"y\"], \"y\": 5}\n{\"q\": \"d\"}\n";
    static const char *const rest[] = { "output_type: multiple_choice\ndoc_to_choice: c\ndoc_to_target: y\nmetric_list: [{metric: acc}]\n",
                                        "output_type: generate_until\ndoc_to_target: \"{{q}}\"\nmetric_list: [{metric: exact_match}]\ngeneration_kwargs: {until: [z], max_gen_toks: 4}\n" };
    snprintf(folder, sizeof folder, "/tmp/lathe-fuzz-replies-%ld", (long)getpid());
    struct err err;
    const struct task_opts o = TASK_OPTS;
    if (file_mkdirs(folder, &err) < 0)
        abort();
    write_file("docs.jsonl", docs, sizeof docs - 1);
    for (int i = 0; i < 2; i++) {
        char text[600], path[128], name[8] = { (char)('a' + i), '.', 'y', 'a', 'm', 'l', 0 };
        const int n = snprintf(text, sizeof text, "task: %c\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s/docs.jsonl}}\ntest_split: test\ndoc_to_text: \"{{q}}\"\n%s", 'a' + i, folder, rest[i]);
        write_file(name, text, (size_t)n);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (task_list_add(&list, path, &o, &err) < 0) {
            fprintf(stderr, "%s\n", err.msg);
            abort();
        }
    }
    of = json_pack("{s:s}", "model", "m");
    atexit(remove_folder);
}

static int take(struct eval_counts c[2], struct err *err)
{
    struct evaluation e;
    struct replies r;
    double begun;
    if (evaluation_init(&e, &list, err) < 0)
        abort();
    const int rc = replies_open(&r, folder, of, &e, &begun, err);
    for (int i = 0; i < 2; i++) {
        c[i] = e.task[i].counts;
        if (c[i].n_open + c[i].n_scored + c[i].n_failed != e.task[i].n || c[i].n_cut > e.task[i].n)
            abort();
    }
    if (!rc)
        replies_close(&r);
    evaluation_release(&e);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eval_counts once[2], again[2];
    struct err err = { 0 };
    if (!*folder)
        begin();
    write_file("replies.jsonl", data, size);
    const int rc = take(once, &err);
    if (rc && !err.msg[0])
        abort();
    if (!rc && (take(again, &err) || memcmp(once, again, sizeof once)))
        abort();
    return 0;
}
