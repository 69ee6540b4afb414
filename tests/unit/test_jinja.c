/* test_jinja.c - the template engine against Python's jinja2: our own small templates (tests/golden/chat, made by
 * tools/golden/chat.py), 45 public chat templates (shared/data/chat-templates, skipped where absent); taint; budgets. */
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/jinja.h"

static struct err err;
static const struct tm now = { .tm_year = 126, .tm_mon = 0, .tm_mday = 2, .tm_hour = 3, .tm_min = 4, .tm_sec = 5, .tm_wday = 5, .tm_yday = 1 };
#define VARS_MAX 40

/* Members of the object are the variables; what is in `trusted` is not input. */
static int variables(const json_t *o, enum jinja_input input, struct jinja_var *v, int n)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o, key, value) {
        assert_true(n < VARS_MAX);
        v[n++] = (struct jinja_var){ key, value, input, 0 };
    }
    return n;
}

static int render(const char *text, size_t n_text, const char *name, const struct jinja_var *v, int n, const struct jinja_limits *limits, struct jinja_text *out)
{
    struct jinja *t;
    const int rc = jinja_parse(&t, text, n_text, name, &err);
    if (rc < 0)
        return rc;
    const int rendered = jinja_render(t, v, n, limits, &now, out, &err);
    jinja_free(t);
    return rendered;
}

/* Compares with what Python made of it; returns 1 if it differs. */
static int differs(const char *name, const char *what, int rc, const struct jinja_text *got, const json_t *want)
{
    const json_t *text = json_object_get(want, "out");
    const char *out = json_string_value(text), *why = json_string_value(json_object_get(want, "err"));
    if (!out && rc == 0)
        return print_error("%s %s: rendered, expected the refusal %s\n%.300s\n", name, what, why, got->text.data), 1;
    if (out && rc < 0)
        return print_error("%s %s: %s\n", name, what, err.msg), 1;
    if (!out)
        return rc == 0;
    if (got->text.len == json_string_length(text) && !memcmp(got->text.data, out, got->text.len))
        return 0;
    size_t at = 0;
    while (at < got->text.len && at < json_string_length(text) && got->text.data[at] == out[at])
        at++;
    const size_t from = at > 40 ? at - 40 : 0;
    print_error("%s %s: differs at byte %zu\n  found    ...%.100s\n  expected ...%.100s\n", name, what, at, got->text.data + from, out + from);
    return 1;
}

static void renders_as_in_python(const char *path, size_t n_case)
{
    json_t *file;
    size_t i, bad = 0;
    json_t *c;
    OK(tree_load(&file, path, 1 << 24, &err));
    json_array_foreach(json_object_get(file, "cases"), i, c) {
        struct jinja_var v[VARS_MAX];
        struct jinja_text out;
        const char *text = json_string_value(json_object_get(c, "template"));
        const int n = variables(json_object_get(c, "vars"), true, v, variables(json_object_get(file, "vars"), true, v, 0));
        jinja_text_init(&out);
        const int rc = render(text, strlen(text), "small", v, n, NULL, &out);
        bad += (size_t)differs(text, "", rc, &out, c);
        if (!rc)
            assert_int_equal(out.text.len, out.input.len);
        jinja_text_release(&out);
    }
    if (bad)
        fail_msg("%zu of %zu templates differ", bad, i);
    assert_true(i >= n_case);
    json_decref(file);
}

static void small_templates_render_as_in_python(void **state)
{
    (void)state;
    renders_as_in_python("tests/golden/chat/jinja.json", 400);
}

static void random_templates_render_as_in_python(void **state)
{
    (void)state;
    renders_as_in_python("tests/golden/chat/random.json", 1000);
}

static void public_templates_render_as_in_python(void **state)
{
    (void)state;
    json_t *file, *r;
    size_t i;
    int bad = 0;
    char path[200];
    OK(tree_load(&file, shared("chat-templates/golden.json"), 1 << 24, &err));
    const json_t *cases = json_object_get(file, "cases"), *common = json_object_get(file, "common");
    json_array_foreach(json_object_get(file, "results"), i, r) {
        const char *name = json_string_value(json_object_get(r, "template")), *what = json_string_value(json_object_get(r, "case"));
        const json_t *vars = json_object_get(cases, what);
        struct jinja_var v[VARS_MAX];
        struct jinja_text out;
        struct buf text;
        json_t *yes = json_true();
        int n = variables(vars, true, v, variables(common, false, v, 0));
        if (!json_object_get(vars, "add_generation_prompt"))
            v[n++] = (struct jinja_var){ "add_generation_prompt", yes, JINJA_INPUT, 0 };
        buf_init(&text);
        jinja_text_init(&out);
        snprintf(path, sizeof path, "chat-templates/%s", name);
        OK(file_read(shared(path), 1 << 20, &text, &err));
        bad += differs(name, what, render(text.data, text.len, name, v, n, NULL, &out), &out, r);
        jinja_text_release(&out);
        buf_release(&text);
    }
    if (bad)
        fail_msg("%d of %zu renders differ", bad, i);
    assert_int_equal(i, 405);
    json_decref(file);
}

/* ---- taint ---- */

/* user = "a<b" and obj are input, bos = "<s>" is not; what stands between ^ and $ of the expected text came from input. */
static const struct { const char *template, *marked; } taint_cases[] = {
    { "{{ bos }}{{ user }}", "<s>^a<b$" },
    { "{{ '<|' + user + '|>' }}", "<|^a<b$|>" },
    { "{{ bos ~ user ~ 1 }}", "<s>^a<b$1" },
    { "{{ (bos + user)[1:5] }}", "s>^a<$" },
    { "{{ (bos + user)[::-1] }}", "^b<a$>s<" },
    { "{{ (bos + user)|upper }}", "<S>^A<B$" },
    { "{{ (user + bos)|replace('<', '!') }}", "^a$!^b$!s>" },
    { "{{ bos|replace('s', user) }}", "<^a<b$>" },
    { "{{ [bos, user]|join(', ') }}", "<s>, ^a<b$" },
    { "{{ user.split('<')|join(bos) }}", "^a$<s>^b$" },
    { "{{ (bos ~ user ~ ' ')|trim }}", "<s>^a<b$" },
    { "{{ [user]|tojson }}", "[^\"a<b\"$]" },
    { "{{ obj|tojson }}", "^{\"k\": [1, \"x\\n\"], \"role\": $\"user\"^}$" },
    { "{{ [user, bos] }}", "[^'a<b'$, '<s>']" },
    { "{{ obj.k }}", "^[1, 'x\\n']$" },
    { "{{ obj.k[0] }}{{ obj.k[0] + 1 }}", "^12$" },
    { "{% for k, v in obj.items() %}{{ k }}={{ v }};{% endfor %}", "^k$=^[1, 'x\\n']$;^role$=user;" },
    { "{% for c in user %}{{ c }}-{% endfor %}", "^a$-^<$-^b$-" },
    { "{% set x %}{{ bos }}{{ user }}!{% endset %}{{ x }}{{ x|length }}", "<s>^a<b$!7" },
    { "{% macro m(a) %}({{ a }}){% endmacro %}{{ m(user) }}{{ m(bos) }}", "(^a<b$)(<s>)" },
    { "{% filter upper %}{{ bos }}{{ user }}{% endfilter %}", "<S>^A<B$" },
    { "{{ '<|' + obj.role + '|>' }}", "<|user|>" },
    { "{{ user * 2 }}{{ user|length }}{{ user == 'a<b' }}", "^a<ba<b$3True" },
    { "{{ (user + bos)|e }}", "^a&lt;b$&lt;s&gt;" },
    { "{{ (user ~ '\n' ~ bos)|indent(2, true) }}", "  ^a<b$\n  <s>" },
    { "{{ user|int }}{{ '5'|int }}{{ digits|int + 1 }}", "05^8$" },
    { "{{ user|default(bos) }}{{ nosuch|default(user) }}", "^a<ba<b$" },
    { "{{ (user if true else bos) }}{{ (user or bos) }}{{ (none or bos) }}", "^a<ba<b$<s>" },
    { "{{ user.strip('a') }}{{ user.lstrip() }}{{ user.removeprefix('a') }}", "^<ba<b<b$" },
    { "{% set ns = namespace(x=user) %}{{ ns.x }}{{ ns }}", "^a<b$<Namespace {'x': ^'a<b'$}>" },
};

static void every_byte_knows_whether_a_caller_sent_it(void **state)
{
    (void)state;
    json_t *user = json_string("a<b"), *bos = json_string("<s>"), *digits = json_string("7"), *obj = json_pack("{s:[i,s], s:s}", "k", 1, "x\n", "role", "user");
    const struct jinja_var v[] = { { "user", user, JINJA_INPUT, 0 }, { "bos", bos, JINJA_OWN, 0 }, { "obj", obj, JINJA_INPUT, 0 }, { "digits", digits, JINJA_INPUT, 0 } };
    for (size_t i = 0; i < sizeof taint_cases / sizeof *taint_cases; i++) {
        struct jinja_text out;
        char got[200];
        size_t n = 0;
        jinja_text_init(&out);
        OK(render(taint_cases[i].template, strlen(taint_cases[i].template), "taint", v, 4, NULL, &out));
        assert_int_equal(out.text.len, out.input.len);
        for (size_t k = 0; k < out.text.len && n < 180; k++) {
            if (out.input.data[k] != (k ? out.input.data[k - 1] : 0))
                got[n++] = out.input.data[k] ? '^' : '$';
            got[n++] = out.text.data[k];
        }
        if (out.text.len && out.input.data[out.text.len - 1])
            got[n++] = '$';
        got[n] = 0;
        assert_string_equal(got, taint_cases[i].marked);
        jinja_text_release(&out);
    }
    json_decref(user);
    json_decref(bos);
    json_decref(digits);
    json_decref(obj);
}

/* ---- hostile templates ---- */

static void no_template_runs_or_grows_without_end(void **state)
{
    (void)state;
    static const struct { const char *template, *word; } cases[] = {
        { "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}", "" },
        { "{% set r = range(1000) %}{% for a in r %}{% for b in r %}{% for c in r %}{% endfor %}{% endfor %}{% endfor %}", "steps" },
        { "{% set ns = namespace(s='ab') %}{% for a in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}", "" },
        { "{% set ns = namespace(s=['ab']) %}{% for a in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "" },
        { "{% set ns = namespace(s=['ab']) %}{% for a in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}", "" },
        { "{% set ns = namespace(s=['ab'], t=['ab']) %}{% for a in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}", "steps" },
        { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep" },
        { "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", "deep" },
        { "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}", "deep" },
        { "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "deep" },
        { "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}", "deep" },
        { "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}", "deep" },
        { "{{ 'x' * 9000000000 }}", "" },
        { "{{ ['x'] * 9000000000 }}", "" },
        { "{{ ('x' * 60000)|replace('', 'y' * 60000)|length }}", "" },
        { "{{ [1]|tojson(indent=1000000) }}", "indent" },
        { "{% for i in range(100000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}", "output" },
        { "{{ 2 ** 9999999999 }}", "64 bits" },
        { "{{ range(9223372036854775807)|length }}", "range" },
        { "{{ 'ab'|batch(1000000000)|list }}", "batch" },
        { "{% for i in range(1000) %}{{ ('a' * 20000).rfind('b' ~ 'a' * 9999) }}{% endfor %}", "steps" },
        { "{% for i in range(1000) %}{{ ('a' * 20000).strip('b' * 20000 ~ 'a') }}{% endfor %}", "steps" },
    };
    const struct jinja_limits limits = { .steps = 2000000, .memory = (size_t)64 << 20, .output = (size_t)1 << 20 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jinja_text out;
        jinja_text_init(&out);
        OK(buf_add_str(&out.text, "before", &err));
        const int rc = render(cases[i].template, strlen(cases[i].template), "hostile", NULL, 0, &limits, &out);
        if (rc != ERR_RANGE || !strstr(err.msg, cases[i].word))
            fail_msg("%s: %d %s", cases[i].template, rc, rc ? err.msg : out.text.data);
        assert_string_equal(out.text.data, "before");
        jinja_text_release(&out);
    }
}

/* n times `open`, then `close`: one of each that a parser may recurse for. */
static void deep_nesting_is_an_error_and_long_chains_are_not(void **state)
{
    (void)state;
    static const struct { const char *open, *middle, *close; int n; bool fine; } cases[] = {
        { "(", "1", ")", 5000, false }, { "[", "", "]", 5000, false }, { "{'a':", "1", "}", 5000, false }, { "-", "1", "", 5000, false }, { "not ", "1", "", 5000, false },
        { "", "1", "|abs", 5000, false }, { "", "1", " + 1", 5000, false }, { "", "1", " ~ 1", 5000, true }, { "1 if 0 else ", "1", "", 5000, false },
        { "", "1", " + 1", 300, true }, { "", "1", " and 1", 300, true }, { "(", "1", ")", 50, true }, { "", "nosuch", "[1:]", 5000, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jinja_text out;
        struct buf text;
        buf_init(&text);
        jinja_text_init(&out);
        OK(buf_add_str(&text, "{{ ", &err));
        for (int k = 0; k < cases[i].n; k++)
            OK(buf_add_str(&text, cases[i].open, &err));
        OK(buf_add_str(&text, cases[i].middle, &err));
        for (int k = 0; k < cases[i].n; k++)
            OK(buf_add_str(&text, cases[i].close, &err));
        OK(buf_add_str(&text, " }}", &err));
        const int rc = render(text.data, text.len, "deep", NULL, 0, NULL, &out);
        if ((rc == 0) != cases[i].fine)
            fail_msg("%s %s x %d: %s", cases[i].open, cases[i].close, cases[i].n, rc ? err.msg : "rendered");
        jinja_text_release(&out);
        buf_release(&text);
    }
    for (int n = 50; n <= 5000; n += 4950) {         /* nested blocks */
        struct jinja_text out;
        struct buf text;
        buf_init(&text);
        jinja_text_init(&out);
        for (int k = 0; k < n; k++)
            OK(buf_add_str(&text, "{% if 1 %}", &err));
        for (int k = 0; k < n; k++)
            OK(buf_add_str(&text, "{% endif %}", &err));
        assert_int_equal(render(text.data, text.len, "deep", NULL, 0, NULL, &out), n == 50 ? 0 : ERR_RANGE);
        buf_clear(&text);
        OK(buf_add_str(&text, "{% if 0 %}", &err));
        for (int k = 0; k < n; k++)
            OK(buf_add_str(&text, "{% elif 0 %}a", &err));
        OK(buf_add_str(&text, "{% else %}b{% endif %}", &err));
        OK(render(text.data, text.len, "deep", NULL, 0, NULL, &out));
        assert_string_equal(out.text.data, "b");
        jinja_text_release(&out);
        buf_release(&text);
    }
}

static void errors_name_the_line_and_what_was_found(void **state)
{
    (void)state;
    static const struct { const char *template; int code; const char *msg; } cases[] = {
        { "a\nb\n{{ 1 + 'x' }}", ERR_FORMAT, "t:3: a whole number + a string has no meaning" },
        { "a\n{% if x %}\n{{ x.y.z }}\n{% else %}\n\n{{ x.y }}{% endif %}", ERR_FORMAT, "t:6: 'x' is undefined" },
        { "a\n{% for x in 5 %}{% endfor %}", ERR_FORMAT, "t:2: a whole number cannot be gone through" },
        { "\n\n{{ raise_exception('roles must ' ~ 'alternate') }}", ERR_REFUSED, "t:3: roles must alternate" },
        { "{{ 1 }", ERR_FORMAT, "t:1: found '}', expected '}'" },
        { "{{ 1\n\n", ERR_FORMAT, "t:1: the tag has no end, expected }}" },
        { "\n{% if 1 %}\n", ERR_FORMAT, "t:2: found the end of the template, expected {% endif %} for what begins before line 2" },
        { "\n{% nosuch %}", ERR_FORMAT, "t:2: found 'nosuch', expected a statement (if, for, set, macro, ...)" },
        { "\n{% include 'x' %}", ERR_UNSUPPORTED, "t:2: the statement 'include' is not supported in chat templates" },
        { "\n{{ x|nosuch }}", ERR_UNSUPPORTED, "t:2: there is no filter 'nosuch'" },
        { "{{ x is nosuch }}", ERR_UNSUPPORTED, "t:1: there is no test 'nosuch'" },
        { "{{ f(*a) }}", ERR_UNSUPPORTED, "t:1: *args and **kwargs in a call are not supported" },
        { "{{ a. }}", ERR_FORMAT, "t:1: found '}}', expected a name or number after '.'" },
        { "{{ [].append(1) }}", ERR_FORMAT, "t:1: append() would change a list, which templates may not" },
        { "\xff", ERR_FORMAT, "t: not UTF-8 at byte 0" },
        { "{{ '\\ud800' }}", ERR_FORMAT, "t:1: an escape in a string is no character" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jinja_text out;
        jinja_text_init(&out);
        assert_int_equal(render(cases[i].template, strlen(cases[i].template), "t", NULL, 0, NULL, &out), cases[i].code);
        assert_string_equal(err.msg, cases[i].msg);
        jinja_text_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_knows_whether_a_caller_sent_it),
        cmocka_unit_test(no_template_runs_or_grows_without_end),
        cmocka_unit_test(deep_nesting_is_an_error_and_long_chains_are_not),
        cmocka_unit_test(errors_name_the_line_and_what_was_found),
        cmocka_unit_test(small_templates_render_as_in_python),
        cmocka_unit_test(random_templates_render_as_in_python),
        cmocka_unit_test(public_templates_render_as_in_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
