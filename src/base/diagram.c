#include "base/diagram.h"
#include <inttypes.h>
#include <math.h>
#include "base/html.h"

/* A colour of the page that it is in (base/html.c), or of its own: as a file it may be drawn by what knows no variables of CSS. */
#define FILL(name, own) "fill=\"" own "\" style=\"fill:var(--" name "," own ")\""
#define FONT "style=\"font:10px system-ui,sans-serif\""
#define STROKE(name, own) "stroke=\"" own "\" style=\"stroke:var(--" name "," own ")\""

/* The plot is a square; below it, after the axis, the strip of counts. */
enum { WIDTH = 260, LEFT = 34, TOP = 34, SIDE = 216, STRIP_TOP = TOP + SIDE + 22, STRIP = 40, HEIGHT = STRIP_TOP + STRIP + 16 };

static int begin(struct buf *b, const char *title, int width, int height, int widest, struct err *err)
{
    TRY(buf_printf(b, err, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", width, height));
    TRY(html_str(b, title, err));
    TRY(buf_printf(b, err, "\" fill=\"#666677\" style=\"max-width:%dpx;fill:var(--soft,#666677)\">"
                           "<text x=\"0\" y=\"12\" style=\"font:600 12px system-ui,sans-serif\">", widest));
    TRY(html_str(b, title, err));
    return buf_add_str(b, "</text>", err);
}

static double at_x(double v) { return LEFT + v * SIDE; }
static double at_y(double v) { return TOP + (1 - v) * SIDE; }

static int axes(struct buf *b, struct err *err)
{
    for (int i = 0; i <= 4; i++) {
        const double v = i / 4.0;
        TRY(buf_printf(b, err, "<path d=\"M%d %.1fH%d\" " STROKE("line", "#d8dde3") "/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" " FONT ">%g</text>"
                               "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" " FONT ">%g</text>",
                       LEFT, at_y(v), LEFT + SIDE, LEFT - 4, at_y(v) + 4, v, at_x(v), TOP + SIDE + 14, v));
    }
    return buf_printf(b, err, "<path d=\"M%d %dL%d %d\" stroke-dasharray=\"4 3\" " STROKE("soft", "#666677") "/>", LEFT, TOP + SIDE, LEFT + SIDE, TOP);
}

static int bar(struct buf *b, const struct calib_bin *x, int64_t most, struct err *err)
{
    const double left = at_x(x->low) + 0.5, width = (x->high - x->low) * SIDE - 1, dot = at_x(x->conf), height = (double)x->n / (double)most * STRIP;
    TRY(buf_printf(b, err, "<g><title>%.3g to %.3g: %" PRId64 " of %" PRId64 " right, %.3f (%.3f to %.3f), confidence %.3f</title>", x->low, x->high,
                   x->n_right, x->n, x->acc, x->acc_low, x->acc_high, x->conf));
    TRY(buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill-opacity=\".35\" " FILL("c0", "#1769c2") "/>", left,
                   at_y(x->acc), width, x->acc * SIDE));
    TRY(buf_printf(b, err, "<path d=\"M%.1f %.1fV%.1f\" stroke-width=\"1.5\" " STROKE("c0", "#1769c2") "/>", dot, at_y(x->acc_low), at_y(x->acc_high)));
    TRY(buf_printf(b, err, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" " FILL("c0", "#1769c2") "/>", dot, at_y(x->acc)));
    return buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" " FILL("c7", "#55606e") "/></g>", left,
                      STRIP_TOP + STRIP - height, width, height);
}

int diagram_reliability(struct buf *b, const char *title, const char *note, const struct calib_bin *bin, int n_bin, struct err *err)
{
    int64_t most = 1;
    for (int i = 0; i < n_bin; i++)
        most = bin[i].n > most ? bin[i].n : most;
    TRY(begin(b, title, WIDTH, HEIGHT, 420, err));
    if (note) {
        TRY(buf_add_str(b, "<text x=\"0\" y=\"26\" " FONT ">", err));
        TRY(html_str(b, note, err));
        TRY(buf_add_str(b, "</text>", err));
    }
    TRY(axes(b, err));
    for (int i = 0; i < n_bin; i++)
        if (bin[i].n)
            TRY(bar(b, &bin[i], most, err));
    return buf_printf(b, err, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" " FONT ">right over confidence; items, at most %" PRId64 " a bin</text></svg>\n",
                      LEFT + SIDE,
                      HEIGHT - 4, most);
}

/* ---- which of several ---- */

enum { CHOICE_WIDTH = 420, CHOICE_HEIGHT = 260, CHOICE_LEFT = 44, CHOICE_TOP = 24, CHOICE_W = 300, CHOICE_H = 190 };

/* An axis over all of from .. to with a twentieth to spare. */
static struct diagram_axis choice_axis(double from, double to)
{
    const double spare = to > from ? (to - from) / 20 : fabs(to) / 20 + 1e-9;
    return (struct diagram_axis){ from - spare, to + spare };
}

static double on(const struct diagram_axis *a, double v) { return (v - a->from) / (a->to - a->from); }
static double choice_x(const struct diagram_axis *a, double v) { return CHOICE_LEFT + on(a, v) * CHOICE_W; }
static double choice_y(const struct diagram_axis *a, double v) { return CHOICE_TOP + (1 - on(a, v)) * CHOICE_H; }

/* Three of them, or all before the point. */
static int digits(double v) { return fabs(v) < 1000 ? 3 : 9; }

static int choice_axes(struct buf *b, const struct diagram_axis *ax, const struct diagram_axis *ay, const char *x_name, const char *y_name, struct err *err)
{
    for (int i = 0; i <= 4; i++) {
        const double x = ax->from + i * (ax->to - ax->from) / 4, y = ay->from + i * (ay->to - ay->from) / 4;
        TRY(buf_printf(b, err, "<path d=\"M%d %.1fH%d\" " STROKE("line", "#d8dde3") "/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" " FONT ">%.*g</text>"
                               "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" " FONT ">%.*g</text>",
                       CHOICE_LEFT, choice_y(ay, y), CHOICE_LEFT + CHOICE_W, CHOICE_LEFT - 4, choice_y(ay, y) + 4, digits(y), fabs(y) < 1000 ? y : round(y), choice_x(ax, x), CHOICE_TOP + CHOICE_H + 14, digits(x), fabs(x) < 1000 ? x : round(x)));
    }
    TRY(buf_printf(b, err, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" " FONT ">", CHOICE_LEFT + CHOICE_W, CHOICE_TOP + CHOICE_H + 30));
    TRY(html_str(b, y_name, err));
    TRY(buf_add_str(b, " over ", err));
    TRY(html_str(b, x_name, err));
    return buf_add_str(b, "</text>", err);
}

static int choice(struct buf *b, const struct diagram_axis *ax, const struct diagram_axis *ay, const struct diagram_choice *c, struct err *err)
{
    const double x = choice_x(ax, c->x), y = choice_y(ay, c->y);
    if (isfinite(c->low) && isfinite(c->high))
        TRY(buf_printf(b, err, "<path d=\"M%.1f %.1fV%.1f\" stroke-width=\"1.5\" " STROKE("c0", "#1769c2") "/>", x, choice_y(ay, c->low), choice_y(ay, c->high)));
    TRY(buf_printf(b, err, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill-opacity=\"%s\" " FILL("c0", "#1769c2") "/>", x, y, c->taken ? 6 : 4, c->front ? "1" : ".3"));
    TRY(buf_printf(b, err, "<text x=\"%.1f\" y=\"%.1f\" style=\"font:%s 10px system-ui,sans-serif\">", x + 8, y - 4, c->taken ? "600" : "400"));
    TRY(html_str(b, c->name, err));
    return buf_add_str(b, "</text>", err);
}

/* The front as a line, from the left. */
static int choice_front(struct buf *b, const struct diagram_axis *ax, const struct diagram_axis *ay, const struct diagram_choice *c, int n, struct err *err)
{
    double last = -INFINITY;
    for (bool begun = false;; begun = true) {
        const struct diagram_choice *next = NULL;
        for (int i = 0; i < n; i++)
            if (c[i].front && c[i].x > last && (!next || c[i].x < next->x))
                next = &c[i];
        if (!next)
            return begun ? buf_add_str(b, "\" fill=\"none\" stroke-dasharray=\"3 3\" " STROKE("soft", "#666677") "/>", err) : 0;
        last = next->x;
        TRY(buf_printf(b, err, "%s%.1f %.1f", begun ? "L" : "<path d=\"M", choice_x(ax, next->x), choice_y(ay, next->y)));
    }
}

int diagram_choices(struct buf *b, const char *title, const char *x_name, const char *y_name, const struct diagram_choice *c, int n, struct err *err)
{
    double x[2] = { INFINITY, -INFINITY }, y[2] = { INFINITY, -INFINITY };
    for (int i = 0; i < n; i++) {
        x[0] = fmin(x[0], c[i].x), x[1] = fmax(x[1], c[i].x);
        y[0] = fmin(y[0], fmin(c[i].y, isfinite(c[i].low) ? c[i].low : c[i].y));
        y[1] = fmax(y[1], fmax(c[i].y, isfinite(c[i].high) ? c[i].high : c[i].y));
    }
    const struct diagram_axis ax = choice_axis(x[0], x[1]), ay = choice_axis(y[0], y[1]);
    TRY(begin(b, title, CHOICE_WIDTH, CHOICE_HEIGHT, 560, err));
    TRY(choice_axes(b, &ax, &ay, x_name, y_name, err));
    TRY(choice_front(b, &ax, &ay, c, n, err));
    for (int i = 0; i < n; i++)
        TRY(choice(b, &ax, &ay, &c[i], err));
    return buf_add_str(b, "</svg>\n", err);
}

/* ---- a value in a table ---- */

enum { DOT_WIDTH = 160, DOT_HEIGHT = 14, DOT_MARGIN = 4 };

static double dot_x(const struct diagram_axis *a, double v)
{
    const double at = a->to > a->from ? (v - a->from) / (a->to - a->from) : 0.5;
    return DOT_MARGIN + (at < 0 ? 0 : at > 1 ? 1 : at) * (DOT_WIDTH - 2 * DOT_MARGIN);
}

int diagram_interval(struct buf *b, const struct diagram_axis *a, double value, double low, double high, int colour, struct err *err)
{
    TRY(buf_printf(b, err, "<svg class=\"dot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%.4g\">", DOT_WIDTH, DOT_HEIGHT, value));
    for (int i = 0; i <= 2; i++)
        TRY(buf_printf(b, err, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"%d\"/>", DOT_MARGIN + i * (DOT_WIDTH - 2 * DOT_MARGIN) / 2,
                       DOT_MARGIN + i * (DOT_WIDTH - 2 * DOT_MARGIN) / 2, DOT_HEIGHT));
    if (isfinite(low) && isfinite(high))
        TRY(buf_printf(b, err, "<line style=\"stroke:var(--c%d);stroke-width:2.5\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", colour, dot_x(a, low),
                       dot_x(a, high), DOT_HEIGHT / 2,
                       DOT_HEIGHT / 2));
    if (isfinite(value))
        TRY(buf_printf(b, err, "<circle style=\"fill:var(--c%d)\" r=\"3.5\" cx=\"%.1f\" cy=\"%d\"/>", colour, dot_x(a, value), DOT_HEIGHT / 2));
    return buf_add_str(b, "</svg>", err);
}
