#include "base/log.h"
#include "cmd/cmd.h"
#include "train/page.h"

static const char *out;

static int run_report(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    TRY(page_of_folder(args[0], out, err));
    if (out)
        log_info("report: %s", out);
    else
        log_info("report: %s/report.html", args[0]);
    return 0;
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out, "<file>", "where the page goes; RUN/report.html when it is not given", 0, 0 },
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_report = {
    "report", "RUN", "what a training run did, as one HTML page",
    TEXT("Reads metrics.jsonl and run.json of a run's folder, of one that is going on or was killed too, and writes a page: loss and held-out\n"
    "loss, learning rate, norm of the gradient, throughput, the load and entropy of each layer's experts, skipped steps and checkpoints\n"
    "that failed, memory and time as planned and as they were, the data with their SHA-256, all settings, and the machine's limits.\n"
    "Whatever numbers the lines of metrics.jsonl have are drawn.  lathe train writes the same page when it ends.\n\n"
    "The page is one file without scripts, fetches nothing, and can be read on a phone and in the dark.  Names and texts in it are\n"
    "never markup.  run.json has settings (all keys; given: as the file has them), model, data with SHA-256, plan (bytes, parts), step\n"
    "(tokens, operations, seconds_at_limits, seconds_expected or null) and limits, and is written anew when a run begins or goes on.\n\n"
    "Long runs are drawn as 256 to 512 points: each the mean of its steps, in a band from the lowest to the highest."),
    opts, run_report, 1, 1,
};
