#include "serve/constraint.h"
#include <string.h>
#include "base/tree.h"
#include "infer/schema.h"
#include "serve/json_out.h"

static bool begin(struct wish *w, const char *where, struct refusal *e)
{
    if (w->grammar || w->schema)
        refuse(e, where, "%s beside another field that says what the answer may be", where);
    return !e->status;
}

static void done(struct wish *w, int rc, const struct err *err, const char *where, struct refusal *e)
{
    w->answer.grammar = w->grammar;
    if (rc < 0)
        refuse_as(e, rc == ERR_NOMEM ? 503 : 400, NULL, NULL, where, "%s", err->msg);
}

void constraint_schema(struct wish *w, const json_t *schema, const char *where, struct refusal *e)
{
    if (!begin(w, where, e))
        return;
    w->schema = schema ? json_incref((json_t *)(uintptr_t)schema) : json_pack("{s:s}", "type", "object"), w->schema_where = where;
    if (!w->schema)
        wish_no_memory(e);
}

void constraint_finish(struct wish *w, struct refusal *e)
{
    struct buf text;
    struct err err;
    if (!w->schema || w->grammar || e->status)
        return;
    buf_init(&text);
    int rc = out_json(&text, w->schema, &err);
    if (!rc)
        wish_name_grammar(w, "schema", text.data, text.len, e);
    if (!rc && !e->status)
        rc = schema_grammar(&w->grammar, w->schema, w->schema_where, &err);
    done(w, rc, &err, w->schema_where, e);
    buf_release(&text);
}

static void from_gbnf(struct wish *w, const char *text, size_t n, const char *where, struct refusal *e)
{
    struct err err;
    if (!begin(w, where, e))
        return;
    wish_name_grammar(w, "grammar", text, n, e);
    if (!e->status)
        done(w, grammar_parse(&w->grammar, text, n, &err), &err, where, e);
}

static void from_regex(struct wish *w, const char *text, size_t n, const char *where, struct refusal *e)
{
    struct err err;
    if (!begin(w, where, e))
        return;
    wish_name_grammar(w, "regex", text, n, e);
    if (!e->status)
        done(w, regex_grammar(&w->grammar, text, n, where, &err), &err, where, e);
}

static void from_choice(struct wish *w, const json_t *list, const char *where, struct refusal *e)
{
    struct buf text;
    struct err err;
    if (!begin(w, where, e))
        return;
    buf_init(&text);
    int rc = out_json(&text, list, &err);
    if (!rc)
        wish_name_grammar(w, "choice", text.data, text.len, e);
    if (!rc && !e->status)
        rc = choice_grammar(&w->grammar, list, where, &err);
    done(w, rc, &err, where, e);
    buf_release(&text);
}

/* A schema, or its text. */
static void from_json(struct wish *w, const json_t *v, const char *where, struct refusal *e)
{
    json_t *parsed = NULL;
    struct err err;
    if (json_is_string(v) && tree_parse_json(&parsed, json_string_value(v), json_string_length(v), where, &err) < 0) {
        refuse_as(e, err.code == ERR_NOMEM ? 503 : 400, NULL, NULL, where, "%s", err.msg);
        return;
    }
    constraint_schema(w, parsed ? parsed : v, where, e);
    json_decref(parsed);
}

static void structured_outputs(struct wish *w, const json_t *o, struct refusal *e)
{
    struct in s;
    const json_t *v = NULL;
    const char *text;
    size_t n;
    bool object = false;
    in_begin(&s, o, e, "structured_outputs");
    if (in_any(&s, "json", &v))
        from_json(w, v, "structured_outputs.json", e);
    if (in_bool(&s, "json_object", &object) && object)
        constraint_schema(w, NULL, "structured_outputs.json_object", e);
    if (in_str(&s, "regex", &text, &n))
        from_regex(w, text, n, "structured_outputs.regex", e);
    if (in_array(&s, "choice", &v))
        from_choice(w, v, "structured_outputs.choice", e);
    if (in_str(&s, "grammar", &text, &n))
        from_gbnf(w, text, n, "structured_outputs.grammar", e);
    in_end(&s, NULL);
    if (!w->grammar && !w->schema && !e->status && !json_object_get(o, "json_object"))
        refuse(e, "structured_outputs", "structured_outputs has none of json, json_object, regex, choice and grammar");
}

static void json_schema(struct wish *w, const json_t *o, struct refusal *e)
{
    struct in s;
    const json_t *schema = NULL;
    const char *name = NULL;
    bool strict;
    in_begin(&s, o, e, "response_format.json_schema");
    if (!in_str(&s, "name", &name, NULL) && !e->status)
        refuse(e, "response_format.json_schema.name", "response_format.json_schema.name is missing");
    in_pass_texts(&s, "description");
    in_bool(&s, "strict", &strict);              /* what is written follows the schema in either case */
    in_any(&s, "schema", &schema);
    in_end(&s, NULL);
    if (!e->status)
        constraint_schema(w, schema, "response_format.json_schema.schema", e);
}

static void response_format(struct wish *w, const json_t *o, struct refusal *e)
{
    struct in r;
    const json_t *schema = NULL;
    int type = 0;
    in_begin(&r, o, e, "response_format");
    if (!in_choice(&r, "type", "text|json_object|json_schema", &type) && !e->status)
        refuse(e, "response_format.type", "response_format.type is missing");
    if (in_object(&r, "json_schema", &schema) && type != 2)
        refuse(e, "response_format.json_schema", "response_format.json_schema, but the type is not json_schema");
    in_end(&r, NULL);
    if (!e->status && type == 2 && !schema)
        refuse(e, "response_format.json_schema", "response_format.json_schema is missing");
    if (e->status || !type)
        return;
    if (type == 1)
        constraint_schema(w, NULL, "response_format", e);
    else
        json_schema(w, schema, e);
}

void constraint_read(struct wish *w, struct in *f, bool with_format)
{
    const json_t *v = NULL;
    const char *text;
    size_t n;
    if (with_format && in_object(f, "response_format", &v))
        response_format(w, v, f->e);
    if (in_object(f, "structured_outputs", &v))
        structured_outputs(w, v, f->e);
    if (in_str(f, "grammar", &text, &n))
        from_gbnf(w, text, n, "grammar", f->e);
}
