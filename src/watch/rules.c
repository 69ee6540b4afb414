#include "watch/rules.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/tree.h"
#include "watch/answers.h"

#define FILE_MAX ((size_t)1 << 20)
#define RULES_MAX 1000
#define DO "alert|stop_canary|rollback|exit"

static int read_when(struct rule *rule, const char *text, const char *where, struct err *err)
{
    const char *p = text + strspn(text, " ");
    char *end;
    rule->alarm = !strcmp(p, "alarm"), rule->worse = !strcmp(p, "worse");
    if (rule->alarm || rule->worse)
        return 0;
    if (!strncmp(p, "effect", 6)) {
        p += 6 + strspn(p + 6, " ");
        if (*p == '>') {
            rule->effect = strtod(p + 1, &end);
            if (end != p + 1 && !end[strspn(end, " ")] && rule->effect >= 0 && isfinite(rule->effect))
                return 0;
        }
    }
    return ERR(err, FORMAT, "%s: when: found '%.60s', expected alarm, worse or effect > NUMBER", where, text);
}

static int read_action(struct rule *rule, const json_t *o, const char *where, struct err *err)
{
    const char *text = json_is_string(o) ? json_string_value(o) : "";
    const int i = word_index(text, strlen(text), DO);
    if (i < 0)
        return ERR(err, FORMAT, "%s: do: found '%.60s', expected alert, stop_canary, rollback or exit", where, text);
    rule->todo |= 1u << i;
    return 0;
}

static int read_do(struct rule *rule, const json_t *o, const char *where, struct err *err)
{
    const json_t *one;
    size_t i;
    if (!json_is_array(o))
        return read_action(rule, o, where, err);
    json_array_foreach(o, i, one)
        TRY(read_action(rule, one, where, err));
    return rule->todo ? 0 : ERR(err, FORMAT, "%s: do: found an empty list, expected what is to be done", where);
}

static int check_signal(const struct rule *rule, const struct reference *r, const char *where, struct err *err)
{
    if (rule->worse)
        return !strcmp(rule->signal, ANSWER_FEEDBACK) ? 0 : ERR(err, FORMAT, "%s: when: worse is of two versions' feedback: expected signal: %s", where, ANSWER_FEEDBACK);
    if (!r || !*rule->signal || reference_find(r, rule->signal) >= 0)
        return 0;
    struct buf known;
    buf_init(&known);
    for (int i = 0; i < reference_count(r); i++)
        buf_printf(&known, NULL, "%s%s", i ? ", " : "", reference_name(r, i));
    const int rc = ERR(err, FORMAT, "%s: the reference has no signal '%.60s', expected any or one of %.300s", where, rule->signal, known.data);
    buf_release(&known);
    return rc;
}

static int keep(char **to, const char *text, struct err *err)
{
    if (*text && !(*to = mem_strdup(text)))
        return ERR(err, NOMEM, "no memory for a rule");
    return 0;
}

/* Of alert alone. */
static int read_places(struct rule *rule, const char *webhook, const char *mail, const char *where, struct err *err)
{
    if ((*webhook || *mail) && !(rule->todo & RULE_ALERT))
        return ERR(err, FORMAT, "%s: webhook and mail are where an alert goes: expected do: alert", where);
    if (*webhook && strncmp(webhook, "http://", 7) && strncmp(webhook, "https://", 8))
        return ERR(err, FORMAT, "%s: webhook: found '%.100s', expected http:// or https://", where, webhook);
    if (*mail && (!strchr(mail, '@') || *mail == '-' || mail[strcspn(mail, " \t\r\n,;<>")]))
        return ERR(err, FORMAT, "%s: mail: found '%.100s', expected one address", where, mail);
    TRY(keep(&rule->webhook, webhook, err));
    return keep(&rule->mail, mail, err);
}

static int read_rule(struct rule *rule, const json_t *o, const struct reference *r, const char *where, struct err *err)
{
    const char *signal = "any", *when = "", *webhook = "", *mail = "", *key;
    const json_t *v;
    int64_t looks;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: expected a rule: signal, when, do", where);
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
        if (word_index(key, strlen(key), "signal|when|for|do|webhook|mail") < 0)
            return ERR(err, FORMAT, "%s: found '%.60s', expected signal, when, for, do, webhook or mail", where, key);
    TRY(tree_str(o, "signal", "any", &signal, where, err));
    TRY(tree_str(o, "when", "", &when, where, err));
    TRY(tree_int(o, "for", 1, 1, 1000000, &looks, where, err));
    TRY(tree_str(o, "webhook", "", &webhook, where, err));
    TRY(tree_str(o, "mail", "", &mail, where, err));
    if (strlen(signal) > WATCH_NAME || !*signal)
        return ERR(err, FORMAT, "%s: signal: found a name of %zu bytes, expected 1 to %d", where, strlen(signal), WATCH_NAME);
    if (strcmp(signal, "any"))
        strcpy(rule->signal, signal);
    rule->looks = (int)looks;
    TRY(read_when(rule, when, where, err));
    TRY(read_do(rule, json_object_get(o, "do"), where, err));
    TRY(read_places(rule, webhook, mail, where, err));
    return check_signal(rule, r, where, err);
}

static int read_all(struct rules *out, const json_t *list, const char *name, const struct reference *r, struct err *err)
{
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || !n || n > RULES_MAX)
        return ERR(err, FORMAT, "%s: expected a list of 1 to %d rules", name, RULES_MAX);
    if (!(out->rule = mem_alloc_zero(n * sizeof *out->rule)))
        return ERR(err, NOMEM, "no memory for %zu rules", n);
    for (size_t i = 0; i < n; i++) {
        char where[300];
        snprintf(where, sizeof where, "%.200s: rule %zu", name, i + 1);
        out->n++;
        TRY(read_rule(&out->rule[i], json_array_get(list, i), r, where, err));
    }
    return 0;
}

int rules_parse(struct rules *out, const char *text, size_t n, bool yaml, const char *name, const struct reference *r, struct err *err)
{
    json_t *list = NULL;
    *out = (struct rules){ 0 };
    TRY(yaml ? tree_parse_yaml(&list, text, n, name, err) : tree_parse_json(&list, text, n, name, err));
    const int rc = read_all(out, list, name, r, err);
    json_decref(list);
    if (rc)
        rules_release(out);
    return rc;
}

int rules_load(struct rules *out, const char *path, const struct reference *r, struct err *err)
{
    struct buf b;
    *out = (struct rules){ 0 };
    buf_init(&b);
    int rc = file_read(path, FILE_MAX, &b, err);
    rc = rc ? rc : rules_parse(out, b.data, b.len, file_name_ends(path, ".yaml") || file_name_ends(path, ".yml"), path, r, err);
    buf_release(&b);
    return rc;
}

void rules_release(struct rules *rules)
{
    for (int i = 0; i < rules->n; i++) {
        mem_free(rules->rule[i].webhook);
        mem_free(rules->rule[i].mail);
    }
    mem_free(rules->rule);
    *rules = (struct rules){ 0 };
}

/* ---- a look ---- */

double rule_effect(enum watch_kind kind, const struct window_signal *w)
{
    return kind == WATCH_NUMBER ? fabs(w->shift) : kind == WATCH_CATEGORY ? w->tv : fabs(2 * w->auc - 1);
}

bool rules_compare(const struct rules *rules)
{
    for (int i = 0; i < rules->n; i++)
        if (rules->rule[i].worse)
            return true;
    return false;
}

static bool is_met(const struct rule *rule, const struct reference *r, const struct rules_seen *seen, int *signal)
{
    *signal = -1;
    for (int i = 0; i < reference_count(r) && !rule->worse; i++)
        if ((!*rule->signal || !strcmp(rule->signal, reference_name(r, i))) && (rule->alarm ? seen->alarmed[i] : seen->effect[i] > rule->effect)) {
            *signal = i;
            return true;
        }
    return rule->worse && seen->worse;
}

int rules_look(struct rules *rules, int from, const struct reference *r, const struct rules_seen *seen, int *signal)
{
    for (int i = from; i < rules->n; i++) {
        struct rule *rule = &rules->rule[i];
        if (!is_met(rule, r, seen, signal)) {
            rule->n_met = 0, rule->fired = false;
            continue;
        }
        rule->n_met += rule->n_met < rule->looks;
        if (rule->n_met < rule->looks || rule->fired)
            continue;
        rule->fired = true;
        return i;
    }
    return -1;
}

void rules_restart(struct rules *rules)
{
    for (int i = 0; i < rules->n; i++)
        rules->rule[i].n_met = 0, rules->rule[i].fired = false;
}

bool rules_move(const struct rules *rules)
{
    unsigned todo = 0;
    for (int i = 0; i < rules->n; i++)
        todo |= rules->rule[i].todo;
    return todo & (RULE_STOP_CANARY | RULE_ROLLBACK);
}

void rule_describe(const struct rule *rule, char out[160])
{
    static const char *const names[] = { "alert", "stop_canary", "rollback", "exit" };
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        if (rule->todo >> i & 1)
            n += (size_t)snprintf(out + n, 160 - n, "%s%s", n ? ", " : "", names[i]);
}
