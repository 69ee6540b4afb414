/* fuzz_watch_rules.c - any bytes as rules of lathe watch: an error with a sentence, or rules of which each says what is done, after how many looks, and where to. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "watch/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rules rules;
    struct err err = { 0 };
    if (rules_parse(&rules, (const char *)data, n, true, "p", NULL, &err)) {
        require(err.code && *err.msg && !rules.n && !rules.rule);
        return 0;
    }
    require(rules.n > 0);
    for (int i = 0; i < rules.n; i++) {
        const struct rule *r = &rules.rule[i];
        char what[160];
        rule_describe(r, what);
        require(*what && r->looks >= 1 && r->todo && r->todo < 16 && isfinite(r->effect) && r->effect >= 0);
        require(!r->webhook || !strncmp(r->webhook, "http", 4));
        require(!r->mail || (strchr(r->mail, '@') && *r->mail != '-' && !strpbrk(r->mail, " \r\n,")));
    }
    rules_release(&rules);
    return 0;
}
