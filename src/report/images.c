/* A classifier of images (eval/images.h): corruptions as a table of warm cells, attacks, other images. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/parts.h"

/* ---- corruptions ---- */

int page_heat_cell(const struct page *p, double v, double clean)
{
    char text[32];
    const double lost = clean > 0 && isfinite(v) ? (clean - v) / clean : 0, heat = lost < 0 ? 0 : lost > 1 ? 1 : lost;
    return buf_printf(p->b, p->err, "<td class=\"n\" style=\"background:color-mix(in srgb,var(--c4) %.0f%%,transparent)\">%s</td>", 70 * heat,
                      figure_text(text, v));
}

enum { STRENGTHS = 5 };

static int corruptions(const struct page *p, const json_t *r)
{
    const double clean = read_number(r, "accuracy");
    const char *name;
    json_t *list;
    size_t n = 0;
    char a[32], b[32], c[32];
    if (!json_object_size(json_object_get(r, "families")))
        return 0;
    TRY(page_subtitle(p, "Corruptions"));
    TRY(buf_printf(p->b, p->err, "<p>Accuracy %s without, %s on average over all of them. Worst: <b class=\"bad\">", figure_text(a, clean),
                   figure_text(b, read_number(r, "mean"))));
    TRY(page_text(p, read_str(r, "worst.family")));
    TRY(buf_printf(p->b, p->err, "</b> of strength %.0f, %s.</p>\n", read_number(r, "worst.strength"), figure_text(c, read_number(r, "worst.accuracy"))));
    TRY(page_table(p, "strength|#1|#2|#3|#4|#5"));
    read_each(json_object_get(r, "families"), name, list) {
        if (n++ >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, name));
        for (size_t i = 0; i < STRENGTHS; i++)
            TRY(page_heat_cell(p, read_number_of(json_array_get(list, i)), clean));
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    return page_add(p, "<p class=\"soft\">Accuracy by strength; the warmer a cell, the more of the accuracy without corruption is lost.</p>\n");
}

/* ---- attacks ---- */

static int attack_row(const struct page *p, const char *name, const json_t *a)
{
    static const char *const keys[] = { "steps", "fooled", "n", "accuracy", "queries_mean" };
    char text[32];
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, name));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_is_integer(json_object_get(a, keys[i])))
            TRY(page_count_cell(p, read_count(a, keys[i])));
        else
            TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", figure_text(text, read_number(a, keys[i]))));
    return page_add(p, "</tr>\n");
}

static int attacks(const struct page *p, const json_t *r)
{
    const char *name;
    json_t *a;
    size_t i;
    char v[32], low[32], high[32], eps[32];
    if (!json_object_size(json_object_get(r, "attacks")))
        return 0;
    TRY(page_subtitle(p, "Attacks"));
    TRY(buf_printf(p->b, p->err, "<p>Right under all of them, each number of an image moved by at most %s: <b>%s</b> (%s to %s), an upper bound.</p>\n",
                   figure_text(eps, read_number(r, "eps")),
                   figure_text(v, read_number(r, "robust_accuracy")), figure_text(low, read_number_of(json_array_get(json_object_get(r, "ci95"), 0))),
                   figure_text(high, read_number_of(json_array_get(json_object_get(r, "ci95"), 1)))));
    TRY(page_table(p, "attack|#steps|#fooled|#of right|#accuracy left|#queries, mean"));
    read_each(json_object_get(r, "attacks"), name, a)
        TRY(attack_row(p, name, a));
    TRY(page_table_end(p));
    json_array_foreach(json_object_get(r, "warnings"), i, a)
        if (i < PAGE_ROWS && json_is_string(a))
            TRY(page_paragraph(p, json_string_value(a)));
    return 0;
}

/* ---- what is none of its own ---- */

static int scores_table(const struct page *p, const json_t *scores)
{
    static const char *const keys[] = { "auroc", "fpr95_id_positive", "fpr95_ood_positive", "aupr_in", "aupr_out" };
    const char *name;
    json_t *s;
    size_t n = 0;
    char text[32], low[32], high[32];
    TRY(page_table(p, "score|#AUROC|#95 % interval|#FPR95, own positive|#FPR95, others positive|#AUPR in|#AUPR out"));
    read_each(scores, name, s) {
        const json_t *ci = json_object_get(s, "auroc_ci95");
        if (n++ >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, name));
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", figure_text(text, read_number(s, keys[i]))));
            if (!i && json_array_size(ci) == 2)
                TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s to %s</td>", figure_text(low, read_number_of(json_array_get(ci, 0))),
                               figure_text(high, read_number_of(json_array_get(ci, 1)))));
            else if (!i)
                TRY(page_add(p, "<td class=\"n\">–</td>"));
        }
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    read_each(scores, name, s)
        if (read_str(s, "why_not") && n-- > 0) {
            TRY(page_add(p, "<p class=\"soft\">"));
            TRY(page_text(p, name));
            TRY(page_add(p, ": "));
            TRY(page_value(p, json_object_get(s, "why_not")));
            TRY(page_add(p, "</p>\n"));
        }
    return 0;
}

static int other_set(const struct page *p, const char *path, const json_t *set)
{
    const json_t *matched = json_object_get(set, "length_matched");
    char text[32];
    TRY(page_add(p, "<p><b>"));
    TRY(page_text(p, path));
    TRY(buf_printf(p->b, p->err, "</b> n %s</p>\n", read_thousands(text, read_count(set, "n"))));
    TRY(scores_table(p, json_object_get(set, "scores")));
    if (!json_is_object(matched))
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>As many of each length from both sets, n %s</summary>", read_thousands(text, read_count(matched, "n"))));
    TRY(scores_table(p, json_object_get(matched, "scores")));
    return page_add(p, "</details>\n");
}

int page_other_sets(const struct page *p, const json_t *r)
{
    const char *path;
    json_t *set;
    size_t n = 0;
    if (!json_object_size(r))
        return 0;
    TRY(page_subtitle(p, "Told apart from"));
    read_each(r, path, set)
        if (n++ < PAGE_EXAMPLES)
            TRY(other_set(p, path, set));
    return page_more(p, n, PAGE_EXAMPLES);
}

int page_images(const struct page *p, const json_t *evidence, const json_t *figures)
{
    TRY(page_add(p, "<p>Images: "));
    TRY(page_value(p, json_object_get(evidence, "images")));
    TRY(page_add(p, "</p>\n"));
    if (json_object_get(evidence, "calibration"))
        TRY(page_calibration(p, json_object_get(evidence, "calibration")));
    TRY(corruptions(p, json_object_get(evidence, "corruptions")));
    TRY(attacks(p, json_object_get(evidence, "attacks")));
    TRY(page_other_sets(p, json_object_get(evidence, "ood")));
    TRY(page_figures_folded(p, figures));
    return page_rest(p, evidence, " n images calibration corruptions attacks ood ");
}
