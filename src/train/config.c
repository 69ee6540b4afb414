#include "train/config.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "train/base.h"
#include "train/slices.h"

void train_config_defaults(struct train_config *c)
{
    *c = (struct train_config){
        .valid_share = 0.1, .fit = "refuse", .tokenizer = "bpe", .vocab_size = 4096, .form = "auto", .too_long = "error", .bad_records = "error", .pack = true, .overlap = true,
        .steps = 1000, .batch = 16, .ctx = 256, .accumulate = 1, .tensor_parallel = 1, .warmup = 100, .seed = 1,
        .eval_every = 250, .eval_tokens = 65536, .save_every = 250, .keep = 2, .lr = 1e-3, .min_lr_share = 0.1, .decay_share = 0.2, .beta1 = 0.9,
        .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .muon_lr = 0.02, .muon_weight_decay = 0.01, .momentum = 0.95, .clip = 1.0,
        .router_bias_rate = 1e-3, .objective = "likelihood", .beta = 0.1, .adversarial.n_step = 7, .optimizer = "adamw", .optimizer_state = "fp32", .schedule = "wsd", .precision = "bf16", .recompute = "auto", .save = "background", .on_spike = "skip", .sample_prompt = "\n",
    };
    tune_defaults(&c->tune);
    privacy_defaults(&c->privacy);
    upcycle_defaults(&c->upcycle);
}

#define LARGE 1e12
void train_config_keys(struct train_config *c, struct opt data[TRAIN_KEYS_MAX], struct opt train[TRAIN_KEYS_MAX])
{
    const struct opt d[] = {
        { OPT_FLOAT, "valid_share", &c->valid_share, "<share>", "share of the training text, at its end, that is held out when data.valid is not given", 0, 0.9 },
        { OPT_STR, "tokenizer", &c->tokenizer, "bpe|bytes|<path>", "train a byte-level BPE, use one token for each byte that occurs, or a tokenizer.json", 0, 0 },
        { OPT_INT, "vocab_size", &c->vocab_size, "<int>", "tokens of the BPE to train; the model's vocab_size follows it", 257, 4194304 },
        { OPT_CHOICE, "form", &c->form, "auto|plain|text|chat|completion|preference|label", "what the files hold; auto: seen in the first record, else plain text; label: texts and their classes", 0, 0 },
        { OPT_STR, "fields", &c->fields, "<member=name, ...>", "records: names of members or columns that are others than text, messages, prompt, completion, chosen, rejected; of classes text, label", 0, 0 },
        { OPT_STR, "template", &c->template, "<path>", "records: a chat template in place of the model's", 0, 0 },
        { OPT_CHOICE, "too_long", &c->too_long, "error|skip|cut", "records: what becomes of one that is longer than a window", 0, 0 },
        { OPT_CHOICE, "bad_records", &c->bad_records, "error|skip", "records: what becomes of one that is wrong", 0, 0 },
        { OPT_FLAG, "pack", &c->pack, NULL, "records: several share a window; false: each has its own", 0, 0 },
        { OPT_CHOICE, "fit", &c->fit, "refuse|stretch|crop", "images of another size than the model's: an error, both sides stretched, or the shorter one and the longer cut", 0, 0 },
        { OPT_INT, "shift", &c->shift, "<pixels>", "images: moved at random by up to so many pixels", 0, 1 << 12 },
        { OPT_FLAG, "flip", &c->flip, NULL, "images: half of them turned left to right", 0, 0 },
        { OPT_STR, "audit", &c->audit, "<folder>", "of data that are no build: their lathe data audit, whose gate must have passed", 0, 0 },
        { OPT_STR, "override", &c->override, "<reason>", "why data are used whose gate said no; kept in run.json", 0, 0 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    const struct opt t[] = {
        { OPT_INT, "steps", &c->steps, "<int>", "updates of the weights", 0, LARGE },
        { OPT_FLOAT, "epochs", &c->epochs, "<float>", "in place of steps: passes over the training data", 0, 1e9 },
        { OPT_INT, "batch", &c->batch, "<int>", "windows of ctx tokens in a micro-batch", 1, 1 << 20 },
        { OPT_INT, "ctx", &c->ctx, "<int>", "tokens in a window", 1, 1 << 24 },
        { OPT_INT, "accumulate", &c->accumulate, "<int>", "micro-batches whose gradients are summed for one update", 1, 1 << 20 },
        { OPT_INT, "slices", &c->slices, "<int>", "parts of a step's windows whose gradients are summed as a tree, a power of two: at most so many processes; 0: the most, up to 8", 0, SLICES_MAX },
        { OPT_INT, "tensor_parallel", &c->tensor_parallel, "<processes>", "processes that hold one copy of the model together, a part of each matrix each; a power of two that divides the number of processes", 1, 1024 },
        { OPT_FLAG, "expert_parallel", &c->expert_parallel, NULL, "the processes divide the experts of each layer among them, and send tokens to where their experts are; the same bits", 0, 0 },
        { OPT_FLAG, "overlap", &c->overlap, NULL, "several processes: sums of gradients are exchanged while the backward pass goes on", 0, 0 },
        { OPT_FLOAT, "lr", &c->lr, "<float>", "highest learning rate", 0, 1e6 },
        { OPT_CHOICE, "objective", &c->objective, "likelihood|dpo", "dpo: of pairs of answers, the chosen one is to be likelier than the rejected one (data of the form preference)", 0, 0 },
        { OPT_FLOAT, "beta", &c->beta, "<float>", "dpo: how much a change from the model that the run began from counts", 1e-6, 1e6 },
        { OPT_CHOICE, "optimizer", &c->optimizer, "adamw|muon|sgd", "muon: of the matrices of layers; embeddings, routers, norms and biases stay AdamW's", 0, 0 },
        { OPT_CHOICE, "optimizer_state", &c->optimizer_state, "fp32|bf16", "type of the optimiser's moments; bf16: half their memory, rounded at random", 0, 0 },
        { OPT_FLOAT, "muon_lr", &c->muon_lr, "<float>", "muon: highest learning rate of its matrices, which follows the schedule of lr", 0, 1e6 },
        { OPT_FLOAT, "muon_weight_decay", &c->muon_weight_decay, "<float>", "muon: weight decay of its matrices", 0, 1e6 },
        { OPT_FLOAT, "momentum", &c->momentum, "<float>", "muon, sgd", 0, 0.999999 },
        { OPT_CHOICE, "schedule", &c->schedule, "constant|linear|cosine|wsd", "how the learning rate falls after the warm-up", 0, 0 },
        { OPT_INT, "warmup", &c->warmup, "<steps>", "steps in which the learning rate rises; not given, and more than there are: a tenth of them", 0, LARGE },
        { OPT_FLOAT, "min_lr_share", &c->min_lr_share, "<share>", "the last learning rate, as a share of the highest", 0, 1 },
        { OPT_FLOAT, "decay_share", &c->decay_share, "<share>", "wsd: share of all steps in which the learning rate falls", 0, 1 },
        { OPT_FLOAT, "beta1", &c->beta1, "<float>", "AdamW", 0, 0.999999 },
        { OPT_FLOAT, "beta2", &c->beta2, "<float>", "AdamW", 0, 0.999999 },
        { OPT_FLOAT, "eps", &c->eps, "<float>", "AdamW", 1e-30, 1 },
        { OPT_FLOAT, "weight_decay", &c->weight_decay, "<float>", "AdamW and SGD, of matrices and embeddings", 0, 1e6 },
        { OPT_FLOAT, "ema", &c->ema, "<decay>", "a running average of the weights is evaluated and is what the run ends with; 0: none", 0, 0.999999 },
        { OPT_FLOAT, "router_bias_rate", &c->router_bias_rate, "<float>", "of models with model.e_score_correction_bias: how far a step moves it, up for experts with less than the mean load, down for those with more; 0: it stays", 0, 1 },
        { OPT_FLOAT, "clip", &c->clip, "<float>", "largest norm of the gradient; 0: not clipped", 0, 1e30 },
        { OPT_FLOAT, "label_smoothing", &c->label_smoothing, "<share>", "classes: this share of a target is spread over all classes", 0, 0.99 },
        { OPT_FLOAT, "mixup", &c->mixup, "<float>", "classes: two images in shares from Beta(a, a), and their targets alike; 0: one image", 0, 1 },
        { OPT_FLOAT, "adversarial_eps", &c->adversarial.eps, "<float>",
          "classes of images: each is changed, by at most so much in each number from 0 to 1, until the model errs on it most, and learned then; 0: it is learned as it is", 0, 1 },
        { OPT_INT, "adversarial_steps", &c->adversarial.n_step, "<int>", "along the sign of the loss's slope, from a random place", 1, 1000 },
        { OPT_FLOAT, "adversarial_step", &c->adversarial.step, "<float>", "how far each goes; 0: 2.5 adversarial_eps / adversarial_steps", 0, 1 },
        { OPT_CHOICE, "precision", &c->precision, "fp32|bf16", "type of the products' operands; weights and sums are fp32", 0, 0 },
        { OPT_CHOICE, "recompute", &c->recompute, "auto|none|cheap|block", "what is computed again in the backward pass to save memory: nothing, norms and activations, or all but the residual stream; the same bits; auto: the fastest that fits", 0, 0 },
        { OPT_FLOAT, "memory", &c->memory, "<GB>", "memory that the run may take, in 10^9 bytes; 0: what is free", 0, 1e9 },
        { OPT_CHOICE, "on_spike", &c->on_spike, "skip|rollback|stop|none",
          "a step whose loss or gradient is unlike those before: left out, back to the last checkpoint and on with other data, the end, or (none) taken if finite", 0, 0 },
        { OPT_INT, "verify_every", &c->verify_every, "<steps>", "steps between those that are computed twice and compared, which finds faults of the machine; 0: only odd ones", 0, LARGE },
        { OPT_INT, "seed", &c->seed, "<int>", "of initial weights, data order and dropout", 0, 9e18 },
        { OPT_INT, "eval_every", &c->eval_every, "<steps>", "steps between evaluations on held-out text; 0: only at the end", 0, LARGE },
        { OPT_INT, "eval_tokens", &c->eval_tokens, "<int>", "held-out tokens of an evaluation; 0: all", 0, LARGE },
        { OPT_INT, "patience", &c->patience, "<evaluations>", "the run ends when held-out loss has not fallen for so many evaluations; OUT/best has the best model; 0: never", 0, LARGE },
        { OPT_INT, "sample_every", &c->sample_every, "<steps>", "steps between texts that the model writes after sample_prompt, drawn at temperature 0.8; 0: none", 0, LARGE },
        { OPT_STR, "sample_prompt", &c->sample_prompt, "<text>", "what they begin with", 0, 0 },
        { OPT_INT, "save_every", &c->save_every, "<steps>", "steps between checkpoints; 0: only at the end", 0, LARGE },
        { OPT_CHOICE, "save", &c->save, "background|wait", "background: steps go on while a copy of the state is written, which takes its memory", 0, 0 },
        { OPT_INT, "keep", &c->keep, "<int>", "checkpoints that are kept", 1, 1 << 20 },
        { OPT_FLOAT, "time_limit", &c->time_limit, "<seconds>", "the run saves and ends (exit code 4) before this time is over, to go on when it is started again; 0: none", 0, 1e9 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    static_assert(sizeof d <= TRAIN_KEYS_MAX * sizeof *d && sizeof t <= TRAIN_KEYS_MAX * sizeof *t, "the tables fit");
    memcpy(data, d, sizeof d);
    memcpy(train, t, sizeof t);
}

/* A path (or what else the key holds), or a list of them, as a list; the key leaves the section, whose other keys are scalars. */
static int take_list(json_t *section, const char *key, const char *what, const json_t **out, const char *where, json_t *root, struct err *err)
{
    json_t *v = json_object_get(section, key);
    *out = NULL;
    if (!v)
        return 0;
    char keep[64];
    snprintf(keep, sizeof keep, ".%s", key);        /* under a key that no file has, so that the root owns it */
    json_t *list = json_is_string(v) ? json_pack("[O]", v) : json_incref(v);
    if (!json_is_array(list) || !json_array_size(list)) {
        json_decref(list);
        return ERR(err, USAGE, "%s: data.%s must be a %s or a list of %ss", where, key, what, what);
    }
    size_t i;
    json_t *p;
    json_array_foreach(list, i, p)
        if (!json_is_string(p)) {
            json_decref(list);
            return ERR(err, USAGE, "%s: data.%s: entry %zu is not a %s", where, key, i + 1, what);
        }
    *out = list;
    if (json_object_set_new(root, keep, list))
        return ERR(err, NOMEM, "no memory to read %s", where);
    json_object_del(section, key);
    return 0;
}

bool train_classifies(const struct train_config *c) { return config_vision(&c->model) || c->model.n_label > 0 || !strcmp(c->form, "label"); }

/* Keys that say nothing to this kind of run: over texts, over texts with classes, over images. */
static int refuse_keys(const struct train_config *c, const json_t *data, const json_t *train, const char *path, struct err *err)
{
    enum { TEXTS = 1, CLASSES = 2, IMAGES = 4 };
    static const struct { int kinds; bool data; const char *key, *why; } bad[] = {
        { IMAGES, true, "tokenizer", "a model of images has none" }, { IMAGES, true, "vocab_size", "a model of images has none" },
        { IMAGES, false, "ctx", "a model of images has as many tokens as patches" }, { CLASSES | IMAGES, false, "eval_tokens", "all that is held out is evaluated" },
        { IMAGES, true, "form", "it is for texts" }, { IMAGES, true, "fields", "it is for texts" }, { CLASSES | IMAGES, true, "template", "it is for chats" },
        { IMAGES, true, "too_long", "it is for texts" }, { CLASSES | IMAGES, true, "bad_records", "it is for other records" }, { CLASSES | IMAGES, true, "pack", "it is for other records" },
        { TEXTS | CLASSES, true, "fit", "it is for images" }, { TEXTS | CLASSES, true, "shift", "it is for images" }, { TEXTS | CLASSES, true, "flip", "it is for images" },
        { TEXTS, false, "label_smoothing", "it is for classes" }, { TEXTS | CLASSES, false, "mixup", "it is for images" },
        { TEXTS | CLASSES, false, "adversarial_eps", "it is for images" },
        { CLASSES | IMAGES, false, "objective", "the loss is that of classes" },
    };
    const bool images = config_vision(&c->model), classes = train_classifies(c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if ((bad[i].kinds & (images ? IMAGES : classes ? CLASSES : TEXTS)) && json_object_get(bad[i].data ? data : train, bad[i].key))
            return ERR(err, USAGE, "%s: %s.%s does not fit this model: %s", path, bad[i].data ? "data" : "train", bad[i].key, bad[i].why);
    if (c->labels && !classes)
        return ERR(err, USAGE, "%s: data.labels does not fit this model: it is for classes", path);
    if (c->labels && c->from && c->model.n_label)
        return ERR(err, USAGE, "%s: data.labels and model.from are both given; the classes are those of the model", path);
    if (classes && !images && strcmp(c->form, "label") && strcmp(c->form, "auto"))
        return ERR(err, USAGE, "%s: data.form is %s, but the model has a head for classes; expected label", path, c->form);
    if (images && c->from && !c->model.n_label)
        return ERR(err, USAGE, "%s: %s has no head for classes, expected ViTForImageClassification", path, c->from);
    return 0;
}

/* Keys of train or data that nothing of this run would read. */
static int refuse_idle_keys(const struct train_config *c, const json_t *data, const json_t *train, const char *path, struct err *err)
{
    const enum optimizer o = train_optimizer(c);
    const struct { bool idle, data; const char *key, *why; } keys[] = {
        { !train_prefers(c), false, "beta", "it is for objective: dpo" },
        { !(c->adversarial.eps > 0), false, "adversarial_steps", "it is for an adversarial_eps over 0" }, { !(c->adversarial.eps > 0), false, "adversarial_step", "it is for an adversarial_eps over 0" },
        { o != OPTIMIZER_MUON, false, "muon_lr", "it is for optimizer: muon" }, { o != OPTIMIZER_MUON, false, "muon_weight_decay", "it is for optimizer: muon" },
        { o == OPTIMIZER_ADAMW, false, "momentum", "it is for optimizer: muon and sgd" },
        { o == OPTIMIZER_SGD, false, "beta1", "it is AdamW's" }, { o == OPTIMIZER_SGD, false, "beta2", "it is AdamW's" }, { o == OPTIMIZER_SGD, false, "eps", "it is AdamW's" },
        { !c->model.router_correction, false, "router_bias_rate", "the model has no e_score_correction_bias" },
        { c->tune.on, false, "router_bias_rate", "with a section lora the model stays as it is" },
        { c->from != NULL, true, "vocab_size", "the tokenizer is that of model.from" },
        { train_prefers(c), false, "eval_tokens", "all held-out pairs are evaluated" },
        { c->privacy.on && !c->verify_every, false, "on_spike", "with a section privacy no step is judged by its data, and train.verify_every is 0" },
        { c->tensor_parallel > 1, false, "overlap", "with train.tensor_parallel sums are exchanged within layers, and those of gradients after them" },
        { c->expert_parallel, false, "overlap", "with train.expert_parallel rows are exchanged within layers, and gradients after them" },
        { (c->tensor_parallel > 1 || c->expert_parallel) && !strcmp(c->save, "background"), false, "save", "with train.tensor_parallel or expert_parallel steps wait until rank 0 has all parts" },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].idle && json_object_get(keys[i].data ? data : train, keys[i].key))
            return ERR(err, USAGE, "%s: %s.%s would do nothing: %s", path, keys[i].data ? "data" : "train", keys[i].key, keys[i].why);
    return 0;
}

/* What a recipe for images may leave open: something valid, until the data say it. */
static void open_image_keys(struct train_config *c, json_t *model)
{
    c->size_given = json_object_get(model, "image_size") != NULL, c->channels_given = json_object_get(model, "num_channels") != NULL;
    const json_t *patch = json_object_get(model, "patch_size");
    if (!c->size_given)
        json_object_set_new(model, "image_size", json_is_integer(patch) ? json_integer(json_integer_value(patch)) : json_integer(16));
    if (!c->channels_given)
        json_object_set_new(model, "num_channels", json_integer(1));
}

static bool is_vit(const json_t *model)
{
    const char *type = json_string_value(json_object_get(model, "model_type"));
    return type && !strcmp(type, family_name(FAMILY_VIT));
}

static const char *ctx_key(const char *model_type) { return model_type && !strcmp(model_type, "gpt2") ? "n_positions" : "max_position_embeddings"; }

static int read_model(struct train_config *c, json_t *model, const char *path, struct err *err)
{
    if (!json_is_object(model))
        return ERR(err, USAGE, "%s: a section 'model' is needed: a mapping of config.json keys, or from: a model folder or GGUF file", path);
    TRY(tree_str(model, "from", NULL, &c->from, path, err));
    struct buf warnings;
    buf_init(&warnings);
    int rc;
    if (c->from) {
        rc = json_object_size(model) == 1 ? base_config(&c->model, c->from, err)
                                          : ERR(err, USAGE, "%s: model has from and other keys; expected only one of them", path);
    } else {
        if (!json_object_get(model, "model_type"))
            json_object_set_new(model, "model_type", json_string("lathe_gpt"));
        c->vocab_given = json_object_get(model, "vocab_size") != NULL;
        if (is_vit(model))
            open_image_keys(c, model);
        else if (!c->vocab_given)
            json_object_set_new(model, "vocab_size", json_integer(c->vocab_size));
        if (!is_vit(model) && !json_object_get(model, "max_position_embeddings") && !json_object_get(model, "n_positions"))
            json_object_set_new(model, ctx_key(json_string_value(json_object_get(model, "model_type"))), json_integer(c->ctx));
        char where[200];
        snprintf(where, sizeof where, "%.150s: model", path);
        rc = config_read(&c->model, model, where, &warnings, err);
        if (!rc && warnings.len)
            rc = ERR(err, USAGE, "%.*s", (int)strcspn(warnings.data, "\n"), warnings.data);
    }
    buf_release(&warnings);
    return rc;
}

/* A short run's warm-up is shorter where the settings leave it open. */
static void fit_warmup(struct train_config *c)
{
    if (c->warmup > c->steps && !json_object_get(json_object_get(c->root, "train"), "warmup"))
        c->warmup = c->steps / 10;
}

static int check(const struct train_config *c, const char *path, struct err *err)
{
    if (c->ctx > c->model.ctx)
        return ERR(err, USAGE, "%s: train.ctx is %lld, expected at most the model's %s, %d", path, (long long)c->ctx, ctx_key(family_name(c->model.family)), c->model.ctx);
    if (!train_classifies(c) && config_untrainable(&c->model))
        return ERR(err, UNSUPPORTED, "%s: training %s is not implemented%s", path, config_untrainable(&c->model), c->model.encoder ? "; texts with classes (data.form: label) give it one" : "");
    if (train_prefers(c) && !c->from)
        return ERR(err, USAGE, "%s: train.objective is dpo, which changes a model that is there: model.from", path);
    if (c->patience && !c->eval_every)
        return ERR(err, USAGE, "%s: train.patience counts evaluations, but train.eval_every is 0", path);
    if (!strcmp(c->on_spike, "rollback") && !c->save_every)
        return ERR(err, USAGE, "%s: train.on_spike is rollback, but train.save_every is 0: there would be no checkpoint to go back to", path);
    if (!c->epochs && c->warmup > c->steps)
        return ERR(err, USAGE, "%s: train.warmup is %lld, more than train.steps, %lld", path, (long long)c->warmup, (long long)c->steps);
    if (c->batch * c->ctx > (int64_t)1 << 24)
        return ERR(err, USAGE, "%s: %lld windows of %lld tokens are more than 16,777,216 tokens; use accumulate", path, (long long)c->batch, (long long)c->ctx);
    return 0;
}

/* The slices of a step, chosen where the settings leave them open. */
static int choose_slices(struct train_config *c, const char *path, struct err *err)
{
    const int64_t windows = c->batch * c->accumulate;
    if (!c->slices)
        c->slices = c->privacy.on ? 1 : slices_default(windows, SLICES_DEFAULT_MAX);
    if (c->slices & (c->slices - 1) || windows % c->slices)
        return ERR(err, USAGE, "%s: train.slices is %lld, expected a power of two that divides batch * accumulate, %lld", path, (long long)c->slices, (long long)windows);
    return 0;
}

static int read_upcycle(struct train_config *c, const char *path, struct err *err)
{
    char where[200];
    json_t *section = json_object_get(c->root, "upcycle");
    snprintf(where, sizeof where, "%.150s: upcycle", path);
    if (!section)
        return 0;
    if (!c->from)
        return ERR(err, USAGE, "%s: a mixture begins from a dense model here: model.from", where);
    if (json_object_get(c->root, "lora") || train_prefers(c))
        return ERR(err, USAGE, "%s: it makes another model of model.from, which %s; train the mixture first", where, train_prefers(c) ? "objective: dpo compares with" : "a section lora leaves as it is");
    return upcycle_read(&c->upcycle, section, &c->model, where, err);
}

struct division train_division(const struct train_config *c)
{
    return (struct division){ .by = c->tensor_parallel > 1 ? DIVIDE_LAYERS : DIVIDE_NOTHING, .n = (int)c->tensor_parallel };
}

static int check_experts(const struct train_config *c, const char *path, struct err *err)
{
    const char *with = c->tune.on ? "section lora" : c->privacy.on ? "section privacy" : train_prefers(c) ? "train.objective: dpo" : train_classifies(c) ? "classes" : NULL;
    if (!c->expert_parallel)
        return 0;
    if (!c->model.n_expert)
        return ERR(err, USAGE, "%s: train.expert_parallel does not fit this model: it has no experts", path);
    return with ? ERR(err, UNSUPPORTED, "%s: train.expert_parallel with %s is not implemented", path, with) : 0;
}

static int check_division(const struct train_config *c, const char *path, struct err *err)
{
    const struct division d = train_division(c);
    if (!d.by)
        return 0;
    const char *with = c->tune.on ? "section lora" : c->privacy.on ? "section privacy" : train_prefers(c) ? "train.objective: dpo" : train_optimizer(c) == OPTIMIZER_MUON ? "train.optimizer: muon" :
                       train_classifies(c) ? "classes" : c->sample_every ? "train.sample_every" : NULL;
    if (d.n & (d.n - 1))
        return ERR(err, USAGE, "%s: train.tensor_parallel is %d, expected a power of two", path, d.n);
    if (with)
        return ERR(err, UNSUPPORTED, "%s: train.tensor_parallel with %s is not implemented", path, with);
    return decoder_check_division(&c->model, &d, err) ? err_context(err, "%s: train.tensor_parallel", path) : 0;
}

static int read_tune(struct train_config *c, const char *path, struct err *err)
{
    char where[200];
    json_t *section = json_object_get(c->root, "lora");
    snprintf(where, sizeof where, "%.150s: lora", path);
    if (!section)
        return 0;
    TRY(tune_read(&c->tune, section, c->from, where, err));
    if (train_optimizer(c) == OPTIMIZER_MUON)
        return ERR(err, USAGE, "%s: train.optimizer is muon, which is for whole matrices; expected adamw or sgd", where);
    return 0;
}

static int read_privacy(struct train_config *c, const json_t *train, const char *path, struct err *err)
{
    char where[200];
    json_t *section = json_object_get(c->root, "privacy");
    snprintf(where, sizeof where, "%.150s: privacy", path);
    if (!section)
        return 0;
    TRY(privacy_read(&c->privacy, section, where, err));
    if (c->model.router_correction && c->router_bias_rate > 0 && !c->tune.on)
        return ERR(err, UNSUPPORTED, "%s: train.router_bias_rate moves the router's bias by loads that have no noise; expected 0", where);
    if (c->mixup > 0)
        return ERR(err, USAGE, "%s: train.mixup adds two records up, so that the gradient of one would not be its own; expected 0", where);
    if (c->adversarial.eps > 0)
        return ERR(err, UNSUPPORTED, "%s: train.adversarial_eps is not implemented with noise; expected 0", where);
    if (!json_object_get(train, "seed"))
        return ERR(err, USAGE, "%s: train.seed is missing: who knows it can take the noise out again, so that it must be a number that nobody guesses", where);
    if (!json_object_get(train, "clip"))
        c->clip = 0;                                 /* the noise is most of the gradient's norm */
    return 0;
}

#define N_SECTION 6
static int read_sections(struct train_config *c, const char *path, struct err *err)
{
    static const char *const sections[N_SECTION] = { "model", "data", "upcycle", "lora", "privacy", "train" };
    const char *key;
    json_t *v;
    if (!json_is_object(c->root))
        return ERR(err, USAGE, "%s: expected the sections model, data and train", path);
    json_object_foreach(c->root, key, v) {
        bool known = false;
        for (int i = 0; i < N_SECTION; i++)
            known = known || !strcmp(key, sections[i]);
        const char *near = known ? NULL : word_nearest(key, sections, N_SECTION);
        if (!known)
            return near ? ERR(err, USAGE, "%s: unknown section '%s'; did you mean '%s'?", path, key, near)
                        : ERR(err, USAGE, "%s: unknown section '%s', expected model, data, upcycle, lora, privacy and train", path, key);
        if (!json_is_object(v))
            return ERR(err, USAGE, "%s: section '%s' must be keys with values", path, key);
    }
    json_t *data = json_object_get(c->root, "data"), *train = json_object_get(c->root, "train");
    TRY(take_list(data, "train", "path", &c->train_paths, path, c->root, err));
    TRY(take_list(data, "valid", "path", &c->valid_paths, path, c->root, err));
    TRY(take_list(data, "labels", "name", &c->labels, path, c->root, err));
    if (!c->train_paths)
        return ERR(err, USAGE, "%s: data.train is missing: a file or folder of text, or images", path);
    struct opt data_keys[TRAIN_KEYS_MAX], train_keys[TRAIN_KEYS_MAX];
    char where[200];
    train_config_keys(c, data_keys, train_keys);
    snprintf(where, sizeof where, "%.150s: data", path);
    TRY(tree_read(data, data_keys, where, err));
    if (train) {
        snprintf(where, sizeof where, "%.150s: train", path);
        TRY(tree_read(train, train_keys, where, err));
    }
    TRY(read_model(c, json_object_get(c->root, "model"), path, err));
    TRY(read_upcycle(c, path, err));
    TRY(read_tune(c, path, err));
    TRY(read_privacy(c, train, path, err));
    if (config_vision(&c->model))
        c->ctx = c->model.ctx;                       /* until the images are there */
    TRY(refuse_keys(c, data, train, path, err));
    TRY(refuse_idle_keys(c, data, train, path, err));
    TRY(check_division(c, path, err));
    TRY(check_experts(c, path, err));
    TRY(choose_slices(c, path, err));
    if (!c->epochs)
        fit_warmup(c);
    if (c->epochs && json_object_get(train, "steps"))
        return ERR(err, USAGE, "%s: train has steps and epochs, expected one of them", path);
    return check(c, path, err);
}

int train_config_load(struct train_config *c, const char *path, struct err *err)
{
    train_config_defaults(c);
    const uint64_t refused = mem_json_refused();
    TRY(tree_load(&c->root, path, 1 << 20, err));
    int rc = read_sections(c, path, err);
    if (mem_json_refused() != refused)       /* what jansson had no memory for is missing, and another error may follow from that */
        rc = ERR(err, NOMEM, "%s: no memory for what it says", path);
    if (rc < 0)
        train_config_release(c);
    return rc;
}

void train_config_release(struct train_config *c)
{
    json_decref(c->root);
    c->root = NULL;
}

int train_config_epochs(struct train_config *c, int64_t n_window, const char *path, struct err *err)
{
    if (!c->epochs)
        return 0;
    const double steps = ceil(c->epochs * (double)n_window / (double)(c->batch * c->accumulate) - 1e-9);
    if (steps > LARGE)
        return ERR(err, RANGE, "%s: %g epochs are %g steps", path, c->epochs, steps);
    c->steps = (int64_t)steps;
    if (c->warmup > c->steps && json_object_get(json_object_get(c->root, "train"), "warmup"))
        return ERR(err, USAGE, "%s: train.warmup is %lld, more than the %lld steps of %g epochs", path, (long long)c->warmup, (long long)c->steps, c->epochs);
    if (!json_object_get(json_object_get(c->root, "train"), "warmup"))
        c->warmup = c->warmup < c->steps / 10 ? c->warmup : c->steps / 10;
    return 0;
}

struct schedule train_schedule(const struct train_config *c)
{
    return (struct schedule){ .kind = !strcmp(c->schedule, "cosine") ? SCHEDULE_COSINE : !strcmp(c->schedule, "linear") ? SCHEDULE_LINEAR : !strcmp(c->schedule, "wsd") ? SCHEDULE_WSD : SCHEDULE_CONSTANT,
                              .max = c->lr, .min = c->lr * c->min_lr_share, .warmup = (long)c->warmup, .steps = (long)c->steps, .decay_share = c->decay_share };
}

bool train_prefers(const struct train_config *c) { return !strcmp(c->objective, "dpo"); }

enum optimizer train_optimizer(const struct train_config *c)
{
    return !strcmp(c->optimizer, "muon") ? OPTIMIZER_MUON : !strcmp(c->optimizer, "sgd") ? OPTIMIZER_SGD : OPTIMIZER_ADAMW;
}

enum dtype train_compute(const struct train_config *c) { return strcmp(c->precision, "bf16") ? DT_F32 : DT_BF16; }

enum dtype train_state_type(const struct train_config *c) { return strcmp(c->optimizer_state, "bf16") ? DT_F32 : DT_BF16; }

enum recompute train_recompute(const struct train_config *c)
{
    return !strcmp(c->recompute, "block") ? RECOMPUTE_BLOCK : !strcmp(c->recompute, "cheap") ? RECOMPUTE_CHEAP : RECOMPUTE_NONE;
}
