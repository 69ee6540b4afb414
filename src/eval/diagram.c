#include "eval/diagram.h"
#include <inttypes.h>
#include "base/html.h"

/* The plot is a square; below it, after the axis, the strip of counts. */
enum { WIDTH = 260, LEFT = 34, TOP = 34, SIDE = 216, STRIP_TOP = TOP + SIDE + 22, STRIP = 40, HEIGHT = STRIP_TOP + STRIP + 16 };

static double at_x(double v) { return LEFT + v * SIDE; }
static double at_y(double v) { return TOP + (1 - v) * SIDE; }

static int axes(struct buf *b, struct err *err)
{
    for (int i = 0; i <= 4; i++) {
        const double v = i / 4.0;
        TRY(buf_printf(b, err, "<path d=\"M%d %.1fH%d\" style=\"stroke:var(--line,#d8dde3)\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>"
                               "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>",
                       LEFT, at_y(v), LEFT + SIDE, LEFT - 4, at_y(v) + 4, v, at_x(v), TOP + SIDE + 14, v));
    }
    return buf_printf(b, err, "<path d=\"M%d %dL%d %d\" style=\"stroke:var(--soft,#667);stroke-dasharray:4 3\"/>", LEFT, TOP + SIDE, LEFT + SIDE, TOP);
}

static int bar(struct buf *b, const struct calib_bin *x, int64_t most, struct err *err)
{
    const double left = at_x(x->low) + 0.5, width = (x->high - x->low) * SIDE - 1, dot = at_x(x->conf), height = (double)x->n / (double)most * STRIP;
    TRY(buf_printf(b, err, "<g><title>%.3g to %.3g: %" PRId64 " of %" PRId64 " right, %.3f (%.3f to %.3f), confidence %.3f</title>", x->low, x->high, x->n_right, x->n, x->acc, x->acc_low,
                   x->acc_high, x->conf));
    TRY(buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"fill:var(--c0,#1769c2);fill-opacity:.35\"/>", left, at_y(x->acc), width, x->acc * SIDE));
    TRY(buf_printf(b, err, "<path d=\"M%.1f %.1fV%.1f\" style=\"stroke:var(--c0,#1769c2);stroke-width:1.5\"/>", dot, at_y(x->acc_low), at_y(x->acc_high)));
    TRY(buf_printf(b, err, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" style=\"fill:var(--c0,#1769c2)\"/>", dot, at_y(x->acc)));
    return buf_printf(b, err, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"fill:var(--c7,#55606e)\"/></g>", left, STRIP_TOP + STRIP - height, width, height);
}

int diagram_reliability(struct buf *b, const char *title, const char *note, const struct calib_bin *bin, int n_bin, struct err *err)
{
    int64_t most = 1;
    for (int i = 0; i < n_bin; i++)
        most = bin[i].n > most ? bin[i].n : most;
    TRY(buf_printf(b, err, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "\" style=\"max-width:420px;font:10px system-ui,sans-serif;fill:var(--soft,#667)\"><text x=\"0\" y=\"12\" style=\"font-weight:600;font-size:12px\">", err));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "</text>", err));
    if (note) {
        TRY(buf_add_str(b, "<text x=\"0\" y=\"26\" style=\"font-size:10px\">", err));
        TRY(html_str(b, note, err));
        TRY(buf_add_str(b, "</text>", err));
    }
    TRY(axes(b, err));
    for (int i = 0; i < n_bin; i++)
        if (bin[i].n)
            TRY(bar(b, &bin[i], most, err));
    return buf_printf(b, err, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">confidence; below: items, at most %" PRId64 " in a bin</text></svg>\n", LEFT + SIDE, HEIGHT - 4, most);
}
