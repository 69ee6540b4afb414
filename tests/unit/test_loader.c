/* test_loader.c - records in a token file and in windows: what is written is read, every record is in an epoch once, packing
 * fits and fills, and a record's loss and gradients are those that it has alone. */
#include <math.h>
#include "../test.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "data/loader.h"
#include "model/decoder.h"

static struct err err;
static struct tok *tok;
static const char digest[SHA256_HEX] = "0123";

static int set_up(void **state)
{
    const struct tok_text text = { "abcdefghijklmnopqrstuvwxyz", 26 };
    return make_dir(state) || tok_from_bytes(&tok, &text, 1, &err);
}

static int tear_down(void **state)
{
    tok_free(tok);
    return remove_dir(state);
}

/* Records of 2 to longest ids, of which a third is learned; ids tell the record and the place. */
static void make(struct sequences *q, int n, int longest, uint64_t seed)
{
    *q = (struct sequences){ 0 };
    for (int i = 0; i < n; i++) {
        const int len = 2 + (int)rng_below(seed, (uint64_t)i, (uint64_t)longest - 1);
        for (int k = 0; k < len; k++) {
            const int32_t id = (i * 7 + k) % 26;
            const uint8_t learn = k > 0 && (i + k) % 3 != 0;
            OK(sequences_add(q, &id, &learn, 1, &err));
        }
        OK(sequences_end(q, (uint64_t)len, &err));
    }
}

static void open_shard(struct shard *s, const struct sequences *q, int64_t from, int64_t to, enum shard_kind kind)
{
    OK(shard_write_sequences(in_dir("s.tok"), q, from, to, kind, tok, digest, &err));
    OK(shard_open(s, in_dir("s.tok"), &err));
}

static void a_shard_of_records_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct sequences q;
    struct shard s;
    make(&q, 100, 30, 1);
    open_shard(&s, &q, 20, 90, SHARD_RECORDS);
    assert_int_equal(s.n_seq, 70);
    assert_int_equal(s.n, q.start[90] - q.start[20]);
    int64_t learned = 0;
    for (int64_t i = 0; i < s.n; i++) {
        assert_int_equal(shard_id(&s, i), q.ids.id[q.start[20] + (uint64_t)i]);
        assert_int_equal(shard_learns(&s, i), q.learn[q.start[20] + (uint64_t)i]);
        learned += shard_learns(&s, i);
    }
    assert_int_equal(s.n_learn, learned);
    assert_int_equal(s.n_text, s.n);
    for (int i = 0; i <= 70; i++)
        assert_int_equal(s.start[i], q.start[20 + i] - q.start[20]);
    shard_close(&s);
    open_shard(&s, &q, 5, 5, SHARD_RECORDS);
    assert_int_equal(s.n_seq, 0);
    shard_close(&s);
    sequences_release(&q);
}

static void a_shard_with_any_part_altered_is_refused_or_cut_into_its_ids(void **state)
{
    (void)state;
    struct sequences q;
    struct shard s;
    struct buf b;
    make(&q, 12, 9, 2);
    OK(shard_write_sequences(in_dir("s.tok"), &q, 0, 12, SHARD_PAIRS, tok, digest, &err));
    buf_init(&b);
    OK(file_read(in_dir("s.tok"), 1 << 20, &b, &err));
    int refused = 0;
    for (size_t i = 0; i < b.len; i++)
        for (int k = 0; k < 2; k++) {
            b.data[i] = (char)(b.data[i] ^ (k ? 0x80 : 1));
            OK(file_write_all(in_dir("t.tok"), b.data, b.len, &err));
            if (shard_open(&s, in_dir("t.tok"), &err) < 0) {
                refused++;
                assert_true(*err.msg);
            } else {
                assert_true(s.start[s.n_seq] == (uint64_t)s.n);
                shard_close(&s);
            }
            b.data[i] = (char)(b.data[i] ^ (k ? 0x80 : 1));
        }
    assert_true(refused > 200);                     /* magic, version, sizes, and every byte of the starts that matters */
    for (size_t n = 0; n < b.len; n += 7) {
        OK(file_write_all(in_dir("t.tok"), b.data, n, &err));
        assert_true(shard_open(&s, in_dir("t.tok"), &err) < 0);
    }
    buf_release(&b);
    sequences_release(&q);
}

struct memory { int32_t *block; struct batch b; };
static struct memory batch_of(int T)
{
    int32_t *p = mem_alloc_array((size_t)T * 4 + 1, sizeof *p);
    assert_non_null(p);
    return (struct memory){ p, { .ids = p, .target = p + T, .pos = p + 2 * T, .seq_start = p + 3 * T } };
}

/* The record that the sequence of a batch is, by search; its targets are checked. */
static int find(const struct shard *s, const struct batch *b, int seq, const bool *seen)
{
    const int at = b->seq_start[seq], n = b->seq_start[seq + 1] - at;
    for (int r = 0; r < s->n_seq; r++) {
        bool same = !seen[r] && (int)(s->start[r + 1] - s->start[r]) == n + 1;
        for (int i = 0; same && i < n; i++) {
            const int64_t t = (int64_t)s->start[r] + i;
            same = b->ids[at + i] == shard_id(s, t) && b->pos[at + i] == i && b->target[at + i] == (shard_learns(s, t + 1) ? shard_id(s, t + 1) : -1);
        }
        if (same)
            return r;
    }
    return -1;
}

static void an_epoch_has_every_record_once_and_no_window_overflows(void **state)
{
    (void)state;
    struct sequences q;
    struct shard s;
    struct loader l;
    make(&q, 300, 33, 3);
    open_shard(&s, &q, 0, 300, SHARD_RECORDS);
    int64_t tokens = 0;
    for (int i = 0; i < 300; i++)
        tokens += (int64_t)(s.start[i + 1] - s.start[i]) - 1;
    for (int pack = 0; pack < 2; pack++) {
        OK(loader_init(&l, &s, 1, 32, 9, pack, &err));
        assert_int_equal(l.n_place, tokens);
        if (pack)                                    /* at most a tenth stays free with records of evenly spread lengths */
            assert_true(l.n_window * 32 * 9 <= tokens * 10);
        else
            assert_int_equal(l.n_window, 300);
        struct memory m = batch_of(32);
        uint64_t order[2] = { 0, 0 };
        for (int epoch = 0; epoch < 2; epoch++) {
            bool seen[300] = { false };
            int n = 0;
            for (int64_t w = 0; w < l.n_window; w++) {
                loader_batch(&l, (uint64_t)(epoch * l.n_window + w), &m.b);
                assert_true(m.b.n > 0 && m.b.n <= 32 && m.b.seq_start[m.b.n_seq] == m.b.n);
                for (int k = 0; k < m.b.n_seq; k++, n++) {
                    const int r = find(&s, &m.b, k, seen);
                    assert_true(r >= 0);
                    seen[r] = true;
                    order[epoch] = order[epoch] * 31 + (uint64_t)r;
                }
                if (w == 0)
                    assert_int_equal(m.b.ids[0], shard_id(&s, loader_offset(&l, (uint64_t)(epoch * l.n_window))));
            }
            assert_int_equal(n, 300);
        }
        assert_true(order[0] != order[1]);
        mem_free(m.block);
        loader_release(&l);
    }
    shard_close(&s);
    sequences_release(&q);
}

static void a_pass_has_every_record_once(void **state)
{
    (void)state;
    struct sequences q;
    struct shard s;
    struct loader l;
    make(&q, 50, 20, 4);
    open_shard(&s, &q, 0, 50, SHARD_RECORDS);
    OK(loader_init_pass(&l, &s, 3, 24, true, &err));
    struct memory m = batch_of(72);
    bool seen[50] = { false };
    int n = 0;
    for (int64_t i = 0; loader_pass(&l, i, INT64_MAX, &m.b); i++)
        for (int k = 0; k < m.b.n_seq; k++, n++) {
            const int r = find(&s, &m.b, k, seen);
            assert_true(r >= 0);
            seen[r] = true;
        }
    assert_int_equal(n, 50);
    mem_free(m.block);
    loader_release(&l);
    shard_close(&s);
    sequences_release(&q);
}

static void the_two_answers_of_a_pair_are_neighbours(void **state)
{
    (void)state;
    struct sequences q;
    struct shard s;
    struct loader l;
    make(&q, 80, 12, 5);
    open_shard(&s, &q, 0, 80, SHARD_PAIRS);
    OK(loader_init(&l, &s, 2, 40, 1, true, &err));
    assert_int_equal(l.n_unit, 40);
    struct memory m = batch_of(80);
    bool seen[80] = { false };
    int n = 0;
    for (int64_t i = 0; i < (l.n_window + 1) / 2 && n < 80; i++) {
        loader_batch(&l, (uint64_t)i, &m.b);
        for (int k = 0; k < m.b.n_seq && n < 80; k++, n++) {
            const int r = find(&s, &m.b, k, seen);
            if (r < 0)
                break;                               /* the next epoch begins in this batch */
            assert_int_equal(r % 2, k % 2);
            if (k % 2)
                assert_true(seen[r - 1]);
            seen[r] = true;
        }
    }
    assert_int_equal(n, 80);
    mem_free(m.block);
    loader_release(&l);
    assert_int_equal(loader_init(&l, &s, 2, 4, 1, true, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "expected at most a window of 4"));
    shard_close(&s);
    sequences_release(&q);
}

/* A stream is cut where its documents begin, also without eot, and the first id of each is not a target where it is not learned. */
static void a_stream_is_cut_where_its_documents_begin(void **state)
{
    (void)state;
    static const int32_t ids[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    static const uint8_t learn[] = { 0, 1, 1, 1, 0, 1, 1, 0, 1, 1 };
    struct sequences q = { 0 };
    struct shard s;
    struct loader l;
    OK(sequences_add(&q, ids, learn, 4, &err));
    OK(sequences_end(&q, 4, &err));
    OK(sequences_add(&q, ids + 4, learn + 4, 3, &err));
    OK(sequences_end(&q, 3, &err));
    OK(sequences_add(&q, ids + 7, learn + 7, 3, &err));
    OK(sequences_end(&q, 3, &err));
    open_shard(&s, &q, 0, 3, SHARD_STREAM);
    OK(loader_init_pass(&l, &s, 1, 6, true, &err));
    struct memory m = batch_of(6);
    static const int32_t start[2][4] = { { 0, 4, 6 }, { 0, 1, 3 } }, pos[2][6] = { { 0, 1, 2, 3, 0, 1 }, { 0, 0, 1 } }, target[2][6] = { { 2, 3, 4, -1, 6, 7 }, { -1, 9, 10 } };
    for (int i = 0; i < 2; i++) {
        assert_true(loader_pass(&l, i, INT64_MAX, &m.b));
        assert_int_equal(m.b.n, i ? 3 : 6);
        assert_int_equal(m.b.n_seq, 2);
        assert_memory_equal(m.b.seq_start, start[i], 3 * sizeof(int32_t));
        assert_memory_equal(m.b.pos, pos[i], (size_t)m.b.n * sizeof(int32_t));
        assert_memory_equal(m.b.target, target[i], (size_t)m.b.n * sizeof(int32_t));
    }
    assert_false(loader_pass(&l, 2, INT64_MAX, &m.b));
    mem_free(m.block);
    shard_close(&s);
    sequences_release(&q);
}

/* ---- packed equals alone ---- */

static void run_batch(struct decoder *d, const struct batch *b, bool accumulate, double scale)
{
    const size_t n = (size_t)b->n * sizeof(int32_t);
    memcpy(d->g->tensor[d->ids].data, b->ids, n);
    memcpy(d->g->tensor[d->pos].data, b->pos, n);
    memcpy(d->g->tensor[d->target].data, b->target, n);
    const struct step s = { .T = b->n, .S = b->n_seq, .seq_start = b->seq_start, .seed = 1, .loss_scale = scale, .accumulate = accumulate };
    graph_run(d->g, PASS_FORWARD, &s);
    graph_run(d->g, PASS_BACKWARD, &s);
}

static double *gradients_of(const struct decoder *d, const struct weights_list *w, size_t *n)
{
    *n = 0;
    for (int i = 0; i < w->n_weight; i++)
        *n += (size_t)tensor_count(&d->g->tensor[i], 1, 1);
    double *out = mem_alloc_array(*n, sizeof *out), *p = out;
    assert_non_null(out);
    for (int i = 0; i < w->n_weight; i++) {
        const float *g = d->g->tensor[d->g->tensor[i].grad].data;
        for (int64_t k = tensor_count(&d->g->tensor[i], 1, 1); k > 0; k--)
            *p++ = (double)*g++;
    }
    return out;
}

#define CTX 24
/* rows: ids of the batch; its sequences are run as one batch, and then one by one with gradients added up. */
static void packed_equals_alone(const char *json)
{
    struct sequences q;
    struct shard s;
    struct loader l;
    make(&q, 40, CTX + 1, 6);
    open_shard(&s, &q, 0, 40, SHARD_RECORDS);
    OK(loader_init(&l, &s, 4, CTX, 1, true, &err));
    struct memory m = batch_of(4 * CTX), one = batch_of(4 * CTX);
    loader_batch(&l, 0, &m.b);
    assert_true(m.b.n_seq > 4);                      /* something is packed */

    struct config c;
    struct weights_list *w;
    struct decoder d;
    struct pool *pool;
    struct buf warnings;
    json_t *tree = json_loads(json, 0, NULL);
    assert_non_null(tree);
    buf_init(&warnings);
    OK(config_read(&c, tree, "model", &warnings, &err));
    OK(weights_list_new(&w, &c, &err));
    OK(pool_new(&pool, 2, &err));
    const struct decoder_opts o = { .use = DECODER_TRAIN, .compute = DT_F32 };
    OK(decoder_record(&d, &c, &o, &err));
    OK(decoder_plan(&d, 4 * CTX, 4 * CTX, 2, NULL, &err));
    OK(decoder_bind(&d, pool, NULL, &err));
    decoder_init_weights(&d, w, 3);
    const struct step none = { .T = 0 };
    graph_run(d.g, PASS_PREPARE, &none);

    int counted = 0;
    for (int i = 0; i < m.b.n; i++)
        counted += m.b.target[i] >= 0;
    run_batch(&d, &m.b, false, 1.0 / counted);
    float *nll = mem_alloc_array((size_t)m.b.n, sizeof *nll);
    assert_non_null(nll);
    memcpy(nll, d.g->tensor[d.nll].data, (size_t)m.b.n * sizeof *nll);
    size_t n;
    double *together = gradients_of(&d, w, &n);
    for (int k = 0; k < m.b.n_seq; k++) {
        const int at = m.b.seq_start[k], len = m.b.seq_start[k + 1] - at;
        memcpy(one.b.ids, m.b.ids + at, (size_t)len * 4), memcpy(one.b.pos, m.b.pos + at, (size_t)len * 4), memcpy(one.b.target, m.b.target + at, (size_t)len * 4);
        one.b.n = len, one.b.n_seq = 1, one.b.seq_start[0] = 0, one.b.seq_start[1] = len;
        run_batch(&d, &one.b, k > 0, 1.0 / counted);
        const float *alone = d.g->tensor[d.nll].data;
        for (int i = 0; i < len; i++)
            if (one.b.target[i] >= 0)
                assert_memory_equal(&alone[i], &nll[at + i], sizeof(float));
    }
    double *added = gradients_of(&d, w, &n), diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++)
        diff += (added[i] - together[i]) * (added[i] - together[i]), norm += together[i] * together[i];
    assert_true(norm > 0 && sqrt(diff / norm) < 1e-6);
    mem_free(together), mem_free(added), mem_free(nll), mem_free(m.block), mem_free(one.block);
    decoder_release(&d);
    weights_list_free(w);
    pool_free(pool);
    buf_release(&warnings);
    json_decref(tree);
    loader_release(&l);
    shard_close(&s);
    sequences_release(&q);
}

static void packed_records_have_the_loss_and_gradients_of_the_records_alone(void **state)
{
    (void)state;
    packed_equals_alone("{\"model_type\": \"lathe_gpt\", \"vocab_size\": 26, \"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
                        "\"intermediate_size\": 48, \"norm\": \"rmsnorm\", \"act\": \"swiglu\", \"pos\": \"rope\", \"max_position_embeddings\": 24}");
    packed_equals_alone("{\"model_type\": \"lathe_gpt\", \"vocab_size\": 26, \"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_experts\": 4, "
                        "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 24, \"norm\": \"layernorm\", \"act\": \"gelu\", \"pos\": \"learned\", \"max_position_embeddings\": 24}");
}

static void an_epoch_visits_every_window_once_and_two_differ(void **state)
{
    (void)state;
    uint16_t ids[1001];
    for (int i = 0; i < 1001; i++)
        ids[i] = (uint16_t)i;
    const struct shard s = { .ids = ids, .id_bytes = 2, .n = 1001, .eot = -1 };
    struct loader l;
    OK(loader_init(&l, &s, 3, 10, 42, true, &err));
    bool seen[1001] = { false }, differs = false;
    for (int64_t i = 0; i < l.n_window; i++) {
        const int64_t at = loader_offset(&l, (uint64_t)i);
        assert_true(at >= 0 && at + 10 < s.n && !seen[at]);
        seen[at] = true;
        differs = differs || at != loader_offset(&l, (uint64_t)(i + l.n_window));
    }
    assert_true(differs);
}

static void a_window_is_cut_into_documents(void **state)
{
    (void)state;
    const uint16_t ids[] = { 0, 5, 6, 0, 7, 8, 9, 0, 0, 4, 3 };
    int32_t block[4][16];
    struct batch b = { .ids = block[0], .target = block[1], .pos = block[2], .seq_start = block[3] };
    struct loader l;
    const struct shard behind = { .ids = ids + 1, .id_bytes = 2, .n = 10, .eot = 0 };
    OK(loader_init_pass(&l, &behind, 1, 8, true, &err));
    assert_true(loader_pass(&l, 0, INT64_MAX, &b));
    assert_int_equal(b.n, 8);
    static const int32_t start[] = { 0, 2, 6, 7, 8 }, pos[] = { 0, 1, 0, 1, 2, 3, 0, 0 }, target[] = { 6, 0, 7, 8, 9, 0, 0, 4 };
    assert_int_equal(b.n_seq, 4);
    assert_memory_equal(b.seq_start, start, sizeof start);
    assert_memory_equal(b.pos, pos, sizeof pos);
    assert_memory_equal(b.target, target, sizeof target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_of_records_is_read_as_it_was_written),
        cmocka_unit_test(a_shard_with_any_part_altered_is_refused_or_cut_into_its_ids),
        cmocka_unit_test(an_epoch_has_every_record_once_and_no_window_overflows),
        cmocka_unit_test(a_pass_has_every_record_once),
        cmocka_unit_test(the_two_answers_of_a_pair_are_neighbours),
        cmocka_unit_test(a_stream_is_cut_where_its_documents_begin),
        cmocka_unit_test(an_epoch_visits_every_window_once_and_two_differ),
        cmocka_unit_test(a_window_is_cut_into_documents),
        cmocka_unit_test(packed_records_have_the_loss_and_gradients_of_the_records_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
