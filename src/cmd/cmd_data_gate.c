/* cmd_data_gate.c - lathe data gate: an audit's report held against a policy. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "audit/gate.h"
#include "audit/licences.h"
#include "audit/report.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/gate.h"
#include "store/evidence_kind.h"

static const char *policy_name = "default", *override;

/* ---- policies and licences, for an audit too ---- */

int cmd_policy(struct policy *p, const char *name, const char *reason, struct err *err)
{
    *p = (struct policy){ 0 };
    if (reason && !name)
        return ERR(err, USAGE, "--override is of a gate, which --policy names");
    if (reason)
        TRY(gate_reason_check(reason, err));
    return name ? policy_load(p, name, err) : 0;
}

/* Such a one is no reason to read nothing: its source's licence is not known. */
int cmd_show_licences(const struct sources *s, struct err *err)
{
    for (int i = 0; i < s->n; i++) {
        const char *text = s->source[i].licence;
        struct licence *l = NULL;
        struct err why = { 0 };
        struct buf b;
        size_t at;
        if (!text || !licence_parse(&l, text, strlen(text), &at, &why)) {
            licence_free(l);
            continue;
        }
        buf_init(&b);
        const int rc = licence_caret(text, strlen(text), at, &b, err);
        if (!rc)
            log_warn("the licence of source '%s' is not read, so nothing is known of it: %s\n%.*s", s->source[i].name, why.msg, (int)b.len - 1, b.data);
        buf_release(&b);
        TRY(rc);
    }
    return 0;
}

/* ---- what a gate says ---- */

static void print_evidence(const json_t *check)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(check, "evidence"), i, e) {
        const json_t *file = json_object_get(e, "file"), *line = json_object_get(e, "line");      /* before what may be long */
        char *text = tree_dumps(e, JSON_COMPACT | JSON_SORT_KEYS);
        printf("      ");
        if (json_is_string(file) && json_is_integer(line))
            printf("%s:%lld  ", json_string_value(file), (long long)json_integer_value(line));
        if (text)
            printf("%.200s%s", text, strlen(text) > 200 ? " ..." : "");
        printf("\n");
        mem_free(text);
    }
}

static void print_gate(const json_t *gate)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(gate, "checks"), i, c) {
        const json_t *found = json_object_get(c, "found");
        const bool passed = json_is_true(json_object_get(c, "passed"));
        printf("%s %s: ", passed ? "  holds" : "  FAILS", json_string_value(json_object_get(c, "check")));
        if (json_is_number(found))
            printf("%.4g, %s %.4g\n", json_number_value(found), json_string_value(json_object_get(c, "of")), json_number_value(json_object_get(c, "limit")));
        else
            printf("not measured, %s %.4g\n", json_string_value(json_object_get(c, "of")), json_number_value(json_object_get(c, "limit")));
        if (!passed)
            print_evidence(c);
    }
    const char *reason = json_string_value(json_object_get(json_object_get(gate, "override"), "reason"));
    if (reason)
        printf("  overridden: %s\n", reason);
}

int cmd_tell_gate(json_t *report, struct err *err)
{
    const json_t *gate = json_object_get(report, "gate");
    struct err no = { 0 };
    const int verdict = gate ? gate_verdict(gate, &no) : 0;
    if (cmd_json)
        TRY(cmd_print_json(report, err));
    else {
        print_gate(gate);
        json_decref(report);
    }
    return verdict ? ERR(err, GATE, "%s", no.msg) : 0;
}

static int judge(json_t *report, const char *dir, struct err *err)
{
    struct policy policy;
    json_t *gate = NULL, *licences = json_object_get(report, "licences");
    int rc = cmd_policy(&policy, policy_name, override, err);
    rc = rc || !licences ? rc : licences_judge(licences, json_object_get(report, "sources"), &policy, err);
    rc = rc ? rc : gate_of(report, &policy, override, &gate, err);
    policy_release(&policy);
    if (!rc && json_object_set(report, "gate", gate))
        rc = ERR(err, NOMEM, "no memory for the report");
    json_decref(gate);
    return rc ? rc : report_write(report, dir, err);
}

static int run(const char *const *args, int n_args, struct err *err)
{
    json_t *report = NULL;
    int lock = -1;
    (void)n_args;
    char *path = file_join(args[0], "report.json");
    int rc = !path ? ERR(err, NOMEM, "no memory for a path") : !file_exists(path) ? ERR(err, USAGE, "'%s' is no finished audit: there is no report.json in it", args[0]) : 0;
    rc = rc ? rc : file_lock(args[0], &lock, err);
    rc = rc ? rc : tree_load(&report, path, EVIDENCE_BYTES_MAX, err);
    if (!rc && !json_is_object(report))
        rc = ERR(err, FORMAT, "'%s' is no report of an audit", path);
    rc = rc ? rc : judge(report, args[0], err);
    file_unlock(&lock);
    mem_free(path);
    if (!rc)
        return cmd_tell_gate(report, err);
    json_decref(report);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "policy", &policy_name, "<file>", "default, strict, or a file", 0, 0 },
    { OPT_STR, "override", &override, "<reason>", "why the data are used though the gate says no; kept in the report", 0, 0 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_gate = {
    "data gate", "AUDIT", "hold an audit's report against a policy",
    TEXT(
        "AUDIT is the folder of a finished `lathe data audit`.  Nothing is read again: the report's numbers are held against the policy's\n"
        "limits, the licences of its sources against the use that it declares, and the verdict is written into AUDIT/report.json, from\n"
        "which builds and training take it.  Exit code 3 says that a limit is not kept, with the report's first examples; a check whose\n"
        "part was not asked for in the audit is not measured, which fails, too.  Which records are left out is decided by the audit: with\n"
        "another policy's rules, drops and actions the same `lathe data audit --policy` judges anew, without reading any text again.\n"
        "\n"
        "--override REASON lets the data pass all the same.  The gate has still failed, and the reason stays with the report, the build and\n"
        "the training that uses it.\n"
        "\n"
        "    use: [train, commercial, weights]        # what every source must allow; train without this line\n"
        "    licences:                                # terms that someone has read and answers for\n"
        "      LicenseRef-ours: {allows: [train, weights], refuses: [commercial], duties: [attribution]}\n"
        "    rules:                                   # thresholds of rules instead of their own, or off\n"
        "      gopher/datatrove/1/short_doc: 40\n"
        "    drops: [dup_exact, contaminated]         # which of the reasons in report.json's totals leave records out; all but licence\n"
        "    pii: {default: redact, EMAIL_ADDRESS: pseudonym}                # keep, redact, drop or pseudonym; or one word for all\n"
        "    secrets: redact\n"
        "    gate:                                    # limits; a check without one is not made\n"
        "      licences: 0                            # sources that do not allow the use, unless nothing of them is kept\n"
        "      licence_conflicts: 0                   # sources that cannot go on together, or whose files say another licence\n"
        "      pii_per_million: 50                    # personal data for each million words\n"
        "      secrets: 0\n"
        "      contamination: 0.01                    # share of an evaluation set's items, the worst set's\n"
        "      leakage: 0                             # records of one split that are in another\n"
        "      exact_duplicates: 0.1                  # shares of the records\n"
        "      near_duplicates: 0.2\n"
        "      faults: 0.01                           # records that could not be read, or files, whichever is the larger share\n"
        "      dropped: 0.5\n"
        "      poison: 0\n"
        "      languages: {en: 0.9}                   # at least\n"
        "\n"
        "Uses: train, commercial, derivatives (passing on a changed version), redistribution, weights (passing on a model learned from it),\n"
        "outputs (teaching other models by its output).  Of OR the alternative with the fewest duties that allows them counts, of AND all\n"
        "parts; a licence of which nothing is known allows nothing.  What each licence gives is a table (audit/licence.def), not legal\n"
        "advice.  `default` is use: [train], gate: {licences: 0, faults: 0.01}; `strict` wants all rights and all checks but dropped and languages.\n"
        "\n"
        "    lathe data gate audit --policy policy.yaml\n"),
    opts, run, 1, 1,
};
