/* cmd_data.c - lathe data ...: audits of the data that models learn from. */
#include <jansson.h>
#include <string.h>
#include "audit/audit.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"

/* ---- audit ---- */

#define SOURCES_MAX 4096

static const char *out_dir;
static bool fresh, records;
static int64_t record_max = (int64_t)RECORD_MAX >> 20;
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
                 rate > 0 ? fmt_seconds(left, (double)(t->total - bytes) / rate) : "?");
    return 0;
}

static double number(const json_t *o, const char *key) { return (double)json_integer_value(json_object_get(o, key)); }

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
    snprintf(path, sizeof path, "%.380s/report.json", out_dir);
    printf("report: %s\n", path);
}

static int run_audit(const char *const *args, int n_args, struct err *err)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    json_t *report = NULL;
    if (!out_dir)
        return ERR(err, USAGE, "--out is missing: the folder that the audit is to be kept in");
    cmd_catch_signals();
    int rc = cmd_pool(&pool, err);
    for (int i = 0; i < n_args && !rc; i++)
        rc = sources_add(&s, args[i], err);
    struct telling t = { .total = s.n_bytes, .begin = clock_wall() };
    const struct audit_opts o = { .dir = out_dir, .pool = pool, .record_max = (size_t)record_max << 20, .ratio = ratio, .fresh = fresh, .records = records, .progress = tell, .ctx = &t };
    rc = rc ? rc : audit_run(&s, &o, &report, err);
    log_progress_end();
    sources_release(&s);
    if (!rc && cmd_json)
        return cmd_print_json(report, err);
    if (!rc)
        print_summary(report);
    json_decref(report);
    return rc;
}

static const struct opt audit_opts[] = {
    { OPT_STR, "out", &out_dir, "<folder>", "where the audit is kept: what was seen of each record, and report.json", 0, 0 },
    { OPT_FLAG, "fresh", &fresh, NULL, "remove what the folder holds of another audit", 0, 0 },
    { OPT_FLAG, "records", &records, NULL, "write records.jsonl too: a line of each record, where it is and why it was dropped", 0, 0 },
    { OPT_INT, "record-max", &record_max, "<MiB>", "a longer record is passed over", 1, 1024 },
    { OPT_FLOAT, "ratio", &ratio, "<float>", "a packed file that holds more than so many times its bytes is refused", 1, 1e6 },
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
        "        format: jsonl            # text, markdown, html, jsonl, csv or tsv; by each file's name without this line\n"
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
        "Files may be packed by gzip or Zstandard.  What cannot be read is reported with its file, line and byte, and the rest goes on;\n"
        "the totals add up: records = kept + dropped by each reason.\n"
        "\n"
        "What was seen of each record is kept in the folder, a segment for each 8 MiB of text or so: an audit that was stopped, by Ctrl-C\n"
        "or by a crash, goes on with the same command, and the same input gives the same bytes, whatever the threads.\n"
        "\n"
        "    lathe data audit data.yaml --out audit\n"),
    audit_opts, run_audit, 1, SOURCES_MAX,
};
