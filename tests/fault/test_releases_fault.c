/* test_releases_fault.c - what is shown of releases, without memory. */
#include "each_allocation.h"
#include <math.h>
#include "base/mem.h"
#include "base/rng.h"
#include "serve/releases_view.h"
#include "watch/answers.h"
#include "watch/follow.h"

static struct err err;
static struct registry *g;
static struct events *e;
static char registry_at[300], events_at[300];
static struct registry_version version;

static void add(const char *weights, const char *evidence)
{
    const char *files[] = { in_dir("evidence.json") };
    char kept[300], model[300];
    snprintf(kept, sizeof kept, "%s", files[0]), files[0] = kept;
    snprintf(model, sizeof model, "%s", in_dir("weights"));
    put_in_dir("weights", weights), put_in_dir("evidence.json", evidence);
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = model, .evidence = files, .n_evidence = 1, .parent = &(struct registry_parent){ "corpus", "data" }, .n_parent = 1 },
                    &(struct journal_by){ "ann", "a reason" }, &version, &err));
}

static void record(int i, int64_t t)
{
    struct event ev = { .t = t, .version = version.number, .prompt_tokens = 10 + i % 7, .answer_tokens = 5, .prompt_nll = rng_normal(1, (uint64_t)i), .prompt_nll_tokens = 9, .entropy = (double)NAN, .confidence = (double)NAN,
                        .logprob = (double)NAN, .refused = -1, .schema_ok = -1, .tool_ok = -1, .first_s = 0.5, .total_s = 1, .finish = "stop", .model = "m", .arm = "stable" };
    snprintf(ev.id, sizeof ev.id, "a%d", i), snprintf(ev.root, sizeof ev.root, "%s", version.root);
    when_set(t);
    OK(events_write(e, &ev, 0, &err));
}

/* A version whose 60 answers are its reference, and 30 that came afterwards. */
static int begin(void **state)
{
    struct reference *r;
    json_t *o;
    const int64_t t = 1800000000000000000;
    if (make_dir(state))
        return -1;
    snprintf(registry_at, sizeof registry_at, "%s", in_dir("registry")), snprintf(events_at, sizeof events_at, "%s", in_dir("events.db"));
    when_set(t);
    OK(registry_open(&g, registry_at, true, &err));
    add("one", "{\"kind\": \"quality\", \"figures\": [{\"name\": \"perplexity\", \"of\": null, \"value\": 12.5}]}");
    OK(registry_promote(g, &(struct release_move){ .name = "m", .alias = "production", .number = 1, .expect = -1 }, &(struct journal_by){ "ann", "first" }, &(struct registry_release){ 0 }, NULL, &err));
    OK(events_open(&e, events_at, true, &err));
    OK(db_begin(events_db(e), &err));
    for (int i = 0; i < 60; i++)
        record(i, t + i * 1000000);
    OK(db_commit(events_db(e), &err));
    OK(answers_reference(&r, e, &(struct events_where){ .model = "m" }, NULL, 0, &err));
    OK(reference_to_json(&o, r, &err));
    char *text = json_dumps(o, JSON_COMPACT);
    when_set(t + 1000000000);
    add("one", text);
    free(text), json_decref(o), reference_free(r);
    OK(db_begin(events_db(e), &err));
    for (int i = 60; i < 90; i++)
        record(i, t + 2000000000 + i * 1000000);
    OK(db_commit(events_db(e), &err));
    events_close(e);
    registry_close(g);
    return 0;
}

static int end(void **state)
{
    when_set(-1);
    return remove_dir(state);
}

static int show(json_t **o) { return releases_view(g, "m", o, &err); }
static int tell_traffic(json_t **o) { return releases_view_traffic(g, e, "m", 1800000000000000000, 1000000000, o, &err); }
static int tell_lineage(json_t **o) { return releases_view_lineage(g, &version, o, &err); }

static int tell_drift(json_t **o)
{
    struct follow *f;
    TRY(follow_new(&f, g, &version, 0.01, 0, &err));
    int rc = follow_read(f, e, when_now() + 10000000000, &err);
    rc = rc ? rc : follow_json(o, f, e, NULL, &err);
    if (!rc)
        assert_true(json_integer_value(json_object_get(*o, "answers")) == 30 && json_integer_value(json_object_get(*o, "effect_of")) == 30);
    follow_free(f);
    return rc;
}

/* Both databases are opened for it: SQLite keeps memory that it has once had. */
static int once(void *ctx)
{
    int (*tell)(json_t **o) = *(int (**)(json_t **o))ctx;
    json_t *o = NULL;
    int rc = registry_open(&g, registry_at, false, &err);
    if (rc)
        return rc;
    rc = events_open(&e, events_at, false, &err);
    if (!rc) {
        rc = tell(&o);
        if (!rc)
            json_decref(o);
        events_close(e);
    }
    registry_close(g);
    return rc;
}

static void test_without_memory_nothing_is_shown_and_nothing_leaks(void **state)
{
    (void)state;
    int (*const all[])(json_t **o) = { show, tell_traffic, tell_lineage, tell_drift };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int (*tell)(json_t **o) = all[i];
        OK(once(&tell));
        assert_true(each_allocation(once, &tell, true) > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_without_memory_nothing_is_shown_and_nothing_leaks, begin, end) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
