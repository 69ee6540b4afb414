/* groups.c - terms by the numbers of their words; a text's rows of 1 to 4 words are looked up. */
#include "audit/groups.h"
#include <string.h>
#include "audit/chance.h"
#include "base/mem.h"
#include "base/tree.h"

#define FILE_MAX ((size_t)16 << 20)
#define TERM_WORDS 4

/* ---- lists ---- */

void groups_release(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        mem_free(g->group[i].name);
    for (size_t i = 0; i < g->n_term; i++)
        mem_free(g->term[i].text);
    mem_free(g->group);
    mem_free(g->term);
    mem_free(g->chain);
    gram_map_release(&g->words);
    *g = (struct groups){ 0 };
}

static int add_group(struct groups *g, const char *axis, const char *name, double share, struct err *err)
{
    if (g->n == GROUPS_MAX)
        return ERR(err, RANGE, "more than %d groups", GROUPS_MAX);
    TRY(grams_room((void **)&g->group, g->n, sizeof *g->group, err));
    char *full = axis ? mem_printf("%s/%s", axis, name) : mem_strdup(name);
    if (!full)
        return ERR(err, NOMEM, "no memory for the name of a group");
    g->group[g->n++] = (struct group){ full, share, g->n_term, 0 };
    return 0;
}

static bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

/* To the last group; one that has no words, or more than 4, is no term. */
static int add_term(struct groups *g, const char *text, size_t n, struct grams *w, struct err *err)
{
    uint32_t k;
    TRY(grams_of(w, text, n, err));
    if (!w->n || w->n > TERM_WORDS)
        return 0;
    if (g->n_term == GROUP_TERMS_MAX)
        return ERR(err, RANGE, "more than %d terms", GROUP_TERMS_MAX);
    TRY(grams_room((void **)&g->term, g->n_term, sizeof *g->term, err));
    TRY(grams_room((void **)&g->chain, g->words.n, sizeof *g->chain, err));
    const int is_new = gram_map_add(&g->words, gram_hash(w->word, (int)w->n), &k, err);
    TRY(is_new);
    char *copy = mem_printf("%.*s", (int)n, text);
    if (!copy)
        return ERR(err, NOMEM, "no memory for a term");
    g->term[g->n_term] = (struct group_term){ copy, (int)g->n - 1, is_capital(text[w->at[0]]), is_new ? GRAM_NONE : g->chain[k] };
    g->chain[k] = (uint32_t)g->n_term++;
    g->group[g->n - 1].n_term++;
    g->lengths |= 1u << w->n;
    gram_filter_add(&g->first, w->word[0]);
    return 0;
}

static int add_list(struct groups *g, const char *axis, const char *name, const json_t *list, double share, struct grams *w, struct err *err)
{
    size_t i;
    const json_t *o;
    if (json_array_size(list) && !json_is_string(json_array_get(list, 0))) {
        g->n_passed_over++;
        return 0;
    }
    TRY(add_group(g, axis, name, share, err));
    json_array_foreach(list, i, o)
    {
        if (!json_is_string(o))
            return ERR(err, FORMAT, "'%s': term %zu is no text", name, i + 1);
        TRY(add_term(g, json_string_value(o), json_string_length(o), w, err));
    }
    return 0;
}

static int add_member(struct groups *g, const char *axis, const char *name, json_t *o, struct grams *w, struct err *err)
{
    double share;
    const char *key;
    json_t *part;
    if (json_is_array(o))
        return add_list(g, axis, name, o, 0, w, err);
    if (!json_is_object(o))
        return ERR(err, FORMAT, "'%s' is neither a list of terms nor an object", name);
    const json_t *terms = json_object_get(o, "terms");
    if (json_is_array(terms)) {
        TRY(tree_num(o, "share", 0, &share, name, err));
        if (!(share >= 0 && share <= 1))
            return ERR(err, RANGE, "'%s': the share is %g, not 0 to 1", name, share);
        return add_list(g, axis, name, terms, share, w, err);
    }
    if (axis)
        return ERR(err, FORMAT, "'%s' of '%s' has no list of terms", name, axis);
    json_object_foreach(o, key, part)
        TRY(add_member(g, name, key, part, w, err));
    return 0;
}

int groups_of_tree(struct groups *g, json_t *tree, struct err *err)
{
    struct grams w = { 0 };
    const char *key;
    json_t *part;
    *g = (struct groups){ 0 };
    int rc = json_is_object(tree) ? 0 : ERR(err, FORMAT, "this is no object of groups");
    json_object_foreach(tree, key, part)
    {
        rc = rc ? rc : add_member(g, NULL, key, part, &w, err);
    }
    grams_release(&w);
    return rc;
}

static int read_file(struct groups *g, const char *path, struct err *err)
{
    json_t *tree;
    TRY(tree_load(&tree, path, FILE_MAX, err));
    const int rc = groups_of_tree(g, tree, err);
    json_decref(tree);
    return rc ? err_context(err, "%s", path) : 0;
}

static int read_own(struct groups *g, struct grams *w, struct err *err)
{
    static const struct { const char *name, *terms; } own[] = {
#define GROUP(name, terms) { name, terms },
#include "audit/groups.def"
#undef GROUP
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        TRY(add_group(g, NULL, own[i].name, 0, err));
        for (const char *p = own[i].terms, *end; *p; p = *end ? end + 1 : end) {
            end = strchrnul(p, '|');
            TRY(add_term(g, p, (size_t)(end - p), w, err));
        }
    }
    return 0;
}

int groups_read(struct groups *g, const char *path, struct err *err)
{
    struct grams w = { 0 };
    *g = (struct groups){ 0 };
    const int rc = path ? read_file(g, path, err) : read_own(g, &w, err);
    grams_release(&w);
    return rc;
}

size_t group_axis(const struct groups *g, size_t group)
{
    const char *stroke = strchr(g->group[group].name, '/');
    return stroke ? (size_t)(stroke - g->group[group].name) : 0;
}

/* ---- counts ---- */

int group_counts_init(struct group_counts *c, const struct groups *g, struct err *err)
{
    *c = (struct group_counts){ 0 };
    c->record = mem_alloc_array(g->n + 1, sizeof *c->record);
    c->mention = mem_alloc_array(g->n + 1, sizeof *c->mention);
    c->last = mem_alloc_array(g->n + 1, sizeof *c->last);
    c->in = mem_alloc_array(g->n + 1, sizeof *c->in);
    c->term = mem_alloc_array(g->n_term + 1, sizeof *c->term);
    c->last_term = mem_alloc_array(g->n_term + 1, sizeof *c->last_term);
    return c->record && c->mention && c->last && c->in && c->term && c->last_term ? 0 : ERR(err, NOMEM, "no memory for counts of %zu terms", g->n_term);
}

void group_counts_release(struct group_counts *c)
{
    mem_free(c->record);
    mem_free(c->mention);
    mem_free(c->last);
    mem_free(c->in);
    mem_free(c->term);
    mem_free(c->last_term);
    *c = (struct group_counts){ 0 };
}

static void count_term(struct group_counts *c, const struct groups *g, uint32_t t)
{
    const int group = g->term[t].group;
    c->mention[group]++;
    if (c->last_term[t] != c->n_record) {
        c->last_term[t] = c->n_record;
        c->term[t]++;
    }
    if (c->last[group] != c->n_record) {
        c->last[group] = c->n_record;
        c->record[group]++;
        c->in[c->n_in++] = group;
    }
}

void group_counts_text(struct group_counts *c, const struct groups *g, const char *text, const struct grams *w)
{
    c->n_record++, c->n_in = 0;
    for (size_t i = 0; i < w->n; i++)
        for (int n = 1; n <= TERM_WORDS && i + (size_t)n <= w->n && gram_filter_has(&g->first, w->word[i]); n++) {
            const uint32_t k = g->lengths & 1u << n ? gram_map_find(&g->words, gram_hash(w->word + i, n)) : GRAM_NONE;
            for (uint32_t t = k == GRAM_NONE ? k : g->chain[k]; t != GRAM_NONE; t = g->term[t].next)
                if (!g->term[t].capital || is_capital(text[w->at[i]]))
                    count_term(c, g, t);
        }
}

void group_counts_add(struct group_counts *to, const struct groups *g, const struct group_counts *from)
{
    to->n_record += from->n_record;
    for (size_t i = 0; i < g->n; i++)
        to->record[i] += from->record[i], to->mention[i] += from->mention[i];
    for (size_t i = 0; i < g->n_term; i++)
        to->term[i] += from->term[i];
}

/* ---- labels ---- */

/* with[group][label] and the texts of each label. */
static int count_labels(const struct groups *g, const struct label_set *s, struct group_counts *c, int64_t *with, int64_t *of_label, struct err *err)
{
    struct grams w = { 0 };
    int rc = 0;
    for (size_t i = 0; i < s->n && rc >= 0; i++) {
        size_t n;
        const char *text = label_set_text(s, i, &n);
        rc = grams_of(&w, text, n, err);
        if (rc < 0)
            break;
        group_counts_text(c, g, text, &w);
        of_label[s->label[i]]++;
        for (int k = 0; k < c->n_in; k++)
            with[c->in[k] * s->n_label + s->label[i]]++;
    }
    grams_release(&w);
    return rc;
}

static size_t make_rates(const struct groups *g, const struct label_set *s, const struct group_counts *c, const int64_t *with, const int64_t *of_label, struct group_rate *r)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        for (int l = 0; l < s->n_label && c->record[i]; l++) {
            const int64_t k = with[i * (size_t)s->n_label + (size_t)l], m = c->n_record - c->record[i];
            r[n] = (struct group_rate){ (int)i, l, c->record[i], k, m, of_label[l] - k, 0, 0, chance_fisher(k, c->record[i], of_label[l] - k, m) };
            chance_wilson(k, c->record[i], &r[n].low, &r[n].high);
            n++;
        }
    return n;
}

static int adjust(struct group_rate *r, size_t n, struct err *err)
{
    double *p = mem_alloc_array(n + 1, sizeof *p);
    int rc = p ? 0 : ERR(err, NOMEM, "no memory for %zu rates", n);
    for (size_t i = 0; i < n && !rc; i++)
        p[i] = r[i].p;
    rc = rc ? rc : chance_holm(p, n, err);
    for (size_t i = 0; i < n && !rc; i++)
        r[i].p = p[i];
    mem_free(p);
    return rc;
}

int group_rates(const struct groups *g, const struct label_set *s, struct group_rate **out, size_t *n, struct err *err)
{
    struct group_counts c = { 0 };
    *out = NULL, *n = 0;
    if (s->n_label > GROUP_LABELS_MAX)
        return 0;
    const size_t cells = g->n * (size_t)s->n_label + 1;
    int64_t *with = mem_alloc_array(cells, sizeof *with), *of_label = mem_alloc_array((size_t)s->n_label + 1, sizeof *of_label);
    *out = mem_alloc_array(cells, sizeof **out);
    int rc = with && of_label && *out ? group_counts_init(&c, g, err) : ERR(err, NOMEM, "no memory for rates of %zu groups", g->n);
    rc = rc < 0 ? rc : count_labels(g, s, &c, with, of_label, err);
    if (rc >= 0) {
        *n = make_rates(g, s, &c, with, of_label, *out);
        rc = adjust(*out, *n, err);
    }
    group_counts_release(&c);
    mem_free(with);
    mem_free(of_label);
    if (rc < 0) {
        mem_free(*out);
        *out = NULL, *n = 0;
    }
    return rc < 0 ? rc : 0;
}
