#include "eval/checklist_ask.h"
#include <math.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "model/jinja.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a suite of tests"); }

/* ---- classes ---- */

static bool may_be_left_out(const struct checklist_labels *l, int k) { return l->n == 3 && k == 1; }

int checklist_labels_read(struct checklist_labels *l, const char *list, int n_at_least, struct err *err)
{
    *l = (struct checklist_labels){ .memory = mem_strdup(list) };
    char *rest = l->memory;
    if (!l->memory)
        return no_memory(err);
    for (char *name; (name = strsep(&rest, ","));) {
        const size_t n = strlen(name);
        if (l->n == CHECKLIST_LABELS || !n)
            return ERR(err, USAGE, "found '%s' as names of classes, expected up to %d with commas between them", list, CHECKLIST_LABELS);
        l->ask[l->n] = !(n > 2 && name[0] == '(' && name[n - 1] == ')');
        if (!l->ask[l->n])
            name[n - 1] = 0, name++;
        l->name[l->n++] = name;
    }
    if (l->n < 2 || l->n < n_at_least)
        return ERR(err, USAGE, "found %d names of classes in '%s', expected at least %d", l->n, list, n_at_least > 2 ? n_at_least : 2);
    for (int k = 0; k < l->n; k++)
        for (int i = 0; i < k; i++)
            if (!strcasecmp(l->name[i], l->name[k]))
                return ERR(err, USAGE, "found the name '%.60s' for two classes in '%.200s'", l->name[k], list);
    for (int k = 0; k < l->n; k++)
        if (!l->ask[k] && !may_be_left_out(l, k))
            return ERR(err, USAGE, "'%s': only the middle one of three classes may be left out", list);
    return 0;
}

void checklist_labels_release(struct checklist_labels *l)
{
    mem_free(l->memory);
    *l = (struct checklist_labels){ 0 };
}

void checklist_spread(const struct checklist_labels *l, double *p)
{
    if (l->n != 3 || l->ask[1])
        return;
    const double last = p[1], off = fabs(last - 0.5);
    const bool between = off < 1. / 6;
    p[0] = !between ? 1 - last : last < 0.5 ? 3 * off : 0;
    p[2] = !between ? last : last < 0.5 ? 0 : 3 * off;
    p[1] = between ? 1 - 3 * off : 0;
}

/* ---- answers ---- */

static int failed(struct checklist_answers *a, int64_t i, const char *why, struct err *err)
{
    a->state[i] = CHECKLIST_FAILED;
    if (!a->why && !(a->why = mem_strdup(why)))
        return no_memory(err);
    return 0;
}

static int goes_on(const struct checklist_hooks *h, int64_t done, int64_t all, struct err *err)
{
    return h && h->goes_on && h->goes_on(h->ctx, done, all) ? ERR(err, STOPPED, "stopped after %lld of %lld texts", (long long)done, (long long)all) : 0;
}

/* ---- a classifier ---- */

static int find_classes(const struct labels *has, struct checklist_labels *l, int at[CHECKLIST_LABELS], struct err *err)
{
    char all[300] = "";
    for (int i = 0, k = 0; i < has->n && k < 280; i++)
        k += snprintf(all + k, sizeof all - (size_t)k, "%s%.60s", i ? ", " : "", has->name[i]);
    for (int k = 0; k < l->n; k++) {
        at[k] = -1;
        for (int i = 0; i < has->n && l->ask[k]; i++)
            if (!strcasecmp(has->name[i], l->name[k]))
                at[k] = i;
        l->ask[k] = at[k] >= 0;
        if (at[k] < 0 && !may_be_left_out(l, k))
            return ERR(err, USAGE, "the model has no class '%s', expected names of its own, which are %s", l->name[k], all);
    }
    return 0;
}

int checklist_classify(const struct checklist *c, struct checklist_answers *a, struct classifier *model, struct checklist_labels *l,
                       const struct checklist_hooks *h, struct err *err)
{
    const struct labels *has = classifier_labels(model);
    int at[CHECKLIST_LABELS], rc = 0;
    TRY(find_classes(has, l, at, err));
    float *probs = mem_alloc_array((size_t)has->n, sizeof *probs);
    if (!probs)
        return no_memory(err);
    for (int64_t i = 0; i < c->n_text && !rc; i++) {
        struct err own = { 0 };
        rc = classifier_text(model, json_string_value(c->text[i]), json_string_length(c->text[i]), probs, &own);
        if (rc == ERR_NOMEM)
            rc = ERR(err, NOMEM, "%s", own.msg);
        else if (rc < 0)
            rc = failed(a, i, own.msg, err);
        else {
            double *p = a->prob + i * a->n_label, sum = 0;
            int n = 0;
            for (int k = 0; k < l->n; k++)
                if (at[k] >= 0)
                    sum += p[n++] = (double)probs[at[k]];
            for (int k = 0; k < n; k++)          /* classes of the model that the suite has not are left out */
                p[k] /= sum > 0 ? sum : 1;
            checklist_spread(l, p);
            a->state[i] = CHECKLIST_ANSWERED;
        }
        rc = rc ? rc : goes_on(h, i + 1, c->n_text, err);
    }
    mem_free(probs);
    return rc;
}

/* ---- a model that continues texts ---- */

struct asking { const struct checklist *c; struct checklist_answers *a; const struct checklist_labels *l; const struct checklist_hooks *h; struct err stopped; int64_t done; };

static int answered(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *err)
{
    struct asking *x = ctx;
    double *p = x->a->prob + tag * x->a->n_label, max = -INFINITY, sum = 0;
    x->done++;
    for (int k = 0; k < n; k++)
        if (reply[k].error)
            return failed(x->a, tag, reply[k].error, err);
    for (int k = 0; k < n; k++)
        max = fmax(max, reply[k].loglik);
    for (int k = 0; k < n; k++)
        sum += p[k] = exp(reply[k].loglik - max);
    for (int k = 0; k < n; k++)
        p[k] /= sum;
    checklist_spread(x->l, p);
    x->a->state[tag] = CHECKLIST_ANSWERED;
    return 0;
}

static bool run_goes_on_hook(void *ctx, const struct run_progress *p)
{
    struct asking *x = ctx;
    (void)p;
    return !goes_on(x->h, x->done, x->c->n_text, &x->stopped);
}

static int add_text(struct asking *x, struct run *run, const struct jinja *prompt, char word[CHECKLIST_LABELS][100], int64_t i, struct err *err)
{
    static const struct tm never = { 0 };
    const struct jinja_var var = { .name = "text", .value = x->c->text[i] };
    struct request q[CHECKLIST_LABELS];
    struct jinja_text text;
    int n = 0;
    jinja_text_init(&text);
    int rc = jinja_render(prompt, &var, 1, NULL, &never, &text, err);
    for (int k = 0; k < x->l->n && !rc; k++)
        if (x->l->ask[k]) {
            q[n] = (struct request){ .kind = REQUEST_LOGLIKELIHOOD, .item = i, .index = n, .context = text.text.data, .n_context = text.text.len,
                                     .continuation = word[k],
                                     .n_continuation = strlen(word[k]) };
            n++;
        }
    rc = rc ? rc : run_add(run, i, q, n, err);
    jinja_text_release(&text);
    return rc;
}

int checklist_ask(const struct checklist *c, struct checklist_answers *a, struct run *run, const char *prompt, const struct checklist_labels *l,
                  const struct checklist_hooks *h,
                  struct pool *pool, struct err *err)
{
    struct asking x = { .c = c, .a = a, .l = l, .h = h };
    const struct run_hooks hooks = { answered, run_goes_on_hook, &x };
    char word[CHECKLIST_LABELS][100];
    struct jinja *j = NULL;
    TRY(jinja_parse_as(&j, JINJA_STRICT, prompt, strlen(prompt), "the prompt", err));
    int rc = jinja_mentions(j, "text") ? 0 : ERR(err, USAGE, "the prompt '%s' has no {{text}}", prompt);
    for (int k = 0; k < l->n && !rc; k++)
        if (snprintf(word[k], sizeof word[k], " %s", l->name[k]) >= (int)sizeof word[k])
            rc = ERR(err, USAGE, "the name of a class '%.40s..' is too long", l->name[k]);
    for (int64_t i = 0; i < c->n_text && !rc; i++)
        rc = add_text(&x, run, j, word, i, err);
    rc = rc ? rc : run_answer(run, &hooks, pool, err);
    jinja_free(j);
    return rc;
}
