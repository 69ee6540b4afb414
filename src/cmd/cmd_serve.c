#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/when.h"
#include "cmd/checkpoints.h"
#include "cmd/cmd_registry.h"
#include "cmd/foretold_serve.h"
#include "cmd/serve_program.h"
#include "cmd/serve_release.h"
#include "cmd/serve_views.h"
#include "cmd/signature.h"
#include "exec/exec.h"
#include "serve/server.h"
#include "serve/workshop_bases.h"

static const char *host = "127.0.0.1", *key, *keys, *audit, *name, *port_file, *cors, *allow_host, *tls_cert, *tls_key, *record, *retain = "30d", *workshop, *watch_rules;
static bool foretell, record_text, audit_text, audit_strict, matryoshka, fit, swap;
static double memory_gb, workshop_gb = 10;
static int64_t port = 8080, n_text, ctx, cache_mb, step_tokens, n_queue = 1024, drain_s = 60, drain_delay_s, body_mb = 32, n_connection = 1000, swap_wait_s = 60, head_s = 10, request_s = 60, idle_s = 75, answer_s, workshop_files = 100000;

static struct opt_list adapters, bases, devices;

static char names[4096];

/* What lies behind the places, to be freed. */
static char *path[SERVED_MODELS_MAX];
static struct serve_release *release[SERVED_MODELS_MAX];

static void release_places(int n)
{
    for (int i = 0; i < n; i++) {
        mem_free(path[i]);
        serve_release_close(release[i]);
    }
}

/* A path, the name of a pulled model, or NAME@ALIAS or NAME@N of the registry, which is called NAME where nothing else is said. */
static int find_place(struct model_place *p, int i, const char *server, struct err *err)
{
    if (!serve_release_is(p->path)) {
        TRY(cmd_model_path(&path[i], p->path, err));
        p->path = path[i];
        return 0;
    }
    TRY(serve_release_open(&release[i], p->path, server, err));
    p->source = serve_release_source(release[i]);
    p->name = p->name ? p->name : serve_release_name(release[i]);
    return 0;
}

/* HOST:PORT, where it is chosen, else HOST:process. */
static void name_server(char out[160])
{
    char self[100] = "";
    gethostname(self, sizeof self - 1);
    snprintf(out, 160, "%s:%s%lld", self, port ? "" : "process-", port ? (long long)port : (long long)getpid());
}

/* PATH or NAME=PATH. */
static int read_places(struct model_place *place, const char *const *args, int n, struct err *err)
{
    char *at = names;
    if (name && n > 1)
        return ERR(err, USAGE, "--name is for one model, found %d: give them names as NAME=PATH", n);
    if (adapters.n && n > 1)
        return ERR(err, USAGE, "--adapter is for one model, found %d", n);
    for (int i = 0; i < adapters.n; i++) {
        const char *equals = strchr(adapters.item[i], '=');
        TRY(cmd_check_signature(equals ? equals + 1 : adapters.item[i], err));
    }
    for (int i = 0; i < n; i++) {
        const char *equals = file_exists(args[i]) ? NULL : strchr(args[i], '=');
        const size_t length = equals ? (size_t)(equals - args[i]) : 0;
        place[i] = (struct model_place){ .name = name, .path = args[i] };
        if (!equals)
            continue;
        if (length + 1 > (size_t)(names + sizeof names - at))
            return ERR(err, USAGE, "the names of models are too long, expected at most %zu bytes in all", sizeof names);
        place[i] = (struct model_place){ .name = memcpy(at, args[i], length), .path = equals + 1 };
        at += length + 1;                        /* the rest is zeros */
    }
    return 0;
}

/* --device DEVICE for all models that no NAME=DEVICE names.  A device is "cpu", or what exec_open() takes: a word without '='. */
static int find_devices(struct model_place *place, int n, struct err *err)
{
    const char *all = NULL;
    for (int i = 0; i < devices.n; i++)
        if (!strchr(devices.item[i], '=')) {
            if (all)
                return ERR(err, USAGE, "--device: found '%.100s' and '%.100s' for all models, expected one, or NAME=DEVICE", all, devices.item[i]);
            all = devices.item[i];
        }
    for (int k = 0; k < n; k++)
        place[k].device = all;
    for (int i = 0; i < devices.n; i++) {
        const char *equals = strrchr(devices.item[i], '=');
        bool found = !equals;
        for (int k = 0; k < n && equals; k++) {
            char *called = served_model_called(&(struct served_model_opts){ .path = place[k].path, .name = place[k].name });
            if (!called)
                return ERR(err, NOMEM, "no memory for a name");
            if (strlen(called) == (size_t)(equals - devices.item[i]) && !strncmp(called, devices.item[i], strlen(called)))
                place[k].device = equals + 1, found = true;
            mem_free(called);
        }
        if (!found)
            return ERR(err, USAGE, "--device '%.200s': no model is called that", devices.item[i]);
    }
    bool any = false;
    for (int k = 0; k < n; k++)
        if (place[k].device && !strcmp(place[k].device, "cpu"))
            place[k].device = NULL;
        else if (place[k].device && foretell)
            return ERR(err, USAGE, "--foretell measures this machine's CPU, and %s is no part of that", place[k].device);
        else
            any |= place[k].device != NULL;
    return any ? 0 : cmd_check_parts(err);
}

/* --registry, or the one that is followed; *made: to be freed. */
static int find_registry(const char **where, char **made, int n_args, struct err *err)
{
    *where = cmd_registry, *made = NULL;
    for (int i = 0; i < n_args && !*where; i++)
        if (release[i]) {
            TRY(registry_where(made, err));
            *where = *made;
        }
    return 0;
}

/* --record, of which "registry" is beside the one that is told, else beside the default one; *made: to be freed. */
static int find_record(const char **where, char **made, const char *registry, struct err *err)
{
    *where = record, *made = NULL;
    if (!record || strcmp(record, "registry"))
        return 0;
    if (!registry)
        TRY(registry_where(made, err));
    *where = registry ? registry : *made;
    return 0;
}

/* The same place for who works in another folder; NULL where there is none. */
static int whole_place(char **out, const char *where, struct err *err)
{
    char here[4096];
    *out = NULL;
    if (!where)
        return 0;
    if (*where != '/' && !strstr(where, "://") && !getcwd(here, sizeof here))
        return ERR_ERRNO(err, "this folder has no name");
    *out = *where == '/' || strstr(where, "://") ? mem_strdup(where) : file_join(here, where);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a path");
}

/* --workshop-base: NAME=MODEL, or MODEL, whose name is its path's last part.  out: of BASES_MAX; their texts are freed by free_bases(). */
#define BASES_MAX 32
static int read_bases(struct workshop_base *out, struct err *err)
{
    char *found, *whole;
    for (int i = 0; i < bases.n; i++) {
        char *equals = file_exists(bases.item[i]) ? NULL : strchr(bases.item[i], '=');
        const char *model = equals ? equals + 1 : bases.item[i], *last = file_last_part(model);
        TRY(cmd_model_path(&found, model, err));
        const int rc = file_exists(found) ? whole_place(&whole, found, err) : ERR(err, NOTFOUND, "--workshop-base: there is no file or folder '%.300s'", found);
        mem_free(found);
        TRY(rc);
        out[i].path = whole;
        if (!(out[i].name = equals ? mem_printf("%.*s", (int)(equals - bases.item[i]), bases.item[i]) : mem_strdup(*last ? last : model)))
            return ERR(err, NOMEM, "no memory for a name");
        if (!*out[i].name || strlen(out[i].name) > 100 || strchr(out[i].name, '@'))
            return ERR(err, USAGE, "--workshop-base: found the name '%.100s', expected NAME=MODEL with a name of 1 to 100 bytes without '@'", out[i].name);
    }
    return 0;
}

static void free_bases(struct workshop_base *out)
{
    for (int i = 0; i < bases.n; i++)
        mem_free((char *)(uintptr_t)out[i].name), mem_free((char *)(uintptr_t)out[i].path);
}

static int serve(const struct model_place *place, int n_args, const char *server, struct err *err)
{
    double retain_s;
    if (when_span(&retain_s, retain, err) < 0)
        return err_context(err, "--retain");
    if (key && !*key)                        /* "$KEY", which nobody has set */
        return ERR(err, USAGE, "--key is empty");
    const char *registry, *recorded;
    char *made, *made_too = NULL, *place_of_versions = NULL;
    struct serve_views *views = NULL;
    struct workshop_base base[BASES_MAX] = { { NULL, NULL } };
    if (bases.n > BASES_MAX || (bases.n && !workshop))
        return ERR(err, USAGE, bases.n && !workshop ? "--workshop-base: expected --workshop with it" : "--workshop-base: found %d, expected at most %d", bases.n, BASES_MAX);
    TRY(find_registry(&registry, &made, n_args, err));
    int rc = find_record(&recorded, &made_too, registry, err);
    rc = rc ? rc : whole_place(&place_of_versions, registry, err);
    rc = rc ? rc : read_bases(base, err);
    if (!rc && serve_views_open(&views, watch_rules, err) < 0)
        rc = err_context(err, "--watch-rules");
    if (rc) {
        free_bases(base);
        mem_free(made), mem_free(made_too), mem_free(place_of_versions);
        return rc;
    }
    const struct releases_more more = serve_views_more(views);
    const struct workshop_opts w = { .folder = workshop, .registry = place_of_versions, .base = base, .n_base = bases.n, .bytes_max = (uint64_t)(workshop_gb * 1e9), .files_max = workshop_files, .run = serve_program_run };
    cmd_catch_signals();
    cmd_catch_reload();
    signal(SIGXFSZ, SIG_IGN);                /* a log that may not grow is a write that fails */
    struct foretold_serve *said;
    double planned = 0;
    const double process = (double)mem_private_now();
    rc = foretold_serve_open(&said, foretell, place, n_args, err);
    const struct server_opts o = {
        .planned_bytes = &planned, .address = host, .port = (int)port, .key = key ? key : getenv("LATHE_API_KEY"), .keys = keys, .audit = audit, .audit_text = audit_text, .audit_strict = audit_strict, .name = server, .record = recorded, .registry = registry, .more = &more, .plans = serve_program_run, .workshop = workshop ? &w : NULL, .record_text = record_text, .retain_s = retain_s, .reload = &cmd_reload, .port_file = port_file, .body_max = (size_t)body_mb << 20, .n_connection = (int)n_connection,
        .origins = { .cors = cors, .hosts = allow_host }, .tls_cert = tls_cert, .tls_key = tls_key,
        .head_s = (double)head_s, .request_s = (double)request_s, .idle_s = (double)idle_s, .answer_s = (double)answer_s,
        .drain_delay_s = (double)drain_delay_s, .drain_s = (double)drain_s, .stop = &cmd_stop, .place = place, .n_model = n_args, .memory = (size_t)(memory_gb * 1e9), .swap = swap, .swap_wait_s = (double)swap_wait_s,
        .model = { .build = "lathe " LATHE_VERSION, .n_text = (int)n_text, .ctx = (int)ctx, .cache_bytes = (size_t)cache_mb << 20, .step_tokens = (int)step_tokens, .n_thread = cmd_n_thread(),
                   .fit = fit, .lookup = (int)cmd_lookup, .n_queue = (int)n_queue, .as = cmd_weights_as(), .kv = cmd_engine_kv(), .matryoshka = matryoshka, .adapter = adapters.item, .n_adapter = adapters.n, .open_device = exec_open, .device_layers = cmd_device_layers ? (int)cmd_device_layers : ENGINE_LAYERS_FIT, .cpu_experts = (int)cmd_cpu_experts, .timed = said ? foretold_serve_step : NULL, .timed_ctx = said },
    };
    struct checkpoints *checkpoints = NULL;
    rc = rc ? rc : checkpoints_start(&checkpoints, registry, err);
    rc = rc ? rc : server_run(&o, err);
    checkpoints_stop(checkpoints);
    if (!rc && n_args == 1 && !registry)
        foretold_serve_tell(said, place[0].path, process + planned);
    foretold_serve_close(said);
    serve_views_close(views);
    free_bases(base);
    mem_free(made), mem_free(made_too), mem_free(place_of_versions);
    return rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct model_place place[SERVED_MODELS_MAX];
    char server[160];
    name_server(server);
    int rc = read_places(place, args, n_args, err);
    for (int i = 0; i < n_args && !rc; i++)
        rc = find_place(&place[i], i, server, err);
    rc = rc ? rc : find_devices(place, n_args, err);
    rc = rc ? rc : serve(place, n_args, server, err);
    release_places(n_args);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "host", &host, "<address>", "to listen on; others than this machine's own need a key", 0, 0 },
    { OPT_INT, "port", &port, "<int>", "to listen on; 0: any that is free", 0, 65535 },
    { OPT_STR, "port-file", &port_file, "<path>", "the port is written there when requests can come", 0, 0 },
    { OPT_STR, "key", &key, "<text>", "that clients must show (Authorization: Bearer KEY, or x-api-key: KEY); or the environment's LATHE_API_KEY", 0, 0 },
    { OPT_STR, "keys", &keys, "<path>", "file of keys with limits and rights (lathe help key); read again at SIGHUP", 0, 0 },
    { OPT_STR, "audit", &audit, "<path>", "a line of JSON for each request: who, what, how much, how long; never the texts (doc/operating.md)", 0, 0 },
    { OPT_FLAG, "audit-text", &audit_text, NULL, "the audit log has the texts, too, of keys that allow it (keep_texts)", 0, 0 },
    { OPT_FLAG, "audit-strict", &audit_strict, NULL, "refuse requests while the audit log cannot be written", 0, 0 },
    { OPT_STR, "record", &record, "<where>", "record numbers of each answer for lathe watch: registry (beside --registry, else beside the default one), a folder, a file.db or postgresql://...; never the texts (doc/recording.md)", 0, 0 },
    { OPT_FLAG, "record-text", &record_text, NULL, "with prompts and answers, of keys that allow it (keep_texts)", 0, 0 },
    { OPT_STR, "retain", &retain, "<time>", "that these texts, and comments of feedback, are kept: 12h, 30d", 0, 0 },
    { OPT_STR, "name", &name, "<text>", "of the model in requests, where there is one; the last part of its path unless given", 0, 0 },
    { OPT_LIST, "adapter", &adapters, "<name=folder>", "adapters that requests can ask for as a model of that name; may be given several times", 0, 0 },
    { OPT_LIST, "device", &devices, "<device>", "where models run: cpu, hip:N (AMD), cuda:N (NVIDIA); NAME=DEVICE: that one; may be given several times", 0, 0 },
    OPT_DEVICE_LAYERS,
    { OPT_FLOAT, "memory", &memory_gb, "<GB>", "of this machine that all models may take, in 10^9 bytes; 0: what is free", 0, 1e9 },
    { OPT_FLAG, "swap", &swap, NULL, "where a version of NAME@ALIAS does not fit beside the old one: end its texts, close it, load the new one, also without --swap of lathe registry promote", 0, 0 },
    { OPT_INT, "swap-wait", &swap_wait_s, "<seconds>", "that requests wait meanwhile; then they get 503", 0, 1000000 },
    OPT_REGISTRY,
    OPT_CHECKPOINTS,
    { OPT_STR, "watch-rules", &watch_rules, "<file>", "rules of lathe watch (doc/recording.md), for the page at / to show what they would do; it is lathe watch that keeps to them", 0, 0 },
    { OPT_STR, "workshop", &workshop, "<folder>", "on the page at /, an admin's key brings files, has them audited, trains, and registers what came of it (doc/workshop.md); all of it is kept there", 0, 0 },
    { OPT_LIST, "workshop-base", &bases, "<name=model>", "a model that people may go on from in the workshop, beside those of the registry: a GGUF file, a folder, a pulled model; may be given several times", 0, 0 },
    { OPT_FLOAT, "workshop-size", &workshop_gb, "<GB>", "that all files brought there may take, in 10^9 bytes", 0.001, 1e6 },
    { OPT_INT, "workshop-files", &workshop_files, "<int>", "how many they may be", 1, 1e8 },
    { OPT_INT, "parallel", &n_text, "<int>", "texts under way at once; 0: 16", 0, 1024 },
    { OPT_INT, "queue", &n_queue, "<int>", "texts that may wait; more are answered by 429", 1, 1e6 },
    { OPT_INT, "ctx", &ctx, "<int>", "positions of a text at most; 0: the model's", 0, 1e9 },
    { OPT_INT, "cache", &cache_mb, "<MB>", "memory for keys and values of all texts; 0: as much as 16 texts of 1,024 tokens take", 0, 1e9 },
    { OPT_INT, "step-tokens", &step_tokens, "<int>", "tokens computed together at most; 0: 512", 0, 65536 },
    { OPT_FLAG, "foretell", &foretell, NULL, "of one model: measure this machine for it first (some seconds), and say at the end how far off each step was foretold", 0, 0 },
    { OPT_FLAG, "fit", &fit, NULL, "choose those of --ctx, --cache, --parallel and --step-tokens that are 0 for this machine's memory, and say why", 0, 0 },
    { OPT_INT, "drain", &drain_s, "<seconds>", "that texts under way may take when the server is to end", 0, 86400 },
    { OPT_INT, "drain-delay", &drain_delay_s, "<seconds>", "before that, with /ready at 503, so that balancers send no more", 0, 86400 },
    { OPT_INT, "body", &body_mb, "<MB>", "of a request at most", 1, 65536 },
    { OPT_INT, "connections", &n_connection, "<int>", "at once", 1, 100000 },
    { OPT_STR, "tls-cert", &tls_cert, "<path>", "certificate and its chain (PEM): https; read again at SIGHUP", 0, 0 },
    { OPT_STR, "tls-key", &tls_key, "<path>", "its key (PEM)", 0, 0 },
    { OPT_STR, "cors", &cors, "<origins>", "of pages that may read replies, parted by commas (https://example.com); with a key also *", 0, 0 },
    { OPT_STR, "allow-host", &allow_host, "<names>", "by which the server may be asked without a key, besides this machine's own", 0, 0 },
    { OPT_INT, "head-time", &head_s, "<seconds>", "that a request's head may take to come in", 1, 86400 },
    { OPT_INT, "request-time", &request_s, "<seconds>", "that its body may take", 1, 86400 },
    { OPT_INT, "idle-time", &idle_s, "<seconds>", "that a connection without a request stays open, and that a client may take nothing", 1, 86400 },
    { OPT_INT, "answer-time", &answer_s, "<seconds>", "that an answer may take; then its texts are cancelled; 0: any", 0, 1e6 },
    { OPT_FLAG, "matryoshka", &matryoshka, NULL, "embeddings may be cut to any length, whatever the model's files say", 0, 0 },
    OPT_SIGNATURE,
    OPT_LOOKUP, OPT_KV, OPT_PRECISION, OPT_THREADS, OPT_QUIET, OPT_LAST,
};

const struct command command_serve = {
    .name = "serve", .args = "[NAME=]MODEL...", .summary = "Answer requests over HTTP: the APIs of OpenAI, Anthropic and Ollama", .opts = opts, .run = run, .min_args = 1, .max_args = SERVED_MODELS_MAX,
    .text = TEXT(
        "Loads models, each a GGUF file, a folder in Hugging Face's form, the name of a pulled one, or NAME@ALIAS of the registry, and answers\n"
        "\n"
        "    POST /v1/chat/completions    POST /v1/completions    GET /v1/models\n"
        "    POST /v1/messages            POST /v1/messages/count_tokens\n"
        "    POST /api/chat, /api/generate, /api/embed, /api/embeddings, /api/show    GET /api/tags, /api/ps, /api/version\n"
        "    POST /tokenize               POST /detokenize        GET /metrics    GET /health    GET /ready\n"
        "    GET /lathe/stats             POST /v1/embeddings      POST /classify       POST /v1/feedback\n"
        "\n"
        "in OpenAI's form, streamed or not, with vLLM's further fields (top_k, min_p, repetition_penalty, min_tokens, stop_token_ids,\n"
        "allowed_token_ids, ignore_eos, priority, cache_salt, structured_outputs and others).  A field that is not known\n"
        "is an error that names it, and a prompt that is too long is an error with its size: nothing is cut.\n"
        "\n",
        "What an answer may be is said by response_format (json_object, json_schema), structured_outputs (json, regex, choice, grammar) or\n"
        "grammar (GBNF): tokens that would not follow it are never drawn.  Chats may have tools, called in the form of the model's template,\n"
        "with arguments that follow their schemas; a call that max_tokens cuts is told as far as its arguments came where these are a text,\n"
        "which is OpenAI's way, else not at all.  Thoughts (<think>) are reasoning_content.  doc/schemas.md says what of a schema is kept:\n"
        "all else is an error that names the keyword and its place.\n"
        "\n"
        "    curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{\"model\": \"SmolLM2-135M-Instruct-Q8_0\",\n"
        "        \"messages\": [{\"role\": \"user\", \"content\": \"The weather in Oslo?\"}], \"tool_choice\": \"required\", \"tools\": [{\"type\": \"function\", \"function\":\n"
        "        {\"name\": \"weather\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}}}]}'\n"
        "\n",
        "/v1/messages is Anthropic's: text, tools and their results, thinking, system, stop_sequences, output_config.format, an answer\n"
        "begun by a last assistant message, events and errors in its form, also /v1/models where a request has the header\n"
        "anthropic-version.  budget_tokens is an aim that nothing holds a model to.  What of a prompt the cache had is\n"
        "cache_read_input_tokens; cache_control changes nothing, as every prefix is kept.  The key may come as x-api-key.\n"
        "\n"
        "    curl http://127.0.0.1:8080/v1/messages -H 'Content-Type: application/json' -d '{\"model\": \"SmolLM2-135M-Instruct-Q8_0\",\n"
        "        \"max_tokens\": 64, \"system\": \"Be brief.\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n"
        "\n",
        "Under /api/ is Ollama's: answers as lines of JSON unless stream is false, its options and their values where they are not given\n"
        "(but no repeat_penalty), tools, think, format, logprobs, how long prompt and answer took.  A num_ctx beyond what there is and a\n"
        "prompt that is too long are errors; keep_alive and options of how a model is loaded change nothing, as the model stays.\n"
        "/api/pull is refused: lathe pull does it.\n"
        "\n"
        "    curl http://127.0.0.1:8080/api/chat -H 'Content-Type: application/json' -d '{\"model\": \"SmolLM2-135M-Instruct-Q8_0\",\n"
        "        \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}], \"options\": {\"num_predict\": 64, \"seed\": 1}}'\n"
        "    OLLAMA_HOST=http://127.0.0.1:8080 python3 -c 'import ollama; print(ollama.list())'\n"
        "\n",
        "Many texts are made at once.  What their prompts have in common is computed once and kept; a long prompt is computed in\n"
        "pieces between the others' tokens.  The same request with the same seed gives the same bytes, whatever else is being\n"
        "answered; system_fingerprint names what else decides them.\n"
        "\n"
        "Embeddings are made as lathe embed makes them: of the last hidden states, pooled as the model's files say, else the mean of\n"
        "an encoder and the last token of others.  They are cut to `dimensions` only where config.json has is_matryoshka or\n"
        "matryoshka_dimensions, or with --matryoshka.  A model that tells the class of texts or images (lathe classify) answers /classify in\n"
        "vLLM's form, images as PNG or JPEG files in base64 or data URLs.\n"
        "\n"
        "--adapter NAME=FOLDER loads low-rank adapters (peft's files) beside the model.  Requests ask for NAME as a model of its own; those\n"
        "of all adapters and of none share the steps, each with the bits that it would have alone.  What does not fit the model is refused.\n"
        "\n"
        "--device hip:0 or cuda:0 runs a model on a GPU, NAME=DEVICE one of several; of what does not fit there the first layers run here (doc/gpu.md).  A GPU that is lost ends the texts under\n"
        "way with an error, and the model goes on on the CPU where it has room, else the server ends (doc/gpu.md).\n"
        "\n"
        "A browser gets a page at /: a chat with the model, and what the server is doing (doc/page.md).\n"
        "\n"
        "With --keys FILE many have a key each, made by lathe key, with limits (requests and tokens a minute and a day, texts at once),\n"
        "and rights.  Where a limit is met the reply is 429 with the exact time to wait, and x-ratelimit headers tell what is left;\n"
        "those who wait take turns; nobody finds what another's texts left in the cache.  SIGHUP reads the file again.\n"
        "--record WHERE keeps a row of numbers of each answer: lengths, how unlikely the prompt and how unsure each token was, languages, why it\n"
        "ended, how long it took.  POST /v1/feedback adds what its asker says of it; lathe watch finds out when any of that changes.\n"
        "\n"
        "--audit FILE is a log of requests in which a line that was changed or taken out shows.\n"
        "\n"
        "Several models are told apart by the field \"model\" of requests, where each has its name: the last part of its path, or NAME=PATH.\n"
        "They compute in turns, a step each, and have to fit into --memory together: what does not fit is refused with the sizes.\n"
        "\n"
        "NAME@production follows the registry (lathe registry promote, rollback): another version is loaded beside the one that answers, warmed, and\n"
        "gets new requests from one moment to the next, all or a share of users; what is under way ends on the version that it began with.  Each\n"
        "reply says which in X-Lathe-Version, and so do the audit log, /health and /metrics (doc/releases.md).  /lathe/registry and the page at / show the\n"
        "registry that is followed, or --registry's; who has a key with 'admin: true' (lathe help key) promotes and rolls back there.\n"
        "\n"
        "With --workshop FOLDER such a key also brings texts, a table or images, sees their audit and what each recipe would take, trains, sees the errors and\n"
        "registers the model (doc/workshop.md).\n"
        "\n"
        "After SIGTERM nothing more is taken on and what is under way is finished.\n"
        "\n"
        "Without a key only programs and pages of this machine are answered: a page from elsewhere, or one that asks by another name, gets\n"
        "403 (--cors, --allow-host).  doc/operating.md tells of TLS, limits of time, what is counted, and service managers.\n"
        "\n"
        "    lathe serve SmolLM2-135M-Instruct-Q8_0.gguf\n"
        "    curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{\"model\":\n"
        "        \"SmolLM2-135M-Instruct-Q8_0\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n"),
};
