/* test_attn.c - attention over pages: every level against cpu/ref, and the promise about bits. */
#include <math.h>
#include "levels.h"
#include "cpu/attn_step.h"

#define FOR_TYPES for (enum kv_type type = 0; type < N_KV_TYPE; type++)
static const char *const suffix[] = { "", "_bf16", "_i8" };
static void (*put_of(const struct cpu_kernels *k, enum kv_type type))(const struct kv_put *) { return type == KV_I8 ? k->kv_put_i8 : type == KV_BF16 ? k->kv_put_bf16 : k->kv_put; }
static void (*paged_of(const struct cpu_kernels *k, enum kv_type type))(const struct attn_paged *) { return type == KV_I8 ? k->attn_paged_i8 : type == KV_BF16 ? k->attn_paged_bf16 : k->attn_paged; }

/* One sequence, one key/value head: T tokens of numbers, in pages at scattered numbers. */
struct shape { int T, group, dk, dv, window, n_k; float softcap; bool sink; };
struct bed {
    struct shape s;
    float *q, *k, *v, *sink;
    int32_t *page;
    int n_page;
    char *pages; size_t page_bytes, pages_bytes;
    void *scratch; size_t scratch_bytes;
    enum kv_type type;
};

#define LD_Q(s) ((s)->group * (s)->dk + 3)
#define LD_O(s) ((s)->group * (s)->dv + 5)

static void bed_new(struct bed *b, const struct shape *s, enum kv_type type)
{
    *b = (struct bed){ .s = *s, .type = type, .n_page = (s->T + KV_TOKENS - 1) / KV_TOKENS };
    b->q = numbers((size_t)(s->T * LD_Q(s)), 1.5f);
    b->k = numbers((size_t)(s->T * (s->dk + 1)), 1);
    b->v = numbers((size_t)(s->T * (s->dv + 2)), 1);
    b->sink = numbers((size_t)s->group, 2);
    b->page_bytes = cpu_kv_page_bytes(type, s->dk, s->dv);
    b->page = mem_alloc_array((size_t)b->n_page, sizeof *b->page);
    b->pages_bytes = (size_t)(2 * b->n_page + 1) * b->page_bytes;
    b->pages = mem_map(b->pages_bytes);
    b->scratch_bytes = cpu_attn_paged_scratch(s->dk, s->dv, s->group);
    b->scratch = mem_map(b->scratch_bytes + 64);
    assert_non_null(b->pages);
    assert_non_null(b->scratch);
    memset(b->pages, 0xff, b->pages_bytes);             /* NaN wherever nothing is written */
    memset((char *)b->scratch + b->scratch_bytes, 0x5a, 64);
}
static void scatter(struct bed *b, int seed)
{
    for (int i = 0; i < b->n_page; i++)
        b->page[i] = seed ? 2 * ((i * 7 + seed) % b->n_page) + seed % 2 : i;
    if (seed && b->n_page % 7 == 0)                     /* 7 is no generator then */
        for (int i = 0; i < b->n_page; i++)
            b->page[i] = 2 * (b->n_page - 1 - i);
}
static void bed_free(struct bed *b)
{
    for (int i = 0; i < 64; i++)
        assert_int_equal(((unsigned char *)b->scratch)[b->scratch_bytes + (size_t)i], 0x5a);
    mem_free(b->q), mem_free(b->k), mem_free(b->v), mem_free(b->sink), mem_free(b->page);
    mem_unmap(b->pages, b->pages_bytes);
    mem_unmap(b->scratch, b->scratch_bytes + 64);
}

static struct kv_pages kv_of(const struct bed *b)
{
    return (struct kv_pages){ .base = b->pages, .page = b->page, .stride = b->page_bytes, .dk = b->s.dk, .dv = b->s.dv };
}
static void put(const struct bed *b, const struct cpu_kernels *k, int first, int n)
{
    const struct kv_put p = { .kv = kv_of(b), .pos0 = first, .n = n, .k = b->k + first * (b->s.dk + 1), .v = b->v + first * (b->s.dv + 2), .ld_k = b->s.dk + 1, .ld_v = b->s.dv + 2 };
    put_of(k, b->type)(&p);
}
static struct attn_paged attn_of(const struct bed *b, int first, int n, float *o)
{
    return (struct attn_paged){ .kv = kv_of(b), .n_q = n, .pos0 = first, .n_group = b->s.group, .n_k = b->s.n_k, .window = b->s.window,
                                .q = b->q + first * LD_Q(&b->s), .ld_q = LD_Q(&b->s), .scale = 1 / sqrtf((float)b->s.dk), .softcap = b->s.softcap,
                                .sink = b->s.sink ? b->sink : NULL, .o = o + first * LD_O(&b->s), .ld_o = LD_O(&b->s), .scratch = b->scratch };
}
static void run(const struct bed *b, const struct cpu_kernels *k, int first, int n, float *o)
{
    const struct attn_paged p = attn_of(b, first, n, o);
    paged_of(k, b->type)(&p);
}
static void run_parts(const struct bed *b, const struct cpu_kernels *k, int pos, float *o)
{
    const struct attn_paged p = attn_of(b, pos, 1, o);
    const int n = b->s.n_k ? (b->s.n_k - 1) / ATTN_RANGE + 1 : cpu_attn_ranges(pos, b->s.window), first = cpu_attn_first_range(pos, b->s.window);
    const size_t size = cpu_attn_part(b->s.dv, b->s.group);
    float *parts = zeros((size_t)n * size);
    for (int i = n - 1; i >= 0; i--)                    /* in any order */
        (b->type == KV_I8 ? k->attn_paged_part_i8 : b->type == KV_BF16 ? k->attn_paged_part_bf16 : k->attn_paged_part)(&p, first + i, parts + (size_t)i * size);
    k->attn_paged_join(&p, n, parts);
    mem_free(parts);
}

static double distance(const float *a, const float *b, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++)
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]), norm += (double)b[i] * b[i];
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

static const struct shape shapes[] = {
    { 1, 1, 16, 16, 0, 0, 0, false },      { 5, 2, 8, 8, 0, 0, 0, false },       { 16, 3, 64, 64, 0, 0, 0, false },   { 17, 1, 20, 20, 0, 0, 0, true },
    { 33, 4, 80, 80, 0, 0, 0, false },     { 70, 9, 96, 96, 0, 0, 0, false },    { 130, 3, 64, 64, 0, 0, 0, false },  { 140, 1, 72, 40, 0, 0, 30, false },
    { 200, 2, 192, 128, 0, 0, 0, false },  { 40, 16, 576, 512, 0, 0, 0, false }, { 150, 8, 128, 128, 0, 0, 50, true }, { 530, 3, 64, 64, 0, 0, 0, true },
    { 600, 1, 32, 32, 100, 0, 0, true },   { 300, 2, 16, 16, 1, 0, 0, false },   { 290, 5, 112, 112, 17, 0, 0, false }, { 1100, 2, 24, 24, 530, 0, 0, false },
    { 90, 1, 64, 64, 0, 90, 0, false },    { 520, 2, 33, 31, 0, 520, 0, true },  { 7, 1, 256, 256, 0, 7, 0, false },
};
#define N_SHAPE (sizeof shapes / sizeof *shapes)

static void put_equals_ref_to_the_bit_in_any_pieces(void **state)
{
    (void)state;
    FOR_LEVELS FOR_TYPES for (size_t i = 0; i < N_SHAPE; i++) {
        struct bed b;
        bed_new(&b, &shapes[i], type);
        scatter(&b, 3);
        for (int t = 0; t < b.s.T; t++)                     /* what is smaller than a normal number, and what is no number */
            b.k[t * (b.s.dk + 1) + t % b.s.dk] = t % 3 ? 1e-39f * (float)(t % 7 - 3) : -INFINITY, b.v[t * (b.s.dv + 2) + t % b.s.dv] = t % 3 ? 3e-40f * (float)(t % 5 - 2) : NAN;
        put(&b, ref, 0, b.s.T);
        char *want = mem_map(b.pages_bytes);
        memcpy(want, b.pages, b.pages_bytes);
        for (int piece = 1; piece <= 40; piece = piece * 3 + 1) {
            memset(b.pages, 0xff, b.pages_bytes);
            for (int at = 0; at < b.s.T; at += piece)
                put(&b, now, at, b.s.T - at < piece ? b.s.T - at : piece);
            if (memcmp(want, b.pages, b.pages_bytes))
                fail_msg("kv_put%s at %s, shape %zu in pieces of %d: bytes differ", suffix[type], now->level, i, piece);
        }
        mem_unmap(want, b.pages_bytes);
        bed_free(&b);
    }
}

static void paged_attention_equals_ref(void **state)
{
    (void)state;
    FOR_TYPES for (size_t i = 0; i < N_SHAPE; i++) {
        struct bed b;
        bed_new(&b, &shapes[i], type);
        scatter(&b, 1);
        const int T = b.s.T, step = T > 100 ? 29 : 3;      /* the reference is slow */
        put(&b, ref, 0, T);
        const size_t n = (size_t)(T * LD_O(&b.s));
        float *want = zeros(n);
        for (int at = 0; at < T; at += step)
            run(&b, ref, at, 1, want);
        FOR_LEVELS {
            float *got = zeros(n);
            for (int at = 0; at < T; at += step)
                run(&b, now, at, 1, got);
            const bool rounds = type == KV_BF16 && !strcmp(now->level, "avx512bf16");      /* others keep probabilities in float */
            const double d = distance(got, want, n), most = tolerance_of(rounds ? "attn_paged_bf16" : "attn_paged");
            if (!(d <= most))
                fail_msg("attn_paged%s at %s, shape %zu: ||a-b|| / ||b|| = %.3g, expected at most %.3g", suffix[type], now->level, i, d, most);
            mem_free(got);
        }
        mem_free(want);
        bed_free(&b);
    }
}

static void pages_of_int8_hold_nearly_what_floats_do(void **state)
{
    (void)state;
    static const struct shape s = { 300, 3, 64, 64, 0, 0, 0, false };
    const size_t n = (size_t)(s.T * LD_O(&s));
    float *o[2] = { zeros(n), zeros(n) };
    for (int i = 0; i < 2; i++) {
        struct bed b;
        stream = 1000;
        bed_new(&b, &s, i ? KV_I8 : KV_REAL);
        put(&b, ref, 0, s.T);
        for (int at = 0; at < s.T; at += 17)
            run(&b, ref, at, 1, o[i]);
        bed_free(&b);
    }
    const double d = distance(o[1], o[0], n);
    assert_true(d > 1e-5 && d < 0.01);
    assert_true(cpu_kv_page_bytes(KV_I8, 64, 64) * 1.88 < cpu_kv_page_bytes(KV_BF16, 64, 64));
    mem_free(o[0]), mem_free(o[1]);
}

static void rows_have_the_same_bits_in_any_company(void **state)
{
    (void)state;
    FOR_LEVELS FOR_TYPES for (size_t i = 0; i < N_SHAPE; i++) {
        if (now == ref && (shapes[i].T > 80 || shapes[i].dk > 200))       /* it is slow, and one loop for all cases */
            continue;
        struct bed b;
        bed_new(&b, &shapes[i], type);
        const int T = b.s.T;
        const size_t n = (size_t)(T * LD_O(&b.s));
        float *want = zeros(n), *got = zeros(n);
        scatter(&b, 0);
        put(&b, now, 0, T);
        for (int at = 0; at < T; at++)                     /* alone: decode */
            run(&b, now, at, 1, want);
        for (int trial = 0; trial < 6; trial++) {
            scatter(&b, trial);
            memset(b.pages, 0xff, b.pages_bytes);
            memset(got, 0, n * sizeof *got);
            for (int at = 0, piece; at < T; at += piece) {      /* chunks of random sizes, each stored just before it is needed */
                piece = trial == 0 ? T : 1 + (int)(rng_u64(77 + i, (uint64_t)(trial * 5000 + at)) % (trial == 1 ? 8 : trial == 2 ? 300 : 70));
                piece = piece > T - at ? T - at : piece;
                if (!b.s.n_k)
                    put(&b, now, at, piece);
                else if (!at)
                    put(&b, now, 0, T);
                run(&b, now, at, piece, got);
            }
            if (memcmp(got, want, n * sizeof *got))
                fail_msg("attn_paged%s at %s, shape %zu, trial %d: bits differ from those alone", suffix[type], now->level, i, trial);
        }
        memset(got, 0, n * sizeof *got);
        for (int at = 0; at < T; at++)
            run_parts(&b, now, at, got);
        if (memcmp(got, want, n * sizeof *got))
            fail_msg("attn_paged_part%s at %s, shape %zu: bits differ from the whole", suffix[type], now->level, i);
        mem_free(want), mem_free(got);
        bed_free(&b);
    }
}

static void nan_of_a_later_token_does_not_reach_a_row(void **state)
{
    (void)state;
    static const struct shape s = { 150, 3, 64, 64, 0, 0, 0, false };
    FOR_LEVELS FOR_TYPES {
        struct bed b;
        bed_new(&b, &s, type);
        scatter(&b, 1);
        const size_t n = (size_t)(s.T * LD_O(&s));
        float *want = zeros(n), *got = zeros(n);
        b.v[100 * (s.dv + 2) + 5] = NAN, b.k[120 * (s.dk + 1) + 7] = INFINITY;
        put(&b, now, 0, s.T);
        for (int at = 0; at < s.T; at++)
            run(&b, now, at, 1, want);
        run(&b, now, 0, s.T, got);
        for (int row = 0; row < s.T; row++)
            for (int c = 0; c < s.group * s.dv; c++) {
                const float x = want[row * LD_O(&s) + c], y = got[row * LD_O(&s) + c];
                assert_true(row < 100 ? !isnan(x) : c % s.dv != 5 || isnan(x));
                assert_true((isnan(x) && isnan(y)) || x == y);
            }
        mem_free(want), mem_free(got);
        bed_free(&b);
    }
}

static void output_of_bf16_is_the_rounded_float(void **state)
{
    (void)state;
    static const struct shape s = { 40, 3, 64, 40, 0, 0, 0, false };
    FOR_LEVELS FOR_TYPES {
        struct bed b;
        bed_new(&b, &s, type);
        put(&b, now, 0, s.T);
        const size_t n = (size_t)(s.T * LD_O(&s));
        float *o = zeros(n);
        bf16 *h = mem_alloc_array(n + 64, sizeof *h), *want = mem_alloc_array(n + 64, sizeof *want);
        for (int n_q = 1; n_q <= s.T; n_q += s.T - 1) {
            struct attn_paged p = attn_of(&b, s.T - n_q, n_q, o);
            paged_of(now, type)(&p);
            ref->to_bf16(n, o, want);
            p.o = h + (s.T - n_q) * LD_O(&s), p.o_bf16 = true;
            paged_of(now, type)(&p);
            assert_memory_equal(h, want, n * sizeof *h);
        }
        mem_free(o), mem_free(h), mem_free(want);
        bed_free(&b);
    }
}

static void great_scores_and_sinks_stay_finite(void **state)
{
    (void)state;
    static const struct shape s = { 300, 2, 32, 32, 0, 0, 0, true };
    FOR_LEVELS FOR_TYPES {
        struct bed b;
        bed_new(&b, &s, type);
        for (int i = 0; i < s.T * LD_Q(&s); i++)
            b.q[i] *= 300;
        for (int trial = 0; trial < 3; trial++) {
            b.sink[0] = trial == 0 ? 4000 : -INFINITY, b.sink[1] = trial == 1 ? -4000 : 0;
            put(&b, now, 0, s.T);
            const size_t n = (size_t)(s.T * LD_O(&s));
            float *want = zeros(n), *got = zeros(n);
            for (int at = 0; at < s.T; at += 20)
                run(&b, ref, at, 1, want), run(&b, now, at, 1, got);
            assert_true(distance(got, want, n) < (type == KV_BF16 ? 0.02 : 1e-4));       /* scores of thousands: an ulp of them is 1e-4 */
            mem_free(want), mem_free(got);
        }
        bed_free(&b);
    }
}

/* ---- a step of several sequences ---- */

#define STEP_SEQ 5
#define STEP_CTX 1200
#define STEP_ROWS 400

struct step_bed { int H, G, dk, dv; float *q, *k, *v, *o, *qw, *kw, *table, *sink; int32_t *page; char *cache; size_t page_bytes, cache_bytes; };

static void step_bed_new(struct step_bed *b, enum kv_type type)
{
    *b = (struct step_bed){ .H = 2, .G = 3, .dk = 40, .dv = 24 };
    b->page_bytes = cpu_kv_page_bytes(type, b->dk, b->dv);
    b->cache_bytes = (size_t)(STEP_SEQ * (STEP_CTX / KV_TOKENS + 1) * b->H) * b->page_bytes;
    b->cache = mem_map(b->cache_bytes);
    assert_non_null(b->cache);
    memset(b->cache, 0xff, b->cache_bytes);
    b->page = mem_alloc_array(STEP_SEQ * (STEP_CTX / KV_TOKENS + 1), sizeof *b->page);
    for (int i = 0; i < STEP_SEQ * (STEP_CTX / KV_TOKENS + 1); i++)
        b->page[i] = i / STEP_SEQ + i % STEP_SEQ * (STEP_CTX / KV_TOKENS + 1);
    b->q = numbers(STEP_ROWS * 240, 1), b->k = numbers(STEP_ROWS * 80, 1), b->v = numbers(STEP_ROWS * 48, 1), b->o = zeros(STEP_ROWS * 144);
    b->qw = numbers(40, 1), b->kw = numbers(40, 1), b->sink = numbers(6, 1);
    b->table = zeros(STEP_CTX * 32);
    for (int i = 0; i < STEP_CTX * 16; i++)
        b->table[2 * i] = cosf((float)(i / 16) / (float)(i % 16 + 1)), b->table[2 * i + 1] = sinf((float)(i / 16) / (float)(i % 16 + 1));
}
static void step_bed_free(struct step_bed *b)
{
    mem_unmap(b->cache, b->cache_bytes);
    mem_free(b->page), mem_free(b->q), mem_free(b->k), mem_free(b->v), mem_free(b->o), mem_free(b->qw), mem_free(b->kw), mem_free(b->table), mem_free(b->sink);
}

/* Feeds n_seq sequences in pieces of the given sizes; row i of the stream of sequence s is row (s*STEP_CTX + i) % STEP_ROWS of
 * q, k, v.  out[s][i] gets what the last n_last positions of each gave. */
static void feed(const struct step_bed *b, enum kv_type type, int n_thread, int together, int piece, int form, int n_last, float *out)
{
    static const int length[STEP_SEQ] = { 1100, 1, 40, 520, 300 };
    struct pool *pool;
    struct err err;
    assert_int_equal(pool_new(&pool, n_thread, &err), 0);
    const size_t scratch = attn_step_scratch(b->G, b->dk, b->dv), work = attn_step_work(STEP_SEQ, STEP_CTX, b->H, b->G, b->dv, n_thread);
    char *memory = mem_map(scratch * (size_t)n_thread + work + 64);
    memset(memory + scratch * (size_t)n_thread + work, 0x5a, 64);
    float *q = zeros((size_t)(STEP_SEQ * piece) * 240), *k = zeros((size_t)(STEP_SEQ * piece) * 80), *v = zeros((size_t)(STEP_SEQ * piece) * 48), *o = zeros((size_t)(STEP_SEQ * piece) * 144);
    int done[STEP_SEQ] = { 0 };
    for (int s0 = 0; s0 < STEP_SEQ;) {
        struct attn_seq seq[STEP_SEQ];
        int which[STEP_SEQ], n_seq = 0, rows = 0, last = s0 + together < STEP_SEQ ? s0 + together : STEP_SEQ;
        for (int s = s0; s < last; s++) {
            if (done[s] == length[s])
                continue;
            const int left = length[s] - done[s], n = left > n_last && left - n_last < piece ? left - n_last : left <= n_last ? 1 : piece;
            which[n_seq] = s;
            seq[n_seq++] = (struct attn_seq){ rows, n, done[s], b->page + s * (STEP_CTX / KV_TOKENS + 1) };
            for (int i = 0; i < n; i++, rows++) {
                const int from = (s * STEP_CTX + done[s] + i) % STEP_ROWS;
                memcpy(q + rows * 240, b->q + from * 240, 240 * sizeof *q);
                memcpy(k + rows * 80, b->k + from * 80, 80 * sizeof *k);
                memcpy(v + rows * 48, b->v + from * 48, 48 * sizeof *v);
            }
        }
        if (!n_seq) {
            s0 = last;
            continue;
        }
        const struct attn_step step = { .kernels = now, .pool = pool, .n_seq = n_seq, .seq = seq, .n_kv_head = b->H, .n_group = b->G, .dk = b->dk, .dv = b->dv, .cache = b->cache,
                                        .page_stride = b->page_bytes * (size_t)b->H, .head_stride = b->page_bytes, .type = type, .q = q, .k = k, .v = v, .ld_q = 240, .ld_k = 80,
                                        .ld_v = 48, .q_norm = form & 1 ? b->qw : NULL, .k_norm = form & 1 ? b->kw : NULL, .eps = 1e-5f, .cos_sin = form & 2 ? b->table : NULL,
                                        .d_rot = 32, .rope_pairs = form & 4, .window = form & 4 ? 600 : 0, .scale = 0.2f, .sink = form & 1 ? b->sink : NULL, .o = o, .ld_o = 144,
                                        .scratch = memory, .scratch_step = scratch, .work = memory + scratch * (size_t)n_thread };
        attn_step(&step);
        for (int i = 0; i < n_seq; i++) {
            for (int t = 0; t < seq[i].n_q; t++)
                if (done[which[i]] + t >= length[which[i]] - n_last)
                    memcpy(out + (which[i] * n_last + n_last - length[which[i]] + done[which[i]] + t) * 144, o + (seq[i].row0 + t) * 144, 144 * sizeof *o);
            done[which[i]] += seq[i].n_q;
        }
    }
    for (int i = 0; i < 64; i++)
        assert_int_equal(((unsigned char *)memory)[scratch * (size_t)n_thread + work + (size_t)i], 0x5a);
    mem_free(q), mem_free(k), mem_free(v), mem_free(o);
    mem_unmap(memory, scratch * (size_t)n_thread + work + 64);
    pool_free(pool);
}

static void a_step_gives_the_same_bits_for_any_batch_pieces_and_threads(void **state)
{
    (void)state;
    const int n_last = 3;
    const size_t n = STEP_SEQ * (size_t)n_last * 144;
    FOR_LEVELS FOR_TYPES for (int form = 0; form < 8; form += form ? 4 : 3) {      /* 0, 3, 7 */
        if (now == ref || (UNDER_THREAD && l[1] != NULL))
            continue;
        struct step_bed b;
        step_bed_new(&b, type);
        float *want = zeros(n), *got = zeros(n);
        feed(&b, type, 1, 1, 1100, form, n_last, want);
        static const struct { int n_thread, together, piece; } trials[] = { { 1, 5, 64 }, { 2, 1, 100 }, { 2, 5, 37 }, { 3, 2, 333 }, { 8, 1, 500 } };
        for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
            memset(b.cache, 0xff, b.cache_bytes);
            memset(got, 0, n * sizeof *got);
            feed(&b, type, trials[i].n_thread, trials[i].together, trials[i].piece, form, n_last, got);
            if (memcmp(got, want, n * sizeof *got))
                fail_msg("attn_step at %s, type %d, form %d, trial %zu: bits differ", now->level, (int)type, form, i);
        }
        mem_free(want), mem_free(got);
        step_bed_free(&b);
    }
}

static void a_step_is_norm_rotation_storing_and_attention(void **state)
{
    (void)state;
    enum { T = 40, HEADS = 6 };
    FOR_LEVELS FOR_TYPES {
        struct step_bed b;
        step_bed_new(&b, type);
        float *want = zeros(T * 144);
        struct pool *pool;
        struct err err;
        assert_int_equal(pool_new(&pool, 2, &err), 0);
        void *scratch = mem_map(2 * attn_step_scratch(b.G, b.dk, b.dv)), *work = mem_map(attn_step_work(1, T, b.H, b.G, b.dv, 2));
        const struct attn_seq seq = { 0, T, 0, b.page };
        const struct attn_step step = { .kernels = now, .pool = pool, .n_seq = 1, .seq = &seq, .n_kv_head = b.H, .n_group = b.G, .dk = b.dk, .dv = b.dv, .cache = b.cache,
                                        .page_stride = b.page_bytes * (size_t)b.H, .head_stride = b.page_bytes, .type = type, .q = copy_of(b.q, T * 240), .k = copy_of(b.k, T * 80),
                                        .v = b.v, .ld_q = 240, .ld_k = 80, .ld_v = 48, .q_norm = b.qw, .k_norm = b.kw, .eps = 1e-5f, .cos_sin = b.table, .d_rot = 32, .scale = 0.2f,
                                        .sink = b.sink, .o = b.o, .ld_o = 144, .scratch = scratch, .scratch_step = attn_step_scratch(b.G, b.dk, b.dv), .work = work };
        attn_step(&step);
        for (int t = 0; t < T; t++)
            for (int h = 0; h < HEADS + b.H; h++) {
                float *x = h < HEADS ? b.q + t * 240 + h * b.dk : b.k + t * 80 + (h - HEADS) * b.dk;
                now->rmsnorm_fwd(&(struct norm){ .n_row = 1, .C = b.dk, .x = x, .w = h < HEADS ? b.qw : b.kw, .eps = 1e-5f, .y = x });
                now->rope_half(&(struct rope){ .n_head = 1, .d_head = b.dk, .d_rot = 32, .x = x, .cos_sin = b.table + t * 32 });
            }
        memset(b.cache, 0, b.cache_bytes);
        for (int h = 0; h < b.H; h++) {
            const struct kv_pages kv = { .base = b.cache + (size_t)h * b.page_bytes, .page = b.page, .stride = b.page_bytes * (size_t)b.H, .dk = b.dk, .dv = b.dv };
            put_of(now, type)(&(struct kv_put){ .kv = kv, .n = T, .k = b.k + h * b.dk, .v = b.v + h * b.dv, .ld_k = 80, .ld_v = 48 });
            paged_of(now, type)(&(struct attn_paged){ .kv = kv, .n_q = T, .n_group = b.G, .q = b.q + h * b.G * b.dk, .ld_q = 240, .scale = 0.2f,
                                                                                .sink = b.sink + h * b.G, .o = want + h * b.G * b.dv, .ld_o = 144, .scratch = scratch });
        }
        assert_memory_equal(b.o, want, T * 144 * sizeof *want);
        mem_free(step.q), mem_free(step.k), mem_free(want);
        mem_unmap(scratch, 2 * attn_step_scratch(b.G, b.dk, b.dv));
        mem_unmap(work, attn_step_work(1, T, b.H, b.G, b.dv, 2));
        pool_free(pool);
        step_bed_free(&b);
    }
}

int main(void)
{
    ref = cpu_levels()[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_equals_ref_to_the_bit_in_any_pieces),
        cmocka_unit_test(paged_attention_equals_ref),
        cmocka_unit_test(pages_of_int8_hold_nearly_what_floats_do),
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
        cmocka_unit_test(nan_of_a_later_token_does_not_reach_a_row),
        cmocka_unit_test(output_of_bf16_is_the_rounded_float),
        cmocka_unit_test(great_scores_and_sinks_stay_finite),
        cmocka_unit_test(a_step_is_norm_rotation_storing_and_attention),
        cmocka_unit_test(a_step_gives_the_same_bits_for_any_batch_pieces_and_threads),
    };
    if (UNDER_THREAD)                  /* the others are about kernels, which one thread calls */
        cmocka_set_test_filter("a_step_*");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
