#include "train/ranks.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "nn/device.h"
#include "train/parts.h"

int ranks_open(struct run *r, struct err *err)
{
    TRY(comm_open(&r->comm, err));
    r->counts = mem_alloc_array((size_t)comm_size(r->comm), sizeof *r->counts);
    r->scored = mem_alloc_array((size_t)comm_size(r->comm), sizeof *r->scored);
    r->all_seen = mem_alloc_array((size_t)comm_size(r->comm), sizeof *r->all_seen);
    r->part_squares = mem_alloc_array((size_t)comm_size(r->comm), sizeof *r->part_squares);
    if (!r->counts || !r->scored || !r->all_seen || !r->part_squares)
        return ERR(err, NOMEM, "no memory for %d processes", comm_size(r->comm));
    if (comm_rank(r->comm))
        log_level_set(LOG_QUIET);                /* what is said is the same everywhere */
    else if (comm_size(r->comm) > 1)
        log_info("%d processes, each %d threads", comm_size(r->comm), r->o->n_thread);
    return 0;
}

void ranks_close(struct run *r, int rc, struct err *err)
{
    comm_group_free(r->holders);
    comm_group_free(r->copies);
    comm_close(r->comm, rc, err);
}

static int sum_of_holders(void *ctx, real *x, size_t n, struct err *err) { return comm_all_reduce(((struct run *)ctx)->holders, x, n, err); }

static int rows_of_holders(void *ctx, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *err)
{
    return comm_all_to_all(((struct run *)ctx)->holders, send, send_at, recv, recv_at, err);
}

static int divide_experts(struct run *r, struct err *err)
{
    const int size = comm_size(r->comm), rank = comm_rank(r->comm);
    if (r->c.model.n_expert % size)
        return ERR(err, USAGE, "there are %d processes, but each layer has %d experts (train.expert_parallel), expected a number that divides them", size, r->c.model.n_expert);
    TRY(comm_group_new(&r->holders, r->comm, 0, 1, size, err));
    TRY(comm_group_new(&r->copies, r->comm, 0, 1, size, err));
    r->division = (struct division){ .by = DIVIDE_EXPERTS, .n = size, .i = rank };
    r->peers = (struct peers){ .rank = rank, .size = size, .exchange = rows_of_holders, .ctx = r };
    return 0;
}

static int differs(const struct run *r, int rank, const char *what, const char *has, const char *first, const char *advice, struct err *err)
{
    return ERR(err, USAGE, "%s has %s %.16s, rank 0 has %.16s: %s", comm_name(r->comm, rank), what, has, first, advice);
}

/* The first key of a section that this rank and rank 0 have not alike; NULL: there is none. */
static const char *key_unlike(const json_t *mine, const json_t *first)
{
    const json_t *const from[] = { first, mine }, *const in[] = { mine, first };
    for (int i = 0; i < 2; i++) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)from[i], key, v)
            if (!json_equal(v, json_object_get(in[i], key)))
                return key;
    }
    return NULL;
}

static int compare_settings(const struct run *r, const json_t *first, struct err *err)
{
    static const char *const sections[] = { "train", "upcycle", "lora", "privacy" };
    for (int i = 0; i < 4; i++) {
        const json_t *a = json_object_get(r->c.root, sections[i]), *b = json_object_get(first, sections[i]);
        const char *key = key_unlike(a, b);
        if (!key)
            continue;
        char what[100], *has = json_dumps(json_object_get(a, key), JSON_ENCODE_ANY), *his = json_dumps(json_object_get(b, key), JSON_ENCODE_ANY);
        snprintf(what, sizeof what, "%s.%.60s", sections[i], key);
        differs(r, comm_rank(r->comm), what, has ? has : "not", his ? his : "it not", "give all the same file", err);
        mem_free(has);
        mem_free(his);
        return err->code;
    }
    return 0;
}

/* The settings of rank 0 and this one's, before anything is done together that depends on them.  Paths may differ; what they lead to is
 * compared by ranks_agree(). */
static int agree_on_settings(struct run *r, struct err *err)
{
    char *mine = json_dumps(r->c.root, JSON_COMPACT), *first = NULL;
    uint64_t n = mine ? strlen(mine) : 0;
    int rc = mine ? comm_broadcast(r->comm, &n, sizeof n, err) : ERR(err, NOMEM, "no memory to compare settings");
    if (!rc && !(first = mem_alloc_array(n + 1, 1)))
        rc = ERR(err, NOMEM, "no memory to compare settings");
    if (!rc && comm_rank(r->comm) == 0)
        memcpy(first, mine, n);
    if (!rc)
        rc = comm_broadcast(r->comm, first, n, err);
    json_t *theirs = rc || !comm_rank(r->comm) ? NULL : json_loadb(first, n, 0, NULL);
    if (theirs)
        rc = compare_settings(r, theirs, err);
    json_decref(theirs);
    mem_free(first);
    mem_free(mine);
    return rc ? rc : comm_barrier(r->comm, err);
}

int ranks_divide(struct run *r, struct err *err)
{
    if (comm_size(r->comm) > 1)
        TRY(agree_on_settings(r, err));
    if (r->c.expert_parallel && comm_size(r->comm) > 1)
        return divide_experts(r, err);
    const int size = comm_size(r->comm), rank = comm_rank(r->comm), N = (int)r->c.tensor_parallel, i = rank % N;
    if (size % N)
        return ERR(err, USAGE, "there %s %d process%s, but train.tensor_parallel is %d: so many hold one copy of the model; start a multiple of them, or set it to 1", size > 1 ? "are" : "is", size,
                   size > 1 ? "es" : "", N);
    TRY(comm_group_new(&r->holders, r->comm, rank - i, 1, N, err));
    TRY(comm_group_new(&r->copies, r->comm, i, N, size / N, err));
    r->division = train_division(&r->c);
    r->division.i = i;
    r->peers = (struct peers){ .rank = i, .size = N, .sum = sum_of_holders, .ctx = r };
    return 0;
}

int ranks_prepare(struct run *r, int (*prepare)(struct run *, struct err *), struct err *err)
{
    r->c.second = comm_rank(r->comm) > 0;
    if (comm_rank(r->comm))                      /* where they share a folder the files are there by then */
        TRY(comm_barrier(r->comm, err));
    TRY(prepare(r, err));
    return comm_rank(r->comm) ? 0 : comm_barrier(r->comm, err);
}

#define PART_BYTES ((size_t)1 << 16)         /* of gradients are exchanged together, or more */

int ranks_share(struct run *r, struct err *err)
{
    const int size = comm_size(r->copies), rank = comm_rank(r->copies);
    if (r->c.slices % size)
        return ERR(err, USAGE, "there are %d %s, but train.slices is %lld: a slice is computed by one of them", size, r->division.by == DIVIDE_LAYERS ? "copies of the model" : "processes", (long long)r->c.slices);
    r->n_slice = r->c.slices / size;
    r->first_slice = rank * r->n_slice;
    if (size == 1)
        return 0;
    mem_free(r->share);
    if (!(r->share = mem_alloc_array(3 * ((size_t)size + 1), sizeof *r->share)))
        return ERR(err, NOMEM, "no memory to share out the weights");
    r->share_squares = r->share + size + 1, r->share_of_one = r->share_squares + size + 1;
    graph_shares(r->model.g, size, r->share, r->share_squares);
    r->model.g->own_from = r->share[rank], r->model.g->own_to = r->share[rank + 1];
    const size_t share = r->model.g->plan.bytes[TENSOR_GRAD] / (COMM_PARTS_MAX / 4);
    overlap_plan(&r->overlap, r->model.g, share > PART_BYTES ? share : PART_BYTES);
    return 0;
}

/* ---- the same everywhere ---- */

/* program: SHA-256 of its file. */
struct passport { char program[SHA256_HEX], level[16], settings[SHA256_HEX], data[SHA256_HEX], held_out[SHA256_HEX]; };

static int compare(const struct run *r, const struct passport *all, struct err *err)
{
    for (int i = 1; i < comm_size(r->comm); i++) {
        const struct passport *p = &all[i];
        if (strcmp(p->program, all->program))
            return differs(r, i, "a program with SHA-256", p->program, all->program, "install the same version and build everywhere", err);
        if (strcmp(p->level, all->level))
            return differs(r, i, "a processor of level", p->level, all->level, "its sums would differ; set LATHE_CPU to the lower one for all", err);
        if (strcmp(p->data, all->data))
            return differs(r, i, "a data/train.tok with SHA-256", p->data, all->data, "give all the same text and tokenizer", err);
        if (strcmp(p->held_out, all->held_out))
            return differs(r, i, "a data/valid.tok with SHA-256", p->held_out, all->held_out, "give all the same text and tokenizer", err);
        if (strcmp(p->settings, all->settings))
            return differs(r, i, "settings with SHA-256", p->settings, all->settings, "give all the same file", err);
    }
    return 0;
}

int ranks_agree(struct run *r, struct err *err)
{
    const int size = comm_size(r->comm);
    if (size == 1)
        return 0;
    struct passport *all = mem_alloc_array((size_t)size, sizeof *all);
    if (!all)
        return ERR(err, NOMEM, "no memory to compare %d processes", size);
    struct passport *mine = &all[comm_rank(r->comm)];
    snprintf(mine->level, sizeof mine->level, "%s", cpu_kernels()->level);
    snprintf(mine->settings, sizeof mine->settings, "%s", r->state.settings);
    snprintf(mine->data, sizeof mine->data, "%s", r->data_sha256);
    int rc = run_digest_held_out(r, mine->held_out, err);
    if (!rc)
        rc = sha256_of_file("/proc/self/exe", mine->program, err);
    if (!rc)
        rc = comm_all_gather_equal(r->comm, all, sizeof *all, err);
    if (!rc)
        rc = compare(r, all, err);
    mem_free(all);
    return rc;
}

/* ---- optimiser state and averages: from rank 0 to those whose they are, and back ---- */

/* What is kept for a weight by those alone whose it is; -1: not there. */
enum { N_KEPT = 3 };
static int kept(const struct tensor *w, int k) { return k < 2 ? w->moment[k] : w->average; }

size_t ranks_part(const struct run *r, const struct tensor *g, int rank, size_t *n)
{
    const bool experts = g->offset >= r->model.g->plan.shared;      /* of divided ones each has its own */
    *n = experts && g->n_peer ? g->bytes / (size_t)g->n_peer : g->bytes;
    if (!r->share || experts)
        return 0;
    const size_t from = r->share[rank] > g->offset ? r->share[rank] - g->offset : 0;
    const size_t end = r->share[rank + 1] > g->offset ? r->share[rank + 1] - g->offset : 0, to = end < g->bytes ? end : g->bytes;
    *n = from < to ? to - from : 0;
    return from;
}

static int move_moment(struct run *r, const struct tensor *w, const struct tensor *moment, bool collect, struct err *err)
{
    const int rank = comm_rank(r->copies);
    for (int i = 1; i < comm_size(r->copies); i++) {
        size_t n;
        const size_t at = ranks_part(r, &r->model.g->tensor[w->grad], i, &n);
        if (!n || (rank && rank != i))
            continue;
        const bool sends = (rank == 0) != collect;
        const size_t size = dtype_size(moment->dtype), bytes = n / sizeof(float) * size;      /* its gradient is float */
        char *data = (char *)moment->data + at / sizeof(float) * size;
        TRY(comm_exchange(r->copies, rank ? 0 : i, data, sends ? bytes : 0, data, sends ? 0 : bytes, err));
    }
    return 0;
}

static int move_moments(struct run *r, bool collect, struct err *err)
{
    struct graph *g = r->model.g;
    if (comm_size(r->copies) == 1)
        return 0;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *w = &g->tensor[i];
        for (int k = 0; k < N_KEPT; k++)
            if (w->kind == TENSOR_WEIGHT && w->grad >= 0 && kept(w, k) >= 0 && !w->n_peer)
                TRY(move_moment(r, w, &g->tensor[kept(w, k)], collect, err));
    }
    return 0;
}

int ranks_begin(struct run *r, struct err *err)
{
    TRY(parts_settle(r, err));
    TRY(comm_broadcast(r->comm, &r->state, sizeof r->state, err));
    TRY(comm_broadcast(r->copies, r->model.g->block[TENSOR_WEIGHT], r->model.g->plan.shared, err));
    for (int i = 0; i < r->model.g->n_tensor; i++)
        if (r->model.g->tensor[i].steered)
            TRY(comm_broadcast(r->comm, r->model.g->tensor[i].data, r->model.g->tensor[i].bytes, err));
    return move_moments(r, false, err);
}

int ranks_collect(struct run *r, bool wanted, struct err *err)
{
    char go = wanted;
    TRY(comm_broadcast(r->comm, &go, 1, err));
    if (!go)
        return 0;
    TRY(move_moments(r, true, err));
    return comm_rank(r->comm) ? parts_settle(r, err) : 0;
}

size_t ranks_spared_bytes(const struct run *r)
{
    const struct graph *g = r->model.g;
    if (!comm_rank(r->copies))
        return 0;
    assert(g->own_to <= g->plan.shared);         /* ranks_share() has seen this graph */
    const double own = (double)(g->own_to - g->own_from) / (double)g->plan.shared;
    size_t bytes = 0;
    for (int i = 0; i < g->n_tensor; i++)
        for (int k = 0; k < N_KEPT; k++)
            bytes += kept(&g->tensor[i], k) >= 0 && !g->tensor[i].n_peer ? g->tensor[kept(&g->tensor[i], k)].bytes : 0;
    return (size_t)((double)bytes * (1 - own));
}

int ranks_share_memory(struct run *r, size_t wanted, size_t *free_bytes, int *n_here, struct err *err)
{
    *n_here = 1;
    if (comm_size(r->comm) == 1)
        return 0;
    double all = 0;
    r->counts[comm_rank(r->comm)] = (int64_t)wanted;
    TRY(comm_all_gather_equal(r->comm, r->counts, sizeof *r->counts, err));      /* none takes memory before all have looked */
    *n_here = 0;
    for (int i = 0; i < comm_size(r->comm); i++)
        if (comm_is_here(r->comm, i))
            all += (double)r->counts[i], ++*n_here;
    *free_bytes = (size_t)((double)*free_bytes * ((double)wanted / all));
    return 0;
}

/* ---- a step ---- */

static int add_up(struct run *r, struct comm *c, int64_t *n, struct err *err)
{
    int64_t *all = r->counts;
    all[comm_rank(c)] = *n;
    TRY(comm_all_gather_equal(c, all, sizeof *all, err));
    *n = 0;
    for (int i = 0; i < comm_size(c); i++)
        *n += all[i];
    return 0;
}

int ranks_count(struct run *r, int64_t *n, struct err *err) { return add_up(r, r->copies, n, err); }

/* Of a gradient each copy has the sum that is its share: all get the whole of it. */
static int gather_gradient(struct run *r, const struct tensor *grad, struct err *err)
{
    const int size = comm_size(r->copies);
    const size_t from = grad->offset, to = from + grad->bytes;
    if (size == 1)
        return 0;
    for (int i = 0; i <= size; i++)
        r->share_of_one[i] = r->share[i] < from ? from : r->share[i] < to ? r->share[i] : to;
    return comm_all_gather(r->copies, r->model.g->block[TENSOR_GRAD], r->share_of_one, err);
}

/* Of weights that all holders have whole, and use for their heads only.  After the sum over slices, so that it does not matter how many copies took it. */
static int sum_in_parts(struct run *r, struct err *err)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].grad_in_parts && g->tensor[i].grad >= 0) {
            const struct tensor *grad = &g->tensor[g->tensor[i].grad];
            TRY(gather_gradient(r, grad, err));
            TRY(comm_all_reduce(r->holders, grad->data, (size_t)tensor_count(grad, 1, 1), err));
        }
    return 0;
}

void ranks_begin_overlap(struct run *r)
{
    if (r->c.overlap && r->overlap.n && comm_overlaps(r->comm))
        overlap_begin(&r->overlap, r->model.g, r->comm, r->share, &r->gradient);
}

void ranks_leave_overlap(struct run *r)
{
    if (r->overlap.on)
        overlap_leave(&r->overlap);
}

int ranks_sum_slices(struct run *r, struct err *err)
{
    const int64_t width = run_sums_width(r);
    const bool begun = r->overlap.on;
    r->overlap.on = false;
    TRY(graph_failed(r->model.g, err));
    if (begun)
        TRY(comm_reduce_end(r->comm, err));
    TRY(comm_all_gather_equal(r->copies, r->sums, (size_t)(r->n_slice * width) * sizeof *r->sums, err));
    slice_sums_rows(r->sums, r->c.slices, width);
    if (!begun)
        TRY(comm_reduce_scatter(r->copies, r->model.g->block[TENSOR_GRAD], r->share, err));
    TRY(sum_in_parts(r, err));
    slice_sums_peers(r->model.g);
    return 0;
}

/* What all holders have counts once, each part once. */
static int norm_of_holders(struct run *r, struct err *err)
{
    double *all = r->part_squares, sum = graph_grad_square(r->model.g);
    all[comm_rank(r->holders)] = graph_part_square(r->model.g);
    TRY(comm_all_gather_equal(r->holders, all, sizeof *all, err));
    for (int i = 0; i < comm_size(r->holders); i++)
        sum += all[i];
    r->norm = sqrt(sum);
    return 0;
}

/* Each has those of its experts. */
static int gather_peer_squares(struct run *r, struct err *err)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_node; i++) {
        const struct tensor *w = g->node[i].op == OP_sum_squares ? &g->tensor[g->node[i].in[1]] : NULL, *sums = &g->tensor[g->node[i].out[0] < 0 ? 0 : g->node[i].out[0]];
        if (w && w->n_peer)
            TRY(comm_all_gather_equal(r->holders, sums->data, (size_t)(tensor_count(sums, 1, 1) / w->n_peer) * sizeof(double), err));
    }
    return 0;
}

int ranks_norm(struct run *r, struct err *err)
{
    struct graph *g = r->model.g;
    const struct step s = run_step_of(r, r->state.step);
    graph_run(g, PASS_NORM, &s);
    if (g->device)
        TRY(graph_fetch_kind(g, TENSOR_OUTPUT, err));
    TRY(comm_all_gather(r->copies, g->block[TENSOR_OUTPUT], r->share_squares, err));
    TRY(gather_peer_squares(r, err));
    return norm_of_holders(r, err);
}

/* Copies have their slices in order, so that joined by rank the samples are those of one rank with all slices. */
int ranks_samples(struct run *r, struct err *err)
{
    const int size = comm_size(r->copies);
    if (size == 1)
        return 0;
    r->all_seen[comm_rank(r->copies)] = r->seen;
    TRY(comm_all_gather_equal(r->copies, r->all_seen, sizeof *r->all_seen, err));
    r->seen = (struct doctor_step){ 0 };
    for (int i = 0; i < size; i++)
        doctor_join(&r->seen, &r->all_seen[i]);
    return 0;
}

int ranks_any(struct run *r, bool *yes, struct err *err)
{
    int64_t n = *yes;
    TRY(add_up(r, r->comm, &n, err));
    *yes = n > 0;
    return 0;
}

int ranks_gather_weights(struct run *r, struct err *err)
{
    if (comm_size(r->copies) == 1)
        return 0;
    TRY(comm_all_gather(r->copies, r->model.g->block[TENSOR_WEIGHT], r->share, err));
    const struct step s = run_step_of(r, r->state.step);
    graph_run(r->model.g, PASS_PREPARE, &s);
    return 0;
}

int ranks_score(struct run *r, score_fn *score, struct scored *sum, struct err *err)
{
    const int size = comm_size(r->copies), rank = comm_rank(r->copies);
    struct scored *all = r->scored;
    *sum = (struct scored){ 0 };
    for (int64_t i = 0, n = size; n == size; i += size) {
        all[rank] = (struct scored){ 0 };
        score(r, i + rank, &all[rank]);
        TRY(graph_failed(run_scorer(r)->g, err));
        TRY(comm_all_gather_equal(r->copies, all, sizeof *all, err));
        n = 0;
        for (int k = 0; k < size; k++) {
            n += all[k].has, sum->counted += all[k].counted;
            sum->loss += all[k].loss, sum->right += all[k].right, sum->chosen += all[k].chosen, sum->rejected += all[k].rejected;
        }
    }
    return 0;
}

int ranks_decide(struct run *r, bool *stop, bool *by_time, struct err *err)
{
    if (comm_size(r->comm) == 1)
        return 0;
    int64_t *all = r->counts;
    all[comm_rank(r->comm)] = *stop + 2 * *by_time;
    TRY(comm_all_gather_equal(r->comm, all, sizeof *all, err));
    *stop = false, *by_time = all[0] & 2;
    for (int i = 0; i < comm_size(r->comm); i++)
        *stop = *stop || all[i] & 1;
    return 0;
}

/* ---- what was sent ---- */

int ranks_log(struct run *r, struct err *err)
{
    const int size = comm_size(r->comm);
    if (size == 1)
        return 0;
    struct comm_volume sum = { 0 }, *all = mem_alloc_array((size_t)size, sizeof *all);
    if (!all)
        return ERR(err, NOMEM, "no memory to add up what %d processes sent", size);
    comm_volume(r->comm, &all[comm_rank(r->comm)]);
    const int rc = comm_all_gather_equal(r->comm, all, sizeof *all, err);
    for (int i = 0; i < size; i++) {
        sum.reduce_scatter += all[i].reduce_scatter, sum.all_gather += all[i].all_gather, sum.all_reduce += all[i].all_reduce, sum.other += all[i].other;
        sum.all_to_all += all[i].all_to_all;
        sum.seconds += all[i].seconds;
    }
    mem_free(all);
    const double R = size, D = comm_size(r->copies), N = comm_size(r->holders), steps = (double)(r->state.step - r->first_step), bytes = (double)r->model.g->plan.shared;
    char a[32], b[32], c[32], d[32];
    if (D > 1 || N == 1)
        log_info("sent by a rank on average: %s of gradients and %s of weights (theory: %s each, (R-1)/R of %s in each of %.0f steps), %s besides; %.1f s of sending and of waiting for others",
                 fmt_bytes(a, (double)sum.reduce_scatter / R), fmt_bytes(b, (double)sum.all_gather / R), fmt_bytes(c, steps * bytes * (D - 1) / D), fmt_bytes(d, bytes), steps,
                 fmt_bytes((char[32]){ 0 }, (double)sum.other / R), sum.seconds / R);
    if (r->division.by == DIVIDE_EXPERTS)
        log_info("sent by a rank on average: %s of rows to experts and back (theory: %s, (R-1)/R of %s in each of %.0f steps if experts are chosen evenly, evaluations besides)",
                 fmt_bytes(a, (double)sum.all_to_all / R), fmt_bytes(b, steps * run_row_bytes(r) * (R - 1) / R), fmt_bytes(c, run_row_bytes(r)), steps);
    if (r->division.by == DIVIDE_LAYERS)
        log_info("sent by a rank on average: %s of sums within layers (theory: %s for the steps, evaluations besides), %s in all; %.1f s of sending and of waiting for others", fmt_bytes(a, (double)sum.all_reduce / R),
                 fmt_bytes(b, steps * run_layer_bytes(r) * 2 * (N - 1) / N), fmt_bytes(c, (double)(sum.reduce_scatter + sum.all_gather + sum.all_reduce + sum.other) / R), sum.seconds / R);
    return rc;
}
