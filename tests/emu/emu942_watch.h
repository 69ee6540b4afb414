/* emu942_watch.h - what is looked at while code runs: registers that nobody wrote, registers that a load still has, races and bounds of memory,
 * and counts.  Part of emu942.c. */

static void amd_report(const struct amd_code *c, int wave, int lane, const char *what, uint64_t at)
{
    if (amd_bad++ < amd_loud)
        fprintf(stderr, "emu942: %s: wave %d lane %d of block %d,%d,%d: %s at %#llx: %s\n", amd.name, wave, lane, amd.id[0], amd.id[1], amd.id[2], what, (unsigned long long)at, c->text);
}

/* ---- waits.  Loads and stores of memory come back in their order (vmcnt), those of shared memory in theirs, scalar loads in any (both lgkmcnt) ---- */

static void amd_land(struct amd_wave *w, struct amd_queue *q, int n_left)
{
    const int n = q->n - n_left;
    for (int i = 0; i < n; i++)
        for (int r = q->flight[i].reg; r < q->flight[i].reg + q->flight[i].n; r++)
            *(q->flight[i].scalar ? &w->busy_s[r] : &w->busy_v[r]) -= 1;
    if (n > 0) {
        memmove(q->flight, q->flight + n, (size_t)n_left * sizeof *q->flight);
        q->n = n_left;
    }
}
static void amd_wait(struct amd_wave *w, int vm, int lgkm)
{
    bool scalar = false;
    amd_land(w, &w->vm, vm < w->vm.n ? vm : w->vm.n);
    for (int i = 0; i < w->lgkm.n; i++)
        scalar |= w->lgkm.flight[i].scalar;
    if (lgkm < w->lgkm.n && (!scalar || lgkm == 0))
        amd_land(w, &w->lgkm, lgkm);
}
/* A load to the operand (or, without registers, a store) is on its way. */
static struct amd_flight *amd_leave(struct amd_wave *w, struct amd_queue *q, const struct amd_operand *to)
{
    if (q->n == AMD_FLIGHTS)
        amd_land(w, q, AMD_FLIGHTS - 1);                         /* the counter is full: the wave waits */
    struct amd_flight *f = &q->flight[q->n++];
    f->reg = f->n = f->n_place = 0, f->scalar = false;
    if (to) {
        f->reg = to->reg, f->n = to->n, f->scalar = to->kind == 's';
        for (int r = to->reg; r < to->reg + to->n; r++)
            *(f->scalar ? &w->busy_s[r] : &w->busy_v[r]) += 1;
    }
    return f;
}
static bool amd_in_queue(const struct amd_queue *q, int r)
{
    for (int i = 0; i < q->n; i++)
        if (!q->flight[i].scalar && r >= q->flight[i].reg && r < q->flight[i].reg + q->flight[i].n)
            return true;
    return false;
}
/* Registers that the instruction names must have arrived, but for those that a load of memory writes after another one: these arrive in order.  What was being
 * stored must not be written at once. */
static void amd_check_waits(const struct amd_code *c, struct amd_wave *w, int wave)
{
    for (int i = 0; i < c->n; i++) {
        const struct amd_operand *o = &c->o[i];
        for (int r = o->reg; (o->kind == 'v' || o->kind == 's') && r < o->reg + o->n; r++)
            if ((o->kind == 'v' ? w->busy_v[r] : w->busy_s[r]) && !(i < c->n_written && !strncmp(c->text, "global_load", 11) && !amd_in_queue(&w->lgkm, r))) {
                amd_report(c, wave, 0, i < c->n_written ? "a register that a load still has is written (s_waitcnt)" : "a register that a load still has is read (s_waitcnt)", (uint64_t)r);
                amd_wait(w, 0, 0);
            }
        if (i < c->n_written && o->kind == 'v' && *c->text == 'v' && w->stored_n > 2 && o->reg < w->stored + w->stored_n && w->stored < o->reg + o->n)
            amd_report(c, wave, 0, "what the instruction before stores is written (s_nop)", (uint64_t)o->reg);
    }
    w->stored_n = 0;
}

/* ---- registers that something wrote ---- */

static uint64_t amd_known(const struct amd_wave *w, const struct amd_operand *o, int i)
{
    return o->kind == 'v' ? w->known[o->reg + i] : o->kind == 's' ? (w->known_s[o->reg + i] ? ~UINT64_C(0) : 0) : ~UINT64_C(0);
}
/* Lanes for which every source is known. */
static uint64_t amd_sources_known(const struct amd_code *c, const struct amd_wave *w)
{
    uint64_t k = ~UINT64_C(0);
    for (int i = c->reads_old ? 0 : c->n_written; i < c->n; i++)
        for (int j = 0; j < c->o[i].n; j++)
            k &= amd_known(w, &c->o[i], j);
    return k;
}
static void amd_mark(struct amd_wave *w, const struct amd_operand *o, uint64_t lanes, uint64_t known)
{
    for (int j = 0; j < o->n; j++)
        if (o->kind == 'v')
            w->known[o->reg + j] = (w->known[o->reg + j] & ~lanes) | (known & lanes);
        else if (o->kind == 's')
            w->known_s[o->reg + j] = (known & lanes) == lanes;
}
/* Of 64-bit results whose lower half comes of the sources' lower halves alone: compilers leave upper halves undefined that they do not use. */
static void amd_mark_halves(const struct amd_code *c, struct amd_wave *w, uint64_t lanes)
{
    uint64_t low = ~UINT64_C(0);
    struct amd_operand first = c->o[0];
    for (int i = c->n_written; i < c->n; i++)
        low &= amd_known(w, &c->o[i], 0);
    const uint64_t all = amd_sources_known(c, w);
    amd_mark(w, &first, lanes, all);
    first.n = 1;
    amd_mark(w, &first, lanes, low);
}
/* What decides an address, what is stored, or which way code goes must be known. */
static void amd_must_know(const struct amd_code *c, int wave, uint64_t unknown, const char *what)
{
    if (unknown)
        amd_report(c, wave, __builtin_ctzll(unknown), what, 0);
}

/* ---- memory ---- */

static bool amd_global(const struct amd_code *c, int wave, int lane, uint64_t at, uint64_t n)
{
    static int last;
    if (at % (n < 4 ? n : 4))
        return amd_report(c, wave, lane, "a misaligned access", at), false;
    if (last < amd.n_block && at >= amd.block[last].begin && at + n <= amd.block[last].end)
        return true;
    for (int i = 0; i < amd.n_block; i++)
        if (at >= amd.block[i].begin && at + n <= amd.block[i].end)
            return last = i, true;
    return amd_report(c, wave, lane, "outside of every block of memory", at), false;
}

static void amd_shadow_mark(struct amd_shadow *s, int wave, bool write, bool atomic, uint32_t round)
{
    if (write) {
        s->written = true, s->writer = wave, s->write_round = round, s->atomic = atomic;
    } else {
        s->readers = s->read_round == round && (s->readers || s->reader != wave);
        s->reader = wave, s->read_round = round;
    }
}
/* Whether n bytes at `at` of shared memory may be touched; what is wrong is said. */
static bool amd_shared(const struct amd_code *c, int wave, int lane, uint32_t at, uint32_t n, bool write, bool atomic)
{
    if (at >= amd.shared_bytes || at + n > amd.shared_bytes || at % (n == 12 ? 16 : n))
        return amd_report(c, wave, lane, at + n > amd.shared_bytes ? "outside of shared memory" : "a misaligned access of shared memory", at), false;
    for (uint32_t i = at; i < at + n; i++) {
        struct amd_shadow *s = &amd.shadow[i];
        const bool other_wrote = s->written && s->write_round == amd.round && s->writer != wave && !(atomic && s->atomic);
        const bool other_read = s->read_round == amd.round && (s->readers || s->reader != wave);
        if ((!write || atomic) && !s->written) {
            amd_report(c, wave, lane, "shared memory that nobody wrote is read", at);
            s->written = true, s->writer = wave, s->write_round = 0;
            break;
        }
        if (other_wrote || (write && !atomic && other_read)) {
            amd_report(c, wave, lane, "a race for shared memory", at);
            break;
        }
        amd_shadow_mark(s, wave, write, atomic, amd.round);
    }
    return true;
}
/* What a wave has on its way to or from shared memory when a barrier opens can meet what others do behind it. */
static void amd_carry_over(struct amd_wave *w, int wave)
{
    for (int q = 0; q < 2; q++)
        for (int i = 0; i < (q ? w->vm.n : w->lgkm.n); i++) {
            const struct amd_flight *f = q ? &w->vm.flight[i] : &w->lgkm.flight[i];
            for (int p = 0; p < f->n_place; p++)
                for (uint32_t b = 0; b < f->bytes && f->place[p] + b < amd.shared_bytes; b++)
                    amd_shadow_mark(&amd.shadow[f->place[p] + b], wave, f->write, false, amd.round);
        }
}

/* ---- counts ---- */

static void amd_count(const struct amd_code *c, uint64_t exec)
{
    struct amd_counts *n = amd.counts;
    (void)exec;
    switch (c->kind) {
    case AMD_IS_MFMA: n->mfma++, n->flop += 2.0 * c->mfma.M * c->mfma.N * c->mfma.K * c->mfma.blocks; break;
    case AMD_IS_GLOBAL: case AMD_IS_BUFFER: n->memory++; break;
    case AMD_IS_DS: n->shared++; break;
    case AMD_IS_SMEM: n->scalar_load++; break;
    default:
        if (c->op == AMD_s_waitcnt && c->kind == AMD_IS_OTHER)
            n->wait++;
        else if (c->op == AMD_s_barrier && c->kind == AMD_IS_OTHER)
            n->barrier++;
        else
            *(*c->text == 'v' ? &n->vector : *c->text == 'd' ? &n->shared : &n->scalar) += 1;
    }
}
/* Cycles that shared memory takes: 32 banks of 4 bytes, lanes in groups of 128 bytes, one after the other.  Only of 16-byte writes and reads is the grouping published (AMD,
 * "Understanding AMD GPU LDS and bank conflicts", Composable Kernel's documentation): reads take lanes 0-3 and 20-23, 4-7 and 16-19, 8-11 and 28-31, 12-15 and 24-27, then the upper half. */
static void amd_count_banks(const uint32_t *at, uint64_t exec, int bytes, bool write)
{
    const int group = 128 / (bytes < 4 ? 4 : bytes);
    for (int g = 0; g < 64; g += group) {
        uint32_t word[32][64];
        int n[32] = { 0 }, most = 0;
        for (int i_lane = g; i_lane < g + group && i_lane < 64; i_lane++) {
            const int quad = i_lane / 8 % 4, l = bytes != 16 || write ? i_lane : i_lane / 32 * 32 + (i_lane % 8 < 4 ? 4 * quad : 16 + 4 * (quad ^ 1)) + i_lane % 4;
            for (int b = 0; b < bytes && exec >> l & 1; b += 4) {
                const uint32_t x = (at[l] + (uint32_t)b) / 4, bank = x % 32;
                bool seen = false;
                for (int i = 0; i < n[bank]; i++)
                    seen |= word[bank][i] == x;
                if (!seen)
                    word[bank][n[bank]++] = x;
                most = n[bank] > most ? n[bank] : most;
            }
        }
        amd.counts->shared_cycles += most, amd.counts->conflicts += most > 1 ? most - 1 : 0;
    }
}
/* Bytes, and the lines of 128 bytes that they lie in. */
static void amd_count_bytes(const uint64_t *at, uint64_t exec, int bytes, bool write)
{
    uint64_t line[128];
    int n = 0;
    for (int l = 0; l < 64; l++)
        for (uint64_t x = at[l] / 128; (exec >> l & 1) && x <= (at[l] + (uint64_t)bytes - 1) / 128; x++) {
            bool seen = false;
            for (int i = n - 1; i >= 0 && !seen; i--)
                seen = line[i] == x;
            if (!seen)
                line[n++] = x;
        }
    *(write ? &amd.counts->bytes_written : &amd.counts->bytes_read) += (long)__builtin_popcountll(exec) * bytes;
    amd.counts->lines += n;
}
