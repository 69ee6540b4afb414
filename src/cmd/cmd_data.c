/* cmd_data.c - lathe data ...: audits of the data that models learn from. */
#include <jansson.h>
#include <string.h>
#include "audit/audit.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/data_embedder.h"
#include "cmd/gate.h"

/* ---- audit ---- */

#define SOURCES_MAX 4096

static const char *out_dir, *methods, *tokenizer, *fields, *skip, *secret_rules;
static struct opt_list against;
static const char *policy_name, *override, *index_dir, *index_from, *index_add;
static bool fresh, records, keep_duplicates;
static int64_t bands = 14, rows = 8, ngram = 5;
static double near_least;
static const char *groups, *model;
static int64_t record_max = (int64_t)RECORD_MAX >> 20;
static int64_t pii_score = PII_SCORE_MIN;
static double ratio = UNPACK_RATIO;

struct telling { uint64_t total, first; double begin; };

/* The rate is that of this run: what an earlier one had read is passed over quickly. */
static int tell(void *ctx, uint64_t bytes, const char *stage, struct err *err)
{
    struct telling *t = ctx;
    if (cmd_stop)
        return ERR(err, STOPPED, "stopped; the same command goes on");
    if (stage) {
        log_progress("%s", stage);
        return 0;
    }
    const double seconds = clock_wall() - t->begin, rate = seconds > 0 ? (double)(bytes - t->first) / seconds : 0;
    char done[32], total[32], left[32];
    log_progress("read %s of %s  %.1f MB/s  %s left", fmt_bytes(done, (double)bytes), fmt_bytes(total, (double)t->total), rate / 1e6,
                 rate > 0 ? fmt_seconds(left, (bytes < t->total ? (double)(t->total - bytes) : 0) / rate) : "?");
    return 0;
}

static double number(const json_t *o, const char *key) { return (double)json_integer_value(json_object_get(o, key)); }

/* How often each kind was found, nothing where nothing was; and what could not be looked at. */
static void print_found(const json_t *part, const char *kinds, const char *what)
{
    const json_t *v;
    const char *kind;
    json_object_foreach(json_object_get(part, kinds), kind, v)
        printf("%10.0f  %s: %s, in %.0f records\n", number(v, "n"), what, kind, number(v, "records"));
    if ((v = json_object_get(part, "given_up")))
        printf("%10.0f  places in %.0f records where an expression came to its limits: %s there may be missing\n", number(v, "n"), number(v, "records"), what);
}

/* How many files were not read to their ends, and why the first was not. */
static void print_broken(const json_t *report)
{
    const json_t *source, *file, *first = NULL;
    size_t i, k, n = 0;
    json_array_foreach(json_object_get(report, "sources"), i, source)
        json_array_foreach(json_object_get(source, "files"), k, file)
            if (json_object_get(file, "error") && !n++)
                first = json_object_get(file, "error");
    if (n)
        printf("%10zu  files were not read to their ends: %s%s\n", n, json_string_value(first), n > 1 ? ", ..." : "");
}

/* What a person is told; all of it, and more, is in the report. */
static void print_summary(const json_t *report)
{
    const json_t *totals = json_object_get(report, "totals"), *v;
    const double n = number(totals, "records");
    char bytes[32], path[400];
    const char *reason;
    printf("%.0f records, %s of text\n", n, fmt_bytes(bytes, number(totals, "text_bytes")));
    printf("%10.0f  %6.2f %%  kept\n", number(totals, "kept"), n > 0 ? 100 * number(totals, "kept") / n : 0);
    json_object_foreach(json_object_get(totals, "dropped"), reason, v)
        printf("%10.0f  %6.2f %%  %s\n", (double)json_integer_value(v), 100 * (double)json_integer_value(v) / n, reason);
    print_broken(report);
    print_found(json_object_get(report, "pii"), "entities", "personal data");
    print_found(json_object_get(report, "secrets"), "rules", "secrets");
    snprintf(path, sizeof path, "%.380s/report.json", out_dir);
    printf("report: %s\n", path);
}

/* Evaluation sets, read once, and the index over them. */
struct sets { struct refs refs; struct tok *tok; struct contam *contam; };

static int take_methods(struct contam_opts *o, struct err *err)
{
    for (const char *s = methods; s && *s;) {
        char word[32];
        const size_t n = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, s);
        const enum contam_method m = contam_method_find(word);
        if (m == N_CONTAM_METHOD)
            return ERR(err, USAGE, "--against-methods names '%s', expected gpt3, palm, llama2, datatrove or decon", word);
        o->methods = (s == methods ? 0 : o->methods) | 1u << m;
        s += n + (s[n] == ',');
    }
    return 0;
}

/* question=NAME,answer=NAME,passage=NAME in `list`, which is cut in place. */
static int take_fields(struct ref_spec *spec, char *list, struct err *err)
{
    const struct { const char *part; const char **to; } parts[] = { { "question=", &spec->question }, { "answer=", &spec->answer }, { "passage=", &spec->passage } };
    for (char *s = list, *next; s && *s; s = next) {
        next = strchr(s, ',');
        if (next)
            *next++ = 0;
        size_t i = 0;
        while (i < 3 && strncmp(s, parts[i].part, strlen(parts[i].part)))
            i++;
        if (i == 3 || !s[strlen(parts[i].part)])
            return ERR(err, USAGE, "--against-fields has '%s', expected question=NAME, answer=NAME or passage=NAME", s);
        *parts[i].to = s + strlen(parts[i].part);
    }
    return 0;
}

static int read_sets(struct refs *r, struct err *err)
{
    struct ref_spec spec = { .format = N_REF_FORMAT };
    char *list = mem_strdup(fields ? fields : "");
    int rc = list ? take_fields(&spec, list, err) : ERR(err, NOMEM, "no memory for names of fields");
    for (int i = 0; i < against.n && !rc; i++) {
        spec.path = against.item[i];
        rc = refs_add(r, &spec, err);
    }
    mem_free(list);
    return rc;
}

static int open_sets(struct sets *x, struct err *err)
{
    struct contam_opts o;
    refs_init(&x->refs);
    if (!against.n && (methods || tokenizer || fields))
        return ERR(err, USAGE, "--against is missing: the evaluation sets that are to be looked for");
    TRY(read_sets(&x->refs, err));
    if (tokenizer && against.n)
        TRY(tok_load(&x->tok, tokenizer, err));
    contam_defaults(&o, x->tok);
    TRY(take_methods(&o, err));
    return against.n ? contam_new(&x->contam, &x->refs, &o, err) : 0;
}

static void close_sets(struct sets *x)
{
    contam_free(x->contam);
    tok_free(x->tok);
    refs_release(&x->refs);
}

/* Personal data and secrets: what is looked for. */
struct leaks { struct pii *pii; struct secrets *secrets; };

/* "pii", "secrets", divided by commas. */
static int take_skip(bool *of_pii, bool *of_secrets, struct err *err)
{
    for (const char *s = skip; s && *s;) {
        const size_t n = strcspn(s, ",");
        if (n == 3 && !memcmp(s, "pii", 3))
            *of_pii = true;
        else if (n == 7 && !memcmp(s, "secrets", 7))
            *of_secrets = true;
        else
            return ERR(err, USAGE, "--skip names '%.*s', expected pii or secrets", n < 40 ? (int)n : 40, s);
        s += n + (s[n] == ',');
    }
    return 0;
}

static int open_leaks(struct leaks *x, struct err *err)
{
    bool skip_pii = false, skip_secrets = false;
    TRY(take_skip(&skip_pii, &skip_secrets, err));
    if (skip_secrets && secret_rules)
        return ERR(err, USAGE, "--skip names secrets, and --secret-rules how to look for them");
    if (!skip_pii)
        TRY(pii_new(&x->pii, err));
    if (skip_secrets)
        return 0;
    return secret_rules ? secrets_read(&x->secrets, secret_rules, err) : secrets_new(&x->secrets, err);
}

static void close_leaks(struct leaks *x)
{
    pii_free(x->pii);
    secrets_free(x->secrets);
}

/* ---- rules ---- */

static const char *dialects = "datatrove";
static struct opt_list drops, limits;

static int take_dialects(int *counted, struct err *err)
{
    *counted = 0;
    for (const char *s = dialects; *s && strcmp(dialects, "none");) {
        char word[32];
        const size_t n = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, s);
        if (!rule_groups(word))
            return ERR(err, USAGE, "--signals names '%s', expected datatrove, dolma, nemo, or none alone", word);
        *counted |= rule_groups(word);
        s += n + (s[n] == ',');
    }
    return 0;
}

static int take_limit(struct rules_policy *p, const char *s, struct err *err)
{
    char id[100];
    char *end;
    const size_t n = strcspn(s, "=");
    snprintf(id, sizeof id, "%.*s", n < sizeof id ? (int)n : (int)sizeof id - 1, s);
    const double limit = s[n] ? strtod(s + n + 1, &end) : 0;
    if (!s[n] || end == s + n + 1 || *end)
        return ERR(err, USAGE, "--limit '%s': expected a rule's id, = and a number", s);
    return rules_policy_limit(p, id, limit, err);
}

static int take_rules(struct rules_policy *p, int counted, struct err *err)
{
    rules_policy_init(p);
    if (!counted && (drops.n || limits.n))
        return ERR(err, USAGE, "rules are judged by signals, and --signals is none");
    for (int i = 0; i < drops.n; i++)
        TRY(rules_policy_add(p, drops.item[i], err));
    for (int i = 0; i < limits.n; i++)
        TRY(take_limit(p, limits.item[i], err));
    return 0;
}

static int run_audit(const char *const *args, int n_args, struct err *err)
{
    struct sources s = { .n = 0 };
    struct sets sets = { .tok = NULL };
    struct policy policy;
    struct leaks leaks = { .pii = NULL };
    struct rules_policy rules;
    struct data_embedder vectors = { .path = NULL };
    struct pool *pool;
    json_t *report = NULL;
    int counted;
    TRY(take_dialects(&counted, err));
    TRY(take_rules(&rules, counted, err));
    if (!out_dir || !*out_dir)
        return ERR(err, USAGE, "--out is missing: the folder that the audit is to be kept in");
    cmd_catch_signals();
    int rc = cmd_policy(&policy, policy_name, override, err);
    rc = rc ? rc : cmd_pool(&pool, err);
    for (int i = 0; i < n_args && !rc; i++)
        rc = sources_add(&s, args[i], err);
    rc = rc ? rc : sources_keep_out(&s, out_dir, err);
    rc = rc ? rc : open_sets(&sets, err);
    rc = rc ? rc : cmd_show_licences(&s, err);
    rc = rc ? rc : open_leaks(&leaks, err);
    if (!rc && model)
        rc = data_embedder_open(&vectors, model, pool, err);
    struct telling t = { .total = s.n_bytes, .begin = clock_wall() };
    const struct audit_opts o = { .dir = out_dir, .pool = pool, .record_max = (size_t)record_max << 20, .ratio = ratio, .fresh = fresh, .signals = counted, .rules = &rules, .contam = sets.contam, .groups = groups,
                                  .policy = policy_name ? &policy : NULL, .override = override, .records = records,
                                  .minhash = { (int)ngram, (int)bands, (int)rows, 1 }, .near_least = near_least, .keep_duplicates = keep_duplicates, .index = index_dir, .index_from = index_from, .index_add = index_add,
                                  .pii = leaks.pii, .pii_score = (int)pii_score, .secrets = leaks.secrets, .embedder = model ? &vectors.of : NULL, .progress = tell, .ctx = &t };
    if (!rc && !index_dir && (index_from || index_add))
        rc = ERR(err, USAGE, "--index is missing: the folder of the snapshots that --index-from and --index-add name");
    rc = rc ? rc : audit_run(&s, &o, &report, err);
    log_progress_end();
    sources_release(&s);
    close_sets(&sets);
    close_leaks(&leaks);
    if (vectors.n_cut)
        log_info("--model: %lld of the labelled texts count by their first %d tokens", (long long)vectors.n_cut, vectors.n_token);
    data_embedder_close(&vectors);
    policy_release(&policy);
    if (!rc && !cmd_json)
        print_summary(report);
    return rc ? rc : cmd_tell_gate(report, err);
}

static const struct opt audit_opts[] = {
    { OPT_STR, "out", &out_dir, "<folder>", "where the audit is kept: what was seen of each record, and report.json", 0, 0 },
    { OPT_FLAG, "fresh", &fresh, NULL, "remove what the folder holds of another audit", 0, 0 },
    { OPT_STR, "signals", &dialects, "<list>", "whose counts are kept of each text, and whose rules are judged by them: datatrove, dolma, nemo, divided by commas; or none", 0, 0 },
    { OPT_LIST, "drop", &drops, "<rule>", "drop the records that a rule of quality or a family of them hits (doc/data.md), such as gopher; may be given several times", 0, 0 },
    { OPT_LIST, "limit", &limits, "<id=number>", "another limit of a rule; may be given several times", 0, 0 },
    { OPT_LIST, "against", &against, "<path>", "an evaluation set, file or folder, that must not be in the data; may be given several times", 0, 0 },
    { OPT_STR, "against-fields", &fields, "<list>", "members or columns of the items: question=NAME,answer=NAME,passage=NAME; several joined by +; known ones without this", 0, 0 },
    { OPT_STR, "against-methods", &methods, "<list>", "how it is looked for: gpt3, palm, llama2, datatrove, decon, divided by commas; all but datatrove without this", 0, 0 },
    { OPT_STR, "against-tokenizer", &tokenizer, "<path>", "a tokenizer, whose tokens decon then compares instead of words", 0, 0 },
    { OPT_STR, "policy", &policy_name, "<file>", "what the data are for, what becomes of what is found, and limits; default, strict or a file", 0, 0 },
    { OPT_STR, "override", &override, "<reason>", "why the data are used though the gate says no; kept in the report", 0, 0 },
    { OPT_STR, "skip", &skip, "<list>", "what is not looked for: pii, secrets", 0, 0 },
    { OPT_INT, "pii-score", &pii_score, "<int>", "personal data of a lower score are not counted", PII_SCORE_MIN, 100 },
    { OPT_STR, "secret-rules", &secret_rules, "<file>", "a gitleaks.toml, whose rules are used instead of those that are built in", 0, 0 },
    { OPT_STR, "groups", &groups, "<file>", "terms of groups of people, as JSON; lathe has a list of its own", 0, 0 },
    { OPT_STR, "model", &model, "<model>", "what it makes of labelled texts is searched for those that pull a class in one direction (spectral signatures)", 0, 0 },
    { OPT_FLAG, "records", &records, NULL, "write records.jsonl too: a line of each record, where it is and why it was dropped", 0, 0 },
    { OPT_INT, "record-max", &record_max, "<MiB>", "a longer record is passed over", 1, 1024 },
    { OPT_FLOAT, "ratio", &ratio, "<float>", "a packed file that holds more than so many times its bytes is refused", 1, 1e6 },
    { OPT_FLAG, "keep-duplicates", &keep_duplicates, NULL, "duplicates are told, and not dropped", 0, 0 },
    { OPT_INT, "bands", &bands, "<int>", "near duplicates have one of so many bands of their signatures in common", 1, MINHASH_VALUES_MAX },
    { OPT_INT, "rows", &rows, "<int>", "of so many values each", 1, MINHASH_VALUES_MAX },
    { OPT_INT, "ngram", &ngram, "<int>", "which are made of so many words in succession", 1, MINHASH_GRAM_MAX },
    { OPT_FLOAT, "near", &near_least, "<float>", "near duplicates are those whose estimated similarity is at least this, too", 0, 1 },
    { OPT_STR, "index", &index_dir, "<folder>", "signatures of earlier data: its duplicates are dropped, too", 0, 0 },
    { OPT_STR, "index-from", &index_from, "<name,..>", "of the index, these alone", 0, 0 },
    { OPT_STR, "index-add", &index_add, "<name>", "what is kept is added to the index under this name, unless the gate says no", 0, 0 },
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_audit = {
    "data audit", "SOURCE...", "read data, and say what is wrong with it",
    TEXT(
        "SOURCE is a file, a folder, or a data.yaml that names several with what is known of them:\n"
        "\n"
        "    sources:\n"
        "      - name: stories            # letters, digits, . _ -\n"
        "        path: corpus/stories     # a file, or a folder with all below it; relative to the data.yaml\n"
        "        format: jsonl            # text, markdown, html, jsonl, csv, tsv, image or idx; by each file's name without this line\n"
        "        field: body              # of jsonl, csv and tsv; text without this line\n"
        "        licence: CC-BY-4.0       # an SPDX expression; unknown without this line\n"
        "        origin: https://example.org/stories\n"
        "        collected: 2026-01-31\n"
        "        purpose: training\n"
        "        language: en\n"
        "        split: train             # what its records are for\n"
        "        label: class             # fields of a record's class, of whom or what it belongs to, and of its date\n"
        "        group: author\n"
        "        time: published\n"
        "\n"
        "Where a field of JSON lines is a list of messages, OpenAI's (role, content) or ShareGPT's (from, value), or there is no text but\n"
        "messages or conversations, the record is a chat: its text is what the messages say, turn by turn.  Other members are not looked at.\n"
        "\n"
        "Files may be packed by gzip, Zstandard or bzip2.  What cannot be read is reported with its file, line and byte, and the rest goes on;\n"
        "the totals add up: records = kept + dropped by each reason.\n"
        "\n",
        "--against EVALS looks for the items of evaluation sets in every record: JSONL (decon's reference files, GSM8K, LAMBADA, PIQA, HumanEval),\n"
        "tables (MMLU's without a header too), a line an item, or HellaSwag's six.  A record that holds one by any of the methods is dropped as\n"
        "contaminated; contamination.jsonl tells of each item how much of it the data hold and whether that makes it dirty by each method, so\n"
        "that a model's scores on clean and on dirty items can be compared.  gpt3: a run of 13 words; palm: 70 % of an item's runs of 8;\n"
        "llama2: 80 % of its words in runs of more than 10, of which 4 may differ; datatrove: a run of 12 words with one of the answer;\n"
        "decon: rare runs of 5 of its question, with answer and passage near by, weighted (allenai/decon).\n"
        "\n"
        "Where sources name splits, a record that stands in a split that is held out too (train before valid before test) is dropped as leaked.\n"
        "The report tells of each pair how many texts, near copies and groups the held-out split shares with the other, and how many of the other's\n"
        "records are not earlier than its first.\n"
        "\n"
        "Licences are expressions of SPDX.  Where none is stated, what LICENSE, COPYING, debian/copyright (DEP-5) and the front matter of\n"
        "README.md beside the data say counts; what is not known allows nothing.  With --policy they are held against the use that it\n"
        "declares, and its gate against the report: a limit that is not kept, or not measured, ends with exit code 3 and the evidence.\n"
        "`lathe help data gate` tells what stands in a policy.\n"
        "\n"
        "Personal data are told by their form (addresses of mail and net, cards, accounts, telephones, numbers of persons of many countries,\n"
        "with their checksums and the words near them: doc/data.md), secrets by rules as gitleaks has them.  The report masks all of them,\n"
        "in examples of other kinds too; a policy may drop records for them.\n"
        "\n"
        "Labels of images in idx form are those of the file beside theirs, with labels for images and idx1 for idx3 in its name.\n"
        "Labels are held against the rest of their texts or images, and against those of copies and near copies; rows of words in 50\n"
        "records or more that are linked too well to a label, or go on the same, are told, and suspect ones dropped as poison.\n"
        "\n"
        "With --model, labelled texts are embedded by its last hidden states (first 512 tokens; at most 4,096 of a class), and `spectral` in the report\n"
        "ranks the records of each class by spectral signatures: where a class was poisoned, most of the poison is among the highest.\n"
        "It is a list to look at, not a verdict: nothing is dropped for it.\n"
        "\n"
        "What was seen of each record is kept in the folder, a segment for each 8 MiB of text or so: an audit that was stopped, by Ctrl-C\n"
        "or by a crash, goes on with the same command, and the same input gives the same bytes, whatever the threads.\n"
        "\n"
        "Of records with the same text, and of those with nearly the same (dup_exact, dup_near), the first is kept: sources that are listed\n"
        "first win.  Nearly the same: one of 14 bands of 8 values of their MinHash signatures over 5 words is equal, as in datatrove 0.10 and\n"
        "to its very bits; of two texts that share s of their shingles 1 - (1 - s^8)^14 are found: 57 % at 0.7, 92 % at 0.8, 99.96 % at 0.9.\n"
        "With --index, records of earlier audits count as if they came first; --index-add keeps the signatures of this one there.  Both together are\n"
        "as one audit of all, but that only what is new is read.\n"
        "\n"
        "    lathe data audit data.yaml --out audit\n"
        "    lathe data audit march.yaml --out march --index signatures --index-add 2026-03\n"),
    audit_opts, run_audit, 1, SOURCES_MAX,
};
