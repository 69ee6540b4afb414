/* test_tickets.c - addresses that open one thing for a while: until when, for what, and from which process. */
#include <ctype.h>
#include "../test.h"
#include "serve/tickets.h"

static struct err err;
static struct tickets tickets;

static int begin(void **state)
{
    (void)state;
    OK(tickets_init(&tickets, &err));
    return 0;
}

static void a_ticket_is_good_until_its_moment(void **state)
{
    (void)state;
    char t[TICKET_TEXT];
    OK(ticket_make(&tickets, "m@1 training", 1000, t, &err));
    assert_int_equal(strlen(t), TICKET_TEXT - 1);
    assert_true(ticket_is_good(&tickets, "m@1 training", 1000, 0, t));
    assert_true(ticket_is_good(&tickets, "m@1 training", 1000, 999, t));
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 1000, t));
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, INT64_MAX, t));
}

static void a_ticket_is_of_one_thing_and_one_moment(void **state)
{
    (void)state;
    char t[TICKET_TEXT];
    OK(ticket_make(&tickets, "m@1 training", 1000, t, &err));
    assert_false(ticket_is_good(&tickets, "m@2 training", 1000, 0, t));
    assert_false(ticket_is_good(&tickets, "m@1 trainin", 1000, 0, t));
    assert_false(ticket_is_good(&tickets, "", 1000, 0, t));
    assert_false(ticket_is_good(&tickets, "m@1 training", 1001, 0, t));
    assert_false(ticket_is_good(&tickets, "m@1 training", 10000, 0, t));
}

/* Each of its letters counts, and so does its length. */
static void a_ticket_that_was_changed_is_none(void **state)
{
    (void)state;
    char t[TICKET_TEXT], longer[TICKET_TEXT + 1];
    OK(ticket_make(&tickets, "m@1 training", 1000, t, &err));
    for (size_t i = 0; i < TICKET_TEXT - 1; i++) {
        const char was = t[i];
        t[i] = was == '0' ? '1' : '0';
        assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 0, t));
        t[i] = (char)toupper(was);
        assert_int_equal(ticket_is_good(&tickets, "m@1 training", 1000, 0, t), t[i] == was);
        t[i] = was;
    }
    snprintf(longer, sizeof longer, "%s0", t);
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 0, longer));
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 0, ""));
    t[TICKET_TEXT - 2] = 0;
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 0, t));
}

static void another_process_takes_none(void **state)
{
    (void)state;
    struct tickets other;
    char t[TICKET_TEXT];
    OK(tickets_init(&other, &err));
    OK(ticket_make(&other, "m@1 training", 1000, t, &err));
    assert_true(ticket_is_good(&other, "m@1 training", 1000, 0, t));
    assert_false(ticket_is_good(&tickets, "m@1 training", 1000, 0, t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_good_until_its_moment),
        cmocka_unit_test(a_ticket_is_of_one_thing_and_one_moment),
        cmocka_unit_test(a_ticket_that_was_changed_is_none),
        cmocka_unit_test(another_process_takes_none),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
