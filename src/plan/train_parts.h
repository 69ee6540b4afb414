/* train_parts.h - within plan/train: one layout of one job on a device, as its memory and its time see it. */
#ifndef PLAN_TRAIN_PARTS_H
#define PLAN_TRAIN_PARTS_H
#include "plan/train.h"

/* A stage of the pipeline: how many layers of each kind, and what else. */
struct train_stage { int kind[TRAIN_KINDS_MAX], layers; bool first, last; };
struct train_case {
    const struct train_model *m;
    const struct train_job *job;         /* with its defaults put in */
    const struct train_layout *l;
    const struct device *d;
    double T, micros;                    /* tokens of a micro-batch; micro-batches of a copy and step */
    double stream;                       /* devices that the stream between products is divided by */
    struct train_terms *terms;           /* where what is computed is explained; NULL: nowhere */
};
struct train_terms { struct train_term *term; int most, n; };
/* The value, which is noted with its words where c has terms and it is not 0. */
double train_told(const struct train_case *c, bool time, int part, double value, const char *form, ...) __attribute__((format(printf, 5, 6)));

/* Bytes of an activation, and of a weight as products read it where they are not in fp8. */
static inline double train_element(const struct train_case *c) { return c->job->compute == NUMBER_F32 ? 4 : 2; }
/* Counts that are counts, before anything is computed of them; then the layout against model and job. */
int train_layout_check_counts(const struct train_layout *l, struct err *err);
int train_job_check(const struct train_job *j, struct err *err);
/* So many devices can exchange something. */
int train_devices_check(const struct device *d, double n, struct err *err);
int train_layout_check(const struct train_case *c, struct err *err);
struct train_stage train_stage(const struct train_case *c, int i);
/* Devices that the numbers of a layer's experts are divided between, and that have the same ones. */
static inline int train_expert_share(const struct train_layout *l) { return l->ep > 1 ? l->ep : l->tp; }
static inline int train_expert_copies(const struct train_layout *l) { return l->tp * l->dp / train_expert_share(l); }
/* Numbers of a stage on one device: those in all copies, and of experts. */
struct train_held { double dense, experts; };
struct train_held train_held(const struct train_case *c, const struct train_stage *s);
/* The same of what is learned. */
struct train_held train_learned(const struct train_case *c, const struct train_stage *s);
/* Bytes that the backward pass reads of a layer and micro-batch, with so much made again. */
double train_layer_saved(const struct train_case *c, const struct train_layer *l, enum train_recompute again);
/* Share of a stage's layers that is made again. */
double train_again_share(const struct train_case *c, const struct train_stage *s);
void train_memory(const struct train_case *c, struct train_plan *p);

/* Of layers, as far as they do not depend on how many copies or stages there are: searches keep them (train_time.c). */
struct train_layer_time { double forward[N_TRAIN_TIME], backward[N_TRAIN_TIME], again[N_TRAIN_TIME]; };
struct train_times { struct train_layer_time layer[TRAIN_KINDS_MAX], ends; };        /* ends: embedding, head and loss */
void train_times(const struct train_case *c, struct train_times *t);
void train_time(const struct train_case *c, const struct train_times *t, struct train_plan *p);
struct train_job train_job_defaults(const struct train_model *m, const struct train_job *job);
struct train_case train_case(const struct train_model *m, const struct train_job *job, const struct train_layout *l, const struct device *d);
/* Time of a step and what follows from it; memory is to be there. */
void train_fill(const struct train_case *c, const struct train_times *t, struct train_plan *p);
double train_sum(const double part[N_TRAIN_TIME]);

#endif
