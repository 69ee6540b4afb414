/* plan_options.h - what `lathe plan` is asked, as its options have it. */
#ifndef CMD_PLAN_OPTIONS_H
#define CMD_PLAN_OPTIONS_H
#include "base/opt.h"
#include "plan/device.h"

struct plan_options {
    struct opt_list device;                  /* NAME[:MODE][:COUNT][=USD[/h]] each */
    const char *device_model;                /* auto, learnt, table: whose constants a device has (plan/learnt.h) */
    const char *weights, *cache;             /* words of numbers, "auto" */
    double weight_bits;
    double price, kwh, watts, network;       /* of every device, in place of the table's; < 0: the table's */
    double bandwidth, peak, memory;          /* times the table's: 1 */
    int64_t tp, pp, ep;
    bool explain;
    const char *html;
    /* served */
    const char *workload, *prompt, *output;
    double rate, ttft_s, tpot_s, e2e_s, think_s, ramp_s;
    int64_t users, requests, seed, slots, step_tokens;
    double host_s;
    /* trained */
    bool train;
    double tokens, batch_tokens, imbalance, launch_s;      /* launch_s < 0: the usual */
    int64_t ctx, lora_rank, gradient_bytes;
    bool hide_experts;
    /* edge or cloud */
    bool versus;
    struct opt_list api;                     /* [NAME=]IN:OUT each */
    double life_years, idle;                 /* idle: watts of a device that waits, as a share of those of one that works */
};

/* "this": the machine that this runs on, whose numbers plan_here() fills in. */
#define PLAN_HERE "this"
/* One of --device, with what the options put in the place of the table's; count 0: as many as it takes. */
struct plan_device { struct device device; int count; double usd; };      /* usd: what each was bought for; 0: rented */
int plan_device_parse(struct plan_device *d, const char *text, const struct plan_options *o, struct err *err);
/* "auto": otherwise; ERR_USAGE names --what. */
int plan_number_parse(enum number *n, const char *text, enum number otherwise, const char *what, struct err *err);
/* "$1.23", "$0.00012", "$1.2 M" */
char *plan_dollars(char out[32], double usd);

#endif
