#include "eval/robust.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"
#include "base/rng.h"
#include "eval/robust_impl.h"

static const struct { const char *word, *forms, *what; } forms[N_ROBUST_FORM] = {
#define FORM(name, word, forms, what) { word, forms, what },
#include "eval/robust.def"
#undef FORM
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for variants of tasks"); }

/* ---- what is asked for ---- */

static int unknown_family(const char *name, size_t n, struct err *err)
{
    char all[500];
    size_t k = 0;
    for (int f = 0; f < N_PERTURB_FAMILY; f++)
        k += (size_t)snprintf(all + k, sizeof all - k, ", %s", perturb_name(f));
    for (int f = 0; f < N_ROBUST_FORM; f++)
        k += (size_t)snprintf(all + k, sizeof all - k, ", %s", forms[f].word);
    return ERR(err, USAGE, "--perturb: found '%.*s', expected all, text, format%s", (int)(n > 60 ? 60 : n), name, all);
}

int robust_families_read(struct robust_opts *o, const char *names, struct err *err)
{
    for (const char *p = names; *p; p += *p == ',') {
        const size_t n = strcspn(p, ",");
        const int whole = word_index(p, n, "all|text|format");
        bool known = whole >= 0;
        for (int f = 0; f < N_PERTURB_FAMILY; f++)
            if (whole == 0 || whole == 1 || (n == strlen(perturb_name(f)) && !memcmp(p, perturb_name(f), n)))
                o->family[f] = known = true;
        for (int f = 0; f < N_ROBUST_FORM; f++)
            if (whole == 0 || whole == 2 || (n == strlen(forms[f].word) && !memcmp(p, forms[f].word, n)))
                o->form[f] = known = true;
        if (!known)
            return unknown_family(p, n, err);
        p += n;
    }
    return *names ? 0 : unknown_family("", 0, err);
}

int robust_strengths_read(struct robust_opts *o, const char *list, struct err *err)
{
    const char *p = list;
    for (; *p >= '1' && *p <= '0' + PERTURB_STRENGTHS; p++) {
        o->strength[*p - '1'] = true;
        if (!p[1])
            return 0;
        if (*++p != ',')
            break;
    }
    return ERR(err, USAGE, "--strengths: found '%s', expected numbers from 1 to %d with commas between them", list, PERTURB_STRENGTHS);
}

/* ---- variants ---- */

struct opening {
    struct robust *r;
    const struct robust_opts *how; const struct task_opts *o;
    struct misspellings *misspellings;
    int of;                                      /* the task that variants are made of */
};

static int add_absent(struct robust *r, int of, const char *family, const struct err *why, struct err *err)
{
    struct robust_absent *p = mem_realloc_array(r->absent, (size_t)r->n_absent + 1, sizeof *p);
    if (!p)
        return no_memory(err);
    r->absent = p;
    p[r->n_absent++] = (struct robust_absent){ of, family, *why };
    return 0;
}

static bool same_requests(const struct task *a, const struct task *b, int64_t item)
{
    const struct request *p, *q;
    const int n = task_requests(a, item, &p, NULL);
    if (n < 0 || task_requests(b, item, &q, NULL) != n)
        return false;
    for (int i = 0; i < n; i++)
        if (p[i].n_context != q[i].n_context || p[i].n_continuation != q[i].n_continuation || memcmp(p[i].context, q[i].context, p[i].n_context) ||
            memcmp(p[i].continuation, q[i].continuation, p[i].n_continuation))
            return false;
    return true;
}

/* Who asks each item the same: the task as it is, or an earlier variant. */
static void find_twins(const struct robust *r, struct robust_variant *v)
{
    const struct task *t = r->list.task[v->i_task], *base = r->list.task[v->of];
    for (int64_t i = 0; i < task_n_item(t); i++) {
        v->twin[i] = v->i_task;
        if (same_requests(base, t, i)) {
            v->twin[i] = v->of, v->n_same++;
            continue;
        }
        for (int k = 0; k < r->n_variant; k++) {
            const struct robust_variant *u = &r->variant[k];
            if (u->of == v->of && u->twin[i] == u->i_task && same_requests(r->list.task[u->i_task], t, i)) {
                v->twin[i] = u->i_task;
                break;
            }
        }
    }
}

static int keep_variant(struct robust *r, struct task *t, struct robust_variant v, struct err *err)
{
    struct task **task = mem_realloc_array(r->list.task, (size_t)r->list.n_task + 1, sizeof *task);
    r->list.task = task ? task : r->list.task;
    struct robust_variant *p = mem_realloc_array(r->variant, (size_t)r->n_variant + 1, sizeof *p);
    r->variant = p ? p : r->variant;
    v.twin = mem_alloc_array((size_t)task_n_item(t) + 1, sizeof *v.twin);
    if (!task || !p || !v.twin) {
        mem_free(v.twin);
        return no_memory(err);
    }
    v.i_task = r->list.n_task;
    task[r->list.n_task++] = t;
    find_twins(r, &v);
    p[r->n_variant++] = v;
    return 0;
}

/* 1: it is there; 0: it does not apply to the task, which is told. */
static int add_variant(struct opening *x, const struct task_form *f, struct robust_variant v, struct err *err)
{
    struct robust *r = x->r;
    struct task *t;
    struct err why = { 0 };
    const struct task *base = r->list.task[x->of];
    char *name = mem_printf("%s~%s.%s", task_name(base), v.family, v.form);
    int rc = name ? task_in_form(&t, base, name, f, x->o, &why) : no_memory(err);
    mem_free(name);
    if (rc == ERR_UNSUPPORTED) {
        TRY(add_absent(r, x->of, v.family, &why, err));
        return 0;
    }
    if (rc)
        return ERR(err, NOMEM, "%s", *why.msg ? why.msg : err->msg);
    v.of = x->of;
    rc = keep_variant(r, t, v, err);
    if (rc) {
        task_free(t);
        return rc;
    }
    return 1;
}

/* Where no variant of a family changes an item, it is told and not asked.  first: its first variant. */
static int drop_idle(struct opening *x, int first, const char *family, const char *why_not, struct err *err)
{
    struct robust *r = x->r;
    const int64_t n = task_n_item(r->list.task[x->of]);
    if (first == r->n_variant)
        return 0;
    for (int k = first; k < r->n_variant; k++)
        if (r->variant[k].n_same < n)
            return 0;
    while (r->n_variant > first) {
        mem_free(r->variant[--r->n_variant].twin);
        task_free(r->list.task[--r->list.n_task]);
    }
    struct err why = { 0 };
    (void)ERR(&why, UNSUPPORTED, "%s", why_not);
    return add_absent(r, x->of, family, &why, err);
}

static int add_texts(struct opening *x, enum perturb_family family, struct err *err)
{
    const int first = x->r->n_variant;
    for (int s = 1; s <= PERTURB_STRENGTHS; s++) {
        struct question_change c = { .text = { family, s, x->how->seed, x->misspellings } };
        const struct task_form f = { .question = question_perturb, .ctx = &c };
        struct robust_variant v = { .family = perturb_name(family), .what = perturb_what(family), .strength = s };
        if (!x->how->strength[s - 1])
            continue;
        snprintf(v.form, sizeof v.form, "%d", s);
        const int fits = add_variant(x, &f, v, err);
        TRY(fits);
        if (!fits)
            return 0;
    }
    return drop_idle(x, first, perturb_name(family), "no question has a place in the document's text that it could change", err);
}

static const char *const labels[][26] = {
    { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26" },
    { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z" },
    { "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv", "xvi", "xvii", "xviii", "xix", "xx", "xxi", "xxii",
      "xxiii",
      "xxiv", "xxv", "xxvi" },
};

static struct task_form form_of(struct opening *x, enum robust_form form, int i, struct question_change *c)
{
    struct task_form f = { .ctx = c };
    char stream[40];
    snprintf(stream, sizeof stream, "robust %s %d", forms[form].word, i);
    *c = (struct question_change){ .form = form, .i_form = i, .n_letter = (int)json_array_size(task_letters(x->r->list.task[x->of])) };
    switch (form) {
    case FORM_OPTIONS: f.option_key = rng_key(x->how->seed, stream) | 1; break;
    case FORM_EXAMPLES: f.example_key = rng_key(x->how->seed, stream) | 1; break;
    case FORM_LABELS:
        c->label = f.label = labels[i], f.n_label = 26;
        f.question = question_form, f.examples = true;
        break;
    default: f.question = question_form, f.examples = true; break;
    }
    return f;
}

static int add_forms(struct opening *x, enum robust_form form, struct err *err)
{
    const int first = x->r->n_variant;
    int i = 0;
    for (const char *p = forms[form].forms; *p; p += *p == '|', i++) {
        struct question_change c;
        const struct task_form f = form_of(x, form, i, &c);
        struct robust_variant v = { .family = forms[form].word, .what = forms[form].what };
        const size_t n = strcspn(p, "|");
        snprintf(v.form, sizeof v.form, "%.*s", (int)n, p);
        const int fits = add_variant(x, &f, v, err);
        TRY(fits);
        if (!fits)
            return 0;
        p += n;
    }
    return drop_idle(x, first, forms[form].word, "the task's own words have nothing of the kind", err);
}

static int add_paraphrases(struct opening *x, struct err *err)
{
    const int first = x->r->n_variant;
    for (int i = 0; i < paraphrases_n_form(x->how->paraphrases); i++) {
        struct question_change c = { .i_form = i, .paraphrases = x->how->paraphrases };
        const struct task_form f = { .question = question_paraphrase, .ctx = &c };
        struct robust_variant v = { .family = "paraphrase", .what = "a text of the document is said otherwise, by a list" };
        snprintf(v.form, sizeof v.form, "%d", i + 1);
        const int fits = add_variant(x, &f, v, err);
        TRY(fits);
        if (!fits)
            return 0;
    }
    return drop_idle(x, first, "paraphrase", "no text of the list is a text of its documents", err);
}

static int add_all(struct opening *x, struct err *err)
{
    for (int f = 0; f < N_PERTURB_FAMILY; f++)
        if (x->how->family[f])
            TRY(add_texts(x, f, err));
    for (int f = 0; f < N_ROBUST_FORM; f++)
        if (x->how->form[f])
            TRY(add_forms(x, f, err));
    return x->how->paraphrases ? add_paraphrases(x, err) : 0;
}

int robust_open(struct robust *r, const struct task_list *l, const struct robust_opts *how, const struct task_opts *o, struct err *err)
{
    *r = (struct robust){ .n_base = l->n_task, .seed = how->seed };
    struct opening x = { .r = r, .how = how, .o = o };
    if (!(r->list.task = mem_alloc_array((size_t)l->n_task + 1, sizeof *r->list.task)))
        return no_memory(err);
    for (int i = 0; i < l->n_task; i++)
        r->list.task[r->list.n_task++] = l->task[i];
    int rc = misspellings_new(&x.misspellings, NULL, err);
    for (x.of = 0; x.of < r->n_base && !rc; x.of++)
        rc = add_all(&x, err);
    misspellings_free(x.misspellings);
    return rc;
}

void robust_release(struct robust *r)
{
    for (int i = r->n_base; i < r->list.n_task; i++)
        task_free(r->list.task[i]);
    mem_free(r->list.task);
    for (int i = 0; i < r->n_variant; i++)
        mem_free(r->variant[i].twin);
    mem_free(r->variant);
    mem_free(r->absent);
    *r = (struct robust){ 0 };
}

/* ---- asking ---- */

static int ask(struct evaluation *e, struct run *run, int i_task, int64_t item, struct err *err)
{
    return e->task[i_task].item[item].state == EVAL_OPEN ? evaluation_ask_item(e, run, i_task, item, err) : 0;
}

static int ask_item(struct robust *r, struct evaluation *e, struct run *run, int base, int64_t item, struct err *err)
{
    TRY(ask(e, run, base, item, err));
    for (int k = 0; k < r->n_variant; k++) {
        const struct robust_variant *v = &r->variant[k];
        if (v->of != base)
            continue;
        if (v->twin[item] == v->i_task)
            TRY(ask(e, run, v->i_task, item, err));
        else if (e->task[v->twin[item]].item[item].state != EVAL_OPEN)       /* of a run that goes on */
            TRY(robust_took(r, e, v->twin[item], item, err));
    }
    return 0;
}

int robust_ask(struct robust *r, struct evaluation *e, struct run *run, struct err *err)
{
    for (int b = 0; b < r->n_base; b++)
        for (int64_t i = 0; i < e->task[b].n; i++)
            TRY(ask_item(r, e, run, b, i, err));
    return 0;
}

int robust_took(const struct robust *r, struct evaluation *e, int i_task, int64_t item, struct err *err)
{
    const struct eval_item *it = &e->task[i_task].item[item];
    for (int k = 0; k < r->n_variant && it->n_reply; k++) {
        const struct robust_variant *v = &r->variant[k];
        if (v->i_task == i_task || item >= e->task[v->i_task].n || v->twin[item] != i_task)
            continue;
        TRY(evaluation_take(e, v->i_task, item, it->reply, it->n_reply, err));
    }
    return 0;
}
