/* fuzz_prompts.c - any bytes as prompts, JSON lines and CSV, and as labels of a judge: refused with a message, or prompts with texts in them. */
#include <stdlib.h>
#include <string.h>
#include "eval/injection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look(const struct prompts *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        size_t k = 0;
        const char *quoted = injection_quoted(p->p[i].prompt, &k);
        if (!p->p[i].id || !*p->p[i].prompt || (quoted && (!k || quoted + k > p->p[i].prompt + strlen(p->p[i].prompt))))
            abort();
        if (injection_judge(&p->p[i], "QX7", p->p[i].prompt, strlen(p->p[i].prompt)) == INJECTION_UNJUDGED)
            abort();
    }
}

static void parse(const char *text, size_t n, const char *name)
{
    struct err err = { 0 };
    struct prompts p = { 0 };
    const int rc = prompts_parse(&p, text, n, name, &err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    if (rc >= 0)
        look(&p);
    prompts_release(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);          /* as a file is read: a NUL behind it */
    struct judge_labels j;
    double rate, ci[2];
    struct err err = { 0 };
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    parse(text, n, "p.jsonl");
    parse(text, n, "p.csv");
    if (judge_labels_parse(&j, text, n, "l.jsonl", &err) >= 0 && judge_correct(1, 3, &j, &rate, ci, &err) >= 0 && !(rate >= 0 && rate <= 1 && ci[0] >= 0 && ci[0] <= ci[1] && ci[1] <= 1))
        abort();
    free(text);
    return 0;
}
