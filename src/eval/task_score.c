/* task_score.c - replies to values, as ConfigurableTask.process_results has them, and values to a score (api/metrics.py). */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/stat.h"
#include "eval/task_impl.h"
#include "model/unicode.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a score"); }

/* ---- multiple choice ---- */

static int argmax(const double *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = v[i] > v[best] ? i : best;
    return best;
}

struct choices { int n, gold; const json_t *golds; const struct reply *reply, *alone; double *tmp; };      /* golds: several are right; alone: replies without a context */

static bool right(const struct choices *c, int i)
{
    if (!c->golds)
        return i == c->gold;
    for (size_t k = 0; k < json_array_size(c->golds); k++)
        if (json_is_integer(json_array_get(c->golds, k)) && json_integer_value(json_array_get(c->golds, k)) == i)
            return true;
    return false;
}

static double length_of(const struct item *it, const struct choices *c, enum metric_kind kind, int i)
{
    const json_t *v = json_array_get(it->choices, (size_t)i);
    const size_t n = json_string_length(v);
    if (kind == METRIC_ACC_NORM)
        return (double)py_chars(json_string_value(v), n);
    return kind == METRIC_ACC_BYTES ? (double)n : c->reply[i].n_token;
}

static double softmax_at(const struct choices *c, int i)
{
    double max = -INFINITY, sum = 0;
    for (int k = 0; k < c->n; k++)
        max = fmax(max, c->reply[k].loglik);
    for (int k = 0; k < c->n; k++)
        sum += exp(c->reply[k].loglik - max);
    return exp(c->reply[i].loglik - max) / sum;
}

/* Summed over the classes: 0 to 2. */
static double brier(const struct choices *c)
{
    double sum = 0;
    for (int i = 0; i < c->n; i++) {
        const double d = softmax_at(c, i) - (i == c->gold);
        sum += d * d;
    }
    return sum;
}

static bool greedy_right(const struct choices *c)
{
    for (int i = 0; i < c->n; i++)
        if (right(c, i) && c->reply[i].greedy)
            return true;
    return false;
}

static struct task_value choice_value(const struct item *it, const struct choices *c, enum metric_kind kind)
{
    const struct task_value none = { NAN, 1 };
    for (int i = 0; i < c->n; i++)
        c->tmp[i] = c->reply[i].loglik;
    switch (kind) {
    case METRIC_ACC_NORM:
    case METRIC_ACC_BYTES:
    case METRIC_ACC_TOKEN:
        for (int i = 0; i < c->n; i++)
            c->tmp[i] /= length_of(it, c, kind, i);
        break;
    case METRIC_ACC_MUTUAL_INFO:
        for (int i = 0; i < c->n; i++)
            c->tmp[i] -= c->alone[i].loglik;
        return (struct task_value){ !c->golds && argmax(c->tmp, c->n) == c->gold, 1 };
    case METRIC_ACC: break;
    case METRIC_EXACT_MATCH: return (struct task_value){ greedy_right(c), 1 };
    case METRIC_BRIER: return c->gold < 0 ? none : (struct task_value){ brier(c), 1 };
    case METRIC_LIKELIHOOD: return c->gold < 0 ? none : (struct task_value){ softmax_at(c, c->gold), 1 };
    case METRIC_F1:
    case METRIC_MCC: return c->gold < 0 ? none : (struct task_value){ c->gold, argmax(c->tmp, c->n) };
    default: return none;
    }
    return (struct task_value){ right(c, argmax(c->tmp, c->n)), 1 };
}

/* The probability of all answers that are right, among all. */
static int mc2(const json_t *doc, const struct choices *c, double *out, struct err *err)
{
    const json_t *labels = json_object_get(json_object_get(doc, "mc2_targets"), "labels");
    double sum = 0;
    if (json_array_size(labels) != (size_t)c->n)
        return ERR(err, FORMAT, "mc2_targets has %zu labels of %d choices", json_array_size(labels), c->n);
    for (int i = 0; i < c->n; i++)
        sum += json_integer_value(json_array_get(labels, (size_t)i)) == 1 ? softmax_at(c, i) : 0;
    *out = sum;
    return 0;
}

static int likeliest(const struct choices *c)
{
    for (int i = 0; i < c->n; i++)
        c->tmp[i] = c->reply[i].loglik;
    return argmax(c->tmp, c->n);
}

static int score_choices(const struct task *t, const struct item *it, const json_t *doc, const struct reply *replies, struct task_value *out, struct err *err)
{
    struct choices c = { .n = it->n_choice, .gold = it->gold, .reply = replies, .alone = it->n_request == 2 * it->n_choice ? replies + it->n_choice : replies };
    c.golds = t->multiple_target && json_is_array(it->target) && !t->multiple_input ? it->target : NULL;
    if (!(c.tmp = mem_alloc_array((size_t)c.n, sizeof *c.tmp)))
        return no_memory(err);
    int rc = 0;
    for (int m = 0; m < t->n_metric; m++)
        if (t->results == RESULTS_BBQ)
            out[m] = bbq_value(&t->metric[m], doc, it->choices, likeliest(&c), it->gold);
        else if (t->results == RESULTS_TRUTHFULQA_MC2)
            rc = rc ? rc : mc2(doc, &c, &out[m].v, err);
        else if (t->metric[m].kind == METRIC_LIKELIHOOD_DIFF)
            out[m] = c.n == 2 ? (struct task_value){ fabs(replies[0].loglik - replies[1].loglik), 1 } : (struct task_value){ NAN, 1 };
        else if (t->metric[m].kind == METRIC_PCT_STEREOTYPE)
            out[m] = c.n == 2 ? (struct task_value){ replies[0].loglik > replies[1].loglik, 1 } : (struct task_value){ NAN, 1 };
        else
            out[m] = choice_value(it, &c, t->metric[m].kind);
    bool outside = c.gold < 0 && !c.golds && t->results == RESULTS_OWN;
    for (size_t k = 0; k < json_array_size(c.golds); k++)
        outside |= json_integer_value(json_array_get(c.golds, k)) >= c.n;
    mem_free(c.tmp);
    return rc ? rc : outside ? ERR(err, RANGE, "the label is none of the %d choices", c.n) : 0;
}

/* ---- log-likelihoods ---- */

/* len(re.split(r"\s+", s)): one more than the runs of white space. */
static double n_word(const char *s, size_t n)
{
    double count = 1;
    bool in = false;
    for (size_t i = 0, k; i < n; i += k) {
        const unsigned char c = (unsigned char)s[i];
        k = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        const char *p = s + i;
        const bool space = py_strip(&p, k) == 0;
        count += space && !in;
        in = space;
    }
    return count;
}

static void score_rolling(const struct task *t, const struct item *it, const json_t *doc, const struct reply *r, struct task_value *out)
{
    /* wikitext counts the words and bytes of the page as it was. */
    const json_t *text = t->results == RESULTS_WIKITEXT ? json_object_get(doc, "page") : it->target;
    const size_t n = json_string_length(text);
    for (int m = 0; m < t->n_metric; m++)
        out[m] = (struct task_value){ r->loglik, t->metric[m].kind == METRIC_WORD_PERPLEXITY ? n_word(n ? json_string_value(text) : "", n) : (double)n };
}

static void score_loglikelihood(const struct task *t, const struct reply *r, struct task_value *out)
{
    for (int m = 0; m < t->n_metric; m++)
        out[m] = (struct task_value){ t->metric[m].kind == METRIC_ACC ? r->greedy : r->loglik, 1 };
}

/* ---- generated answers ---- */

static int ignored(const struct metric *m, const char *s, size_t n, struct buf *out, struct err *err)
{
    struct buf b;
    TRY(buf_add(out, s, n, err));
    for (int i = 0; i < m->n_ignore; i++) {
        buf_init(&b);
        const int rc = pyre_sub(m->ignore[i], out->data, out->len, "", 0, 0, &b, err);
        buf_release(out);
        *out = b;
        TRY(rc);
    }
    if (m->ignore_case) {
        buf_init(&b);
        const int rc = py_case(out->data, out->len, false, &b, err);
        buf_release(out);
        *out = b;
        TRY(rc);
    }
    size_t k = 0;
    for (size_t i = 0; i < out->len; i++) {
        const char c = out->data[i];
        const bool drop = (m->ignore_punctuation && c && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c)) || (m->ignore_numbers && c >= '0' && c <= '9');
        if (!drop)
            out->data[k++] = c;
    }
    if (k < out->len)
        out->data[out->len = k] = 0;
    return 0;
}

static bool is_plain(const json_t *v) { return json_is_string(v) || json_is_number(v) || json_is_boolean(v); }

/* As str() writes them; only texts, numbers, True and False are compared. */
static int text_of(const json_t *v, struct buf *out, struct err *err)
{
    char number[40];
    if (json_is_integer(v))
        return buf_printf(out, err, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v)) {
        jinja_float(json_real_value(v), number);
        return buf_add_str(out, number, err);
    }
    if (json_is_boolean(v))
        return buf_add_str(out, json_is_true(v) ? "True" : "False", err);
    return json_is_string(v) ? buf_add(out, json_string_value(v), json_string_length(v), err) : 0;
}

/* 1 or 0. */
static int match(const struct metric *m, const json_t *gold, const json_t *answer, struct err *err)
{
    struct buf g, a, g2, a2;
    buf_init(&g), buf_init(&a), buf_init(&g2), buf_init(&a2);
    int rc = text_of(gold, &g, err);
    rc = rc ? rc : text_of(answer, &a, err);
    rc = rc ? rc : ignored(m, g.data, g.len, &g2, err);
    rc = rc ? rc : ignored(m, a.data, a.len, &a2, err);
    const int yes = is_plain(gold) && is_plain(answer) && g2.len == a2.len && !memcmp(g2.data, a2.data, g2.len);
    buf_release(&g), buf_release(&a), buf_release(&g2), buf_release(&a2);
    return rc ? rc : yes;
}

/* What an answer is held against: the target; with choices, the choice that it numbers. */
static const json_t *gold_text(const struct item *it)
{
    if (!it->choices || !json_is_integer(it->target))
        return it->target;
    const json_int_t n = (json_int_t)json_array_size(it->choices), i = json_integer_value(it->target);
    return i < -n || i >= n ? NULL : json_array_get(it->choices, (size_t)(i < 0 ? i + n : i));
}

static int exact_match(const struct task *t, const struct metric *m, const json_t *gold, const json_t *answer, double *out, struct err *err)
{
    if (json_is_array(answer)) {         /* several answers, without take_first: the mean of them */
        double sum = 0;
        for (size_t i = 0; i < json_array_size(answer); i++) {
            double one;
            TRY(exact_match(t, m, gold, json_is_array(json_array_get(answer, i)) ? json_null() : json_array_get(answer, i), &one, err));
            sum += one;
        }
        *out = json_array_size(answer) ? sum / (double)json_array_size(answer) : 0;
        return 0;
    }
    int yes = 0;
    for (size_t i = 0; !yes && i < (json_is_array(gold) ? json_array_size(gold) : 1); i++)
        TRY(yes = match(m, json_is_array(gold) ? json_array_get(gold, i) : gold, answer, err));
    *out = yes;
    return 0;
}

/* A character that the end cut through is U+FFFD, as decoders write it. */
static json_t *answers_of(const struct reply *replies, int n)
{
    json_t *list = json_array();
    struct buf b;
    buf_init(&b);
    for (int i = 0; list && i < n; i++) {
        buf_clear(&b);
        if ((replies[i].text && unicode_repair(replies[i].text, replies[i].n_text, &b, NULL) < 0) || json_array_append_new(list, json_stringn(b.data, b.len))) {
            json_decref(list);
            list = NULL;
        }
    }
    buf_release(&b);
    return list;
}

static int score_generated(const struct task *t, const struct item *it, const json_t *doc, const struct reply *replies, struct task_value *out, struct err *err)
{
    json_t *answers = answers_of(replies, it->n_request);
    const json_t *gold = gold_text(it);
    int rc = answers ? 0 : no_memory(err), wrong = 0;
    for (int f = 0; !rc && f < t->n_filters; f++) {
        json_t *answer = NULL;
        bool failed;
        rc = filters_run(&t->filters[f], answers, doc, &answer, &failed, err);
        for (int m = 0; !rc && m < t->n_metric; m++, out++) {
            *out = (struct task_value){ t->metric[m].kind == METRIC_UNSCORED ? NAN : 0, 1 };
            if (gold && t->metric[m].kind == METRIC_EXACT_MATCH)
                rc = exact_match(t, &t->metric[m], gold, answer, &out->v, err);
            wrong |= !gold;
        }
        if (!rc && t->filters[f].extracts)
            *out++ = (struct task_value){ failed, 1 };
        json_decref(answer);
    }
    json_decref(answers);
    return rc ? rc : wrong ? ERR(err, RANGE, "the label is none of the %zu choices", json_array_size(it->choices)) : 0;
}

/* ---- doors ---- */

static int check_replies(const struct item *it, const struct reply *replies, int n, struct err *err)
{
    if (it->why)
        return err ? (*err = *it->why).code : it->why->code;
    if (n != it->n_request)
        return ERR(err, RANGE, "%d replies to %d requests", n, it->n_request);
    for (int i = 0; i < n; i++) {
        if (replies[i].error)
            return ERR(err, FORMAT, "request %d: %s", i + 1, replies[i].error);
        if (it->request[i].kind != REQUEST_GENERATE && !(replies[i].loglik <= 0 || replies[i].loglik > 0))
            return ERR(err, NUMERIC, "request %d: the log-likelihood is not a number", i + 1);
    }
    return 0;
}

int task_score(const struct task *t, int64_t item, const struct reply *replies, int n, struct task_value *values, struct err *err)
{
    const struct item *it = &t->item[item];
    const json_t *doc = json_array_get(t->docs.list, (size_t)item);
    for (int i = 0; i < t->n_score; i++)
        values[i] = (struct task_value){ NAN, 1 };
    TRY(check_replies(it, replies, n, err));
    int rc = 0;
    switch (t->output) {
    case OUT_CHOICE: rc = score_choices(t, it, doc, replies, values, err); break;
    case OUT_LOGLIKELIHOOD: score_loglikelihood(t, replies, values); break;
    case OUT_ROLLING: score_rolling(t, it, doc, replies, values); break;
    case OUT_GENERATE: rc = score_generated(t, it, doc, replies, values, err); break;
    }
    /* The filters of a task that generates nothing change nothing. */
    for (int i = t->n_metric; t->output != OUT_GENERATE && i < t->n_score; i++)
        values[i] = values[i % t->n_metric];
    if (rc) {
        char place[400];
        docs_place(&t->docs, item, place, sizeof place);
        return err_context(err, "%s", place);
    }
    return 0;
}

int task_sample(const struct task *t, int64_t item, const struct reply *replies, int n, json_t **out, struct err *err)
{
    const struct item *it = &t->item[item];
    json_t *answers = NULL, *filtered = json_object();
    *out = NULL;
    int rc = filtered ? check_replies(it, replies, n, err) : no_memory(err);
    if (!rc && t->output == OUT_GENERATE)
        rc = (answers = answers_of(replies, n)) ? 0 : no_memory(err);
    for (int f = 0; !rc && answers && f < t->n_filters; f++) {
        json_t *answer = NULL;
        bool failed;
        rc = filters_run(&t->filters[f], answers, task_doc(t, item), &answer, &failed, err);
        if (!rc && json_object_set(filtered, t->filters[f].name, answer))
            rc = no_memory(err);
        json_decref(answer);
    }
    if (!rc && !(*out = json_pack("{s:O, s:O*, s:O}", "doc", task_doc(t, item), "target", it->target, "filtered_resps", filtered)))
        rc = no_memory(err);
    json_decref(answers);
    json_decref(filtered);
    return rc;
}

/* ---- scores ---- */

struct values { const struct task_value *v; size_t stride; const int64_t *of; int64_t n; };

static const struct task_value *value_at(const struct values *x, int64_t i) { return &x->v[(size_t)(x->of ? x->of[i] : i) * x->stride]; }

static double median(const struct values *x)
{
    double *v = mem_alloc_array((size_t)x->n + 1, sizeof *v), out = NAN;
    int64_t n = 0;
    if (!v)
        return NAN;
    for (int64_t i = 0; i < x->n; i++)
        if (!isnan(value_at(x, i)->v))
            v[n++] = value_at(x, i)->v;
    if (n) {
        stat_sort(v, (size_t)n);
        out = v[n / 2];
    }
    mem_free(v);
    return out;
}

/* 2 tp / (2 tp + fp + fn), of class 1; 0 where there is none. */
static double f1(const struct values *x)
{
    double tp = 0, fp = 0, fn = 0, n = 0;
    for (int64_t i = 0; i < x->n; i++) {
        const struct task_value *v = value_at(x, i);
        if (isnan(v->v))
            continue;
        n++;
        tp += v->v == 1 && v->w == 1, fp += v->v != 1 && v->w == 1, fn += v->v == 1 && v->w != 1;
    }
    return !n ? NAN : tp + fp + fn == 0 ? 0 : 2 * tp / (2 * tp + fp + fn);
}

#define CLASSES_MAX 4096
/* Gorodkin's R_K (2004), which is Matthews' coefficient for two classes. */
static double mcc(const struct values *x)
{
    double *count = mem_alloc_array(2 * CLASSES_MAX, sizeof *count), n = 0, same = 0, tp = 0, tt = 0, pp = 0;
    if (!count)
        return NAN;
    for (int64_t i = 0; i < x->n; i++) {
        const struct task_value *v = value_at(x, i);
        if (isnan(v->v) || v->v >= CLASSES_MAX || v->w >= CLASSES_MAX)
            continue;
        n++, same += v->v == v->w;
        count[(int)v->v]++, count[CLASSES_MAX + (int)v->w]++;
    }
    for (int k = 0; k < CLASSES_MAX; k++) {
        const double t = count[k], p = count[CLASSES_MAX + k];
        tp += t * p, tt += t * t, pp += p * p;
    }
    mem_free(count);
    const double under = (n * n - pp) * (n * n - tt);
    return !n ? NAN : under == 0 ? 0 : (same * n - tp) / sqrt(under);
}

/* As lm-evaluation-harness' bbq has them: without a biased answer 0, not -1. */
static double bbq(const struct values *x, bool ambiguous)
{
    double biased = 0, answered = 0, right_ = 0, n = 0;
    for (int64_t i = 0; i < x->n; i++) {
        const struct task_value *v = value_at(x, i);
        if (isnan(v->v))
            continue;
        const int bits = (int)v->w;
        n++, biased += v->v, answered += bits & 1, right_ += bits >> 1;
    }
    const double bias = biased > 0 ? 2 * (biased / answered) - 1 : 0;
    return !n ? NAN : ambiguous ? (1 - right_ / n) * bias : bias;
}

double task_score_all(enum task_aggregate a, const struct task_value *values, size_t stride, const int64_t *of, int64_t n)
{
    const struct values x = { values, stride, of, n };
    double sum = 0, weight = 0, count = 0;
    if (a == TASK_MEDIAN)
        return median(&x);
    if (a == TASK_F1 || a == TASK_MCC)
        return a == TASK_F1 ? f1(&x) : mcc(&x);
    if (a == TASK_BBQ_AMBIG || a == TASK_BBQ_DISAMBIG)
        return bbq(&x, a == TASK_BBQ_AMBIG);
    for (int64_t i = 0; i < n; i++) {
        const struct task_value *v = value_at(&x, i);
        if (!isnan(v->v))
            sum += v->v, weight += v->w, count++;
    }
    if (!count)
        return NAN;
    switch (a) {
    case TASK_PERPLEXITY: return exp(-(sum / count));
    case TASK_WEIGHTED_PERPLEXITY: return exp(-(sum / weight));
    case TASK_BITS_PER_BYTE: return -(sum / weight) / log(2);
    default: return sum / count;
    }
}
