/* test_origin.c - which pages may ask, and by which names requests are known. */
#include "../test.h"
#include "serve/origin.h"
#include "serve/trace.h"

static struct err err;

static void only_this_machine_s_names_are_local(void **state)
{
    (void)state;
    static const struct { const char *host; bool ok; } all[] = {
        { "localhost", true }, { "LOCALHOST:8080", true }, { "a.localhost:1", true }, { "127.0.0.1", true }, { "127.1.2.3:80", true }, { "[::1]:8080", true }, { "[::1]", true }, { "my.name:80", true }, { "Other", true },
        { "", false }, { ":80", false }, { "evil.example", false }, { "localhost.evil.example", false }, { "127.0.0.1.evil.example", false }, { "127.0.0.1.", false }, { "127.evil.x.y", false }, { "1270.0.0.1", false },
        { "localhost:80@evil", false }, { "localhost:80x", false }, { "[::1]x", false }, { "[::1", false }, { "xlocalhost", false }, { ".localhost", false }, { "128.0.0.1", false }, { "my.nam", false }, { "my.name.x", false },
        { "my.name, other", false },
    };
    const struct origins o = { .hosts = "my.name, other" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (origin_host_ok(&o, all[i].host) != all[i].ok)
            fail_msg("'%s' is taken for %s", all[i].host, all[i].ok ? "another's" : "this machine's");
}

static void origins_are_compared_whole(void **state)
{
    (void)state;
    static const struct { const char *origin; bool ok; } all[] = {
        { "http://localhost:3000", true }, { "https://127.0.0.1", true }, { "http://[::1]:1", true }, { "https://a.example", true }, { "http://b.example:8080", true },
        { "null", false }, { "", false }, { "https://a.example:444", false }, { "http://a.example", false }, { "https://xa.example", false }, { "https://a.example.evil", false }, { "http://b.example", false }, { "file://", false },
        { "http://localhost.evil", false }, { "ftp://localhost", false },
    };
    const struct origins o = { .cors = "https://a.example,http://b.example:8080" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (origin_may_ask(&o, all[i].origin) != all[i].ok)
            fail_msg("'%s' %s ask", all[i].origin, all[i].ok ? "may not" : "may");
    static const char *const bad[] = { "example.com", "https://example.com/", "https://example.com/x", "https://", "https://a b", "https://example.com,ftp://x", ",", "https://x:y", "null" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (origins_check(&(struct origins){ .cors = bad[i] }, &err) != ERR_USAGE)
            fail_msg("'%s' is taken for origins", bad[i]);
    OK(origins_check(&o, &err));
    OK(origins_check(&(struct origins){ .cors = "*" }, &err));
    assert_int_equal(origins_check(&(struct origins){ .cors = "*", .guarded = true }, &err), ERR_USAGE);
}

static void a_trace_goes_on_if_it_is_one(void **state)
{
    (void)state;
    static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", later[] = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more";
    static const char *const bad[] = {
        NULL, "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0100", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
    };
    struct trace t, other;
    char text[56];
    trace_begin(&t, "id-7", good);
    assert_string_equal(t.trace, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(t.parent, "b7ad6b7169203331");
    assert_string_not_equal(t.span, t.parent);
    assert_string_equal(t.flags, "01");
    assert_string_equal(t.id, "id-7");
    trace_parent_text(&t, text);
    assert_true(strlen(text) == 55 && !strncmp(text, good, 36) && !strncmp(text + 36, t.span, 16) && !strcmp(text + 52, "-01"));
    trace_begin(&t, NULL, later);
    assert_string_equal(t.trace, "0af7651916cd43dd8448eb211c80319c");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        trace_begin(&t, "a\x7f", bad[i]);
        trace_begin(&other, "", bad[i]);
        if (*t.parent || !strcmp(t.trace, other.trace) || strlen(t.trace) != 32 || strlen(t.span) != 16)
            fail_msg("'%s' gave the trace %s and %s", bad[i] ? bad[i] : "(none)", t.trace, other.trace);
        assert_string_not_equal(t.id, other.id);
        assert_true(!strncmp(t.id, "req-", 4));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_this_machine_s_names_are_local),
        cmocka_unit_test(origins_are_compared_whole),
        cmocka_unit_test(a_trace_goes_on_if_it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
