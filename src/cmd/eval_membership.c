#include "cmd/eval_membership.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/blind.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "cmd/model_evidence.h"
#include "cmd/read_texts.h"
#include "data/text.h"
#include "eval/evidence.h"
#include "eval/membership.h"
#include "model/unicode.h"

enum { EXAMPLES = 20, EXAMPLES_SHOWN = 5, TEXT_SHOWN = 160 };        /* shown: in the table */

/* Both sides, member, other, member, ... as far as there are both, so that a run that is stopped has some of each. */
struct work {
    const struct eval_membership *o;
    struct read_texts side[2];           /* members, others: their texts are in `set` */
    struct label_set set;                /* label 0: members */
    int64_t *place, n;                   /* [n]: of its side's list */
    unsigned char *member;
    double *score;                       /* [N_MEMBERSHIP][n] */
    double *blind, *overlap;             /* [N_BLIND][n], [n] */
    /* of the model */
    double *nll; int *n_token;           /* [n]; n_token 0: not answered */
    double *reference; int *n_reference; /* [n]: sum over other models, and how many of them answered */
    double *sort; int cap_sort;
    int max_length;
    int64_t n_twice, n_both, n_failed, n_windowed, n_window;
    char first_failure[300];
    char model_sha256[SHA256_HEX];
    bool stopped;
};

/* ---- the texts ---- */

/* A text that is there twice counts once; one of both sides is neither. */
enum { KEPT, TWICE, BOTH };
static int sift(struct work *w, unsigned char *what[2], struct err *err)
{
    struct gram_map seen = { 0 };
    uint32_t k, *first[2] = { NULL, NULL };
    int rc = 0;
    for (int s = 0; s < 2 && rc >= 0; s++) {
        const struct read_texts *t = &w->side[s];
        first[s] = mem_alloc_array((size_t)t->n + 1, sizeof **first);
        what[s] = mem_alloc_array((size_t)t->n + 1, 1);
        if (!first[s] || !what[s])
            rc = ERR(err, NOMEM, "no memory for %lld texts", (long long)t->n);
        const size_t of_members = seen.n;
        for (int64_t i = 0; i < t->n && rc >= 0; i++) {
            size_t n;
            const char *text = read_texts_at(t, i, &n);
            rc = gram_map_add(&seen, hash64(text, n, 0) | 1, &k, err);
            if (rc < 0)
                break;
            if (!rc)
                what[s][i] = TWICE;
            if (s && k < of_members) {
                what[1][i] = BOTH;
                what[0][first[0][k]] = BOTH;
            } else if (rc && !s) {
                first[0][k] = (uint32_t)i;
            }
        }
    }
    gram_map_release(&seen);
    mem_free(first[0]);
    mem_free(first[1]);
    return rc < 0 ? rc : 0;
}

static int add_text(struct work *w, int side, int64_t i, struct err *err)
{
    size_t n;
    const char *text = read_texts_at(&w->side[side], i, &n);
    w->place[w->n] = i, w->member[w->n] = !side;
    return label_set_add(&w->set, w->n++, text, n, side ? "other" : "member", side ? 5 : 6, err);
}

static int take_turns(struct work *w, unsigned char *const what[2], struct err *err)
{
    int64_t at[2] = { 0, 0 };
    for (bool more = true; more;) {
        more = false;
        for (int s = 0; s < 2; s++) {
            for (; at[s] < w->side[s].n && what[s][at[s]]; at[s]++)
                *(what[s][at[s]] == BOTH ? &w->n_both : &w->n_twice) += 1;
            if (at[s] < w->side[s].n) {
                TRY(add_text(w, s, at[s]++, err));
                more = true;
            }
        }
    }
    return 0;
}

static int take_texts(struct work *w, struct err *err)
{
    unsigned char *what[2] = { NULL, NULL };
    TRY(read_texts(&w->side[0], w->o->members, w->o->lines, w->o->limit, err));
    TRY(read_texts(&w->side[1], w->o->others, w->o->lines, w->o->limit, err));
    const size_t most = (size_t)(w->side[0].n + w->side[1].n);
    w->set.text_max = SIZE_MAX;
    w->place = mem_alloc_array(most + 1, sizeof *w->place);
    w->member = mem_alloc_array(most + 1, 1);
    int rc = w->place && w->member ? sift(w, what, err) : ERR(err, NOMEM, "no memory for %zu texts", most);
    if (!rc)
        rc = take_turns(w, what, err);
    mem_free(what[0]);
    mem_free(what[1]);
    for (int s = 0; s < 2; s++)
        buf_release(&w->side[s].text);   /* `set` has them */
    int64_t n = 0;
    for (int64_t i = 0; i < w->n; i++)
        n += w->member[i];
    if (!rc && (!n || n == w->n))
        rc = ERR(err, RANGE, "%lld texts of '%s' and %lld of '%s' that the other has not, expected some of both%s%s", (long long)n, w->o->members, (long long)(w->n - n),
                 w->o->others, w->side[n > 0].first_fault[0] ? "; first of what was passed over: " : "", w->side[n > 0].first_fault);
    return rc;
}

static int make_room(struct work *w, struct err *err)
{
    const size_t n = (size_t)w->n;
    w->score = mem_alloc_array(n, N_MEMBERSHIP * sizeof *w->score);
    w->blind = mem_alloc_array(n, N_BLIND * sizeof *w->blind);
    w->overlap = mem_alloc_array(n, sizeof *w->overlap);
    w->nll = mem_alloc_array(n, sizeof *w->nll);
    w->reference = mem_alloc_array(n, sizeof *w->reference);
    w->n_token = mem_alloc_array(n, sizeof *w->n_token);
    w->n_reference = mem_alloc_array(n, sizeof *w->n_reference);
    if (!w->score || !w->blind || !w->overlap || !w->nll || !w->reference || !w->n_token || !w->n_reference)
        return ERR(err, NOMEM, "no memory for the scores of %lld texts", (long long)w->n);
    for (size_t i = 0; i < n * N_MEMBERSHIP; i++)
        w->score[i] = NAN;
    return 0;
}

static void release(struct work *w)
{
    read_texts_release(&w->side[0]);
    read_texts_release(&w->side[1]);
    label_set_release(&w->set);
    mem_free(w->place);
    mem_free(w->member);
    mem_free(w->score);
    mem_free(w->blind);
    mem_free(w->overlap);
    mem_free(w->nll);
    mem_free(w->reference);
    mem_free(w->n_token);
    mem_free(w->n_reference);
    mem_free(w->sort);
}

/* ---- asking ---- */

struct asking { struct work *w; bool reference; double begin, shown; };

static bool goes_on(void *ctx, const struct run_progress *p)
{
    struct asking *a = ctx;
    char left[32];
    const double now = clock_wall(), taken = now - a->begin;
    if (now - a->shown > 0.5) {
        a->shown = now;
        const double rest = p->n_done > 0 ? taken * (double)(p->n_token - p->n_done) / (double)p->n_done : 0;
        log_progress("%s%lld of %lld texts, %.0f tokens/s, %s left", a->reference ? "reference: " : "", (long long)p->n_answered, (long long)p->n_item, (double)p->n_done / taken,
                     fmt_seconds(left, rest > 0 ? rest : 0));
    }
    return !cmd_stop;
}

static void failed(struct work *w, int64_t i, const char *why)
{
    const struct read_texts *t = &w->side[!w->member[i]];
    const struct text_place *p = &t->place[w->place[i]];
    w->n_failed++;
    if (!w->first_failure[0])
        snprintf(w->first_failure, sizeof w->first_failure, "%.120s:%lld: %.140s", t->s.file[p->file].path, (long long)p->line, why);
    w->first_failure[text_bad_utf8(w->first_failure, strlen(w->first_failure))] = 0;         /* cut between characters */
}

static int take_reply(struct work *w, int64_t i, const struct reply *y, int n, struct err *err)
{
    double score[N_MEMBERSHIP];
    size_t n_text;
    const char *text = label_set_text(&w->set, (size_t)i, &n_text);
    if (y[0].error || !y[0].n_token) {
        failed(w, i, y[0].error ? y[0].error : "no token");
        return 0;
    }
    if (y[0].n_token > w->cap_sort) {
        double *p = mem_realloc_array(w->sort, (size_t)y[0].n_token, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for a text of %d tokens", y[0].n_token);
        w->sort = p, w->cap_sort = y[0].n_token;
    }
    struct membership_text x = { .token = y[0].token, .n_token = y[0].n_token, .nll = -y[0].loglik, .nll_reference = NAN };
    if (n > 1 && !y[1].error)
        x.nll_lower = -y[1].loglik, x.n_lower = y[1].n_token;
    TRY(membership_zlib(text, n_text, &x.zlib, err));
    membership_scores(&x, w->sort, score);
    for (int s = 0; s < N_MEMBERSHIP; s++)
        w->score[(int64_t)s * w->n + i] = score[s];
    w->nll[i] = x.nll, w->n_token[i] = x.n_token;
    w->n_windowed += x.n_token > w->max_length;
    w->n_window += (x.n_token + w->max_length - 1) / w->max_length;
    return 0;
}

static int answered(void *ctx, int64_t tag, const struct reply *y, int n, struct err *err)
{
    struct asking *a = ctx;
    if (!a->reference)
        return take_reply(a->w, tag, y, n, err);
    if (!y[0].error && y[0].n_token)
        a->w->reference[tag] -= y[0].loglik, a->w->n_reference[tag]++;
    return 0;
}

static int add_requests(struct work *w, struct run *r, bool reference, struct err *err)
{
    struct buf lower;
    int rc = 0;
    buf_init(&lower);
    for (int64_t i = 0; i < w->n && !rc; i++) {
        size_t n;
        const char *text = label_set_text(&w->set, (size_t)i, &n);
        struct request q[2] = { { .kind = REQUEST_ROLLING, .item = i, .continuation = text, .n_continuation = n, .each_token = !reference } };
        if (!reference) {
            lower.len = 0;
            rc = unicode_lower(text, n, &lower, err);
            q[1] = (struct request){ .kind = REQUEST_ROLLING, .item = i, .index = 1, .continuation = lower.data, .n_continuation = lower.len };
        }
        rc = rc ? rc : run_add(r, i, q, reference ? 1 : 2, err);
    }
    buf_release(&lower);
    return rc;
}

/* ERR_STOPPED is told by w->stopped. */
static int ask(struct work *w, const struct run_opts *o, bool reference, struct pool *pool, struct err *err)
{
    struct run *r;
    struct asking a = { w, reference, clock_wall(), clock_wall() };
    const struct run_hooks h = { answered, goes_on, &a };
    TRY(run_open(&r, o, err));
    if (!reference)
        w->max_length = run_encoder(r)->max_length;
    int rc = add_requests(w, r, reference, err);
    if (!rc)
        rc = run_answer(r, &h, pool, err);
    log_progress_end();
    run_close(r);
    w->stopped = w->stopped || rc == ERR_STOPPED;
    return rc == ERR_STOPPED ? 0 : rc;
}

static int ask_references(struct work *w, const struct run_opts *o, struct pool *pool, struct err *err)
{
    const int n = w->o->reference.n;
    for (int k = 0; k < n && !w->stopped; k++) {
        char *path;
        struct run_opts other = *o;
        TRY(cmd_model_path(&path, w->o->reference.item[k], err));
        other.model = path;
        other.engine.adapter = NULL, other.engine.n_adapter = 0, other.engine.adapted = false;       /* the model's, not theirs */
        const int rc = ask(w, &other, true, pool, err);
        mem_free(path);
        TRY(rc);
    }
    for (int64_t i = 0; i < w->n; i++)
        if (n && w->n_token[i] && w->n_reference[i] == n)
            w->score[MEMBERSHIP_REFERENCE * w->n + i] = (w->reference[i] / n - w->nll[i]) / w->n_token[i];
    return 0;
}

/* ---- what was found ---- */

/* Where a run was stopped, the texts that were answered; else all. */
static int report(json_t *evidence, struct work *w, struct err *err)
{
    int64_t n = 0;
    const int64_t all = w->n;
    TRY(blind_scores(&w->set, w->blind, err));
    TRY(blind_overlap(&w->set, w->overlap, err));
    for (int64_t i = 0; i < all; i++) {
        if (!w->n_token[i])
            continue;
        for (int s = 0; s < N_MEMBERSHIP; s++)
            w->score[s * all + n] = w->score[s * all + i];
        for (int s = 0; s < N_BLIND; s++)
            w->blind[s * all + n] = w->blind[s * all + i];
        w->overlap[n] = w->overlap[i], w->place[n] = w->place[i], w->member[n] = w->member[i], w->n_token[n] = w->n_token[i];
        w->set.record[n++] = i;          /* of the set's texts */
    }
    for (int s = 1; s < N_MEMBERSHIP; s++)
        memmove(w->score + s * n, w->score + s * all, (size_t)n * sizeof *w->score);
    for (int s = 1; s < N_BLIND; s++)
        memmove(w->blind + s * n, w->blind + s * all, (size_t)n * sizeof *w->blind);
    w->n = n;
    struct membership_blind blind[N_BLIND];
    for (int s = 0; s < N_BLIND; s++)
        blind[s] = (struct membership_blind){ blind_name((enum blind_score)s), blind_what((enum blind_score)s), w->blind + s * n, s == BLIND_WORDS };
    return membership_report(evidence, &(struct membership_texts){ n, w->member, w->score, blind, N_BLIND, w->overlap }, err);
}

static json_t *faults(const struct read_texts *t)
{
    json_t *o = json_object();
    for (int f = 1; f < N_RECORD_FAULT; f++)
        if (t->n_fault[f])
            (void)json_object_set_new(o, record_fault_word((enum record_fault)f), json_integer(t->n_fault[f]));
    return o;
}

static int counts(json_t *evidence, const struct work *w, struct err *err)
{
    int64_t n[2] = { 0, 0 }, n_token = 0;
    for (int64_t i = 0; i < w->n; i++)
        n[!w->member[i]]++, n_token += w->n_token[i];
    return evidence_put(evidence, "counts",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s?, s:I, s:I, s:i, s:o, s:o, s:b}", "members", (json_int_t)n[0], "others", (json_int_t)n[1], "tokens", (json_int_t)n_token,
                                  "repeated", (json_int_t)w->n_twice, "on_both_sides", (json_int_t)w->n_both, "failed", (json_int_t)w->n_failed, "first_failure",
                                  w->first_failure[0] ? w->first_failure : NULL, "in_windows", (json_int_t)w->n_windowed, "windows", (json_int_t)w->n_window, "max_length", w->max_length,
                                  "members_passed_over", faults(&w->side[0]), "others_passed_over", faults(&w->side[1]), "stopped", w->stopped),
                        err);
}

/* The score with the largest area. */
static int best_score(const json_t *evidence)
{
    int best = MEMBERSHIP_LOSS;
    double most = -1;
    for (int s = 0; s < N_MEMBERSHIP; s++) {
        const json_t *o = json_object_get(json_object_get(evidence, "scores"), membership_name(s));
        const double area = json_number_value(json_object_get(o, "auroc"));
        if (o && area > most)
            most = area, best = s;
    }
    return best;
}

struct ranked { double score; int64_t i; };
static int descending(const void *a_, const void *b_)
{
    const struct ranked *a = a_, *b = b_;
    return a->score != b->score ? (a->score < b->score) - (a->score > b->score) : (a->i > b->i) - (a->i < b->i);
}

static json_t *item(const struct work *w, int64_t i)
{
    const struct read_texts *t = &w->side[!w->member[i]];
    const struct text_place *p = &t->place[w->place[i]];
    return json_pack("{s:s, s:I, s:b, s:i}", "file", t->s.file[p->file].path, "line", (json_int_t)p->line, "member", w->member[i], "tokens", w->n_token[i]);
}

/* The first bytes of a text, cut between characters. */
static json_t *shown(const struct work *w, int64_t i)
{
    size_t n;
    const char *text = label_set_text(&w->set, (size_t)w->set.record[i], &n);
    return json_stringn(text, utf8_begin(text, n, TEXT_SHOWN));
}

static int examples(json_t *evidence, const struct work *w, struct err *err)
{
    const int best = best_score(evidence);
    const double *score = w->score + best * w->n;
    int64_t n = 0, n_other = 0, above = 0;
    json_t *list = json_array();
    TRY(evidence_put(evidence, "examples", list, err));
    TRY(evidence_put(evidence, "examples_by", json_string(membership_name(best)), err));
    struct ranked *r = mem_alloc_array((size_t)w->n + 1, sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to rank %lld texts", (long long)w->n);
    for (int64_t i = 0; i < w->n; i++)
        if (!isnan(score[i]))
            r[n++] = (struct ranked){ score[i], i }, n_other += !w->member[i];
    qsort(r, (size_t)n, sizeof *r, descending);
    int rc = 0;
    for (int64_t k = 0; k < n && !rc && json_array_size(list) < EXAMPLES; k++) {
        if (!w->member[r[k].i]) {
            above++;
            continue;
        }
        json_t *x = item(w, r[k].i);
        rc = evidence_put(x, "score", tree_number(r[k].score), err);
        rc = rc ? rc : evidence_put(x, "others_above", tree_number((double)above / (double)n_other), err);
        if (!rc && w->o->show_texts)
            rc = evidence_put(x, "text", shown(w, r[k].i), err);
        if (json_array_append_new(list, x) && !rc)
            rc = ERR(err, NOMEM, "no memory for examples");
    }
    mem_free(r);
    return rc;
}

/* ---- for people ---- */

static void print_auroc(const char *name, const json_t *r)
{
    printf("%-12s %7.4f  ", name, tree_number_at(r, "auroc"));
    if (isnan(tree_entry_at(r, "ci95", 0)))
        printf("%-16s", "-");
    else
        printf("%6.4f to %6.4f", tree_entry_at(r, "ci95", 0), tree_entry_at(r, "ci95", 1));
}

static void print_scores(const json_t *e)
{
    const char *name, *best = json_string_value(json_object_get(e, "blind_best"));
    json_t *r, *beyond = json_object_get(e, "beyond_blind");
    printf("\nwithout the model\n%-12s %7s  %s\n", "score", "auroc", "95 % interval");
    json_object_foreach(json_object_get(e, "blind"), name, r) {
        print_auroc(name, r);
        putchar('\n');
    }
    printf("\nwith the model\n%-12s %7s  %-16s  %24s  %24s  %8s%s%s\n", "score", "auroc", "95 % interval", "found at 1 % false", "found at 0.1 % false", "balanced", best ? "  beyond " : "", best ? best : "");
    json_object_foreach(json_object_get(e, "scores"), name, r) {
        print_auroc(name, r);
        for (size_t i = 0; i < ROC_POINTS; i++) {
            const json_t *p = json_array_get(json_object_get(r, "tpr"), i);
            printf("  %6.2f %% (%5.2f to %6.2f)", 100 * tree_number_at(p, "tpr"), 100 * tree_entry_at(p, "ci95", 0), 100 * tree_entry_at(p, "ci95", 1));
        }
        printf("  %8.4f", tree_number_at(r, "balanced_accuracy"));
        const json_t *d = json_object_get(beyond, name);
        if (d && isnan(tree_entry_at(d, "ci95", 0)))
            printf("  %+.4f", tree_number_at(d, "difference"));
        else if (d)
            printf("  %+.4f (%+.4f to %+.4f)", tree_number_at(d, "difference"), tree_entry_at(d, "ci95", 0), tree_entry_at(d, "ci95", 1));
        putchar('\n');
    }
}

static void print_passed(const char *side, const json_t *o)
{
    const char *word;
    json_t *n;
    json_object_foreach((json_t *)o, word, n)
        printf("  %s passed over, %s: %.0f\n", side, word, json_number_value(n));
}

static void print_counts(const struct work *w, const json_t *c)
{
    printf("%.0f members (%s), %.0f others (%s), %.0f tokens%s\n", tree_number_at(c, "members"), w->o->members, tree_number_at(c, "others"), w->o->others, tree_number_at(c, "tokens"),
           w->stopped ? "; stopped: of what was answered" : "");
    print_passed("members", json_object_get(c, "members_passed_over"));
    print_passed("others", json_object_get(c, "others_passed_over"));
    if (w->n_twice || w->n_both)
        printf("  left out: %lld texts that were there before, %lld that are on both sides\n", (long long)w->n_twice, (long long)w->n_both);
    if (w->n_failed)
        printf("  not answered: %lld; the first: %s\n", (long long)w->n_failed, w->first_failure);
    if (w->n_windowed)
        printf("  longer than the model's %d tokens: %lld texts, in windows\n", w->max_length, (long long)w->n_windowed);
}

static void print_caveats(const json_t *e)
{
    const json_t *o = json_object_get(e, "overlap");
    const double others = tree_number_at(json_object_get(e, "counts"), "others");
    const char *best = json_string_value(json_object_get(e, "blind_best"));
    printf("\n%s: %s\n", json_string_value(json_object_get(e, "verdict")), json_string_value(json_object_get(e, "verdict_means")));
    if (best)
        printf("THE TWO SIDES DIFFER WITHOUT ANY MODEL (%s).  Dates, sources and styles make such scores rise where nothing was learned by heart.\n", best);
    printf("These figures are of the model only where members and others were drawn at random from one source, before training.\n");
    printf("A model may have learned what no score here shows: low figures are no proof of privacy (canaries: lathe data exposure).\n");
    if (tree_number_at(o, "over") > 0)
        printf("%.0f of %.0f others share %.0f %% of their runs of %d words with members: where those were learned they look like members.\n", tree_number_at(o, "over"), tree_number_at(o, "n"),
               100 * tree_number_at(o, "threshold"), BLIND_RUN);
    if (others < 1000)
        printf("With %.0f others, 0.1 %% of false alarms%s means that none of them may be above the threshold.\n", others, others < 100 ? ", and 1 %," : "");
}

static void print_examples(const json_t *e)
{
    size_t i;
    json_t *x;
    printf("\nmost exposed members, by %s\n", json_string_value(json_object_get(e, "examples_by")));
    json_array_foreach(json_object_get(e, "examples"), i, x) {
        if (i == EXAMPLES_SHOWN)
            break;
        char *text = json_object_get(x, "text") ? json_dumps(json_object_get(x, "text"), JSON_ENCODE_ANY) : NULL;
        printf("  %s:%.0f  %.4f, %.0f tokens, %.2f %% of others above%s%s\n", json_string_value(json_object_get(x, "file")), tree_number_at(x, "line"), tree_number_at(x, "score"), tree_number_at(x, "tokens"),
               100 * tree_number_at(x, "others_above"), text ? "  " : "", text ? text : "");
        free(text);
    }
}

/* ---- files ---- */

static int write_items(const struct work *w, const char *date, struct err *err)
{
    struct file_writer f;
    char *name = mem_printf("membership_items_%s.jsonl", date), *path = name ? file_join(w->o->out, name) : NULL;
    mem_free(name);
    int rc = path ? file_writer_open(&f, path, err) : ERR(err, NOMEM, "no memory for the name of a file");
    mem_free(path);
    TRY(rc);
    for (int64_t i = 0; i < w->n && !rc; i++) {
        json_t *x = item(w, i);
        for (int s = 0; s < N_MEMBERSHIP && !rc; s++)
            rc = evidence_put(x, membership_name(s), tree_number(w->score[s * w->n + i]), err);
        for (int s = 0; s < N_BLIND && !rc; s++)
            rc = evidence_put(x, blind_name((enum blind_score)s), tree_number(w->blind[s * w->n + i]), err);
        char *text = rc ? NULL : tree_dumps(x, JSON_COMPACT);
        if (!rc)
            rc = text ? file_writer_add(&f, text, strlen(text), err) : ERR(err, NOMEM, "no memory for a line");
        rc = rc ? rc : file_writer_add(&f, "\n", 1, err);
        mem_free(text);
        json_decref(x);
    }
    if (!rc)
        rc = file_writer_commit(&f, err);
    file_writer_abort(&f);
    return rc;
}

static int keep(const json_t *evidence, const struct work *w, struct err *err)
{
    char *path, date[40];
    if (!w->o->out)
        return 0;
    TRY(evidence_write(evidence, w->o->out, &path, err));
    log_info("what was found is in %s", path);
    mem_free(path);
    evidence_date(json_number_value(json_object_get(evidence, "date")), date);
    return w->o->items ? write_items(w, date, err) : 0;
}

/* ---- the command ---- */

static int tell(struct work *w, const struct run_opts *run, struct err *err)
{
    json_t *e;
    TRY(model_evidence(&e, "membership", run->model, w->model_sha256, w->o->seed, w->o->limit, err));
    int rc = report(e, w, err);
    rc = rc ? rc : evidence_put(e, "members", json_string(w->o->members), err);
    rc = rc ? rc : evidence_put(e, "others", json_string(w->o->others), err);
    rc = rc ? rc : evidence_put(e, "references", json_array(), err);
    for (int i = 0; i < w->o->reference.n && !rc; i++)
        if (json_array_append_new(json_object_get(e, "references"), json_string(w->o->reference.item[i])))
            rc = ERR(err, NOMEM, "no memory for what was found");
    rc = rc ? rc : counts(e, w, err);
    rc = rc ? rc : evidence_put(e, "complete", json_boolean(!w->stopped), err);
    rc = rc ? rc : examples(e, w, err);
    rc = rc ? rc : keep(e, w, err);
    if (!rc && cmd_json)
        return cmd_print_json(e, err);
    if (!rc) {
        print_counts(w, json_object_get(e, "counts"));
        print_scores(e);
        print_caveats(e);
        print_examples(e);
    }
    json_decref(e);
    return rc;
}

static int membership(struct work *w, const struct run_opts *run, struct err *err)
{
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    TRY(take_texts(w, err));
    TRY(make_room(w, err));
    TRY(model_digest(run->model, w->model_sha256, err));
    TRY(ask(w, run, false, pool, err));
    TRY(ask_references(w, run, pool, err));
    TRY(tell(w, run, err));
    return w->stopped ? ERR(err, STOPPED, "stopped: the figures are of what was answered") : 0;
}

int eval_membership(const struct run_opts *run, const struct eval_membership *o, struct err *err)
{
    struct work w = { .o = o };
    const int rc = membership(&w, run, err);
    release(&w);
    return rc;
}
