/* fuzz_checklist.c - any bytes as a suite of behavioural tests and as a list of paraphrases: a text outside of the suite, or a case that is judged and has none, is a bug. */
#include <stdint.h>
#include <stdlib.h>
#include "eval/checklist.h"
#include "eval/robust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_all(const struct checklist *c)
{
    struct checklist_answers a;
    struct err err;
    if (checklist_answers_init(&a, c, 3, &err))
        abort();
    for (int64_t i = 0; i < c->n_text; i++) {
        if (!json_is_string(c->text[i]))
            abort();
        a.state[i] = i % 7 ? CHECKLIST_ANSWERED : (uint8_t)(i % 3);
        a.prob[3 * i + i % 3] = 1;
    }
    for (int t = 0; t < c->n_test; t++)
        for (int64_t k = 0; k < c->test[t].n; k++) {
            const struct checklist_case *x = &c->test[t].c[k];
            int worst;
            const enum checklist_verdict v = checklist_judge(&c->test[t], x, &a, &worst);
            if ((v == CHECKLIST_PASSED || v == CHECKLIST_WRONG) && (!x->usable || x->n_text < 1 || worst >= x->n_text || x->first + x->n_text > c->n_text))
                abort();
        }
    checklist_answers_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checklist *c;
    struct paraphrases *p;
    struct err err;
    if (!size)
        return 0;
    if (!checklist_parse(&c, (const char *)data + 1, size - 1, "fuzz", data[0] & 3, &err)) {
        judge_all(c);
        checklist_free(c);
    }
    if (!paraphrases_parse(&p, (const char *)data + 1, size - 1, "fuzz", &err)) {
        if (paraphrases_n_form(p) < 1 || paraphrases_n_form(p) > PARAPHRASE_FORMS)
            abort();
        paraphrases_free(p);
    }
    return 0;
}
