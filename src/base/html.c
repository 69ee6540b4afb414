#include "base/html.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

/* ---- text ---- */

static const char *entity(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

int html_text(struct buf *b, const char *s, size_t n, struct err *err)
{
    for (size_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)s[i];
        const char *e = entity(c);
        const int len = c < 0x80 ? 1 : utf8_length(s + i, s + n);
        if (!e && !len)
            e = "\xef\xbf\xbd";
        TRY(e ? buf_add_str(b, e, err) : buf_add(b, s + i, (size_t)len, err));
        i += len ? (size_t)len : 1;
    }
    return 0;
}

int html_str(struct buf *b, const char *s, struct err *err) { return s ? html_text(b, s, strlen(s), err) : buf_add_str(b, "–", err); }

/* ---- pages ---- */

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#667;--line:#d8dde3;--card:#f6f8fa;--c0:#1769c2;--c1:#c2571a;--c2:#21854a;--c3:#8a3fb5;--c4:#b3261e;--c5:#0f7f86;--c6:#7a6a12;--c7:#55606e}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e3e7ec;--soft:#9aa4b0;--line:#343b44;--card:#1c2127;--c0:#6cb0f5;--c1:#f0965a;--c2:#63c98b;--c3:#c99aea;--c4:#f08a83;--c5:#5cc7ce;--c6:#cfbd5a;--c7:#aeb8c4}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:1100px;margin:0 auto;padding:16px}h1{font-size:1.5em;margin:.4em 0;overflow-wrap:anywhere}h2{font-size:1.15em;margin:1.6em 0 .5em}p{margin:.4em 0}p,li{overflow-wrap:anywhere}"
    ".soft{color:var(--soft)}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 12px}.tile b{display:block;font-size:1.3em}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:12px}"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px}figcaption{font-weight:600;overflow-wrap:anywhere}figcaption span{font-weight:400;margin-left:.8em}"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg .grid{stroke:var(--line)}"
    "svg polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}svg polygon{opacity:.18;stroke:none}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92em}th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}"
    "td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}details{margin:.6em 0}summary{cursor:pointer;overflow-wrap:anywhere}code{font-size:.92em;white-space:pre-wrap;overflow-wrap:anywhere}"
    "h3{font-size:1em;margin:1.2em 0 .3em}nav{display:flex;flex-wrap:wrap;gap:.2em 1em;margin:1em 0}a{color:var(--c0)}ul{margin:.4em 0;padding-left:1.3em}"
    ".small{grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr))}.small figcaption{font-size:.85em;overflow-wrap:anywhere}.small figcaption span{margin-left:0;display:block}svg .bin{fill:var(--c0)}"
    "th,td.s{overflow-wrap:break-word}td.t{white-space:nowrap}td.name{min-width:11em}td.key{width:14em}.good{color:var(--c2)}.bad{color:var(--c4)}.note{border-left:6px solid var(--line);background:var(--card);border-radius:4px;padding:8px 14px;margin:1em 0}.note.good{border-color:var(--c2)}.note.bad{border-color:var(--c4)}"
    "svg.dot{min-width:90px;max-width:260px}.axis{display:flex;justify-content:space-between;min-width:90px;max-width:260px;font-weight:400;color:var(--soft)}h3 .soft{font-weight:400}li ul{margin:0 0 .4em}"
    ".note p{color:var(--fg)}.bar{display:flex;gap:1px;height:.75em;min-width:80px;margin-top:.4em;background:var(--line);border-radius:3px;overflow:hidden}.bar i{background:var(--c0);min-width:1px}.stack{height:1.6em;border-radius:6px}"
    "@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#fff}body{font-size:11px;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}nav{display:none}.wide{overflow:visible}"
    "figure,tr,.tile,.note{break-inside:avoid}h2,h3{break-after:avoid}details::details-content{content-visibility:visible;height:auto}}";

int html_begin(struct buf *b, const char *title, struct err *err)
{
    TRY(buf_add_str(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>", err));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "</title><style>", err));
    TRY(buf_add_str(b, style, err));
    return buf_add_str(b, "</style></head>\n<body><main>\n", err);
}

int html_end(struct buf *b, struct err *err) { return buf_add_str(b, "</main></body></html>\n", err); }

/* ---- charts ---- */

enum { WIDTH = 440, HEIGHT = 220, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 24, TICKS = 5, NAMED = 8 };

struct range { double low, high; bool log; };

static void widen(struct range *r, double v)
{
    if (v < r->low)
        r->low = v;
    if (v > r->high)
        r->high = v;
}

static double place(const struct range *r, double v, double from, double to)
{
    const double a = r->log ? log(r->low) : r->low, z = r->log ? log(r->high) : r->high, at = r->log ? log(v) : v;
    return z > a ? from + (to - from) * ((at - a) / (z - a)) : (from + to) / 2;
}

static double place_x(const struct range *r, double v) { return place(r, v, LEFT, WIDTH - RIGHT); }
static double place_y(const struct range *r, double v) { return place(r, v, HEIGHT - BOTTOM, TOP); }

/* 1, 2 or 5 times a power of ten that cuts the range into about n parts. */
static double nice_step(double range, int n)
{
    const double raw = range / n, power = pow(10, floor(log10(raw))), lead = raw / power;
    return (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
}

static void tick_name(char out[32], double v)
{
    const double a = fabs(v);
    if (a >= 1e4 && a < 1e15)
        snprintf(out, 32, a < 1e6 ? "%.4gk" : a < 1e9 ? "%.4gM" : "%.4gG", v / (a < 1e6 ? 1e3 : a < 1e9 ? 1e6 : 1e9));
    else
        snprintf(out, 32, a >= 999.5 && a < 1e4 ? "%.0f" : "%.3g", v);
}

static int tick(struct buf *b, const struct range *r, double v, bool vertical, struct err *err)
{
    char name[32];
    tick_name(name, v);
    if (vertical)
        return buf_printf(b, err, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT, WIDTH - RIGHT,
                          place_y(r, v), place_y(r, v), LEFT - 5, place_y(r, v) + 4, name);
    return buf_printf(b, err, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", place_x(r, v), HEIGHT - 7, name);
}

static int ticks(struct buf *b, const struct range *r, bool vertical, struct err *err)
{
    if (!(r->high > r->low))
        return tick(b, r, r->low, vertical, err);
    const double range = r->log ? log10(r->high / r->low) : r->high - r->low;
    const double step = r->log && range > 1 ? ceil(range / TICKS) : nice_step(r->high - r->low, TICKS);
    if (!isfinite(range) || !isfinite(step) || step <= 0)
        return 0;
    for (int i = 0; i < 2 * TICKS + 2; i++) {
        const double v = r->log && range > 1 ? pow(10, ceil(log10(r->low)) + i * step) : (ceil(r->low / step) + i) * step;
        if (v < r->low || v > r->high)
            continue;
        TRY(tick(b, r, v, vertical, err));
    }
    return 0;
}

static int colour(struct buf *b, int i, int n_line, const char *what, struct err *err)
{
    if (n_line <= NAMED)
        return buf_printf(b, err, " style=\"%s:var(--c%d)\"", what, i);
    return buf_printf(b, err, " style=\"%s:hsl(%d 60%% 50%%)\"", what, (int)(210 + 290.0 * i / n_line) % 360);
}

static bool has_band(const struct html_line *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->at[i].low < l->at[i].high)
            return true;
    return false;
}

static int draw_line(struct buf *b, const struct html_line *l, const struct range *x, const struct range *y, int i_line, int n_line, struct err *err)
{
    if (has_band(l)) {
        TRY(buf_add_str(b, "<polygon", err));
        TRY(colour(b, i_line, n_line, "fill", err));
        /* Many bands above each other would hide the lines. */
        TRY(buf_add_str(b, n_line > 2 ? " fill-opacity=\".4\" points=\"" : " points=\"", err));
        for (int i = 0; i < l->n; i++)
            TRY(buf_printf(b, err, "%.1f,%.1f ", place_x(x, l->at[i].x), place_y(y, l->at[i].high)));
        for (int i = l->n; i-- > 0;)
            TRY(buf_printf(b, err, "%.1f,%.1f ", place_x(x, l->at[i].x), place_y(y, l->at[i].low)));
        TRY(buf_add_str(b, "\"/>", err));
    }
    if (l->n == 1) {
        TRY(buf_printf(b, err, "<circle r=\"2.5\" cx=\"%.1f\" cy=\"%.1f\"", place_x(x, l->at[0].x), place_y(y, l->at[0].y)));
        TRY(colour(b, i_line, n_line, "fill", err));
        return buf_add_str(b, "/>", err);
    }
    TRY(buf_add_str(b, "<polyline", err));
    TRY(colour(b, i_line, n_line, "stroke", err));
    TRY(buf_add_str(b, " points=\"", err));
    for (int i = 0; i < l->n; i++)
        TRY(buf_printf(b, err, "%.1f,%.1f ", place_x(x, l->at[i].x), place_y(y, l->at[i].y)));
    return buf_add_str(b, "\"/>", err);
}

static int names(struct buf *b, const struct html_line *line, int n_line, struct err *err)
{
    for (int i = 0; i < n_line && n_line > 1; i++) {
        if (n_line > NAMED && i > 0 && i < n_line - 1)
            continue;
        TRY(buf_add_str(b, "<span", err));
        TRY(colour(b, i, n_line, "color", err));
        TRY(buf_add_str(b, ">", err));
        TRY(html_str(b, line[i].name, err));
        TRY(buf_add_str(b, n_line > NAMED && !i ? "</span><span class=\"soft\">to</span>" : "</span>", err));
    }
    return 0;
}

static int chart(struct buf *b, const char *title, bool log_x, const struct html_line *line, int n_line, struct err *err)
{
    struct range x = { INFINITY, -INFINITY, false }, y = x;
    for (int i = 0; i < n_line; i++)
        for (int j = 0; j < line[i].n; j++)
            widen(&x, line[i].at[j].x), widen(&y, line[i].at[j].low), widen(&y, line[i].at[j].high);
    if (!(x.low <= x.high))
        return 0;
    y.log = y.low > 0 && y.high / y.low > 30, x.log = log_x && x.low > 0;
    TRY(buf_add_str(b, "<figure><figcaption>", err));
    TRY(html_str(b, title, err));
    TRY(names(b, line, n_line, err));
    TRY(buf_printf(b, err, "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT));
    TRY(html_str(b, title, err));
    TRY(buf_add_str(b, "\">", err));
    TRY(ticks(b, &y, true, err));
    TRY(ticks(b, &x, false, err));
    for (int i = 0; i < n_line; i++)
        if (line[i].n)
            TRY(draw_line(b, &line[i], &x, &y, i, n_line, err));
    return buf_add_str(b, "</svg></figure>\n", err);
}

int html_chart(struct buf *b, const char *title, const struct html_line *line, int n_line, struct err *err) { return chart(b, title, false, line, n_line, err); }

int html_chart_of_orders(struct buf *b, const char *title, const struct html_line *line, int n_line, struct err *err) { return chart(b, title, true, line, n_line, err); }

/* ---- histograms ---- */

enum { BINS_WIDTH = 260, BINS_HEIGHT = 110, BINS_BOTTOM = 16, BINS_TOP = 4 };

static int bin(struct buf *b, const double *edge, double count, double most, int i, int n, struct err *err)
{
    const double w = (double)BINS_WIDTH / n, room = BINS_HEIGHT - BINS_TOP - BINS_BOTTOM, h = count > 0 ? fmax(1, room * count / most) : 0;
    char from[32], to[32];
    tick_name(from, edge[i]);
    tick_name(to, edge[i + 1]);
    /* As high as the picture, so that a bin of few can be pointed at too. */
    TRY(buf_printf(b, err, "<rect class=\"bin\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", i * w, BINS_TOP + room - h, fmax(0.5, w - 1), h));
    return buf_printf(b, err, "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%d\" fill-opacity=\"0\"><title>%s to %s: %.0f</title></rect>", i * w, w, BINS_HEIGHT - BINS_BOTTOM, from,
                      to, count);
}

static int bin_edge(struct buf *b, double edge, double x, const char *anchor, struct err *err)
{
    char name[32];
    tick_name(name, edge);
    return buf_printf(b, err, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>", x, BINS_HEIGHT - 3, anchor, name);
}

int html_histogram(struct buf *b, const char *title, const char *note, const double *edge, const double *count, int n, struct err *err)
{
    double most = 1;
    for (int i = 0; i < n; i++)
        most = count[i] > most ? count[i] : most;
    TRY(buf_add_str(b, "<figure><figcaption>", err));
    TRY(html_str(b, title, err));
    if (note) {
        TRY(buf_add_str(b, "<span class=\"soft\">", err));
        TRY(html_str(b, note, err));
        TRY(buf_add_str(b, "</span>", err));
    }
    TRY(buf_printf(b, err, "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", BINS_WIDTH, BINS_HEIGHT));
    TRY(html_str(b, title, err));
    TRY(buf_printf(b, err, "\"><line class=\"grid\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", BINS_WIDTH, BINS_HEIGHT - BINS_BOTTOM, BINS_HEIGHT - BINS_BOTTOM));
    for (int i = 0; i < n; i++)
        TRY(bin(b, edge, count[i], most, i, n, err));
    TRY(bin_edge(b, edge[0], 0, "start", err));
    if (n > 1)
        TRY(bin_edge(b, edge[n / 2], (double)BINS_WIDTH * (n / 2) / n, "middle", err));
    TRY(bin_edge(b, edge[n], BINS_WIDTH, "end", err));
    return buf_add_str(b, "</svg></figure>\n", err);
}
