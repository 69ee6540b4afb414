/* test_pages.c - pages shared by sequences, against a memory that remembers for each position what text was computed there. */
#include "../test.h"
#include "base/rng.h"
#include "infer/pages.h"

static struct err err;

#define N_PAGE 24
#define CTX 400
#define N_SEQ 6

/* What a cache would hold: for each place the hash of the text up to and with that position; 0: nothing. */
static uint64_t cell[N_PAGE][KV_TOKENS];

struct seq { struct held h; int32_t ids[CTX]; int n, n_done; bool live; };

static uint64_t text_hash(uint64_t root, const int32_t *ids, int n) { return hash64(ids, (size_t)n * sizeof *ids, root) | 1; }

static struct block_key root_of(int tenant)
{
    struct block_key k = { { (unsigned char)(tenant + 1) } };
    return k;
}

static uint64_t tenant_of(const struct seq *s) { return s->h.root.sha256[0]; }

/* Everything that the sequence has must be its own text; what it is about to write must be nobody else's. */
static void check_read(const struct seq *s, const char *when)
{
    for (int i = 0; i < s->n_done; i++)
        if (cell[s->h.page[i / KV_TOKENS]][i % KV_TOKENS] != text_hash(tenant_of(s), s->ids, i + 1))
            fail_msg("%s: position %d of %d holds another text", when, i, s->n_done);
}

static void compute(struct seq *all, struct seq *s, int n)
{
    for (int i = s->n_done; i < n; i++) {
        const int32_t page = s->h.page[i / KV_TOKENS];
        for (int k = 0; k < N_SEQ; k++)
            for (int j = 0; all[k].live && &all[k] != s && j < all[k].h.n_page; j++)
                if (all[k].h.page[j] == page)
                    fail_msg("page %d is written by one sequence and held by another", page);
        cell[page][i % KV_TOKENS] = text_hash(tenant_of(s), s->ids, i + 1);
    }
    s->n_done = n;
}

static bool begin(struct pages *p, struct seq *s, struct pages_wish wish, enum pages_fate *fate)
{
    int kept, from;
    *fate = pages_begin(p, &s->h, s->ids, s->n, wish, &kept, &from);
    if (*fate != PAGES_OK) {
        assert_int_equal(s->h.n_page, 0);
        return false;
    }
    assert_true(kept < s->n && kept % BLOCK_TOKENS == 0);
    if (from >= 0)
        memcpy(cell[s->h.page[kept / KV_TOKENS]], cell[from], sizeof cell[0]);
    s->n_done = kept, s->live = true;
    check_read(s, "begun");
    return true;
}

static void end(struct pages *p, struct seq *s)
{
    pages_release(p, &s->h);
    held_release(&s->h);
    s->live = false;
}

static void new_text(struct seq *s, int tenant, int i_text, int n)
{
    const struct block_key root = root_of(tenant);
    s->n = n;
    OK(held_init(&s->h, &root, CTX, &err));
    for (int i = 0; i < n; i++)              /* texts part from each other at 40 * i_text */
        s->ids[i] = i < 40 * (i_text % 5) ? i % 7 : (int32_t)(rng_u64((uint64_t)i_text, (uint64_t)i) % 50);
}

/* Sequences come, grow, and go at random: nobody ever reads another text than its own. */
static void random_company_never_mixes_texts(void **state)
{
    (void)state;
    struct pages *p;
    OK(pages_new(&p, N_PAGE / 2, &err));
    struct seq *all = calloc(N_SEQ, sizeof *all);
    int n_wait = 0, n_none = 0, n_begun = 0;
    for (uint64_t step = 0; step < 20000; step++) {
        struct seq *s = &all[rng_u64(1, step) % N_SEQ];
        const uint64_t dice = rng_u64(2, step);
        if (!s->live) {
            enum pages_fate fate;
            new_text(s, (int)(dice >> 40 & 1), (int)(dice >> 8 & 15), 1 + (int)(dice >> 16 & 255));
            if (begin(p, s, (struct pages_wish){ (dice >> 50 & 7) != 0, dice >> 55 & 1, 0 }, &fate))
                n_begun++;
            else
                held_release(&s->h);
            n_wait += fate == PAGES_WAIT, n_none += fate == PAGES_NONE;
        } else if (dice % 8 == 0) {
            check_read(s, "at its end");
            end(p, s);
        } else {                             /* a piece of the prompt, or one more token */
            if (s->n_done == s->n && s->n < CTX && pages_extend(p, &s->h, s->n + 1)) {
                s->ids[s->n] = (int32_t)(s->n % 11);
                s->n++;
            }
            const int most = s->n_done + 1 + (int)(dice >> 20 & 63);
            compute(all, s, most < s->n ? most : s->n);
            pages_publish(p, &s->h, s->ids, s->n_done);
            check_read(s, "after a step");
        }
        int held = 0;
        bool seen[N_PAGE] = { 0 };
        for (int k = 0; k < N_SEQ; k++)
            for (int j = 0; all[k].live && j < all[k].h.n_page; j++)
                held += !seen[all[k].h.page[j]], seen[all[k].h.page[j]] = true;
        assert_int_equal(pages_count(p).n_held, held);
    }
    const struct pages_count c = pages_count(p);
    if (!n_wait || !n_none || !c.n_evicted || c.n_found < c.n_asked / 10)
        fail_msg("%d waits, %d without room, %d evicted, %d of %d tokens found: the test has not seen it all", n_wait, n_none, (int)c.n_evicted, (int)c.n_found, (int)c.n_asked);
    for (int k = 0; k < N_SEQ; k++)
        if (all[k].live)
            end(p, &all[k]);
    assert_int_equal(pages_count(p).n_held, 0);
    free(all);
    pages_free(p);
}

static void run(struct pages *p, struct seq *all, struct seq *s)
{
    compute(all, s, s->n);
    pages_publish(p, &s->h, s->ids, s->n_done);
}

static void a_known_beginning_is_kept_by_blocks_and_by_tenant(void **state)
{
    (void)state;
    struct pages *p;
    OK(pages_new(&p, N_PAGE, &err));
    struct seq *all = calloc(N_SEQ, sizeof *all);
    const struct pages_wish share = { true, true, 0 };
    enum pages_fate fate;
    new_text(&all[0], 0, 4, 200);
    assert_true(begin(p, &all[0], share, &fate));
    assert_int_equal(all[0].n_done, 0);
    new_text(&all[1], 0, 4, 200);            /* the same text, while the first has not been computed */
    assert_false(begin(p, &all[1], share, &fate));
    assert_int_equal(fate, PAGES_WAIT);
    compute(all, &all[0], 96);               /* half of a page is ready: who waits for the rest leaves it promised */
    pages_publish(p, &all[0].h, all[0].ids, 96);
    for (int i = 0; i < 2; i++) {
        assert_false(begin(p, &all[1], share, &fate));
        assert_int_equal(fate, PAGES_WAIT);
    }
    run(p, all, &all[0]);
    assert_true(begin(p, &all[1], share, &fate));
    assert_int_equal(all[1].n_done, 192);    /* 12 blocks; 3 pages shared, none copied: the fourth has the text's end */
    for (int i = 0; i < 3; i++)
        assert_int_equal(all[1].h.page[i], all[0].h.page[i]);
    assert_int_not_equal(all[1].h.page[3], all[0].h.page[3]);
    new_text(&all[2], 1, 4, 200);            /* another tenant */
    assert_true(begin(p, &all[2], share, &fate));
    assert_int_equal(all[2].n_done, 0);
    new_text(&all[3], 0, 2, 200);            /* parts at 80: one page shared, one block of the next copied */
    assert_true(begin(p, &all[3], share, &fate));
    assert_int_equal(all[3].n_done, 80);
    assert_int_equal(all[3].h.page[0], all[0].h.page[0]);
    assert_int_not_equal(all[3].h.page[1], all[0].h.page[1]);
    new_text(&all[4], 0, 4, 100);            /* ends before a known text does: the last block is computed, its last token's logits are wanted */
    assert_true(begin(p, &all[4], share, &fate));
    assert_int_equal(all[4].n_done, 96);
    new_text(&all[5], 0, 4, 96);
    assert_true(begin(p, &all[5], share, &fate));
    assert_int_equal(all[5].n_done, 80);
    for (int k = 0; k < N_SEQ; k++)
        end(p, &all[k]);
    new_text(&all[0], 0, 4, 200);            /* nobody holds it any more, but it is known */
    assert_true(begin(p, &all[0], share, &fate));
    assert_int_equal(all[0].n_done, 192);
    end(p, &all[0]);
    pages_forget(p);
    assert_int_equal(pages_count(p).n_known, 0);
    new_text(&all[0], 0, 4, 200);
    assert_true(begin(p, &all[0], share, &fate));
    assert_int_equal(all[0].n_done, 0);
    end(p, &all[0]);
    free(all);
    pages_free(p);
}

/* The beginning of what was used last stays longest. */
static void the_least_recently_used_end_goes_first(void **state)
{
    (void)state;
    struct pages *p;
    OK(pages_new(&p, 8, &err));
    struct seq *all = calloc(N_SEQ, sizeof *all);
    const struct pages_wish share = { true, true, 0 };
    enum pages_fate fate;
    for (int k = 0; k < 2; k++) {            /* 4 pages each, of texts with nothing in common */
        new_text(&all[k], k, 0, 256);
        assert_true(begin(p, &all[k], share, &fate));
        run(p, all, &all[k]);
    }
    end(p, &all[0]);
    end(p, &all[1]);
    assert_int_equal(pages_count(p).n_known, 8);
    new_text(&all[2], 5, 7, 100);            /* 2 pages: the end of the older text */
    assert_true(begin(p, &all[2], share, &fate));
    end(p, &all[2]);
    for (int k = 0; k < 2; k++) {
        new_text(&all[k], k, 0, 256);
        assert_true(begin(p, &all[k], (struct pages_wish){ true, true, 0 }, &fate));
        assert_int_equal(all[k].n_done, k ? 240 : 128);
        end(p, &all[k]);
    }
    free(all);
    pages_free(p);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct pages *p;
    assert_int_equal(pages_new(&p, 0, &err), ERR_RANGE);
    assert_null(p);
    assert_int_equal(pages_new(&p, INT32_MAX, &err), ERR_RANGE);
    pages_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_company_never_mixes_texts),
        cmocka_unit_test(a_known_beginning_is_kept_by_blocks_and_by_tenant),
        cmocka_unit_test(the_least_recently_used_end_goes_first),
        cmocka_unit_test(sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
