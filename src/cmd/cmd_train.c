#include <jansson.h>
#include <math.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/foretold.h"
#include "train/loop.h"

static const char *out = "run";
static bool dry_run;
static int64_t fail_step = -1;


static int run_train(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    cmd_catch_signals();
    struct train_opts o = { .config = args[0], .out = out, .n_thread = cmd_n_thread(), .dry_run = dry_run, .stop = &cmd_stop, .fail_step = fail_step };
    struct train_result r;
    TRY(cmd_open_device(&o.device, err));
    TRY(train_run(&o, &r, err));
    if (r.rank)
        return 0;
    char a[32], b[32], c[32], d[32];
    if (!dry_run) {
        char expected[120] = "", share[32] = "";
        if (r.predicted_step_seconds > 0)
            snprintf(expected, sizeof expected, " (expected %s, at the machine's limits %s)", fmt_seconds(c, r.expected_seconds * r.predicted_step_seconds / r.step_seconds_at_limits), fmt_seconds(b, r.expected_seconds));
        else if (isfinite(r.expected_seconds))
            snprintf(expected, sizeof expected, " (at the machine's limits %s)", fmt_seconds(b, r.expected_seconds));
        if (isfinite(r.share_of_peak))
            snprintf(share, sizeof share, ", %.0f %% of peak", 100 * r.share_of_peak);
        log_info("done: %lld steps in %s%s, %.0f tokens/s%s, CPU time %s", (long long)r.steps, fmt_seconds(a, r.seconds), expected, r.tokens_per_s, share, fmt_seconds(c, r.cpu_seconds));
        foretold(PLANNED_TRAIN_STEP, args[0], r.predicted_step_seconds, r.steps > 0 ? r.seconds / (double)r.steps : 0);
        foretold(PLANNED_TRAIN_BYTES, args[0], (double)r.expected_bytes, (double)r.peak_bytes);
        log_info("memory: expected %s, at its peak %s (private)", fmt_bytes(c, (double)r.expected_bytes), fmt_bytes(d, (double)r.peak_bytes));
        if (r.n_saved)
            log_info("checkpoints: %lld written, for which the steps waited %s in all", (long long)r.n_saved, fmt_seconds(c, r.save_waited));
        if (r.delta > 0)
            log_info("privacy: epsilon %.3g spent at delta %g (privacy.json)", r.epsilon, r.delta);
        const bool classes = r.samples_per_s > 0;
        if (classes)
            log_info("%.0f %s/s", r.samples_per_s, r.images ? "images" : "texts");
        if (isfinite(r.valid_accuracy))
            log_info("held-out accuracy %.2f %%", 100 * r.valid_accuracy);
        if (r.adapters)
            log_info("adapters: %s; lathe merge MODEL %s --out FOLDER puts them into the model", out, out);
        else
            log_info(classes && r.images ? "model: %s; try: lathe classify %s IMAGE" : classes ? "model: %s; try: lathe classify %s -p \"...\"" : "model: %s; try: lathe generate %s -p \"...\"", out, out);
    }
    if (!cmd_json)
        return 0;
    json_t *report = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:o, s:f, s:f, s:o, s:I, s:f, s:I, s:I, s:I}", "parameters", (json_int_t)r.n_param, "active_parameters",
                                    (json_int_t)r.n_active, "steps", (json_int_t)r.steps, "tokens", (json_int_t)r.tokens, "skipped_steps", (json_int_t)r.n_skipped, "loss",
                                    tree_number(r.loss), "valid_loss", tree_number(r.valid_loss), "valid_bits_per_byte", tree_number(r.valid_bits_per_byte), "seconds", r.seconds, "expected_seconds",
                                    tree_number(r.expected_seconds), "cpu_seconds", r.cpu_seconds, "tokens_per_s", r.tokens_per_s, "share_of_peak", tree_number(r.share_of_peak), "checkpoints", (json_int_t)r.n_saved, "checkpoint_wait_seconds", r.save_waited, "planned_bytes",
                                    (json_int_t)r.planned_bytes, "expected_bytes", (json_int_t)r.expected_bytes, "peak_bytes", (json_int_t)r.peak_bytes);
    if (r.delta > 0 && (json_object_set_new(report, "epsilon", tree_number(r.epsilon)) || json_object_set_new(report, "delta", json_real(r.delta)))) {
        json_decref(report);
        return ERR(err, NOMEM, "no memory to print the result");
    }
    if (r.device_bytes)
        json_object_set_new(report, "device_planned_bytes", json_integer((json_int_t)r.device_bytes));
    json_object_set_new(report, "step_seconds_at_limits", tree_number(r.step_seconds_at_limits));
    json_object_set_new(report, "step_seconds_expected", tree_number(r.predicted_step_seconds));
    if (r.samples_per_s > 0 && (json_object_set_new(report, "valid_accuracy", tree_number(r.valid_accuracy)) ||
                                json_object_set_new(report, r.images ? "images_per_s" : "texts_per_s", json_real(r.samples_per_s)))) {
        json_decref(report);
        return ERR(err, NOMEM, "no memory to print the result");
    }
    return cmd_print_json(report, err);
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out, "<folder>", "where the model, checkpoints and metrics go; an unfinished run there is continued", 0, 0 },
    { OPT_FLAG, "dry-run", &dry_run, NULL, "prepare the data, print the plan and the first batch, and stop", 0, 0 },
    OPT_DEVICE,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    { OPT_INT, "fail-step", &fail_step, "<step>", "for tests: make the loss of three steps from here on not finite; -1: never", -1, 1e12 },
    OPT_LAST,
};
const struct command command_train = {
    "train", "CONFIG.yaml", "train a model from text or images, or go on with one",
    TEXT("Reads the settings (sections model, data and train), learns or loads a tokenizer, prints the plan (parameters, memory,\n"
    "operations, expected time) and trains.  Loss, learning rate, gradient norm, tokens per second and, for mixtures of\n"
    "experts, the load of each layer's experts go to OUT/metrics.jsonl, one object per step, and to OUT/tensorboard, which\n"
    "tensorboard --logdir OUT shows; an evaluation, a skipped step and a checkpoint that failed are lines of their own.  Settings,\n"
    "data, plan and the machine's limits are in OUT/run.json, and all of it, when the run ends, is one page: OUT/report.html.\n"
    "On a terminal a few lines are drawn anew after each step; elsewhere a line appears every few seconds.\n\n"
    "model holds the keys of a config.json, or only from: PATH, a model folder or GGUF file that training goes on from.  Its\n"
    "weights, of any type, become floats; its tokenizer and chat templates go with them.\n\n"
    "With a section lora (it may be empty: {}) the weights stay as they are, and adapters of low rank are learned beside them\n"
    "(LoRA): no gradients, moments or copies of weights are kept, and checkpoints are small.  OUT then has the adapters in\n"
    "peft's files, adapter_config.json and adapter_model.safetensors.  Experts get none; those of other gate, up and down\n"
    "matrices of a mixture (shared experts, dense layers) are for lathe merge: peft 0.21 would look for them in the experts.  A head\n"
    "for classes is learned whole beside them, and stands in the same file with the names of the classes.\n\n"
    "A run that was stopped (Ctrl-C, SIGTERM and train.time_limit finish the step, save, and end with exit code 4) or killed\n"
    "goes on from its last checkpoint when the same command is given again, to the same weights to the bit, with any number of\n"
    "threads.\n\n"
    "A step whose loss, gradient norm or samples are unlike those before is computed again before it is applied, which tells the\n"
    "machine, a kernel, the data and the learning rate apart; train.on_spike says what becomes of it.  The third step in a row\n"
    "that is not finite ends the run.  doc/faults.md tells more.\n\n"
    "Checkpoints are written while the steps go on, and read back before OUT/checkpoints/latest names them.  A disk that is full or\n"
    "fails does not end the run.  Of checkpoints that were damaged later the newest that is whole is taken.\n\n",
    "data.train names files and folders.  A file is a text, or records, as its first line tells:\n\n"
    "    {\"text\": \"...\"}                                             a document\n"
    "    {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]}     a chat: what assistants say is learned\n"
    "    {\"prompt\": \"...\", \"completion\": \"...\"}                      the completion is learned\n"
    "    {\"prompt\": \"...\", \"chosen\": \"...\", \"rejected\": \"...\"}       two answers to compare\n\n"
    "one JSON object on each line, or columns of a .csv or .tsv file; prompts and answers may be lists of messages, and chats be\n"
    "ShareGPT's, {\"conversations\": [{\"from\": \"human\", \"value\": \"...\"}, ...]}.  Chats are\n"
    "written by the model's chat template.  Learned is what it writes for an assistant, with the token that ends the turn, or\n"
    "what stands in its {% generation %}; nothing that a user typed becomes a special token.  Templates that write the date get\n"
    "26 July 2024, whatever the day.  Strings as prompt and answer are put one behind the other as they are, between the\n"
    "tokenizer's tokens for begin and end of a text, and the end is learned.  A record that is wrong, or longer\n"
    "than a window, is an error with file and line, unless data.bad_records or data.too_long tells otherwise; what is left out is\n"
    "counted.  Records are packed into windows by best fit and never see each other; --dry-run shows the first batch, where what\n"
    "is only read is dim, or in [[ ]].  Token files of a lathe data build (DIR/tokens/SPLIT) are read as they are: data.tokenizer\n"
    "names their tokenizer, and a record longer than a window is an error or skipped.\n\n"
    "data.form: label: texts with classes, {\"text\": \"...\", \"label\": ...} or such columns; a decoder, bert, roberta or xlm-roberta gets a\n"
    "head for them.  model_type vit: images; data.train is a folder with a folder of PNG and JPEG files for each class, or two idx\n"
    "files (MNIST's form), images and labels; sizes and classes follow the data where the settings leave them open; data.labels:\n"
    "[NAME, ...] names the classes, in order.  batch counts\n"
    "texts or images, and without data.valid a random data.valid_share is held out.  Accuracy on it is told at each evaluation.\n\n"
    "Data of a lathe data build carry the verdict of their audit's gate.  Where it said no they are refused (exit code 3), unless a reason\n"
    "was given, to lathe data gate or in data.override, which OUT/run.json keeps.  Of other data, data.audit names the folder of\n"
    "their audit, if its gate is to count.\n\n"
    "What does not go together is refused.  Adapters on experts and routers: peft's files have a matrix for each module, and of experts\n"
    "there would be thousands.  Muon for adapters: it makes whole matrices orthogonal, which factors of one are not.  With a section\n"
    "privacy mixup and router_bias_rate: both let one record act where its clipped gradient does not.  clipping: ghost with experts,\n"
    "attention sinks or pairs of answers: their gradients are no sums over rows that it knows; clipping: records has every model.\n"
    "objective: dpo from scratch: there is no model to compare with; with classes: their loss is another.\n\n"
    "With --device cuda:N or hip:N a GPU computes the steps: weights, gradients and moments are there, what checkpoints and samples need is fetched.  It trains\n"
    "decoders of texts, whole, by adamw in bf16, in one process; other settings are refused before anything is read.  train.slices is 1 there.  doc/gpu.md\n"
    "tells more.\n\n"
    "Started by mpirun or srun, several processes train one model, to the same weights to the bit: doc/distributed.md.\n\n"
    "The folder OUT is then a model: config.json, model.safetensors, and tokenizer.json or preprocessor_config.json, in Hugging\n"
    "Face's formats."),
    opts, run_train, 1, 1,
};
