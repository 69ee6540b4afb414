/* task_form.c - a task asked in another form: its questions changed, its choices called otherwise, its options or examples in another order. */
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/task_impl.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a task in another form"); }

/* A permutation of 0 .. n - 1 that is not the identity where n > 1, by (key, item). */
static void shuffle(int *of, int n, uint64_t key, int64_t item)
{
    const uint64_t own = rng_u64(key, (uint64_t)item);
    bool same = true;
    for (int i = 0; i < n; i++)
        of[i] = i;
    for (int i = n - 1; i > 0; i--) {
        const int k = (int)rng_below(own, (uint64_t)i, (uint64_t)i + 1), was = of[i];
        of[i] = of[k], of[k] = was;
    }
    for (int i = 0; i < n; i++)
        same = same && of[i] == i;
    for (int i = 0; i < n && same; i++)
        of[i] = (i + 1) % n;
}

#define OPTIONS_MAX 26

/* The order of a document's options, or false: it lists another number of them than there are letters. */
static bool options_of(const struct task *t, int64_t item, const json_t *doc, int of[OPTIONS_MAX])
{
    const size_t n = json_array_size(json_object_get(doc, t->options));
    if (!t->form.option_key || item < 0 || n < 2 || n > OPTIONS_MAX || n != json_array_size(t->choice.list))
        return false;
    shuffle(of, (int)n, t->form.option_key, item);
    return true;
}

void task_option_order(const struct task *t, int64_t item, int *of)
{
    int order[OPTIONS_MAX];
    const bool other = options_of(t, item, task_doc(t, item), order);
    for (int k = 0; k < t->item[item].n_choice; k++)
        of[k] = other ? order[k] : k;
}

/* ---- questions ---- */

/* The document with its options in their order: a new reference. */
static json_t *reordered(const struct task *t, int64_t item, const json_t *doc)
{
    int of[OPTIONS_MAX];
    if (!options_of(t, item, doc, of))
        return json_incref((json_t *)(uintptr_t)doc);
    const json_t *list = json_object_get(doc, t->options);
    json_t *out = json_copy((json_t *)(uintptr_t)doc), *other = json_array();
    bool whole = out && other;
    for (size_t k = 0; whole && k < json_array_size(list); k++)
        whole = !json_array_append(other, json_array_get(list, (size_t)of[k]));
    if (!whole || json_object_set(out, t->options, other)) {
        json_decref(out);
        out = NULL;
    }
    json_decref(other);
    return out;
}

int form_question(const struct task *t, const struct field *f, int64_t item, const json_t *doc, json_t **q, struct err *err)
{
    if (!json_is_string(*q) || (!t->form.question && !t->form.option_key))
        return 0;
    struct jinja_text text;
    struct buf out;
    jinja_text_init(&text);
    buf_init(&out);
    json_t *asked = reordered(t, item, doc);
    int rc = asked ? field_marked(f, asked, t->columns, &text, err) : no_memory(err);
    if (!rc && t->form.question)
        rc = t->form.question(t->form.ctx, item, text.text.data, text.text.len, (const uint8_t *)text.input.data, &out, err);
    const struct buf *b = t->form.question ? &out : &text.text;
    json_t *now = rc ? NULL : json_stringn(b->data, b->len);
    if (!rc && !now)
        rc = no_memory(err);
    if (!rc) {
        json_decref(*q);
        *q = now;
    }
    json_decref(asked);
    buf_release(&out);
    jinja_text_release(&text);
    return rc;
}

/* ---- choices ---- */

static int choice_of(const json_t *choices, const json_t *target)
{
    const int n = (int)json_array_size(choices);
    if (json_is_integer(target))
        return json_integer_value(target) >= 0 && json_integer_value(target) < n ? (int)json_integer_value(target) : -1;
    for (int i = 0; i < n; i++)
        if (json_equal(json_array_get(choices, (size_t)i), target))
            return i;
    return -1;
}

int form_target(const struct task *t, int64_t item, const json_t *choices, json_t **target, struct err *err)
{
    int of[OPTIONS_MAX], gold = choice_of(choices, *target);
    if (gold < 0 || (!t->form.label && !t->form.option_key))
        return 0;
    int place = gold;
    if (t->options && options_of(t, item, task_doc(t, item < 0 ? 0 : item), of))
        for (place = 0; of[place] != gold;)
            place++;
    json_t *now = json_is_integer(*target) ? json_integer(place)
                : t->form.label            ? json_string(t->form.label[place])
                                           : json_incref(json_array_get(choices, (size_t)place));
    if (!now)
        return no_memory(err);
    json_decref(*target);
    *target = now;
    return 0;
}

int form_choices(const struct task *t, json_t **choices, struct err *err)
{
    if (!t->form.label)
        return 0;
    json_t *now = json_array();
    bool whole = now;
    for (size_t i = 0; whole && i < json_array_size(*choices); i++)
        whole = !json_array_append_new(now, json_string(t->form.label[i]));
    if (!whole) {
        json_decref(now);
        return no_memory(err);
    }
    json_decref(*choices);
    *choices = now;
    return 0;
}

/* ---- examples ---- */

void form_examples(const struct task *t, int64_t item, int64_t *pick, int n)
{
    if (!t->form.example_key || n < 2)
        return;
    const uint64_t own = rng_u64(t->form.example_key, (uint64_t)item);
    bool same = true;
    for (int i = n - 1; i > 0; i--) {
        const int k = (int)rng_below(own, (uint64_t)i, (uint64_t)i + 1);
        const int64_t was = pick[i];
        same = same && k == i;
        pick[i] = pick[k], pick[k] = was;
    }
    if (same) {
        const int64_t first = pick[0];
        memmove(pick, pick + 1, (size_t)(n - 1) * sizeof *pick);
        pick[n - 1] = first;
    }
}

/* ---- what fits ---- */

/* The list of documents that the question shows and that has one entry for each choice; NULL: there is none. */
static const char *option_list(const struct task *t)
{
    const char *key;
    json_t *v;
    if (t->text.kind != FIELD_TEXT || !t->text.jinja)
        return NULL;
    for (int64_t i = 0; i < t->n_item; i++) {
        json_object_foreach((json_t *)(uintptr_t)task_doc(t, i), key, v)
            if (json_array_size(v) == json_array_size(t->choice.list) && jinja_mentions(t->text.jinja, key))
                return key;
        if (json_is_object(task_doc(t, i)))
            return NULL;
    }
    return NULL;
}

const json_t *task_letters(const struct task *t)
{
    const size_t n = json_array_size(t->choice.list);
    if (t->output != OUT_CHOICE || t->choice.kind != FIELD_LIST || t->multiple_input || n < 2 || n > OPTIONS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(t->choice.list, i));
        if (!s || s[0] != 'A' + (char)i || s[1])
            return NULL;
    }
    return t->choice.list;
}

json_t *task_text_fields(const struct task *t)
{
    const char *key;
    json_t *v, *out = json_array();
    bool whole = out;
    if (t->output == OUT_ROLLING || t->multiple_input || t->text.kind != FIELD_TEXT)
        return out;
    const bool column = !t->text.is_template && json_object_get(t->columns, t->text.text);
    json_object_foreach(t->columns, key, v)
        if (whole && (column ? !strcmp(key, t->text.text) : t->text.jinja && jinja_mentions(t->text.jinja, key)))
            whole = !json_array_append_new(out, json_string(key));
    if (!whole)
        json_decref(out);
    return whole ? out : NULL;
}

static int check_fits(struct task *v, const struct task_form *f, struct err *err)
{
    if (f->question && v->output == OUT_ROLLING)
        return ERR(err, UNSUPPORTED, "whole texts are scored, there is no question");
    if (f->question && (v->multiple_input || v->text.kind != FIELD_TEXT))
        return ERR(err, UNSUPPORTED, "doc_to_text gives no text of its own");
    if ((f->label || f->option_key) && (!task_letters(v) || (f->label && (size_t)f->n_label < json_array_size(v->choice.list))))
        return ERR(err, UNSUPPORTED, "the choices are not the letters A, B, ..");
    if (f->option_key && !(v->options = option_list(v)))
        return ERR(err, UNSUPPORTED, "doc_to_text shows no list of options from the document");
    if (f->example_key && (v->n_shot < 2 || v->output == OUT_ROLLING))
        return ERR(err, UNSUPPORTED, "there are %s", v->n_shot == 1 ? "no two examples" : "no examples");
    return 0;
}

int task_in_form(struct task **out, const struct task *t, const char *name, const struct task_form *f, const struct task_opts *o, struct err *err)
{
    struct task *v = mem_alloc(sizeof *v);
    *out = NULL;
    if (!v)
        return no_memory(err);
    *v = *t;
    v->base = t, v->form = *f, v->item = NULL, v->n_item = 0, v->alias = v->name = mem_strdup(name);
    int rc = v->name ? 0 : no_memory(err);
    v->n_item = t->n_item;               /* option_list() looks at the documents */
    rc = rc ? rc : check_fits(v, f, err);
    rc = rc ? rc : task_prompts(v, o, err);
    v->form.ctx = NULL, v->form.question = NULL;
    if (rc)
        task_free(v);
    else
        *out = v;
    return rc;
}
