/* test_pii.c - personal data by form: checksums against published numbers, words near, what overlaps, Presidio's recognisers on the same
 * sentences, and the one pass for all expressions against PCRE2 alone. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <jansson.h>
#include <pcre2.h>
#include "../test.h"
#include "audit/patterns.h"
#include "audit/pii.h"
#include "base/rng.h"

static struct err err;
static struct pii *pii;
static struct pii_state *state;

static int set_up(void **s)
{
    (void)s;
    OK(pii_new(&pii, &err));
    OK(pii_state_new(&state, pii, &err));
    return 0;
}

static int tear_down(void **s)
{
    (void)s;
    pii_state_free(state);
    pii_free(pii);
    return 0;
}

/* The score of the value, found as this entity, in the text that has it between two words; 0: it is not. */
static int score_of(const char *entity, const char *before, const char *value, const char *after)
{
    char text[500];
    const struct spot *spot;
    size_t n;
    snprintf(text, sizeof text, "%s%s%s", before, value, after);
    OK(pii_spots(pii, state, text, strlen(text), 1, &spot, &n, &err));
    for (size_t i = 0; i < n; i++)
        if (!strcmp(pii_name(spot[i].kind), entity) && spot[i].at == strlen(before) && spot[i].n == strlen(value))
            return spot[i].score;
    return 0;
}

/* Numbers that registries, standards and encyclopaedias print as examples; bad: one digit or letter of it changed. */
static void numbers_have_the_checksums_of_their_definitions(void **s)
{
    (void)s;
    static const struct { const char *entity, *good, *bad; } row[] = {
        { "CREDIT_CARD", "4111 1111 1111 1111", "4111 1111 1111 1112" },
        { "CREDIT_CARD", "5555555555554444", "5555555555554445" },
        { "CREDIT_CARD", "378282246310005", "378282246310006" },
        { "CREDIT_CARD", "30569309025904", "30569309025905" },
        { "CREDIT_CARD", "6011-1111-1111-1117", "6011-1111-1111-1118" },
        { "CREDIT_CARD", "3530111333300000", "3530111333300001" },
        { "CREDIT_CARD", "2223003122003222", "2223003122003223" },
        { "IBAN_CODE", "GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 18" },
        { "IBAN_CODE", "DE89370400440532013000", "DE89370400440532013001" },
        { "IBAN_CODE", "FR1420041010050500013M02606", "FR1420041010050500013M02607" },
        { "IBAN_CODE", "NO9386011117947", "NO9386011117948" },
        { "IBAN_CODE", "MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001T" },
        { "CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb" },
        { "CRYPTO", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLz" },
        { "CRYPTO", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5" },
        { "CRYPTO", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj2" },
        { "US_SSN", "219-09-9998", "666-12-3456" },
        { "US_ITIN", "912-70-1234", "912-49-1234" },
        { "ABA_ROUTING_NUMBER", "1110-0002-5", "1110-0002-6" },
        { "US_NPI", "1234 567 893", "1234 567 894" },
        { "MEDICAL_LICENSE", "AB1234563", "AB1234564" },
        { "UK_NINO", "AB123456C", "BG123456C" },
        { "ES_NIF", "12345678Z", "12345678A" },
        { "ES_NIE", "X1234567L", "X1234567T" },
        { "IT_FISCAL_CODE", "RSSMRA85T10A562S", "RSSMRA85T10A562T" },
        { "PL_PESEL", "44051401359", "44051401358" },
        { "FI_PERSONAL_IDENTITY_CODE", "131052-308T", "131052-308U" },
        { "SE_PERSONNUMMER", "811228-9874", "811228-9875" },
        { "SE_ORGANISATIONSNUMMER", "556703-7485", "556703-7486" },
        { "DE_TAX_ID", "86095742719", "86095742718" },
        { "IN_AADHAAR", "2341 2341 2346", "2341 2341 2347" },
        { "IN_GSTIN", "27AAPFU0939F1ZV", "27AAPFU0939F1ZW" },
        { "AU_ABN", "51 824 753 556", "51 824 753 557" },
        { "SG_NRIC_FIN", "S1234567D", "S1234567A" },
        { "SG_NRIC_FIN", "F1234567N", "F1234567A" },
        { "ZA_ID_NUMBER", "8001015009087", "8001015009088" },
        { "TH_TNIN", "1-2345-67890-12-1", "1-2345-67890-12-2" },
        { "TR_NATIONAL_ID", "10000000146", "10000000147" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (!score_of(row[i].entity, "see ", row[i].good, " there"))
            fail_msg("%s: '%s' is one", row[i].entity, row[i].good);
        if (score_of(row[i].entity, "see ", row[i].bad, " there"))
            fail_msg("%s: '%s' is none", row[i].entity, row[i].bad);
    }
    /* These may be several things: a word tells. */
    static const struct { const char *entity, *word, *good, *bad; } named[] = {
        { "UK_NHS", "NHS ", "943 476 5919", "943 476 5918" }, { "IT_VAT_CODE", "P.IVA ", "07643520567", "07643520568" },
        { "AU_TFN", "TFN ", "123 456 782", "123 456 783" }, { "AU_ACN", "ACN ", "004 085 616", "004 085 617" },
        { "AU_MEDICARE", "Medicare ", "2123 45670 1", "2123 45671 1" }, { "CA_SIN", "SIN ", "130-692-544", "130-692-545" },
    };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (!score_of(named[i].entity, named[i].word, named[i].good, " there"))
            fail_msg("%s: '%s' is one", named[i].entity, named[i].good);
        if (score_of(named[i].entity, named[i].word, named[i].bad, " there"))
            fail_msg("%s: '%s' is none", named[i].entity, named[i].bad);
    }
    /* Twelve digits of a card that hold by chance are a person's number where that is said. */
    assert_true(score_of("IN_AADHAAR", "aadhaar number ", "6208 4893 3276", ""));
    assert_true(score_of("CREDIT_CARD", "card ", "6208 4893 3276", ""));
    assert_true(score_of("ZA_ID_NUMBER", "id number ", "5012044025088", ""));
    assert_true(score_of("KR_RRN", "x ", "900101-1234568", "") > score_of("KR_RRN", "x ", "900101-1234567", ""));
}

/* Its end and beginning are found where other digits or a stop follow. */
static void what_stands_beside_a_value_is_not_taken(void **s)
{
    (void)s;
    static const struct { const char *entity, *before, *value, *after; } row[] = {
        { "CREDIT_CARD", "card 2020 ", "4111 1111 1111 1111", " 12/25" },
        { "CREDIT_CARD", "", "4111111111111111", " 4222222222222" },
        { "CREDIT_CARD", "4111111111111111 ", "4222222222222", "" },
        { "IBAN_CODE", "in ", "DE89 3704 0044 0532 0130 00", " 2 days" },
        { "EMAIL_ADDRESS", "<", "a.b+c@x-y.example.org", ">." },
        { "EMAIL_ADDRESS", "mailto:", "j\xc3\xb6rg@b\xc3\xbc" "cher.example", ", he said" },
        { "URL", "(", "https://example.org/a?b=c", ")." },
        { "URL", "see ", "www.example.org", ", or" },
        { "URL", "see ", "example.co.uk/x", "" },
        { "IP_ADDRESS", "from ", "8.8.8.8", "." },
        { "IP_ADDRESS", "from ", "2001:db8::1", ", and" },
        { "PHONE_NUMBER", "call ", "+46 (0)8 928 571 38", "." },
        { "PHONE_NUMBER", "call ", "(602)272-9781", " 2019" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (!score_of(row[i].entity, row[i].before, row[i].value, row[i].after))
            fail_msg("%s: '%s' in '%s%s%s'", row[i].entity, row[i].value, row[i].before, row[i].value, row[i].after);
}

static void numbers_of_other_kinds_are_not_personal(void **s)
{
    (void)s;
    static const char *const text[] = {
        "3.14159265358979", "2019-12-31", "31.12.2019", "1914-1918", "1,234,567.89", "version 1.2.3.4.5", "icon@2x.png", "std::vector<a::b>", "a@b",
        "00:00:00:00:00:00", "999.1.1.1", "0x1234567890", "ISBN 978-3-16-148410-0", "1700000000", "1700000000000", "10:30:45", "12345-6789", "::1",
        "127.0.0.1", "192.168.0.1",
    };
    const struct spot *spot;
    size_t n;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        OK(pii_spots(pii, state, text[i], strlen(text[i]), PII_SCORE_MIN, &spot, &n, &err));
        if (n)
            fail_msg("'%s' is %s %d", text[i], pii_name(spot->kind), spot->score);
    }
}

static void a_word_near_raises_the_score(void **s)
{
    (void)s;
    assert_int_equal(score_of("US_SSN", "it is ", "550-53-3582", ""), 50);
    assert_int_equal(score_of("US_SSN", "my SSN is ", "550-53-3582", ""), 50 + PII_RAISE);
    assert_int_equal(score_of("US_SSN", "it is ", "55053-3582", ""), 5);
    assert_int_equal(score_of("US_SSN", "Social Security: ", "55053-3582", ""), PII_LEAST);
    assert_int_equal(score_of("US_SSN", "it is ", "55053-3582", " (ssn)"), PII_LEAST);
    assert_int_equal(score_of("US_SSN", "lessn ", "55053-3582", " ssnx"), 5);
    char far[PII_BEFORE + 10];
    memset(far, '.', sizeof far);
    memcpy(far, "ssn ", 4);
    far[PII_BEFORE + 1] = 0;
    assert_int_equal(score_of("US_SSN", far, &" 55053-3582"[1], ""), 5);
}

/* Of what overlaps the better stays, and what does not overlap that stays, too. */
static void spans_that_overlap_are_resolved(void **unused)
{
    (void)unused;
    struct spots s = { .n = 0 };
    static const struct spot in[] = { { 0, 10, 1, 50 }, { 5, 10, 2, 90 }, { 14, 6, 3, 60 }, { 16, 4, 4, 50 }, { 30, 5, 5, 50 }, { 30, 5, 4, 50 }, { 40, 2, 1, 9 }, { 42, 2, 1, 9 } };
    static const struct spot want[] = { { 5, 10, 2, 90 }, { 16, 4, 4, 50 }, { 30, 5, 4, 50 }, { 40, 2, 1, 9 }, { 42, 2, 1, 9 } };
    for (int turn = 0; turn < 8; turn++) {
        spots_clear(&s);
        for (int i = 0; i < 8; i++)
            OK(spots_add(&s, in[(5 * i + turn) % 8], &err));
        OK(spots_resolve(&s, &err));
        assert_int_equal(s.n, sizeof want / sizeof *want);
        for (size_t i = 0; i < s.n; i++) {
            assert_int_equal(s.spot[i].at, want[i].at);
            assert_int_equal(s.spot[i].n, want[i].n);
            assert_int_equal(s.spot[i].kind, want[i].kind);
        }
    }
    spots_release(&s);
}

static void a_mask_tells_little(void **s)
{
    (void)s;
    char m[SPOT_MASK];
    spot_mask("", 0, m);
    assert_string_equal(m, "");
    spot_mask("12345678901", 11, m);
    assert_string_equal(m, "********");
    spot_mask("john.doe@example.com", 20, m);
    assert_string_equal(m, "jo********om");
    spot_mask("\xc3\xb6\x01xxxxxxxxx\n\xc3", 14, m);
    assert_string_equal(m, "************");
}

/* ---- beside Presidio ---- */

enum { N_MEASURED = 8 };
static const struct { const char *gold, *presidio, *ours; } measured[N_MEASURED] = {
    { "CREDIT_CARD", "CREDIT_CARD", "CREDIT_CARD" }, { "IBAN_CODE", "IBAN_CODE", "IBAN_CODE" }, { "PHONE_NUMBER", "PHONE_NUMBER", "PHONE_NUMBER" },
    { "EMAIL_ADDRESS", "EMAIL_ADDRESS", "EMAIL_ADDRESS" }, { "IP_ADDRESS", "IP_ADDRESS", "IP_ADDRESS" }, { "US_SSN", "US_SSN", "US_SSN" },
    { "DOMAIN_NAME", "URL", "URL" }, { "US_DRIVER_LICENSE", "US_DRIVER_LICENSE", "US_DRIVER_LICENSE" },
};

struct counts { int right, wrong, missed; };
struct place { int from, to; bool hit; };
struct places { struct place place[64]; int n; };

static double f1(struct counts c) { return c.right ? 2.0 * c.right / (2.0 * c.right + c.wrong + c.missed) : 0; }

static void count(const struct places *gold, const struct places *got, struct counts *c)
{
    int right = 0;
    for (int i = 0; i < got->n; i++)
        for (int k = 0; k < gold->n; k++)
            right += got->place[i].from == gold->place[k].from && got->place[i].to == gold->place[k].to;
    c->right += right;
    c->wrong += got->n - right;
    c->missed += gold->n - right;
}

static void put(struct places *p, int from, int to)
{
    assert_true(p->n < 64);
    p->place[p->n++] = (struct place){ from, to, false };
}

static int chars_before(const char *text, size_t at)
{
    int n = 0;
    for (size_t i = 0; i < at; i++)
        n += (text[i] & 0xc0) != 0x80;
    return n;
}

static void gold_of(json_t *record, const char *entity, struct places *p)
{
    size_t i;
    json_t *spot;
    p->n = 0;
    json_array_foreach(json_object_get(record, "spans"), i, spot)
        if (!strcmp(json_string_value(json_object_get(spot, "entity_type")), entity))
            put(p, (int)json_integer_value(json_object_get(spot, "start_position")), (int)json_integer_value(json_object_get(spot, "end_position")));
}

static void ours_of(const char *text, const struct spot *spot, size_t n, const char *entity, struct places *p)
{
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(pii_name(spot[i].kind), entity))
            put(p, chars_before(text, spot[i].at), chars_before(text, spot[i].at + spot[i].n));
}

struct golden_line { char set[32], entity[32]; int record, from, to, score; };
static struct golden_line golden[1000];
static int n_golden;

static void read_golden(void)
{
    FILE *f = fopen("tests/golden/pii/presidio.tsv", "r");
    assert_non_null(f);
    for (n_golden = 0; n_golden < 1000; n_golden++) {
        struct golden_line *g = &golden[n_golden];
        if (fscanf(f, "%31s %d %31s %d %d %d", g->set, &g->record, g->entity, &g->from, &g->to, &g->score) != 6)
            break;
    }
    fclose(f);
    assert_true(n_golden > 300);
}

/* The least score at which Presidio's recognisers do best here is any; so all that they say counts. */
static void presidio_of(const char *set, int record, const char *entity, struct places *p)
{
    p->n = 0;
    for (int i = 0; i < n_golden; i++)
        if (golden[i].record == record && !strcmp(golden[i].set, set) && !strcmp(golden[i].entity, entity))
            put(p, golden[i].from, golden[i].to);
}

static void beside_presidio(const char *set, struct counts ours[N_MEASURED], struct counts theirs[N_MEASURED])
{
    char name[100];
    snprintf(name, sizeof name, "governance-pii/%s.json", set);
    json_t *all = json_load_file(shared(name), 0, NULL), *record;
    size_t i, n;
    assert_non_null(all);
    json_array_foreach(all, i, record) {
        const char *text = json_string_value(json_object_get(record, "full_text"));
        const struct spot *spot;
        struct places gold, got;
        OK(pii_spots(pii, state, text, strlen(text), PII_SCORE_MIN, &spot, &n, &err));
        for (int m = 0; m < N_MEASURED; m++) {
            gold_of(record, measured[m].gold, &gold);
            ours_of(text, spot, n, measured[m].ours, &got);
            count(&gold, &got, &ours[m]);
            presidio_of(set, (int)i, measured[m].presidio, &got);
            count(&gold, &got, &theirs[m]);
        }
    }
    json_decref(all);
}

static void sentences_of_presidio_are_read_as_well_as_by_its_own_recognisers(void **s)
{
    (void)s;
    static const char *const set[] = { "synth_dataset_v2", "generated_small" };
    struct counts ours[N_MEASURED] = { { 0 } }, theirs[N_MEASURED] = { { 0 } };
    read_golden();
    for (int i = 0; i < 2; i++)
        beside_presidio(set[i], ours, theirs);
    for (int m = 0; m < N_MEASURED; m++) {
        const struct counts o = ours[m], t = theirs[m];
        print_message("%-17s ours: right %3d wrong %3d missed %3d F1 %.3f   Presidio's: %3d %3d %3d %.3f\n", measured[m].gold, o.right, o.wrong, o.missed, f1(o),
                      t.right, t.wrong, t.missed, f1(t));
    }
    print_message("names, places, organisations, dates: not looked for by either\n");
    for (int m = 0; m < N_MEASURED; m++)
        assert_true(f1(ours[m]) >= f1(theirs[m]) && f1(ours[m]) > 0);
}

/* ---- one pass against PCRE2 alone ---- */

enum { N_TWIN = 6 };
static const struct pattern twin[N_TWIN] = {
    { "word", "\\bab[a-c]{1,3}\\b", NULL, 0, PATTERN_TEXT }, { "behind", "(?<!b)a[bc]+", "a[bc]", 2, PATTERN_TEXT }, { "groups", "a(b)?(c+)", NULL, 0, PATTERN_TEXT },
    { "lazy", "bb[\\s\\S]{3,40}?cc", NULL, 0, PATTERN_TEXT }, { "near", "\\b[0-9]{3,9}\\b", NULL, 0, PATTERN_NEAR }, { "opens", "[0-9]{3}", NULL, 0, PATTERN_OPENS },
};
struct twins { struct pattern_group match[N_TWIN][40000]; int n[N_TWIN], refuse; };

static size_t note(void *ctx, int i, const struct pattern_group *group)
{
    struct twins *t = ctx;
    if (t->refuse && group[0].n % (size_t)t->refuse == 0)
        return 0;
    assert_true(t->n[i] < 40000);
    t->match[i][t->n[i]++] = group[0];
    return group[0].n;
}

static void alone(struct twins *t, const char *text, size_t n)
{
    for (int i = 0; i < 5; i++) {
        int code;
        PCRE2_SIZE at;
        pcre2_code *c = pcre2_compile((PCRE2_SPTR)twin[i].expr, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
        pcre2_match_data *m = pcre2_match_data_create(1, NULL);
        for (size_t from = 0; pcre2_match(c, (PCRE2_SPTR)text, n, from, PCRE2_NOTEMPTY, m, NULL) >= 0;) {
            const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m);
            const struct pattern_group g = { o[0], o[1] - o[0] };
            from = o[0] + (note(t, i, &g) ? g.n : 1);
        }
        pcre2_match_data_free(m);
        pcre2_code_free(c);
    }
}

static void check_twin(const struct patterns *p, struct patterns_state *s, const char *text, size_t n, int refuse)
{
    static struct twins fast, slow;
    memset(&fast, 0, sizeof fast);
    memset(&slow, 0, sizeof slow);
    fast.refuse = slow.refuse = refuse;
    OK(patterns_scan(p, s, text, n, note, &fast, &err));
    alone(&slow, text, n);
    for (int i = 0; i < N_TWIN; i++) {
        if (fast.n[i] != slow.n[i])
            fail_msg("%s: %d matches, PCRE2 alone finds %d", twin[i].name, fast.n[i], slow.n[i]);
        assert_memory_equal(fast.match[i], slow.match[i], (size_t)fast.n[i] * sizeof *fast.match[i]);
    }
    assert_int_equal(patterns_given_up(s), 0);
}

/* Short and long texts of few letters, so that everything matches often; refused matches; texts of several pieces. */
static void one_pass_finds_what_pcre2_alone_finds(void **unused)
{
    (void)unused;
    struct patterns *p;
    struct patterns_state *s;
    static char text[600000];
    OK(patterns_new(&p, twin, N_TWIN, &err));
    OK(patterns_state_new(&s, p, &err));
    uint64_t i_random = 0;
    for (int turn = 0; turn < FEWER(300, 20); turn++) {
        const size_t n = turn % 10 ? (size_t)(turn * 7 % 500) : turn % 100 ? 3000 : sizeof text;
        static const char few[] = "aabbcc 12\n.", many[] = "abc 1. xyzuvwxyzuvwxyzuvwxyzuvw";
        for (size_t i = 0; i < n; i++)
            text[i] = n == sizeof text ? many[rng_below(7, i_random++, sizeof many - 1)] : few[rng_below(7, i_random++, sizeof few - 1)];
        check_twin(p, s, text, n, turn % 3 ? 0 : 1 + turn % 2 + 1);
    }
    patterns_state_free(s);
    patterns_free(p);
}

static void expressions_that_are_none_are_named(void **s)
{
    (void)s;
    struct patterns *p;
    assert_int_equal(patterns_new(&p, &(struct pattern){ "open", "a(b", NULL, 0, PATTERN_TEXT }, 1, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'open'"));
    assert_int_equal(patterns_new(&p, &(struct pattern){ "empty", "a*", NULL, 0, PATTERN_TEXT }, 1, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'empty'"));
    assert_int_equal(patterns_new(&p, &(struct pattern){ "wide", "[0-9]{99}", NULL, 0, PATTERN_NEAR }, 1, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "99 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_the_checksums_of_their_definitions),
        cmocka_unit_test(what_stands_beside_a_value_is_not_taken),
        cmocka_unit_test(numbers_of_other_kinds_are_not_personal),
        cmocka_unit_test(a_word_near_raises_the_score),
        cmocka_unit_test(spans_that_overlap_are_resolved),
        cmocka_unit_test(a_mask_tells_little),
        cmocka_unit_test(sentences_of_presidio_are_read_as_well_as_by_its_own_recognisers),
        cmocka_unit_test(one_pass_finds_what_pcre2_alone_finds),
        cmocka_unit_test(expressions_that_are_none_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
