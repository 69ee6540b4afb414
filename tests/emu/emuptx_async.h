/* emuptx_async.h - what Hopper (and sm_80's cp.async) does beside the threads: barriers in shared memory, the copy engine of tensors, products of
 * warpgroups, barriers of some threads.  Part of emuptx.c.
 *
 * Copies are made as late as they may be: loads when nobody can go on without them, stores when the thread that gave them waits, so that what
 * does not wait meets what was there before.  Found besides: registers of products that are touched before wgmma.wait_group, shared memory that
 * a copy overwrites while a product not waited for reads it, boxes that are not aligned, stores that nobody waited for.
 * Layouts: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions" and "Tensor copies"; of swizzles that of 128 bytes alone. */

#define PTX_BARRIERS 64
#define PTX_COPIES 1024
#define PTX_READS 256
/* What the test's cuTensorMapEncodeTiled() writes: sizes and boxes in elements, strides in bytes of all dimensions but the first. */
struct ptx_map { int bytes; unsigned rank, box[3]; const char *p; uint64_t size[3], stride[2]; };
struct ptx_transfer { const struct ptx_code *code; int thread, group; bool store, done; struct ptx_map map; int64_t shared, bar, at[3]; const char *from; uint64_t bytes; };
static struct {
    struct { int64_t at; int expected, pending, phase, maker; uint32_t round; int64_t tx; } bar[PTX_BARRIERS];
    int n_bar;
    struct { int arrived; } named[16];
    struct ptx_transfer copy[PTX_COPIES];
    int n_copy;
    int group[1024];                                             /* of cp.async, by thread */
    struct { int warpgroup, group; int64_t at, n; } read[PTX_READS];              /* of products not waited for */
    int n_read, product_group[8];
} async;

static void ptx_async_begin(void)
{
    async.n_bar = async.n_copy = async.n_read = 0;
    memset(async.named, 0, sizeof async.named);
    memset(async.group, 0, sizeof async.group);
    memset(async.product_group, 0, sizeof async.product_group);
}

/* ---- barriers ---- */

static int ptx_bar_id(const struct ptx_code *c, int thread) { return (int)ptx_get(thread, &c->o[0]) & 15; }
static int ptx_bar_count(const struct ptx_code *c, int thread) { return c->n > 1 ? (int)ptx_get(thread, &c->o[1]) : ptx.n_thread; }
static bool ptx_arrive_only(const struct ptx_code *c, int thread)
{
    async.named[ptx_bar_id(c, thread)].arrived++;
    return c->is.arrive_only;
}
/* Opens those at which all have come. */
static bool ptx_barriers(void)
{
    bool opened = false;
    for (int t = 0; t < ptx.n_thread; t++) {
        if (ptx.state[t] != PTX_AT_BARRIER)
            continue;
        const struct ptx_code *c = &ptx.code[ptx.pc[t]];
        const int id = ptx_bar_id(c, t);
        if (async.named[id].arrived < ptx_bar_count(c, t))
            continue;
        for (int o = ptx.n_thread - 1; o >= t; o--)
            if (ptx.state[o] == PTX_AT_BARRIER && ptx_bar_id(&ptx.code[ptx.pc[o]], o) == id)
                ptx.pc[o]++, ptx.state[o] = PTX_RUNS;
        async.named[id].arrived = 0;
        ptx.round++;
        opened = true;
    }
    return opened;
}

static int ptx_bar_at(const struct ptx_code *c, int thread, int64_t at)
{
    for (int i = 0; i < async.n_bar; i++)
        if (async.bar[i].at == at)
            return i;
    ptx_report(c, thread, "a barrier that nobody made", at);
    return -1;
}
static void ptx_bar_check(int b)
{
    if (async.bar[b].pending == 0 && async.bar[b].tx == 0)
        async.bar[b].phase ^= 1, async.bar[b].pending = async.bar[b].expected, ptx.round++;
}
/* False: the thread waits. */
static bool ptx_mbarrier(const struct ptx_code *c, int thread)
{
    const bool wait = c->is.try_wait, init = c->is.init;
    const struct ptx_operand *m = &c->o[init ? 0 : 1];
    const int64_t at = (int64_t)(*ptx_reg(thread, m->reg) + (uint64_t)m->value);
    if (init) {
        if (at % 8 || at + 8 > ptx.shared_bytes || async.n_bar == PTX_BARRIERS)
            return ptx_report(c, thread, "a barrier outside of shared memory, or misaligned", at), true;
        const int n = (int)ptx_get(thread, &c->o[1]);
        async.bar[async.n_bar].at = at, async.bar[async.n_bar].expected = async.bar[async.n_bar].pending = n;
        async.bar[async.n_bar].maker = thread, async.bar[async.n_bar].round = ptx.round;
        async.bar[async.n_bar].phase = 0, async.bar[async.n_bar++].tx = 0;
        return true;
    }
    const int b = ptx_bar_at(c, thread, at);
    if (wait)
        *ptx_reg(thread, c->o[0].reg) = 1;
    if (b < 0)
        return true;
    if (async.bar[b].maker != thread && async.bar[b].round == ptx.round)
        ptx_report(c, thread, "a barrier that another thread may still be making", at);
    if (wait)
        return async.bar[b].phase != (int)(ptx_get(thread, &c->o[2]) & 1);
    if (c->is.expect_tx)
        async.bar[b].tx += (int64_t)(uint32_t)ptx_get(thread, &c->o[2]);
    if (--async.bar[b].pending < 0)
        ptx_report(c, thread, "more come to a barrier than it waits for", at);
    ptx_bar_check(b);
    return true;
}
/* Threads whose barrier's phase is over go on. */
static bool ptx_waiters(void)
{
    bool moved = false;
    for (int t = 0; t < ptx.n_thread; t++)
        if (ptx.state[t] == PTX_WAITS && ptx_mbarrier(&ptx.code[ptx.pc[t]], t))
            ptx.pc[t]++, ptx.state[t] = PTX_RUNS, moved = true;
    return moved;
}

/* ---- copies ---- */

static int64_t ptx_swizzled(int64_t at) { return at ^ ((at >> 7 & 7) << 4); }

/* n bytes of shared memory are the copy engine's now: no thread's write and no product may meet them. */
static bool ptx_async_access(const struct ptx_transfer *x, int64_t at, int64_t n)
{
    if (at < 0 || at + n > ptx.shared_bytes)
        return ptx_report(x->code, x->thread, "outside of shared memory", at), false;
    for (int64_t i = at; i < at + n; i++) {
        struct ptx_shadow *s = &ptx.shadow[i];
        if (x->store && !s->written)
            return ptx_report(x->code, x->thread, "shared memory that nobody wrote is stored", at), true;
        if (x->store)
            continue;
        *s = (struct ptx_shadow){ .written = true, .writer = -1 };
    }
    return true;
}
static void ptx_tensor(struct ptx_transfer *x)
{
    const struct ptx_map *m = &x->map;
    const int64_t row = (int64_t)m->box[0] * m->bytes, depth = m->rank > 2 ? m->box[2] : 1;
    if (x->shared % 1024 || row != 128)
        ptx_report(x->code, x->thread, "a box that is not aligned to its swizzle", x->shared);
    for (int i = 0; i < async.n_read && !x->store; i++)
        if (async.read[i].at < x->shared + row * m->box[1] * depth && x->shared < async.read[i].at + async.read[i].n) {
            ptx_report(x->code, x->thread, "the copy engine overwrites what a product still reads", x->shared);
            break;
        }
    int64_t o = 0;
    for (int64_t z = x->at[2]; z < x->at[2] + depth; z++)
        for (int64_t y = x->at[1]; y < x->at[1] + m->box[1]; y++)
            for (int64_t e = 0; e < row; e += 16, o += 16) {
                const int64_t col = x->at[0] + e / m->bytes, left = ((int64_t)m->size[0] - col) * m->bytes, to = ptx_swizzled(x->shared + o);
                const bool there = col >= 0 && left > 0 && y >= 0 && y < (int64_t)m->size[1] && (m->rank < 3 || (z >= 0 && z < (int64_t)m->size[2]));
                const uint64_t n = there ? (uint64_t)(left < 16 ? left : 16) : 0;
                const uint64_t at = (uint64_t)(uintptr_t)m->p + (uint64_t)(col * m->bytes) + (uint64_t)y * m->stride[0] + (m->rank > 2 ? (uint64_t)z * m->stride[1] : 0);
                if (!ptx_async_access(x, to, 16) || (there && !ptx_global_access(x->code, x->thread, at, n)))
                    return;
                if (!x->store)
                    memset(ptx.shared + to, 0, 16);
                if (x->store && n)
                    memcpy((void *)(uintptr_t)at, ptx.shared + to, n);
                else if (n)
                    memcpy(ptx.shared + to, (const void *)(uintptr_t)at, n);
            }
    const int b = x->store ? -1 : ptx_bar_at(x->code, x->thread, x->bar);
    if (b >= 0) {
        async.bar[b].tx -= row * m->box[1] * depth;
        ptx_bar_check(b);
    }
}
static void ptx_finish(struct ptx_transfer *x)
{
    x->done = true;
    if (x->map.rank) {
        ptx_tensor(x);
    } else if (ptx_shared_access(x->code, x->thread, x->shared, 16, true, false)) {
        memset(ptx.shared + x->shared, 0, 16);
        memcpy(ptx.shared + x->shared, x->from, x->bytes);
    }
}
static void ptx_forget_done(void)
{
    int n = 0;
    for (int i = 0; i < async.n_copy; i++)
        if (!async.copy[i].done)
            async.copy[n++] = async.copy[i];
    async.n_copy = n;
}
/* The oldest load of the copy engine; false: there is none. */
static bool ptx_deliver(void)
{
    for (int i = 0; i < async.n_copy; i++)
        if (async.copy[i].map.rank && !async.copy[i].store) {
            ptx_finish(&async.copy[i]);
            return ptx_forget_done(), true;
        }
    return false;
}
static struct ptx_transfer *ptx_new_copy(const struct ptx_code *c, int thread)
{
    if (async.n_copy == PTX_COPIES)
        ptx_finish(&async.copy[0]), ptx_forget_done();
    struct ptx_transfer *x = &async.copy[async.n_copy++];
    *x = (struct ptx_transfer){ .code = c, .thread = thread, .group = async.group[thread] };
    return x;
}
static uint64_t ptx_address(int thread, const struct ptx_operand *m) { return (m->reg >= 0 ? *ptx_reg(thread, m->reg) : 0) + (uint64_t)m->value; }

/* Stores of tensors that the thread gave, or cp.async of all its groups but the latest n: now. */
static void ptx_wait_copies(int thread, bool tensor, int n)
{
    for (int i = 0; i < async.n_copy; i++) {
        struct ptx_transfer *x = &async.copy[i];
        if (x->thread == thread && (tensor ? x->store : !x->map.rank && x->group < async.group[thread] - n))
            ptx_finish(x);
    }
    ptx_forget_done();
}

static void ptx_copy(const struct ptx_code *c, int thread)
{
    const bool bulk = c->is.bulk;
    if (c->is.commit_group) {
        async.group[thread] += !bulk;
        return;
    }
    if (c->is.wait_group) {
        ptx_wait_copies(thread, bulk, (int)c->o[0].value);
        return;
    }
    struct ptx_transfer *x = ptx_new_copy(c, thread);
    if (!bulk) {
        x->shared = (int64_t)ptx_address(thread, &c->o[0]);
        const uint64_t from = ptx_address(thread, &c->o[1]);
        x->bytes = c->n > 3 ? ptx_get(thread, &c->o[3]) & 31 : 16, x->from = (const char *)(uintptr_t)from;
        if (x->shared % 16 || from % 16)
            ptx_report(c, thread, "a misaligned access", x->shared);
        if (x->shared % 16 || (x->bytes && !ptx_global_access(c, thread, from, x->bytes)))
            x->done = true, ptx_forget_done();
        return;
    }
    x->store = c->is.bulk_group;
    const int map = x->store ? 0 : 1;
    const uint64_t at = ptx_address(thread, &c->o[map]);
    if (!ptx_global_access(c, thread, at, 128)) {
        x->done = true, ptx_forget_done();
        return;
    }
    memcpy(&x->map, (const void *)(uintptr_t)at, sizeof x->map);
    for (unsigned i = 0; i < x->map.rank; i++)
        x->at[i] = (int32_t)ptx_get(thread, &c->o[map + 1 + (int)i]);
    const int rest = map + 1 + (int)x->map.rank;
    x->shared = (int64_t)ptx_address(thread, &c->o[x->store ? rest : 0]);
    x->bar = x->store ? 0 : (int64_t)ptx_address(thread, &c->o[rest]);
    const int64_t n = (int64_t)x->map.box[0] * x->map.bytes * x->map.box[1] * (x->map.rank > 2 ? x->map.box[2] : 1);
    for (int64_t i = x->shared; x->store && i >= 0 && i < x->shared + n && i < ptx.shared_bytes; i++)
        if (ptx.shadow[i].written && ptx.shadow[i].write_round == ptx.round && ptx.shadow[i].writer != thread) {
            ptx_report(c, thread, "a race for shared memory that is stored", i);
            break;
        }
}

/* ---- products of warpgroups ---- */

static float ptx_e4m3(uint32_t v)
{
    const int e = (int)(v >> 3 & 15), m = (int)(v & 7);
    const float f = (v & 127) == 127 ? NAN : e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
    return v & 128 ? -f : f;
}
static float ptx_element(const struct ptx_code *c, int thread, int64_t linear, bool byte)
{
    const int64_t at = ptx_swizzled(linear);
    if (at < 0 || at + 2 > ptx.shared_bytes)
        return ptx_report(c, thread, "a matrix outside of shared memory", at), 0;
    if (!ptx.shadow[at].written) {
        ptx_report(c, thread, "a matrix in shared memory that nobody wrote", at);
        ptx.shadow[at].written = true;
    }
    if (byte)
        return ptx_e4m3(ptx.shared[at]);
    return ptx_float((uint64_t)ptx.shared[at] << 16 | (uint64_t)ptx.shared[at + 1] << 24);
}
/* rows x K elements from a descriptor: K-major rows of 128 bytes, or (transposed) 64 columns a row for each k, boxes apart. */
static void ptx_operand_matrix(const struct ptx_code *c, int first, uint64_t desc, bool transposed, bool byte, int rows, int K, float *out)
{
    const int64_t start = (int64_t)(desc & 0x3fff) << 4, leading = (int64_t)(desc >> 16 & 0x3fff) << 4, stride = (int64_t)(desc >> 32 & 0x3fff) << 4;
    if (desc >> 62 != 1)
        ptx_report(c, first, "a descriptor without the swizzle of 128 bytes", (int64_t)desc);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < K; k++) {
            const int64_t at = transposed ? start + r / 64 * leading + k / 8 * stride + k % 8 * 128 + r % 64 * 2 : start + r / 8 * stride + r % 8 * 128 + k * (byte ? 1 : 2);
            out[r * K + k] = ptx_element(c, first, at, byte);
        }
    for (int box = 0; box < (transposed ? (rows + 63) / 64 : 1) && async.n_read < PTX_READS; box++) {
        async.read[async.n_read].warpgroup = first / 128, async.read[async.n_read].group = async.product_group[first / 128];
        async.read[async.n_read].at = transposed ? start + box * leading : start & ~INT64_C(1023), async.read[async.n_read++].n = transposed ? K / 8 * stride : rows / 8 * stride;
    }
}
static void ptx_product(const struct ptx_code *c, int first)
{
    static float a[64 * 32], b[256 * 32];
    const bool byte = c->is.e4m3;
    int M, N, K;
    const char *shape = strstr(c->text, ".m64n");
    if (!shape || sscanf(shape, ".m%dn%dk%d", &M, &N, &K) != 3 || N > 256 || K > 32) {
        ptx_report(c, first, "a product of no known shape", 0);
        return;
    }
    const struct ptx_operand *d = c->o, *next = c->o + N / 2;
    const bool in_registers = c->n > N / 2 + (byte ? 5 : 7);     /* four registers in place of one descriptor, and one immediate less */
    if (in_registers)
        for (int t = 0; t < 128; t++)
            for (int i = 0; i < 8; i++)
                a[(16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 & 1)) * K + 2 * (t % 4) + (i & 1) + 8 * (i / 4)] =
                    ptx_float((i & 1 ? ptx_get(first + t, &next[i / 2]) & 0xffff0000u : ptx_get(first + t, &next[i / 2]) << 16 & 0xffff0000u));
    else
        ptx_operand_matrix(c, first, ptx_get(first, &next[0]), !byte && ptx_get(first, &c->o[c->n - 2]) != 0, byte, 64, K, a);
    next += in_registers ? 4 : 1;
    const bool transposed = !byte && ptx_get(first, &c->o[c->n - 1]) != 0;
    ptx_operand_matrix(c, first, ptx_get(first, &next[0]), transposed, byte, N, K, b);
    const bool add = ptx_get(first, &next[1]) & 1;
    for (int t = 0; t < 128; t++)
        for (int i = 0; i < N / 2; i++) {
            const int row = 16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 & 1), col = 8 * (i / 4) + 2 * (t % 4) + (i & 1);
            float s = add ? ptx_float(*ptx_reg(first + t, d[i].reg)) : 0;
            for (int k = 0; k < K; k++)
                s += a[row * K + k] * b[col * K + k];
            *ptx_reg(first + t, d[i].reg) = ptx_bits(s);
        }
    ptx.n_busy += N / 2;
    for (int i = 0; i < N / 2; i++)
        ptx.busy[first / 128][d[i].reg] = (uint16_t)(async.product_group[first / 128] + 1);
}
/* All groups of the warpgroup but the latest n are done. */
static void ptx_wait_products(int warpgroup, int n)
{
    int kept = 0, busy = 0;
    const int last = async.product_group[warpgroup] - n;         /* groups below are done */
    for (int i = 0; i < async.n_read; i++)
        if (async.read[i].warpgroup != warpgroup || async.read[i].group >= last)
            async.read[kept++] = async.read[i];
    async.n_read = kept;
    for (int r = 0; r < ptx.n_reg; r++)
        if (ptx.busy[warpgroup][r] && ptx.busy[warpgroup][r] <= last)
            ptx.busy[warpgroup][r] = 0;
    for (int w = 0; w < 8; w++)
        for (int r = 0; r < ptx.n_reg; r++)
            busy += ptx.busy[w][r] != 0;
    ptx.n_busy = busy;
    if (busy == 0)
        async.product_group[warpgroup] = 0;
}
static void ptx_warpgroup(int first)
{
    const struct ptx_code *c = &ptx.code[ptx.pc[first]];
    if (c->is.mma_async)
        ptx_product(c, first);
    else if (c->is.commit_group)
        async.product_group[first / 128]++;
    else if (c->is.wait_group)
        ptx_wait_products(first / 128, (int)c->o[0].value);
    for (int l = 0; l < 128; l++)
        ptx.pc[first + l]++, ptx.state[first + l] = PTX_RUNS;
}

/* At the block's end nothing may be on its way. */
static void ptx_async_end(void)
{
    for (int i = 0; i < async.n_copy; i++)
        ptx_report(async.copy[i].code, async.copy[i].thread, "a copy that nobody waited for", async.copy[i].shared);
    async.n_copy = 0;
}
