/* planner_ask.h - a request for a plan, as JSON, made into arguments of `lathe plan`.  Internal to planner.c.
 *
 *   one of   model: "Llama-3-8B"             a name of lathe plan --models
 *            served: "tiny"                  a model of this server, by the name that requests ask for
 *            config: {..}                    a config.json
 *   devices  [{ device: "h100", count: 8, usd: 25000, usd_per_hour: 1.99 }, ..]     1 to PLANNER_DEVICES; count absent: as many as it takes; usd: bought for; usd_per_hour: rented at
 *   workload "chat", "code", "rag", "batch", or "recorded", what this server was asked (--record); prompt, output: lengths in its place, such as "1000", "200-400"
 *   rate, or users and think; ttft, tpot, e2e; weights, kv; as the options of these names
 *   versus   also what loads cost, with api: [{ name, input, output }, ..], at most PLANNER_APIS, and kwh, life, idle
 *
 * No argument can be taken for another one or for a path: names begin with a letter or digit and have no slash, numbers are written here. */
#ifndef SERVE_PLANNER_ASK_H
#define SERVE_PLANNER_ASK_H
#include "serve/json_in.h"

#define PLANNER_DEVICES 8
#define PLANNER_APIS 4
#define PLANNER_NAME 100
#define PLANNER_CONFIG ".config.json"    /* where the configuration is, in the folder that the program works in */

struct planner_ask {
    char *argv[80]; int n;               /* ends with NULL; mem_alloc'ed */
    int model;                           /* which of them is the model */
    int recorded;                        /* which is "recorded", to get its place (planner_ask_recorded()); 0: none */
    const char *served;                  /* whose path is to be put there (planner_ask_model()); NULL: it is there.  The request's, as config */
    const json_t *config;                /* or NULL */
};
/* What is wrong is told in e; released by the caller either way. */
void planner_ask_read(struct planner_ask *a, const json_t *request, struct refusal *e);
void planner_ask_model(struct planner_ask *a, const char *path, struct refusal *e);
void planner_ask_recorded(struct planner_ask *a, const char *place, struct refusal *e);
void planner_ask_release(struct planner_ask *a);

#endif
