/* fuzz_records.c - any bytes as a file of records, JSON lines or CSV, in every form and with every policy: refused with a message, or
 * sequences that cut their ids into parts, of which each has something to learn and fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "data/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char template[] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for t in m.tool_calls %}{{ t.function.arguments | tojson }}{% endfor %}"
                               "{% if m.role == 'assistant' %}<|endoftext|>{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

static void check(const struct records *r, const struct records_opts *o)
{
    const enum shard_kind kind = data_form_kind(o->form);
    const int per = kind == SHARD_PAIRS ? 2 : 1;
    if (r->n_record * per != r->q.n || (r->q.n && r->q.start[r->q.n] != r->q.ids.n))
        abort();
    for (int64_t i = 0; i < r->q.n; i++) {
        const size_t from = (size_t)r->q.start[i], to = (size_t)r->q.start[i + 1];
        size_t learned = 0;
        for (size_t k = from; k < to; k++)
            learned += r->q.learn[k] == 1;
        if (to <= from || (kind != SHARD_STREAM && (!learned || r->q.learn[from] || to - from > (size_t)o->ctx + 1)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct tok *tok;
    static struct chat *chat;
    struct err err = { 0 };
    if (!tok) {
        const struct tok_text text = { "a user said and an assistant said", 33 };
        const struct chat_source src = { "default", template, sizeof template - 1 };
        log_level_set(LOG_QUIET);
        if (tok_train_bpe(&tok, &text, 1, 262, &err) < 0 || chat_new(&chat, &src, 1, NULL, &err) < 0)
            abort();
    }
    if (n < 2 || text_bad_utf8((const char *)data + 2, n - 2) < n - 2)
        return 0;
    struct text_doc d = { .path = data[0] & 1 ? "in.csv" : "in.jsonl", .map = { .data = (const char *)data + 2, .size = n - 2 }, .n = n - 2 };
    const struct text_list l = { &d, 1, 1, n - 2 };
    struct records_opts o = { .form = (enum data_form)(data[0] / 2 % N_FORM), .chat = data[0] & 16 ? NULL : chat, .tok = tok, .ctx = 1 + data[1] / 8 * 8,
                              .too_long = (enum too_long)(data[1] % 3), .skip_bad = data[1] & 4, .fields = data[0] & 32 ? "prompt=q, completion=a" : NULL };
    struct records r = { .n_record = 0 };
    int rc = records_form(&l, &o, &o.form, &err);
    if (!rc && o.form > FORM_PLAIN) {
        rc = records_encode(&r, &l, &o, &err);
        if (!rc || !r.n_long)
            check(&r, &o);
    }
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    records_release(&r);
    return 0;
}
