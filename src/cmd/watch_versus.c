#include "cmd/watch_versus.h"
#include <stdio.h>
#include <string.h>
#include "base/hash.h"

static const char *const side_name[2] = { "stable", "candidate" };

int watch_versus_open(struct watch_versus *w, double alpha, struct err *err)
{
    *w = (struct watch_versus){ .v = NULL };
    return versus_new(&w->v, alpha, err);
}

void watch_versus_close(struct watch_versus *w)
{
    versus_free(w->v);
    w->v = NULL;
}

int watch_versus_add(struct watch_versus *w, const struct event *ev, struct err *err)
{
    const enum versus_side side = !strcmp(ev->arm, side_name[VERSUS_CANDIDATE]) ? VERSUS_CANDIDATE : VERSUS_STABLE;
    if (ev->t < w->from || (side == VERSUS_STABLE && *ev->arm && strcmp(ev->arm, side_name[VERSUS_STABLE])))
        return 0;
    if (strcmp(ev->root, w->of[side].root)) {
        if (ev->t <= w->of[side].latest)                 /* rated late, of one that was there before */
            return 0;
        if (side == VERSUS_CANDIDATE || *w->of[side].root)
            versus_clear(w->v);
        snprintf(w->of[side].root, sizeof w->of[side].root, "%s", ev->root);
        w->of[side].version = ev->version;
    }
    if (ev->t > w->of[side].latest)
        w->of[side].latest = ev->t;
    const char *who = *ev->user ? ev->user : ev->id;     /* of an answer that is rated again the first counts, too */
    const int rc = versus_add(w->v, side, ev->score, hash64(who, strlen(who), 0), err);
    return rc < 0 ? rc : 0;
}

void watch_versus_stop(struct watch_versus *w, int64_t now)
{
    versus_clear(w->v);
    memset(w->of, 0, sizeof w->of);
    w->from = now;
}

static json_t *side_json(const struct watch_versus *w, const struct versus_state *s, int side)
{
    const struct versus_mean *m = &s->of[side];
    return json_pack("{s:I, s:s, s:I, s:o, s:f, s:f}", "version", (json_int_t)w->of[side].version, "root", w->of[side].root, "n", (json_int_t)m->n, "mean", m->n ? json_real(m->mean) : json_null(),
                     "low", m->low, "high", m->high);
}

json_t *watch_versus_json(const struct watch_versus *w)
{
    struct versus_state s;
    versus_state(w->v, &s);
    return json_pack("{s:o, s:o, s:f, s:b, s:I}", side_name[0], side_json(w, &s, 0), side_name[1], side_json(w, &s, 1), "p", s.p, "worse", s.worse, "blocks", (json_int_t)s.n_block);
}

void watch_versus_print(const struct watch_versus *w)
{
    struct versus_state s;
    versus_state(w->v, &s);
    if (!s.of[0].n && !s.of[1].n)
        return;
    printf("what is said of answers, means that hold at all times with 95 %%\n");
    for (int i = 0; i < 2; i++)
        if (s.of[i].n)
            printf("%-10s %lld scores, %+.2f [%+.2f, %+.2f]\n", side_name[i], (long long)s.of[i].n, s.of[i].mean, s.of[i].low, s.of[i].high);
    if (s.n_block)
        printf("candidate worse: %s, p %.2g\n", s.worse ? "yes" : "not shown", s.p);
}
