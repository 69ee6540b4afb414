/* A report on calibration (eval/calib_report.h): the verdict, the diagrams, the measures beside what chance gives, sets, answers by confidence. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diagram.h"
#include "base/html.h"
#include "base/mem.h"
#include "report/parts.h"

enum { BINS = 64 };

static double entry(const json_t *o, const char *key, size_t i) { return read_number_of(json_array_get(read_at(o, key), i)); }

static bool is_share(double v) { return v >= 0 && v <= 1; }

static int bins_of(const json_t *list, struct calib_bin bin[BINS])
{
    size_t i;
    json_t *o;
    int n = 0;
    json_array_foreach(list, i, o) {
        const double acc = read_number(o, "accuracy"), conf = read_number(o, "confidence"), low = read_number(o, "low"), high = read_number(o, "high");
        const int64_t items = read_count(o, "n");
        if (n == BINS || items <= 0 || items > INT64_MAX / 2 || !is_share(acc) || !is_share(conf) || !is_share(low) || !is_share(high) || low >= high)
            continue;
        const double below = entry(o, "ci95", 0), above = entry(o, "ci95", 1);
        bin[n++] = (struct calib_bin){ low, high, items, llround(acc * (double)items), conf, acc, is_share(below) ? below : acc, is_share(above) ? above :
                                      acc };
    }
    return n;
}

static int diagram(const struct page *p, const json_t *o, const char *title, const json_t *metrics)
{
    struct calib_bin bin[BINS];
    const int n = bins_of(json_object_get(o, "reliability"), bin);
    const json_t *ece = json_object_get(metrics, "ece.equal_width.15");
    char note[120], value[32], limit[32];
    if (!n)
        return 0;
    snprintf(note, sizeof note, "ECE %s, 95 of 100 calibrated below %s", figure_text(value, read_number(ece, "value")),
             figure_text(limit, read_number(ece, "null_q95")));
    TRY(page_add(p, "<figure>"));
    TRY(diagram_reliability(p->b, title, ece ? note : NULL, bin, n, p->err));
    return page_add(p, "</figure>\n");
}

static int verdict(const struct page *p, const json_t *c)
{
    const json_t *is = json_object_get(c, "miscalibrated"), *metrics = json_object_get(c, "metrics"), *ece = json_object_get(metrics, "ece.equal_width.15");
    char value[32], limit[32], chance[32];
    if (!json_is_boolean(is))
        return 0;
    TRY(page_add(p, json_is_true(is) ? "<div class=\"note bad\"><b class=\"bad\">Miscalibrated.</b> " :
                 "<div class=\"note\"><b>Not shown to be miscalibrated.</b> "));
    return buf_printf(p->b, p->err, "Confidence and accuracy differ by %s on average (ECE); of 100 calibrated models with these confidences 95 stay below %s "
                      "(p %s).</div>\n",
                      figure_text(value, read_number(ece, "value")), figure_text(limit, read_number(ece, "null_q95")),
                          figure_text(chance, read_number(ece, "p")));
}

static int measures(const struct page *p, const json_t *metrics, const json_t *after)
{
    const char *name;
    json_t *m;
    size_t n = 0;
    if (!json_object_size(metrics))
        return 0;
    TRY(page_table(p, "measure|#value|#if calibrated, mean|#95 of 100 below|#p|#at temperature"));
    read_each(metrics, name, m) {
        if (n++ >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, name));
        TRY(page_number_cell(p, read_number(m, "value")));
        TRY(page_number_cell(p, read_number(m, "null_mean")));
        TRY(page_number_cell(p, read_number(m, "null_q95")));
        TRY(page_number_cell(p, read_number(m, "p")));
        TRY(page_number_cell(p, read_number(json_object_get(after, name), "value")));
        TRY(page_add(p, "</tr>\n"));
    }
    return page_table_end(p);
}

static int temperature(const struct page *p, const json_t *t)
{
    char value[32], before[32], after[32];
    if (!json_is_object(t))
        return 0;
    if (!isfinite(read_number(t, "T")))
        return page_paragraph(p, "Temperature: none is best.");
    return buf_printf(p->b, p->err, "<p>Temperature: %s makes NLL least, %s to %s; \"at temperature\" is of items that it was not fitted to.</p>\n",
                      figure_text(value, read_number(t, "T")),
                      figure_text(before, read_number(t, "nll_before")), figure_text(after, read_number(t, "nll_after")));
}

static int conformal(const struct page *p, const json_t *c)
{
    static const char *const kinds[] = { "thr", "aps", "raps" };
    char a[32], b[32];
    if (!json_is_object(c))
        return 0;
    TRY(page_subtitle(p, "Sets that hold the right answer"));
    TRY(buf_printf(p->b, p->err, "<p>Made for %.0f %%, fitted to %.0f items and counted on %.0f others: nine times in ten the count lies within %s to "
                   "%s.</p>\n", 100 * (1 - read_number(c, "alpha")),
                   read_number(c, "n_fit"), read_number(c, "n_measured"), figure_text(a, entry(c, "measured_range90", 0)),
                       figure_text(b, entry(c, "measured_range90", 1))));
    TRY(page_table(p, "|#coverage|#mean size|#worst class|#its coverage"));
    for (int i = 0; i < 3; i++) {
        const json_t *k = json_object_get(c, kinds[i]);
        if (!k)
            continue;
        TRY(page_add(p, "<tr>"));
        TRY(page_cell(p, kinds[i]));
        TRY(page_number_cell(p, read_number(k, "coverage")));
        TRY(page_number_cell(p, read_number(k, "size_mean")));
        TRY(page_value_cell(p, read_at(k, "worst_class.class")));
        TRY(page_number_cell(p, read_number(k, "worst_class.coverage")));
        TRY(page_add(p, "</tr>\n"));
    }
    return page_table_end(p);
}

static int by_confidence(const struct page *p, const json_t *s)
{
    const json_t *curve = json_object_get(s, "curve");
    const size_t n = json_array_size(curve) < 512 ? json_array_size(curve) : 512;
    struct html_line line = { "risk", NULL, 0 };
    if (!n)
        return 0;
    struct html_point *at = mem_alloc_array(n, sizeof *at);
    if (!at)
        return ERR(p->err, NOMEM, "no memory for a chart");
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(curve, i);
        const double x = read_number_of(json_array_get(pair, 0)), y = read_number_of(json_array_get(pair, 1));
        if (isfinite(x) && isfinite(y))
            at[line.n++] = (struct html_point){ x, y, y, y };
    }
    line.at = at;
    const int rc = line.n ? html_chart(p->b, "Share of errors when only the surest share of items is answered", &line, 1, p->err) : 0;
    mem_free(at);
    return rc;
}

int page_calibration(const struct page *p, const json_t *c)
{
    const json_t *metrics = json_object_get(c, "metrics"), *after = read_at(c, "temperature.cross_fit");
    char interval[96], low[32], high[32], value[32], n[32];
    snprintf(interval, sizeof interval, "%s to %s", figure_text(low, entry(c, "accuracy.ci95", 0)), figure_text(high, entry(c, "accuracy.ci95", 1)));
    TRY(buf_printf(p->b, p->err, "<p>Accuracy %s (%s) on %s items.</p>\n", figure_text(value, read_number(c, "accuracy.value")), interval,
                   read_thousands(n, read_count(c, "n"))));
    TRY(verdict(p, c));
    TRY(page_add(p, "<div class=\"charts\">\n"));
    TRY(diagram(p, c, "Reliability", metrics));
    TRY(diagram(p, after, "Reliability at temperature", json_object_get(after, "metrics")));
    TRY(by_confidence(p, json_object_get(c, "selective")));
    TRY(page_add(p, "</div>\n"));
    TRY(measures(p, metrics, json_object_get(after, "metrics")));
    TRY(temperature(p, json_object_get(c, "temperature")));
    return conformal(p, json_object_get(c, "conformal"));
}
