#include "train/view.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include "base/log.h"

/* ---- a line that ends before the border ---- */

struct line { struct buf *b; int used, room; bool full; struct err *err; };

/* Characters of UTF-8; what is printed here has no wide ones. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static int put(struct line *l, const char *text)
{
    const int n = width_of(text);
    if (l->full || l->used + n > l->room) {
        l->full = true;
        return 0;
    }
    l->used += n;
    return buf_add_str(l->b, text, l->err);
}

/* A part of a line, all of it or nothing; parted from the one before by two blanks. */
static int part(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int part(struct line *l, const char *fmt, ...)
{
    char text[400] = "  ";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + 2, sizeof text - 2, fmt, ap);
    va_end(ap);
    return put(l, l->used ? text : text + 2);
}

static struct line begin(struct buf *b, int columns, struct err *err) { return (struct line){ b, 0, columns - 1, false, err }; }

/* ---- pictures ---- */

#define PICTURE_MAX 120
static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }, *const letters[] = { "_", ".", "-", "=", "+", "*", "%", "#" };

static void add_level(char out[3 * PICTURE_MAX + 1], double share, bool utf8)
{
    const int i = (int)fmin(fmax(share * 8, 0), 7);
    strcat(out, (utf8 ? blocks : letters)[i]);
}

/* The points of a series in n characters, from lowest to highest. */
static void picture(char out[3 * PICTURE_MAX + 1], const struct series *s, int n, bool utf8)
{
    double low = INFINITY, high = -INFINITY;
    out[0] = 0;
    if (n > PICTURE_MAX)
        n = PICTURE_MAX;
    if (n > s->n)
        n = s->n;
    for (int i = 0; i < s->n; i++)
        low = fmin(low, s->at[i].y), high = fmax(high, s->at[i].y);
    for (int i = 0; i < n; i++) {
        const int from = (int)((int64_t)i * s->n / n), to = (int)((int64_t)(i + 1) * s->n / n);
        double sum = 0;
        for (int j = from; j < to; j++)
            sum += s->at[j].y;
        add_level(out, high > low ? (sum / (to - from) - low) / (high - low) : 0, utf8);
    }
}

/* ---- lines ---- */

static int step_line(const struct view *v, int columns, bool utf8, struct buf *b, struct err *err)
{
    struct line l = begin(b, columns, err);
    char left[32], bar[3 * PICTURE_MAX + 1] = "", end[64];
    const double done = v->steps > 0 ? (double)v->step / (double)v->steps : 0;
    TRY(part(&l, "step %lld/%lld", v->step, v->steps));
    TRY(part(&l, "%.0f %%", 100 * done));
    snprintf(end, sizeof end, "%s left", fmt_seconds(left, v->seconds_left));
    const int room = l.room - l.used - (int)strlen(end) - 4, n = room < 40 ? room : 40;
    for (int i = 0; i < n && n >= 8; i++)
        strcat(bar, i < (int)(done * n) ? (utf8 ? "━" : "=") : (utf8 ? "─" : "."));
    if (*bar)
        TRY(part(&l, "%s", bar));
    return part(&l, "%s", end);
}

static int loss_line(const struct view *v, int columns, bool utf8, struct buf *b, struct err *err)
{
    struct line l = begin(b, columns, err);
    char text[3 * PICTURE_MAX + 1];
    TRY(part(&l, "loss %.4f", v->loss));
    if (isfinite(v->valid_loss))
        TRY(part(&l, "held out %.4f", v->valid_loss));
    if (v->n_skipped)
        TRY(part(&l, "%lld skipped", v->n_skipped));
    const int room = l.room - l.used - 2;
    if (!v->history || v->history->n < 2 || room < 4)
        return 0;
    picture(text, v->history, room < 60 ? room : 60, utf8);
    return part(&l, "%s", text);
}

static int speed_line(const struct view *v, int columns, struct buf *b, struct err *err)
{
    struct line l = begin(b, columns, err);
    char peak[32], planned[32];
    TRY(part(&l, "lr %.1e", v->lr));
    TRY(part(&l, "norm %.2f", v->norm));
    TRY(part(&l, "%.0f %s/s", v->per_second, v->unit));
    if (isfinite(v->share))
        TRY(part(&l, "%.0f %% of peak", 100 * v->share));
    TRY(*v->more ? part(&l, "%s", v->more) : 0);
    return part(&l, "memory %s/%s", fmt_bytes(peak, v->peak_bytes), fmt_bytes(planned, v->planned_bytes));
}

static int expert_line(const struct view *v, int columns, bool utf8, struct buf *b, struct err *err)
{
    struct line l = begin(b, columns, err);
    char high[3 * PICTURE_MAX + 1] = "", low[3 * PICTURE_MAX + 1] = "";
    int busiest = 0, least = 0;
    double entropy = 0;
    for (int i = 0; i < v->n_layer; i++) {
        const struct view_layer *at = &v->layer[i];
        busiest = at->high > v->layer[busiest].high ? i : busiest;
        least = at->low < v->layer[least].low ? i : least;
        entropy += at->entropy / v->n_layer;
        if (i < PICTURE_MAX && v->n_layer <= columns / 3)        /* else there is no room for the rest */
            add_level(high, at->high - 1, utf8), add_level(low, at->low, utf8);
    }
    TRY(part(&l, "experts"));
    TRY(part(&l, "busiest %s%s%.2f (layer %d)", high, *high ? " " : "", v->layer[busiest].high, busiest));
    TRY(part(&l, "least %s%s%.2f (layer %d)", low, *low ? " " : "", v->layer[least].low, least));
    return part(&l, "entropy %.2f", entropy);
}

int view_text(const struct view *v, int columns, bool utf8, struct buf *out, struct err *err)
{
    TRY(step_line(v, columns, utf8, out, err));
    TRY(buf_add_char(out, '\n', err));
    TRY(loss_line(v, columns, utf8, out, err));
    TRY(buf_add_char(out, '\n', err));
    TRY(speed_line(v, columns, out, err));
    if (!v->n_layer)
        return 0;
    TRY(buf_add_char(out, '\n', err));
    return expert_line(v, columns, utf8, out, err);
}
