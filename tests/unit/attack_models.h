/* attack_models.h - small models to attack: the golden Llama over tasks, and the golden Llama with classes over texts. */
#ifndef TESTS_ATTACK_MODELS_H
#define TESTS_ATTACK_MODELS_H
#include "eval_model.h"
#include "base/mem.h"
#include "base/pool.h"
#include "eval/evidence.h"
#include "eval/token_tally.h"
#include "eval/token_trial.h"

/* The classifier with a token for each letter of the texts, in a folder of the test. */
SHARED_BY_TESTS char *classifier(void)
{
    static const char *const file[] = { "tests/golden/classes/llama/config.json", "tests/golden/classes/llama/model.safetensors" };
    static const char *const name[] = { "config.json", "model.safetensors" };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz !.";
    char *folder = in_dir("classes");
    struct tok *t;
    struct buf b;
    OK(file_mkdirs(folder, &err));
    for (int i = 0; i < 2; i++) {
        buf_init(&b);
        OK(file_read(file[i], 1 << 20, &b, &err));
        OK(file_write_all(path_in(folder, name[i]), b.data, b.len, &err));
        buf_release(&b);
    }
    OK(tok_from_bytes(&t, &(struct tok_text){ letters, sizeof letters - 1 }, 1, &err));
    buf_init(&b);
    OK(tok_write(t, &b, &err));
    OK(file_write_all(path_in(folder, "tokenizer.json"), b.data, b.len, &err));
    buf_release(&b);
    tok_free(t);
    return folder;
}

/* n short texts, with the four classes in turn. */
SHARED_BY_TESTS void words_with_labels(struct labelled *l, int n)
{
    static const char *const words[] = { "the cat", "a dog ran", "ham", "rain", "old mill", "man" };
    *l = (struct labelled){ .end = mem_alloc_array((size_t)n, sizeof *l->end), .label = mem_alloc_array((size_t)n, sizeof *l->label), .n = n, .cap = n };
    buf_init(&l->text);
    for (int i = 0; i < n; i++) {
        OK(buf_printf(&l->text, &err, "%s %s", words[i % 6], words[i / 6 % 6]));
        l->end[i] = l->text.len, l->label[i] = i % 4;
    }
}
#endif
