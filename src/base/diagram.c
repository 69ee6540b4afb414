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
    TRY(buf_printf(b, err, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "\" fill=\"#666677\" style=\"max-width:420px;fill:var(--soft,#666677)\">"
                       "<text x=\"0\" y=\"12\" style=\"font:600 12px system-ui,sans-serif\">", err));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "</text>", err));
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
