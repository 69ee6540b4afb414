/* served.h - a served model for tests: trained for one step, in a folder of its own. */
#ifndef TESTS_SERVED_H
#define TESTS_SERVED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/served_model.h"
#include "train/loop.h"

static int served_write(const char *dir, const char *name, const char *text, struct err *err)
{
    char *path = file_join(dir, name);
    const int rc = path ? file_write_all(path, text, strlen(text), err) : -1;
    mem_free(path);
    return rc;
}

/* dir: a template of mkdtemp(), and then the folder. */
static int served_open(struct served_model **s, char *dir, struct err *err)
{
    static const char text[] = "Q: hello\nA: hi there\nQ: name?\nA: small model\nQ: bye\nA: see you\n", chat[] = "{% for m in messages %}{{ m.role + ': ' + (m.reasoning_content or '') + m.content + '\\n' }}{% endfor %}assistant:";
    static volatile sig_atomic_t stop;
    char config[600], run[300];
    struct train_result r;
    struct buf corpus;
    *s = NULL;
    log_level_set(LOG_QUIET);
    if (!mkdtemp(dir))
        return -1;
    buf_init(&corpus);
    for (int i = 0; i < 20; i++)
        buf_add_str(&corpus, text, NULL);
    snprintf(run, sizeof run, "%s/run", dir);
    snprintf(config, sizeof config, "model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 128}\n"
                                    "data: {train: %s/text.txt, valid_share: 0, vocab_size: 280}\ntrain: {steps: 1, batch: 1, ctx: 16, lr: 1e-2, warmup: 1, eval_every: 0, save_every: 0, precision: fp32}\n", dir);
    int rc = served_write(dir, "text.txt", corpus.data, err);
    buf_release(&corpus);
    rc = rc ? rc : served_write(dir, "config.yaml", config, err);
    char *path = file_join(dir, "config.yaml");
    const struct train_opts t = { .config = path, .out = run, .n_thread = 1, .stop = &stop, .fail_step = -1 };
    rc = rc ? rc : train_run(&t, &r, err);
    mem_free(path);
    rc = rc ? rc : served_write(run, "chat_template.jinja", chat, err);
    const struct served_model_opts o = { .build = "test", .path = run, .name = "tiny", .n_text = 2, .step_tokens = 64, .n_thread = 1, .n_queue = 16 };
    return rc ? rc : served_model_open(s, &o, err);
}

#endif
