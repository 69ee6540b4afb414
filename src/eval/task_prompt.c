/* task_prompt.c - documents to requests, as lm-evaluation-harness' ConfigurableTask builds them (fewshot_context, build_qa_turn, construct_requests).
 *
 * A prompt is a list of turns: the description, for each example a question and its answer, the document's question.  Without a chat
 * template they are put one behind the other, each with its delimiter; with one they become messages. */
#include <assert.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/pyrandom.h"
#include "eval/task_impl.h"

/* ---- turns ---- */

enum role { SYSTEM, USER, ASSISTANT };
struct turn { enum role role; size_t from, n; const char *delimiter; };       /* text.data[from], n bytes */
struct turns { struct turn *v; int n, cap; struct buf text; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a prompt"); }

static int turn_begin(struct turns *t, enum role role, const char *delimiter, struct err *err)
{
    if (t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 16;
        struct turn *v = mem_realloc_array(t->v, (size_t)cap, sizeof *v);
        if (!v)
            return no_memory(err);
        t->v = v, t->cap = cap;
    }
    t->v[t->n++] = (struct turn){ role, t->text.len, 0, delimiter };
    return 0;
}

/* More of the last turn. */
static int turn_add(struct turns *t, const char *s, size_t n, struct err *err)
{
    t->v[t->n - 1].n += n;
    return buf_add(&t->text, s, n, err);
}

static void turns_release(struct turns *t)
{
    mem_free(t->v);
    buf_release(&t->text);
}

/* Whether the last character is white space. */
static bool space_last(const char *s, size_t n)
{
    const char *p = s;
    const size_t left = py_strip(&p, n);
    return (size_t)(p - s) + left < n;
}

static bool begins_with_space(const char *s, size_t n)
{
    const char *p = s;
    py_strip(&p, n);
    return p > s;
}

/* a and b with the delimiter between them, unless there is white space. */
static int add_delimited(struct turns *t, const char *a, size_t n_a, const char *b, size_t n_b, const char *delimiter, struct err *err)
{
    TRY(turn_add(t, a, n_a, err));
    if (n_a && n_b && !space_last(a, n_a) && !begins_with_space(b, n_b))
        TRY(turn_add(t, delimiter, strlen(delimiter), err));
    return turn_add(t, b, n_b, err);
}

/* ---- examples ---- */

/* What is asked of a document; strings of the task's fields. */
struct fields { json_t *q, *choices, *answer, *prefix; };

static void fields_release(struct fields *f)
{
    json_decref(f->q), json_decref(f->choices), json_decref(f->answer), json_decref(f->prefix);
    *f = (struct fields){ 0 };
}

static int prefix_of(const struct task *t, const struct field *f, const json_t *doc, json_t **out, struct err *err)
{
    return f->kind == FIELD_NONE || (f->text && !*f->text) ? 0 : field_get(f, AS_STRING, doc, t->columns, false, out, err);
}

/* The index-th of a list, from its end where it is negative, as Python has it. */
static json_t *item_at(const json_t *list, json_int_t i)
{
    const json_int_t n = (json_int_t)json_array_size(list);
    return i < -n || i >= n ? NULL : json_array_get(list, (size_t)(i < 0 ? i + n : i));
}

static int question_text(const json_t *q, const char **s, size_t *n, struct err *err)
{
    if (!json_is_string(q))
        return ERR(err, FORMAT, "doc_to_text gives no text");
    *s = json_string_value(q), *n = json_string_length(q);
    return 0;
}

static int answer_text(const struct fields *f, const json_t **out, struct err *err)
{
    *out = f->answer;
    if (json_is_integer(f->answer) && json_array_size(f->choices))
        *out = item_at(f->choices, json_integer_value(f->answer));
    else if (json_is_array(f->answer))
        *out = json_array_get(f->answer, 0);
    if (!*out)
        return ERR(err, RANGE, "the answer of an example is none of its choices");
    return json_is_string(*out) ? 0 : ERR(err, FORMAT, "the answer of an example is no text");
}

/* A question with its answer, as the turns of an example. */
static int example(const struct task *t, const json_t *doc, struct turns *out, struct err *err)
{
    const struct shot_fields *s = &t->shot;
    struct fields f = { 0 };
    const char *q = "";
    const json_t *answer;
    size_t n = 0;
    const bool choice = s->choice.kind != FIELD_NONE;
    int rc = field_get(&s->text, AS_TEXT, doc, t->columns, choice, &f.q, err);
    rc = rc || !t->form.examples ? rc : form_question(t, &s->text, -1, doc, &f.q, err);
    rc = rc || !choice ? rc : field_get(&s->choice, AS_CHOICES, doc, t->columns, false, &f.choices, err);
    rc = rc ? rc : field_get(&s->target, AS_TARGET, doc, t->columns, choice, &f.answer, err);
    rc = rc || !choice ? rc : form_target(t, -1, f.choices, &f.answer, err);
    rc = rc || !choice ? rc : form_choices(t, &f.choices, err);
    rc = rc ? rc : prefix_of(t, &s->prefix, doc, &f.prefix, err);
    if (!rc && t->multiple_input) {
        json_t *own = json_is_integer(f.q) ? json_incref(item_at(f.choices, json_integer_value(f.q))) : NULL;
        if (!own)
            rc = ERR(err, RANGE, "the question of an example is none of its choices");
        json_decref(f.q), json_decref(f.choices);
        f.q = own, f.choices = NULL;
    }
    rc = rc ? rc : question_text(f.q, &q, &n, err);
    const bool answered = !json_is_string(f.answer) || json_string_length(f.answer);
    const char *prefix = f.prefix ? json_string_value(f.prefix) : "";
    const bool joins = *prefix && !rc && n && !space_last(q, n) && !begins_with_space(prefix, strlen(prefix));
    rc = rc ? rc : turn_begin(out, USER, (answered && !*prefix) || joins ? s->target_delimiter : "", err);
    rc = rc ? rc : turn_add(out, q, n, err);
    if (!rc && answered) {
        rc = answer_text(&f, &answer, err);
        rc = rc ? rc : turn_begin(out, ASSISTANT, s->delimiter, err);
        rc = rc ? rc : add_delimited(out, prefix, strlen(prefix), json_string_value(answer), json_string_length(answer), " ", err);
    } else if (!rc && *prefix) {
        rc = turn_begin(out, ASSISTANT, "", err);
        rc = rc ? rc : turn_add(out, prefix, strlen(prefix), err);
    }
    fields_release(&f);
    return rc;
}

/* ---- which examples ---- */

struct draws { int64_t *pick, *pool, n_pool, *raw; struct pyrandom random; };

/* Python compares documents by what they hold. */
static bool same_doc(const json_t *a, const json_t *b) { return json_equal(a, b) == 1; }

/* The examples of the next document; item NULL: it is not among them. */
static int draw(const struct task *t, struct draws *d, const json_t *item, struct err *err)
{
    const int64_t n = d->n_pool;
    const int k = t->n_shot;
    int found = 0;
    if (t->first_n) {
        for (int64_t i = 0; i < n && found < k; i++)
            if (!item || !same_doc(json_array_get(t->shot_list, (size_t)i), item))
                d->pick[found++] = i;
        return found == k ? 0 : ERR(err, RANGE, "%d few-shot examples are wanted, there are %d", k, found);
    }
    const int more = k + (item != NULL);
    if (more > n)
        return ERR(err, RANGE, "%d few-shot examples are wanted%s, there are %lld", k, item ? " beside the document itself" : "", (long long)n);
    pyrandom_sample(&d->random, n, more, d->raw, d->pool);
    for (int i = 0; i < more && found < k; i++)
        if (!item || !same_doc(json_array_get(t->shot_list, (size_t)d->raw[i]), item))
            d->pick[found++] = d->raw[i];
    if (found == k)
        return 0;
    /* Several documents are equal to this one: it draws once more, among the others. */
    int64_t *others = mem_alloc_array((size_t)n, sizeof *others), n_other = 0;
    if (!others)
        return no_memory(err);
    for (int64_t i = 0; i < n; i++)
        if (!same_doc(json_array_get(t->shot_list, (size_t)i), item))
            others[n_other++] = i;
    int rc = n_other < k ? ERR(err, RANGE, "%d few-shot examples are wanted beside the document itself, there are %lld", k, (long long)n_other) : 0;
    if (!rc) {
        pyrandom_sample(&d->random, n_other, k, d->raw, d->pool);
        for (int i = 0; i < k; i++)
            d->pick[i] = others[d->raw[i]];
    }
    mem_free(others);
    return rc;
}

static int draws_init(struct draws *d, const struct task *t, uint32_t seed, struct err *err)
{
    d->n_pool = (int64_t)json_array_size(t->shot_list);
    pyrandom_seed(&d->random, seed);
    d->pick = mem_alloc_array((size_t)t->n_shot + 1, sizeof *d->pick);
    d->raw = mem_alloc_array((size_t)t->n_shot + 1, sizeof *d->raw);
    d->pool = mem_alloc_array((size_t)d->n_pool + 1, sizeof *d->pool);
    return d->pick && d->raw && d->pool ? 0 : no_memory(err);
}

static void draws_release(struct draws *d)
{
    mem_free(d->pick);
    mem_free(d->raw);
    mem_free(d->pool);
}

/* ---- prompts ---- */

struct making {
    struct task *t;
    const struct task_opts *o;
    struct draws draws;
    struct turns *example;       /* of the documents in shot_list, made when first drawn */
    struct turns prompt;
};

static int add_system(struct making *m, const json_t *doc, struct err *err)
{
    const struct task *t = m->t;
    json_t *description = NULL;
    TRY(prefix_of(t, &t->description, doc, &description, err));
    const char *system = m->o->system ? m->o->system : "", *text = description ? json_string_value(description) : "";
    int rc = 0;
    if (*system || *text) {
        rc = turn_begin(&m->prompt, SYSTEM, "", err);
        rc = rc ? rc : add_delimited(&m->prompt, system, strlen(system), text, strlen(text), t->delimiter, err);
    }
    json_decref(description);
    return rc;
}

/* The document itself is no example of its own where the splits have one name, or, as there, both have none. */
static int draw_examples(struct making *m, const json_t *doc, struct err *err)
{
    const struct task *t = m->t;
    const char *const a = t->split_shot ? t->split_shot : "", *const b = t->split_test ? t->split_test : "";
    return t->n_shot && t->output != OUT_ROLLING ? draw(t, &m->draws, strcmp(a, b) ? NULL : doc, err) : 0;
}

/* The turns of a document of shot_list, made when it is first drawn. */
static int example_turns(struct making *m, int64_t which, const struct turns **out, struct err *err)
{
    struct turns *e = &m->example[which];
    *out = e;
    if (e->n)
        return 0;
    buf_clear(&e->text);
    const int rc = example(m->t, json_array_get(m->t->shot_list, (size_t)which), e, err);
    if (!rc)
        return 0;
    e->n = 0;
    return err_context(err, "example %lld of the few-shot documents", (long long)which + 1);
}

static int add_examples(struct making *m, struct err *err)
{
    for (int i = 0; i < m->t->n_shot; i++) {
        const struct turns *e;
        TRY(example_turns(m, m->draws.pick[i], &e, err));
        for (int k = 0; k < e->n; k++) {
            TRY(turn_begin(&m->prompt, e->v[k].role, e->v[k].delimiter, err));
            TRY(turn_add(&m->prompt, e->text.data + e->v[k].from, e->v[k].n, err));
        }
    }
    return 0;
}

/* The document's own question. */
static int add_question(struct making *m, const char *q, size_t n, const char *prefix, bool delimited, struct err *err)
{
    const bool joins = delimited && *prefix && n && !space_last(q, n) && !begins_with_space(prefix, strlen(prefix));
    TRY(turn_begin(&m->prompt, USER, joins ? m->t->target_delimiter : "", err));
    TRY(turn_add(&m->prompt, q, n, err));
    if (!*prefix)
        return 0;
    TRY(turn_begin(&m->prompt, ASSISTANT, "", err));
    return turn_add(&m->prompt, prefix, strlen(prefix), err);
}

/* ---- messages ---- */

static int add_message(json_t *list, enum role role, const char *s, size_t n, struct err *err)
{
    static const char *const names[] = { "system", "user", "assistant" };
    json_t *m = json_pack("{s:s, s:s#}", "role", names[role], "content", s, (int)n);
    return !m || json_array_append_new(list, m) ? no_memory(err) : 0;
}

static int plain(const struct turns *t, int from, int to, bool last_delimiter, struct buf *out, struct err *err)
{
    for (int i = from; i < to; i++) {
        TRY(buf_add(out, t->text.data + t->v[i].from, t->v[i].n, err));
        if (i + 1 < to || last_delimiter)
            TRY(buf_add_str(out, t->v[i].delimiter, err));
    }
    return 0;
}

/* The system's turn, all others as one of the user, and an assistant's beginning. */
static int single_turn(const struct turns *t, json_t *list, struct err *err)
{
    const bool system = t->v[0].role == SYSTEM, open = t->v[t->n - 1].role == ASSISTANT;
    struct buf b;
    buf_init(&b);
    int rc = system ? add_message(list, SYSTEM, t->text.data + t->v[0].from, t->v[0].n, err) : 0;
    rc = rc ? rc : plain(t, system, t->n - open, false, &b, err);
    rc = rc ? rc : add_message(list, USER, b.data, b.len, err);
    rc = rc || !open ? rc : add_message(list, ASSISTANT, t->text.data + t->v[t->n - 1].from, t->v[t->n - 1].n, err);
    buf_release(&b);
    return rc;
}

static int render(const struct making *m, bool open, struct buf *out, struct err *err)
{
    const struct turns *t = &m->prompt;
    if (!m->o->chat)
        return plain(t, 0, t->n, true, out, err);
    json_t *list = json_array();
    int rc = list ? 0 : no_memory(err);
    if (!rc && m->o->single_turn)
        rc = single_turn(t, list, err);
    for (int i = 0; !rc && !m->o->single_turn && i < t->n; i++)
        rc = add_message(list, t->v[i].role, t->text.data + t->v[i].from, t->v[i].n, err);
    rc = rc ? rc : m->o->chat(m->o->chat_user, list, open, out, err);
    json_decref(list);
    return rc;
}

/* ---- requests ---- */

/* Texts of a document's requests, in one piece of memory. */
struct texts { struct buf b; struct { size_t from, n; } *v; int n, cap; };

static int text_add(struct texts *x, const char *a, size_t n_a, const char *b, size_t n_b, struct err *err)
{
    if (x->n == x->cap) {
        const int cap = x->cap ? 2 * x->cap : 16;
        void *v = mem_realloc_array(x->v, (size_t)cap, sizeof *x->v);
        if (!v)
            return no_memory(err);
        x->v = v, x->cap = cap;
    }
    x->v[x->n].from = x->b.len, x->v[x->n].n = n_a + n_b;
    x->n++;
    TRY(buf_add(&x->b, a, n_a, err));
    return buf_add(&x->b, b, n_b, err);
}

static void texts_release(struct texts *x)
{
    buf_release(&x->b);
    mem_free(x->v);
}

/* Requests as pairs of texts; context -1: none. */
static int add_request(struct item *it, enum request_kind kind, int64_t item, int context, int continuation, struct err *err)
{
    struct request *r = mem_realloc_array(it->request, (size_t)it->n_request + 1, sizeof *r);
    if (!r)
        return no_memory(err);
    it->request = r;
    r[it->n_request] = (struct request){ .kind = kind, .item = item, .index = it->n_request, .n_context = (size_t)(context + 1), .n_continuation = (size_t)(continuation + 1) };
    it->n_request++;
    return 0;
}

/* The texts go to the item, and requests, which held the numbers of theirs, point to them. */
static void settle(struct task *t, struct item *it, struct texts *x)
{
    it->memory = x->b.cap ? x->b.data : NULL;
    for (int i = 0; i < it->n_request; i++) {
        struct request *r = &it->request[i];
        const size_t c = r->n_context, k = r->n_continuation;
        r->context = c ? x->b.data + x->v[c - 1].from : "", r->n_context = c ? x->v[c - 1].n : 0;
        r->continuation = k ? x->b.data + x->v[k - 1].from : "", r->n_continuation = k ? x->v[k - 1].n : 0;
        r->generation = r->kind == REQUEST_GENERATE ? &t->generation : NULL;
    }
    if (it->memory)
        buf_init(&x->b);
}

static bool has_metric(const struct task *t, enum metric_kind kind)
{
    for (int i = 0; i < t->n_metric; i++)
        if (t->metric[i].kind == kind)
            return true;
    return false;
}

static int target_string(const json_t *target, const char **s, size_t *n, struct err *err)
{
    if (!json_is_string(target))
        return ERR(err, FORMAT, "doc_to_target gives no text");
    *s = json_string_value(target), *n = json_string_length(target);
    return 0;
}

/* With a chat template nothing goes before a choice, but where the assistant's beginning has no white space at its end. */
static const char *delimiter_of(const struct making *m)
{
    const char *prefix = m->t->prefix.text;
    if (!m->o->chat)
        return m->t->target_delimiter;
    return prefix && *prefix && !space_last(prefix, strlen(prefix)) ? m->t->target_delimiter : "";
}

static int choice_requests(struct making *m, struct item *it, struct texts *x, int64_t item, int n_context, struct err *err)
{
    const struct task *t = m->t;
    const char *delimiter = delimiter_of(m), *s;
    size_t n;
    if (t->multiple_input) {
        TRY(target_string(it->target, &s, &n, err));
        TRY(text_add(x, delimiter, strlen(delimiter), s, n, err));
        for (int i = 0; i < n_context; i++)
            TRY(add_request(it, REQUEST_LOGLIKELIHOOD, item, i, n_context, err));
    }
    const int first = x->n;
    for (size_t i = 0; i < json_array_size(it->choices); i++) {
        const json_t *c = json_array_get(it->choices, i);
        if (!json_is_string(c))
            return ERR(err, FORMAT, "choice %zu is no text", i + 1);
        TRY(text_add(x, delimiter, strlen(delimiter), json_string_value(c), json_string_length(c), err));
        if (!t->multiple_input)
            TRY(add_request(it, REQUEST_LOGLIKELIHOOD, item, 0, first + (int)i, err));
    }
    for (int i = 0; has_metric(t, METRIC_ACC_MUTUAL_INFO) && i < (int)json_array_size(it->choices); i++)
        TRY(add_request(it, REQUEST_LOGLIKELIHOOD, item, -1, first + i, err));
    return 0;
}

static int make_requests(struct making *m, struct item *it, struct texts *x, int64_t item, int n_context, struct err *err)
{
    const char *s;
    size_t n;
    switch (m->t->output) {
    case OUT_CHOICE: return choice_requests(m, it, x, item, n_context, err);
    case OUT_GENERATE:
        for (int i = 0; i < m->t->repeats; i++)
            TRY(add_request(it, REQUEST_GENERATE, item, 0, -1, err));
        return 0;
    case OUT_LOGLIKELIHOOD:
    case OUT_ROLLING: break;
    }
    TRY(target_string(it->target, &s, &n, err));
    TRY(text_add(x, s, n, "", 0, err));
    return add_request(it, m->t->output == OUT_ROLLING ? REQUEST_ROLLING : REQUEST_LOGLIKELIHOOD, item, m->t->output == OUT_ROLLING ? -1 : 0, x->n - 1, err);
}

/* The contexts of a document: one, or one for each choice where the choices are what is asked. */
static int make_contexts(struct making *m, const json_t *q, const struct item *it, const char *prefix, struct texts *x, struct err *err)
{
    const int n = m->t->multiple_input ? (int)json_array_size(it->choices) : 1, n_turn = m->prompt.n;
    const size_t len = m->prompt.text.len;
    for (int i = 0; i < n; i++) {
        const char *s;
        size_t k;
        struct buf b;
        buf_init(&b);
        m->prompt.n = n_turn;
        m->prompt.text.len = len;
        int rc = question_text(m->t->multiple_input ? json_array_get(it->choices, (size_t)i) : q, &s, &k, err);
        rc = rc ? rc : add_question(m, s, k, prefix, !m->t->multiple_input, err);
        rc = rc ? rc : render(m, *prefix, &b, err);
        rc = rc ? rc : text_add(x, b.data, b.len, "", 0, err);
        buf_release(&b);
        TRY(rc);
    }
    return 0;
}

/* Which choice is right, by its number or its text; -1: several, or none. */
static int gold_of(const struct item *it, const json_t *target)
{
    if (json_is_integer(target))
        return json_integer_value(target) >= 0 && json_integer_value(target) < it->n_choice ? (int)json_integer_value(target) : -1;
    for (int i = 0; json_is_string(target) && i < it->n_choice; i++)
        if (json_equal(json_array_get(it->choices, (size_t)i), target))
            return i;
    return -1;
}

/* What a document is asked about: the question, and what the item keeps. */
static int make_fields(struct task *t, const json_t *doc, int64_t item, struct item *it, json_t **q, json_t **prefix, struct err *err)
{
    const bool choice = t->choice.kind != FIELD_NONE;
    if (t->text.kind != FIELD_NONE) {
        TRY(field_get(&t->text, AS_TEXT, doc, t->columns, choice, q, err));
        TRY(form_question(t, &t->text, item, doc, q, err));
    }
    if (choice)
        TRY(field_get(&t->choice, AS_CHOICES, doc, t->columns, false, &it->choices, err));
    TRY(field_get(&t->target, AS_TARGET, doc, t->columns, choice, &it->target, err));
    if (choice) {
        TRY(form_target(t, item, it->choices, &it->target, err));
        TRY(form_choices(t, &it->choices, err));
    }
    TRY(prefix_of(t, &t->prefix, doc, prefix, err));
    if (t->output != OUT_CHOICE)
        return 0;
    it->n_choice = (int)json_array_size(it->choices);
    it->gold = gold_of(it, t->multiple_input ? *q : it->target);
    return it->n_choice ? 0 : ERR(err, FORMAT, "the document has no choices");
}

/* The prompt up to the document's own question. */
static int begin_prompt(struct making *m, const json_t *doc, int64_t item, struct err *err)
{
    struct err of_draw = { 0 };
    buf_clear(&m->prompt.text);
    m->prompt.n = 0;
    /* The draw comes first, whatever is wrong with the document: those behind it have theirs. */
    const int drawn = draw_examples(m, doc, &of_draw);
    if (!json_is_object(doc) && drawn != ERR_NOMEM)
        return ERR(err, FORMAT, "%s", json_string_value(doc) ? json_string_value(doc) : "found no document");
    if (drawn)
        return err ? (*err = of_draw).code : drawn;
    if (m->t->output == OUT_ROLLING)
        return 0;
    form_examples(m->t, item, m->draws.pick, m->t->n_shot);
    TRY(add_system(m, doc, err));
    return add_examples(m, err);
}

static int make_item(struct making *m, const json_t *doc, int64_t item, struct item *it, struct err *err)
{
    struct task *t = m->t;
    struct texts x = { .n = 0 };
    json_t *q = NULL, *prefix = NULL;
    buf_init(&x.b);
    int rc = begin_prompt(m, doc, item, err);
    rc = rc ? rc : make_fields(t, doc, item, it, &q, &prefix, err);
    rc = rc || t->output == OUT_ROLLING ? rc : make_contexts(m, q, it, prefix ? json_string_value(prefix) : "", &x, err);
    rc = rc ? rc : make_requests(m, it, &x, item, x.n, err);
    if (!rc)
        settle(t, it, &x);
    json_decref(q);
    json_decref(prefix);
    texts_release(&x);
    return rc;
}

/* ---- all documents ---- */

static int find_columns(struct task *t, struct err *err)
{
    if (!(t->columns = json_object()))
        return no_memory(err);
    for (size_t i = 0; i < json_array_size(t->docs.list); i++) {
        const char *key;
        json_t *v;
        json_object_foreach(json_array_get(t->docs.list, i), key, v)
            if (!json_object_get(t->columns, key) && json_object_set_new(t->columns, key, json_true()))
                return no_memory(err);
    }
    return 0;
}

/* As there, the first document tells whether questions are the choices, and whether several answers are right. */
static int find_kind(struct task *t, struct err *err)
{
    for (size_t i = 0; i < json_array_size(t->docs.list); i++) {
        const json_t *doc = json_array_get(t->docs.list, i);
        struct err why = { 0 };
        json_t *q = NULL, *target = NULL;
        if (!json_is_object(doc))
            continue;
        const bool choice = t->choice.kind != FIELD_NONE;
        int rc = t->text.kind == FIELD_NONE ? 0 : field_get(&t->text, AS_TEXT, doc, t->columns, choice, &q, &why);
        rc = rc ? rc : field_get(&t->target, AS_TARGET, doc, t->columns, choice, &target, &why);
        t->multiple_input = !rc && choice && json_is_integer(q) && t->output == OUT_CHOICE;
        t->multiple_target = !rc && json_is_array(target);
        json_decref(q);
        json_decref(target);
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", why.msg);
        if (!rc)
            return 0;
    }
    return 0;
}

/* False: the document has none of the fields.  *key is NULL where there is no memory. */
static bool cluster_key(const json_t *field, const json_t *doc, char **key)
{
    json_t *values = NULL;
    const size_t n = json_is_array(field) ? json_array_size(field) : field ? 1 : 0;
    bool any = false, all = true;
    for (size_t i = 0; i < n; i++)
        any |= json_object_get(doc, json_string_value(json_is_array(field) ? json_array_get(field, i) : field)) != NULL;
    if (!any)
        return false;
    values = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_object_get(doc, json_string_value(json_is_array(field) ? json_array_get(field, i) : field));
        all = !json_array_append(values, v ? v : json_null()) && all;
    }
    *key = all ? tree_dumps(values, JSON_SORT_KEYS) : NULL;
    json_decref(values);
    return true;
}

/* Documents with equal values of the field that metadata.cluster names are one cluster, numbered by its first. */
static int find_clusters(struct task *t, struct err *err)
{
    json_t *first = json_object();
    int rc = first ? 0 : no_memory(err);
    for (int64_t i = 0; !rc && i < t->n_item; i++) {
        char *key = NULL;
        t->item[i].cluster = -1;
        if (!cluster_key(t->cluster_field, json_array_get(t->docs.list, (size_t)i), &key))
            continue;
        const json_t *at = key ? json_object_get(first, key) : NULL;
        t->item[i].cluster = at ? json_integer_value(at) : i;
        if (!key || (!at && json_object_set_new(first, key, json_integer(i))))
            rc = no_memory(err);
        mem_free(key);
    }
    json_decref(first);
    return rc;
}

static int make_items(struct making *m, struct err *err)
{
    struct task *t = m->t;
    for (int64_t i = 0; i < t->n_item; i++) {
        struct err why = { 0 };
        struct item *it = &t->item[i];
        it->gold = -1;
        const int rc = make_item(m, json_array_get(t->docs.list, (size_t)i), i, it, &why);
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", why.msg);
        if (!rc)
            continue;
        char place[400];
        docs_place(&t->docs, i, place, sizeof place);
        if (!(it->why = mem_alloc(sizeof *it->why)))
            return no_memory(err);
        *it->why = why;
        err_context(it->why, "%s", place);
        it->n_request = 0;
    }
    return 0;
}

int task_prompts(struct task *t, const struct task_opts *o, struct err *err)
{
    struct making m = { .t = t, .o = o };
    const int64_t n = (int64_t)json_array_size(t->docs.list), n_shot = (int64_t)json_array_size(t->shot_list);
    buf_init(&m.prompt.text);
    t->n_item = o->limit > 0 && o->limit < n ? o->limit : n;
    t->item = mem_alloc_array((size_t)t->n_item + 1, sizeof *t->item);
    m.example = mem_alloc_array((size_t)n_shot + 1, sizeof *m.example);
    int rc = t->item && m.example ? 0 : no_memory(err);
    for (int64_t i = 0; !rc && i < n_shot; i++)
        buf_init(&m.example[i].text);
    rc = rc ? rc : draws_init(&m.draws, t, o->seed, err);
    rc = rc || t->base ? rc : find_columns(t, err);
    rc = rc || t->base ? rc : find_kind(t, err);
    rc = rc || t->base ? rc : find_clusters(t, err);
    for (int64_t i = 0; !rc && t->base && i < t->n_item; i++)
        t->item[i].cluster = t->base->item[i].cluster;
    rc = rc ? rc : make_items(&m, err);
    for (int64_t i = 0; m.example && i < n_shot; i++)
        turns_release(&m.example[i]);
    mem_free(m.example);
    draws_release(&m.draws);
    turns_release(&m.prompt);
    return rc;
}
