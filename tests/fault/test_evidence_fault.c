/* Evidence without memory, and on disks that fail. */
#include "each_allocation.h"
#include <math.h>
#include "eval/evidence.h"

static struct err err;

static int write_and_read(void *ctx)
{
    json_t *o = NULL, *all = NULL;
    int rc = evidence_new(&o, "bias", "m", NULL, 1, &err);
    if (rc >= 0)
        rc = evidence_figure(o, &(struct evidence_figure){ "accuracy", NULL, 0.5, NAN, NAN, 8, EVIDENCE_HIGHER, "what it is" }, &err);
    if (rc >= 0)
        rc = evidence_put(o, "date", json_real(1000), &err);
    if (rc >= 0)
        rc = evidence_write(o, ctx, NULL, &err);
    if (rc >= 0)
        rc = evidence_read(&all, ctx, &err);
    json_decref(o);
    json_decref(all);
    return rc;
}

static void evidence_without_memory_or_disk_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(write_and_read, in_dir("e"), false) > 20);
    assert_true(each_failure(CALLS, 1, write_and_read, in_dir("e"), false) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(evidence_without_memory_or_disk_is_an_error) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
