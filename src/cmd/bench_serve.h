/* bench_serve.h - `lathe bench serve URL`: options of its own in the table of `lathe bench`, as they would mean nothing there. */
#ifndef CMD_BENCH_SERVE_H
#define CMD_BENCH_SERVE_H
#include "cmd/bench_cost.h"
#include "cmd/cmd.h"

struct bench_serve {
    const char *api, *arrival, *trace, *prompts, *slo, *model, *key, *fields, *save, *scenario;
    double rate, spread, timeout_s, min_duration_s, ramp_s, think_s;
    int64_t n, burst, users, input, output, shared, groups, turns, warmup, seed, vocab, min_queries, most_open;
    bool ignore_eos, detail;
    struct bench_cost_opts cost;
};
extern struct bench_serve bench_serve;
#define OPT_BENCH_SERVE \
    { OPT_STR, "scenario", &bench_serve.scenario, "<name>", "serve: MLPerf's single-stream, multi-stream, offline, server or interactive", 0, 0 }, \
    { OPT_FLOAT, "min-duration", &bench_serve.min_duration_s, "<seconds>", "serve: of --scenario, at least (600)", 0.001, 1e6 }, \
    { OPT_INT, "min-queries", &bench_serve.min_queries, "<int>", "serve: of --scenario, at least (MLPerf's)", 1, 1e7 }, \
    { OPT_STR, "api", &bench_serve.api, "<name>", "serve: completions, or chat", 0, 0 }, \
    { OPT_INT, "requests", &bench_serve.n, "<int>", "serve: requests (100, or those of the file)", 0, 1e7 }, \
    { OPT_INT, "users", &bench_serve.users, "<int>", "serve: each asks again when it has been answered (1)", 0, 100000 }, \
    { OPT_FLOAT, "ramp", &bench_serve.ramp_s, "<seconds>", "serve: of --users: each begins at a random moment of so many, the first at once (0: all)", 0, 1e6 }, \
    { OPT_FLOAT, "think", &bench_serve.think_s, "<seconds>", "serve: of --users: between an answer and the next request, on average (exponential; 0)", 0, 1e6 }, \
    { OPT_FLOAT, "rate", &bench_serve.rate, "<float>", "serve: requests a second, whether answered or not", 0, 1e6 }, \
    { OPT_STR, "arrival", &bench_serve.arrival, "<name>", "serve: of --rate: poisson, constant or burst (poisson)", 0, 0 }, \
    { OPT_INT, "burst", &bench_serve.burst, "<int>", "serve: requests of a burst (8)", 0, 100000 }, \
    { OPT_INT, "max-concurrency", &bench_serve.most_open, "<int>", "serve: of --rate, --trace and offline: so many under way at most, the others wait", 0, 100000 }, \
    { OPT_STR, "trace", &bench_serve.trace, "<file>", "serve: when requests come and their tokens: lines SECONDS,INPUT,OUTPUT, or a CSV or JSONL file such as the traces of Azure, Mooncake, BurstGPT and Vidur", 0, 0 }, \
    { OPT_INT, "input", &bench_serve.input, "<int>", "serve: random tokens of a prompt (128)", 0, 1e7 }, \
    { OPT_INT, "output", &bench_serve.output, "<int>", "serve: tokens of an answer (128)", 0, 1e6 }, \
    { OPT_FLOAT, "spread", &bench_serve.spread, "<share>", "serve: lengths differ by up to this share of them", 0, 1 }, \
    { OPT_INT, "shared", &bench_serve.shared, "<int>", "serve: more tokens, the same at the beginning of all prompts", 0, 1e7 }, \
    { OPT_INT, "groups", &bench_serve.groups, "<int>", "serve: ... of each of so many groups (1)", 0, 1e6 }, \
    { OPT_STR, "prompts", &bench_serve.prompts, "<file>", "serve: lines {\"prompt\": text} or {\"messages\": [..]}", 0, 0 }, \
    { OPT_INT, "turns", &bench_serve.turns, "<int>", "serve: of a conversation; each repeats what was said (1)", 0, 1000 }, \
    { OPT_FLAG, "ignore-eos", &bench_serve.ignore_eos, NULL, "serve: answers go on to their full length", 0, 0 }, \
    { OPT_STR, "fields", &bench_serve.fields, "<json>", "serve: more fields of each request, such as {\"top_p\": 0.9}", 0, 0 }, \
    { OPT_INT, "warmup", &bench_serve.warmup, "<int>", "serve: requests before, which do not count", 0, 1e6 }, \
    { OPT_STR, "slo", &bench_serve.slo, "<limits>", "serve: ttft:MS,tpot:MS,e2el:MS, or MLPerf's of a model (llama3.1-8b): requests within count as good", 0, 0 }, \
    { OPT_FLOAT, "price-per-hour", &bench_serve.cost.price, "<float>", "serve: of what serves: what tokens within the limits cost", 0, 1e9 }, \
    { OPT_STR, "currency", &bench_serve.cost.currency, "<text>", "serve: of that price ($)", 0, 0 }, \
    { OPT_FLOAT, "watts", &bench_serve.cost.watts, "<float>", "serve: that serving takes, where energy cannot be measured: an estimate", 0, 1e6 }, \
    { OPT_STR, "tdp", &bench_serve.cost.tdp, "<W:share>", "serve: or so many watts of TDP, and the share that is taken: an estimate", 0, 0 }, \
    { OPT_INT, "seed", &bench_serve.seed, "<int>", "serve: of prompts, lengths and times", 0, 9e18 }, \
    { OPT_STR, "model", &bench_serve.model, "<name>", "serve: as the server calls it; the first of its list unless given", 0, 0 }, \
    { OPT_INT, "vocab", &bench_serve.vocab, "<int>", "serve: prompts are ids below this; common words where the server does not tell it", 0, 1e7 }, \
    { OPT_STR, "key", &bench_serve.key, "<text>", "serve: shown to the server; or the environment's LATHE_API_KEY", 0, 0 }, \
    { OPT_FLOAT, "timeout", &bench_serve.timeout_s, "<seconds>", "serve: that a request may take", 0.001, 1e6 }, \
    { OPT_STR, "save", &bench_serve.save, "<file>", "serve: the result as JSON, too", 0, 0 }, \
    { OPT_FLAG, "detail", &bench_serve.detail, NULL, "serve: in JSON also the times of each request", 0, 0 }

/* An option that is not as it was at the start is one of `lathe bench serve`. */
bool bench_serve_is_set(void);
/* out: the folder of --out, or NULL. */
int bench_serve_run(const char *url, const char *out, struct err *err);
#endif
