/* exec_team.c - several devices that share a model, as one: a thread gives each its work, and they wait for each other by events.
 *
 * All members run the same graph on their share of the weights.  Between two meetings (join_peers, gather_peers) each does its nodes by itself.  At a meeting each
 * has its numbers in its exchange buffer, one of two that take turns: whoever writes into one again has passed the meeting between, which all others entered after
 * they had read it.  Sums of much are taken in shares, which then are read from those who took them; to the same bits.
 * The first member leads: its stream is waited for, graphs are recorded on it, and it has the outputs.  Before and after each pass all streams meet there. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "exec/exec_op.h"

size_t exec_team_whole = (size_t)256 << 10;

struct exec_team {
    struct graph_device base;
    int n;
    struct exec *member[GPU_PEERS_MAX];
    void *here[GPU_PEERS_MAX];                             /* event of each: what was given to its stream so far is done */
    bool reached;                                          /* kernels of each read what the others have */
    size_t meet_at[2], meet_bytes, copies_at;              /* exchange buffers; not reached: copies of the others' */
};

static struct exec_team *team_of(struct graph_device *d) { return (struct exec_team *)(void *)d; }
static bool meets(const struct node *n) { return n->op == OP_join_peers || n->op == OP_gather_peers; }

/* ---- meetings: what is recorded here may be in a graph ---- */

static int tell(struct exec_team *t, int i, struct err *err)
{
    TRY(gpu_use(t->member[i]->gpu, err));
    return gpu_event_record(t->member[i]->gpu, t->here[i], t->member[i]->stream, err);
}
static int after(struct exec_team *t, int i, int other, struct err *err)
{
    TRY(gpu_use(t->member[i]->gpu, err));
    return gpu_stream_after(t->member[i]->gpu, t->member[i]->stream, t->here[other], err);
}
/* The others go on from where the leader is; the leader goes on where all are. */
static int spread(struct exec_team *t, struct err *err)
{
    TRY(tell(t, 0, err));
    for (int i = 1; i < t->n; i++)
        TRY(after(t, i, 0, err));
    return 0;
}
static int collect(struct exec_team *t, struct err *err)
{
    for (int i = 1; i < t->n; i++) {
        TRY(tell(t, i, err));
        TRY(after(t, 0, i, err));
    }
    return gpu_use(t->member[0]->gpu, err);
}
static int all_are_here(struct exec_team *t, struct err *err)
{
    for (int i = 0; i < t->n; i++)
        TRY(tell(t, i, err));
    return 0;
}

/* Where member i reads what each has in the tensor: there, or copies of `bytes` from byte `at` on. */
static int parts_for(struct exec_team *t, int i, int tensor, size_t at, size_t bytes, GLOBAL(const float) part[GPU_PEERS_MAX], struct err *err)
{
    struct exec *x = t->member[i];
    for (int j = 0; j < t->n; j++) {
        const char *there = t->member[j]->arena + t->member[j]->place[tensor];
        part[j] = (const float *)(const void *)there;
        if (j == i)
            continue;
        TRY(after(t, i, j, err));
        if (t->reached)
            continue;
        char *copy = x->arena + t->copies_at + (size_t)j * t->meet_bytes;
        TRY(gpu_copy_peer(x->gpu, x->stream, copy + at, t->member[j]->gpu, there + at, bytes, err));
        part[j] = (const float *)(void *)copy;
    }
    return 0;
}

static int sum(struct exec_run *r, const struct sum_peers_args *a, struct err *err)
{
    return exec_launch(r, GPU_sum_peers, div_up(a->n, 1024), 1, 1, a, err);
}

static int join(struct exec_team *t, struct exec_run *r, const struct node *n, struct err *err)
{
    const long all = (long)(exec_count_rows(r, n->out[0]) * tensor_cols(&r->g->tensor[n->out[0]]));
    const bool shares = t->n > 2 && (size_t)all * sizeof(float) > exec_team_whole;
    struct sum_peers_args a[GPU_PEERS_MAX];
    TRY(all_are_here(t, err));
    for (int i = 0; i < t->n; i++) {
        const struct exec_run m = r[i];
        const long first = shares ? all / 4 * i / t->n * 4 : 0, end = shares ? all / 4 * (i + 1) / t->n * 4 : all;
        a[i] = (struct sum_peers_args){ .y = exec_data(&m, n->out[0]), .add = exec_data(&m, n->in[2]), .bias = exec_data(&m, n->in[1]), .first = first, .n = end - first, .n_peer = t->n,
                                        .C = (int)tensor_cols(&r->g->tensor[n->out[0]]) };
        TRY(parts_for(t, i, n->in[0], (size_t)first * sizeof(float), (size_t)a[i].n * sizeof(float), a[i].part, err));
        TRY(gpu_use(m.x->gpu, err));
        struct sum_peers_args own = a[i];
        if (shares)                                        /* nobody else reads this share of what this one had */
            own.y = exec_data(&m, n->in[0]), own.add = own.bias = NULL;
        TRY(sum(&r[i], &own, err));
    }
    if (!shares)
        return 0;
    TRY(all_are_here(t, err));
    for (int i = 0; i < t->n; i++)
        for (int j = 0; j < t->n; j++) {
            struct sum_peers_args share = a[i];
            const struct exec *x = t->member[i], *other = t->member[j];
            const char *there = other->arena + other->place[n->in[0]];
            if (j != i)
                TRY(after(t, i, j, err));
            TRY(gpu_use(x->gpu, err));
            share.first = a[j].first, share.n = a[j].n, share.n_peer = 1, share.part[0] = (const float *)(const void *)there;
            if (j != i && !t->reached) {
                char *copy = x->arena + t->copies_at + (size_t)j * t->meet_bytes;
                const size_t at = (size_t)share.first * sizeof(float);
                TRY(gpu_copy_peer(x->gpu, x->stream, copy + at, other->gpu, there + at, (size_t)share.n * sizeof(float), err));
                share.part[0] = (const float *)(void *)copy;
            }
            TRY(sum(&r[i], &share, err));
        }
    return 0;
}

/* The leader alone needs them. */
static int gather(struct exec_team *t, struct exec_run *r, const struct node *n, struct err *err)
{
    const struct tensor *x = &r->g->tensor[n->in[0]];
    struct gather_peers_args a = { .y = exec_data(r, n->out[0]), .ld = (long)tensor_cols(x), .n_row = (int)exec_count_rows(r, n->out[0]), .V = (int)tensor_cols(&r->g->tensor[n->out[0]]),
                                   .n_peer = t->n };
    TRY(all_are_here(t, err));
    TRY(parts_for(t, 0, n->in[0], 0, tensor_bytes(x, r->step->T, r->step->S), a.part, err));
    TRY(gpu_use(t->member[0]->gpu, err));
    return exec_launch(r, GPU_gather_peers, div_up((int64_t)a.n_row * a.V, 256), 1, 1, &a, err);
}

/* ---- what exec.c asks for ---- */

size_t exec_team_place(struct exec *x, const struct graph *g, size_t at)
{
    struct exec_team *t = x->team;
    size_t most = 0;
    int k = 0;
    for (int i = 0; i < g->n_node; i++)
        if (meets(&g->node[i]) && g->tensor[g->node[i].in[0]].bytes > most)
            most = g->tensor[g->node[i].in[0]].bytes;
    t->meet_bytes = exec_round(most);
    for (int i = 0; i < 2; i++, at += t->meet_bytes)
        t->meet_at[i] = at;
    t->copies_at = at;
    for (int i = 0; i < g->n_node; i++)
        if (meets(&g->node[i]))
            x->place[g->node[i].in[0]] = t->meet_at[k++ % 2];
    return at + (t->reached ? 0 : (size_t)t->n * t->meet_bytes);
}

int exec_team_send(struct exec *x, const struct graph *g, enum pass pass, const struct step *step, struct err *err)
{
    for (int i = x->team->n - 1; i >= 0; i--)
        TRY(exec_send(x->team->member[i], g, pass, step, err));
    return 0;
}

int exec_team_nodes(struct exec_run *lead, enum pass pass, int first, int last, struct err *err)
{
    struct exec_team *t = lead->x->team;
    const struct graph *g = lead->g;
    struct exec_run r[GPU_PEERS_MAX];
    for (int i = 0; i < t->n; i++) {
        r[i] = *lead;
        r[i].x = t->member[i], r[i].work = r[i].x->arena + r[i].x->work_at;
    }
    TRY(spread(t, err));
    for (int from = first, end; from < last; from = end + 1) {
        for (end = from; end < last && !(meets(&g->node[end]) && g->node[end].pass == pass); end++)
            ;
        for (int i = 0; i < t->n; i++) {
            TRY(gpu_use(r[i].x->gpu, err));
            TRY(exec_nodes(&r[i], pass, from, end, err));
        }
        if (end < last)
            TRY((g->node[end].op == OP_join_peers ? join : gather)(t, r, &g->node[end], err));
    }
    return collect(t, err);
}

/* The graph runs after what all streams have, such as what was sent for it, and they go on after it. */
int exec_team_launch(struct exec *x, const struct gpu_graph *graph, struct err *err)
{
    TRY(collect(x->team, err));
    TRY(gpu_graph_launch(x->gpu, x->stream, graph, err));
    return spread(x->team, err);
}

static int meet_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&g->tensor[n->out[0]]);
    if (n->op == OP_join_peers && C % 4)
        return EXEC_REFUSE(err, x, g, n, "it has %lld columns, expected a multiple of 4", (long long)C);
    return exec_check_f32(x, g, n, n->in[0], err);
}
static int alone(struct exec_run *r, const struct node *n, struct err *err)
{
    return EXEC_REFUSE(err, r->x, r->g, n, "it is %s", "alone");
}
const struct exec_op exec_op_join_peers = { meet_check, NULL, alone, NULL }, exec_op_gather_peers = { meet_check, NULL, alone, NULL };

/* ---- the team as a device ---- */

static int plan(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec_team *t = team_of(d);
    d->bytes = d->weight_bytes = 0;
    for (int i = 0; i < t->n; i++) {
        struct graph_device *m = &t->member[i]->base;
        TRY(m->plan(m, g, err));
        d->bytes += m->bytes, d->weight_bytes += m->weight_bytes;
    }
    return 0;
}
static int room(struct graph_device *d, size_t *bytes, struct err *err)
{
    struct exec_team *t = team_of(d);
    *bytes = 0;
    for (int i = 0; i < t->n; i++) {
        size_t own;
        TRY(t->member[i]->base.room(&t->member[i]->base, &own, err));
        *bytes += own;
    }
    return 0;
}
/* All are asked before one takes memory, so that what is told has each that is too small. */
static int bind(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec_team *t = team_of(d);
    struct buf full;
    buf_init(&full);
    int rc = 0;
    for (int i = 0; i < t->n && !rc; i++) {
        rc = exec_check_room(t->member[i], g, err);
        if (rc == ERR_NOMEM)
            rc = buf_printf(&full, err, "%s%s", full.len ? "; " : "", err->msg);
    }
    if (!rc && full.len)
        rc = ERR(err, NOMEM, "%.*s", (int)full.len, full.data);
    buf_release(&full);
    for (int i = 0; i < t->n && !rc; i++) {
        rc = gpu_use(t->member[i]->gpu, err);
        rc = rc ? rc : t->member[i]->base.bind(&t->member[i]->base, g, err);
    }
    return rc;
}
static int put(struct graph_device *d, const struct graph *g, int part, int t, int64_t e, int s, int64_t row, int64_t n, const void *from, struct err *err)
{
    struct exec *x = team_of(d)->member[part];
    TRY(gpu_use(x->gpu, err));
    return x->base.put(&x->base, g, 0, t, e, s, row, n, from, err);
}
static int floats(struct graph_device *d, const struct graph *g, int part, int t, const float *from, struct err *err)
{
    struct exec *x = team_of(d)->member[part];
    TRY(gpu_use(x->gpu, err));
    return x->base.floats(&x->base, g, 0, t, from, err);
}
static int fill(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec_team *t = team_of(d);
    for (int i = 0; i < t->n; i++) {
        TRY(gpu_use(t->member[i]->gpu, err));
        TRY(t->member[i]->base.fill(&t->member[i]->base, g, err));
    }
    return 0;
}
static int wait(struct graph_device *d, struct err *err)
{
    struct exec_team *t = team_of(d);
    for (int i = 0; i < t->n; i++) {
        TRY(gpu_use(t->member[i]->gpu, err));
        TRY(gpu_wait(t->member[i]->gpu, t->member[i]->stream, err));
    }
    return 0;
}
static int copy_page(struct graph_device *d, const struct graph *g, int from, int to, struct err *err)
{
    struct exec_team *t = team_of(d);
    for (int i = 0; i < t->n; i++) {
        TRY(gpu_use(t->member[i]->gpu, err));
        TRY(t->member[i]->base.copy_page(&t->member[i]->base, g, from, to, err));
    }
    return 0;
}
/* The leader's. */
static int run(struct graph_device *d, const struct graph *g, enum pass pass, int from, int end, const struct step *step, struct err *err)
{
    struct graph_device *lead = &team_of(d)->member[0]->base;
    return lead->run(lead, g, pass, from, end, step, err);
}
static int fetch(struct graph_device *d, const struct graph *g, int t, size_t n, struct err *err)
{
    struct graph_device *lead = &team_of(d)->member[0]->base;
    return lead->fetch(lead, g, t, n, err);
}
static int host_alloc(struct graph_device *d, void **p, size_t n, struct err *err)
{
    struct graph_device *lead = &team_of(d)->member[0]->base;
    return lead->host_alloc(lead, p, n, err);
}
static void host_free(struct graph_device *d, void *p) { team_of(d)->member[0]->base.host_free(&team_of(d)->member[0]->base, p); }
static void team_free(struct graph_device *d)
{
    struct exec_team *t = team_of(d);
    struct err ignored;
    for (int i = 0; i < t->n; i++) {                       /* nobody is still at work on what another frees */
        if (!gpu_use(t->member[i]->gpu, &ignored))
            gpu_wait(t->member[i]->gpu, t->member[i]->stream, &ignored);
    }
    for (int i = 0; i < t->n; i++) {
        gpu_use(t->member[i]->gpu, &ignored);
        gpu_event_free(t->member[i]->gpu, t->here[i]);
        t->member[i]->base.free(&t->member[i]->base);
    }
    mem_free(t);
}

/* Has each all others' memory within reach?  Else sums go by the driver's copies, aloud. */
static int reach(struct exec_team *t, struct err *err)
{
    t->reached = true;
    for (int i = 0; i < t->n; i++)
        for (int j = 0; j < t->n; j++) {
            const struct graph_device *a = &t->member[i]->base, *b = &t->member[j]->base;
            bool reaches;
            TRY(gpu_use(t->member[i]->gpu, err));
            TRY(gpu_peer(t->member[i]->gpu, t->member[j]->gpu, &reaches, err));
            if (!reaches && t->reached)
                log_warn("%s does not reach the memory of %s: what devices tell each other goes by copies of the driver, which may pass through the host; passes are launched kernel by kernel",
                         a->name, b->name);
            if (i != j && !strcmp(a->name, b->name) && i < j)
                log_warn("%s is named more than once: each of its shares waits for the other", a->name);
            t->reached = t->reached && reaches;
        }
    for (int i = 0; i < t->n; i++)
        t->member[i]->one_by_one = !t->reached;
    return 0;
}

/* "cuda:0,1", of numbers that follow each other "hip:0-7"; cut where it is too long. */
static void name_team(char *to, size_t size, const struct exec_team *t)
{
    char text[16 + 12 * GPU_PEERS_MAX], *end = text;
    bool follow = t->n > 2;
    for (int i = 1; i < t->n; i++)
        follow = follow && gpu_facts(t->member[i]->gpu)->device == gpu_facts(t->member[0]->gpu)->device + i;
    end += sprintf(end, "%.4s", gpu_facts(t->member[0]->gpu)->driver);
    for (int i = 0; i < t->n; i += follow ? t->n - 1 : 1)
        end += sprintf(end, "%c%d", i == 0 ? ':' : follow ? '-' : ',', gpu_facts(t->member[i]->gpu)->device);
    text[size - 1 < sizeof text ? size - 1 : sizeof text - 1] = 0;
    memcpy(to, text, size < sizeof text ? size : sizeof text);
}

static int join_in(struct exec_team *t, struct gpu *gpu, struct err *err)
{
    struct graph_device *d;
    const int i = t->n;
    const int used = gpu_use(gpu, err);
    if (used) {
        gpu_close(gpu);
        return used;
    }
    TRY(exec_open_gpu(&d, gpu, err));
    t->member[t->n++] = (struct exec *)(void *)d;
    t->member[i]->team = t, t->member[i]->rank = i;
    if (strcmp(gpu_facts(gpu)->arch, gpu_facts(t->member[0]->gpu)->arch) != 0)
        return ERR(err, UNSUPPORTED, "%s is %s and %s is %s, expected devices of one kind", t->member[0]->base.name, gpu_facts(t->member[0]->gpu)->arch, d->name, gpu_facts(gpu)->arch);
    return gpu_event_new(gpu, &t->here[i], err);
}

int exec_open_gpus(struct graph_device **out, struct gpu *const *gpu, int n, struct err *err)
{
    *out = NULL;
    assert(n >= 2 && n <= GPU_PEERS_MAX);
    struct exec_team *t = mem_alloc_zero(sizeof *t);
    int rc = t ? 0 : ERR(err, NOMEM, "devices that share a model need %zu bytes", sizeof *t), i = 0;
    for (; i < n && !rc; i++)
        rc = join_in(t, gpu[i], err);
    for (; i < n; i++)
        gpu_close(gpu[i]);
    rc = rc ? rc : reach(t, err);
    if (rc) {
        if (t)
            team_free(&t->base);
        return rc;
    }
    t->base = (struct graph_device){ .plan = plan, .room = room, .bind = bind, .packed = t->member[0]->base.packed, .pack = t->member[0]->base.pack, .put = put, .floats = floats, .fill = fill, .run = run,
                                     .wait = wait, .fetch = fetch, .copy_page = copy_page, .host_alloc = host_alloc, .host_free = host_free, .free = team_free,
                                     .n_part = n };
    snprintf(t->base.arch, sizeof t->base.arch, "%s", t->member[0]->base.arch);
    snprintf(t->base.model, sizeof t->base.model, "%s", t->member[0]->base.model);
    for (int k = 0; k < n; k++)
        t->base.bytes_free += t->member[k]->base.bytes_free;
    name_team(t->base.name, sizeof t->base.name, t);
    *out = &t->base;
    return 0;
}
