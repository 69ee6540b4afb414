/* fuzz_flow.c - any bytes as a file of stages: an error with a sentence, or stages of which none comes before one that it needs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "flow/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool flag;
static const char *text = "";
static const struct opt opts[] = {
    { OPT_STR, "out", &text, "<folder>", "where", 0, 0 },
    { OPT_FLAG, "json", &flag, NULL, "as JSON", 0, 0 },
    { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
};

static bool find(struct flow_command *out, const char *const *word, int n)
{
    *out = (struct flow_command){ .name = "make", .n_word = n > 1 && !strcmp(word[1], "well") ? 2 : 1, .opts = opts };
    return !strcmp(word[0], "make");
}

static void look_at(const struct flow *f)
{
    for (int i = 0; i < f->n; i++) {
        struct words w;
        struct err err = { 0 };
        for (int j = i; j < f->n; j++)
            require(!f->stage[i].need[j]);
        if (flow_argv(&w, f, &f->stage[i], &err) < 0) {
            require(err.code && *err.msg);
            continue;
        }
        require(w.n >= 2 && !strcmp(w.at[0], "lathe") && !strcmp(w.at[1], "make") && !w.at[w.n]);
        words_release(&w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char path[64];
    struct err err = { 0 };
    struct flow f;
    if (!*path)
        snprintf(path, sizeof path, "/tmp/fuzz-flow-%d.yaml", (int)getpid());
    require(!file_write_all(path, data, n, NULL));
    if (flow_read(&f, path, find, &err) < 0)
        require(err.code && *err.msg);
    else {
        look_at(&f);
        flow_release(&f);
    }
    unlink(path);
    return 0;
}
