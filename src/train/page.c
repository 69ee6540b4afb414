#include "train/page.h"
#include <math.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

struct page { const struct history *h; struct buf *b; struct err *err; };

/* ---- values of run.json, which may be missing or of any type ---- */

static const json_t *fact(const struct page *p, const char *section, const char *key)
{
    const json_t *o = section ? json_object_get(p->h->facts, section) : p->h->facts;
    return json_object_get(o, key);
}

static double number_of(const json_t *v)
{
    const double x = json_is_number(v) ? json_number_value(v) : NAN;
    return fabs(x) < 1e300 ? x : NAN;
}

static double number(const struct page *p, const char *section, const char *key) { return number_of(fact(p, section, key)); }

/* ---- pieces ---- */

static int add(const struct page *p, const char *markup) { return buf_add_str(p->b, markup, p->err); }

static int add_text(const struct page *p, const json_t *v) { return html_text(p->b, json_string_value(v), json_string_length(v), p->err); }

/* Any value as text. */
static int add_value(const struct page *p, const json_t *v)
{
    if (json_is_string(v))
        return add_text(p, v);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    const int rc = text || !v ? html_str(p->b, text, p->err) : ERR(p->err, NOMEM, "no memory for a page");
    mem_free(text);
    return rc;
}

static char *fmt_or_dash(char *(*fmt)(char *, double), char out[32], double v)
{
    if (isfinite(v))
        return fmt(out, v);
    return strcpy(out, "–");
}

static int tile(const struct page *p, const char *name, const char *value)
{
    TRY(add(p, "<div class=\"tile\"><span class=\"soft\">"));
    TRY(html_str(p->b, name, p->err));
    TRY(add(p, "</span><b>"));
    TRY(html_str(p->b, value, p->err));
    return add(p, "</b></div>");
}

static int tile_last(const struct page *p, const char *title, const char *key, const char *fmt, double factor)
{
    const struct series *s = history_find(p->h, key);
    char text[64];
    if (!s || !s->n)
        return 0;
    snprintf(text, sizeof text, fmt, s->last * factor);
    return tile(p, title, text);
}

/* ---- head ---- */

static int date_of(char out[40], int64_t ms)
{
    const time_t t = (time_t)(ms / 1000);
    struct tm tm;
    return gmtime_r(&t, &tm) && strftime(out, 40, "%Y-%m-%d %H:%M:%S UTC", &tm) ? 0 : -1;
}

static int head(const struct page *p, const char *name)
{
    const struct history *h = p->h;
    const double steps = number(p, NULL, "steps");
    char from[40], to[40], line[200], a[32];
    TRY(add(p, "<h1>"));
    TRY(html_str(p->b, name, p->err));
    TRY(add(p, "</h1><p class=\"soft\">"));
    if (isfinite(steps))
        snprintf(line, sizeof line, "step %lld of %.0f%s", (long long)h->last_step, steps, (double)h->last_step >= steps ? ", done" : "");
    else
        snprintf(line, sizeof line, "step %lld", (long long)h->last_step);
    TRY(html_str(p->b, line, p->err));
    if (h->first_ms && !date_of(from, h->first_ms) && !date_of(to, h->last_ms))
        TRY(buf_printf(p->b, p->err, " · %s to %s", from, to));
    TRY(add(p, "</p>\n<div class=\"tiles\">"));
    TRY(tile_last(p, "loss", "loss", "%.4f", 1));
    TRY(tile_last(p, "held-out loss", "valid_loss", "%.4f", 1));
    TRY(tile_last(p, "bits per byte", "valid_bits_per_byte", "%.4f", 1));
    TRY(tile_last(p, "held-out accuracy", "valid_accuracy", "%.2f %%", 100));
    TRY(tile_last(p, "tokens/s", "tokens_per_s", "%.0f", 1));
    TRY(tile_last(p, "of peak", "share_of_peak", "%.0f %%", 100));
    if (isfinite(number(p, NULL, "parameters")))
        TRY(tile(p, "parameters", fmt_count(a, number(p, NULL, "parameters"))));
    return add(p, "</div>\n");
}

/* ---- planned and actual ---- */

static int compare(const struct page *p, const char *what, const char *planned, const char *actual, double ratio)
{
    TRY(add(p, "<tr><td>"));
    TRY(html_str(p->b, what, p->err));
    TRY(buf_printf(p->b, p->err, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">", planned, actual));
    return isfinite(ratio) ? buf_printf(p->b, p->err, "%.3f</td></tr>\n", ratio) : add(p, "–</td></tr>\n");
}

static int compare_seconds(const struct page *p, const char *what, double planned, double actual)
{
    char a[32], b[32];
    return isfinite(planned) ? compare(p, what, fmt_or_dash(fmt_seconds_fine, a, planned), fmt_or_dash(fmt_seconds_fine, b, actual), actual / planned) : 0;
}

static int planned_and_actual(const struct page *p)
{
    char a[32], b[32];
    const double plan = number(p, "plan", "bytes"), expected = number(p, "plan", "expected_bytes"), peak = series_highest(history_find(p->h, "peak_bytes"));
    const double step = series_median(history_find(p->h, "seconds"));
    if (!isfinite(plan) && !isfinite(number(p, "step", "seconds_at_limits")))
        return 0;
    TRY(add(p, "<h2>Planned and actual</h2><div class=\"wide\"><table><tr><th></th><th class=\"n\">planned</th><th class=\"n\">actual</th><th class=\"n\">actual / planned</th></tr>\n"));
    TRY(compare(p, "memory of the run, at most", fmt_or_dash(fmt_bytes, a, plan), fmt_or_dash(fmt_bytes, b, peak), peak / plan));
    if (isfinite(expected))
        TRY(compare(p, "what should be used of it, and the process itself", fmt_or_dash(fmt_bytes, a, expected), fmt_or_dash(fmt_bytes, b, peak), peak / expected));
    TRY(compare_seconds(p, "a step, as expected", number(p, "step", "seconds_expected"), step));
    TRY(compare_seconds(p, "a step, at the machine's limits", number(p, "step", "seconds_at_limits"), step));
    return add(p, "</table></div><p class=\"soft\">Memory is private memory, its peak over the steps; a step's time is the median.</p>\n");
}

/* ---- curves ---- */

static const struct { const char *title, *key[2], *name[2]; } curves[] = {
    { "Loss", { "loss", "valid_loss" }, { "training", "held out" } },
    { "Held-out bits per byte", { "valid_bits_per_byte", NULL }, { NULL, NULL } },
    { "Held-out accuracy", { "valid_accuracy", NULL }, { NULL, NULL } },
    { "Learning rate", { "lr", NULL }, { NULL, NULL } },
    { "Norm of the gradient", { "grad_norm", NULL }, { NULL, NULL } },
    { "Tokens a second", { "tokens_per_s", NULL }, { NULL, NULL } },
    { "Share of the machine's peak", { "share_of_peak", NULL }, { NULL, NULL } },
    { "Seconds of a step", { "seconds", NULL }, { NULL, NULL } },
};
#define N_CURVE (sizeof curves / sizeof *curves)

static bool in_curves(const char *key)
{
    bool is = !strcmp(key, "peak_bytes") || !strcmp(key, "valid_tokens") || !strcmp(key, "valid_images") || !strcmp(key, "valid_texts");
    for (size_t i = 0; i < N_CURVE; i++)
        for (int j = 0; j < 2; j++)
            is = is || (curves[i].key[j] && !strcmp(curves[i].key[j], key));
    return is;
}

static int curve(const struct page *p, size_t i)
{
    struct html_line line[2];
    int n = 0;
    for (int j = 0; j < 2; j++) {
        const struct series *s = curves[i].key[j] ? history_find(p->h, curves[i].key[j]) : NULL;
        if (s)
            line[n++] = (struct html_line){ curves[i].name[j], s->at, s->n };
    }
    return n ? html_chart(p->b, curves[i].title, line, n, p->err) : 0;
}

/* All keys that lines have: what is not known here is drawn under its own name. */
static int all_curves(const struct page *p)
{
    TRY(add(p, "<h2>Curves</h2><div class=\"charts\">\n"));
    for (size_t i = 0; i < N_CURVE; i++)
        TRY(curve(p, i));
    for (int i = 0; i < p->h->n; i++) {
        const struct named_series *s = &p->h->of[i];
        const struct html_line line = { s->name, s->one.at, s->one.n };
        if (!s->is_list && !in_curves(s->name))
            TRY(html_chart(p->b, s->name, &line, 1, p->err));
    }
    return add(p, "</div>\n");
}

/* ---- lists: the experts of each layer ---- */

static const struct { const char *key, *title; } list_titles[] = {
    { "experts/load_max", "Busiest expert of a layer (1: an equal share)" }, { "experts/load_min", "Least busy expert of a layer (1: an equal share)" },
    { "experts/entropy", "Entropy of the router, by layer" }, { "experts/lb_loss", "Load-balancing loss, by layer" }, { "experts/z_loss", "z loss, by layer" },
    { "experts/bias_max", "Largest bias of the router's choice, by layer" }, { "experts/bias_min", "Least bias of the router's choice, by layer" },
};

static const char *list_title(const char *key)
{
    for (size_t i = 0; i < sizeof list_titles / sizeof *list_titles; i++)
        if (!strcmp(list_titles[i].key, key))
            return list_titles[i].title;
    return key;
}

static int list_chart(const struct page *p, const struct named_series *s)
{
    struct html_line *line = mem_alloc_array((size_t)s->n_layer, sizeof *line);
    char (*name)[24] = mem_alloc_array((size_t)s->n_layer, sizeof *name);
    int rc = line && name ? 0 : ERR(p->err, NOMEM, "no memory for a page");
    for (int i = 0; i < s->n_layer && !rc; i++) {
        snprintf(name[i], sizeof name[i], "layer %d", i);
        line[i] = (struct html_line){ name[i], s->layer[i].at, s->layer[i].n };
    }
    if (!rc)
        rc = html_chart(p->b, list_title(s->name), line, s->n_layer, p->err);
    mem_free(line);
    mem_free(name);
    return rc;
}

static int list_cell(const struct page *p, const struct named_series *s, int i)
{
    return i < s->n_layer && s->layer[i].n ? buf_printf(p->b, p->err, "<td class=\"n\">%.4g</td>", s->layer[i].last) : add(p, "<td class=\"n\">–</td>");
}

/* What each layer has at the end. */
static int list_table(const struct page *p, int n_layer)
{
    const struct history *h = p->h;
    TRY(add(p, "<details><summary>At the last step</summary><div class=\"wide\"><table><tr><th>layer</th>"));
    for (int i = 0; i < h->n; i++)
        if (h->of[i].is_list) {
            TRY(add(p, "<th class=\"n\">"));
            TRY(html_str(p->b, h->of[i].name, p->err));
            TRY(add(p, "</th>"));
        }
    TRY(add(p, "</tr>\n"));
    for (int l = 0; l < n_layer; l++) {
        TRY(buf_printf(p->b, p->err, "<tr><td>%d</td>", l));
        for (int i = 0; i < h->n; i++)
            if (h->of[i].is_list)
                TRY(list_cell(p, &h->of[i], l));
        TRY(add(p, "</tr>\n"));
    }
    return add(p, "</table></div></details>\n");
}

static int experts(const struct page *p)
{
    int n_layer = 0;
    for (int i = 0; i < p->h->n; i++)
        n_layer = p->h->of[i].n_layer > n_layer ? p->h->of[i].n_layer : n_layer;
    if (!n_layer)
        return 0;
    TRY(add(p, "<h2>Experts</h2><div class=\"charts\">\n"));
    for (int i = 0; i < p->h->n; i++)
        if (p->h->of[i].is_list)
            TRY(list_chart(p, &p->h->of[i]));
    TRY(add(p, "</div>\n"));
    return list_table(p, n_layer);
}

/* ---- events ---- */

static int event_row(const struct page *p, json_t *line)
{
    const char *key;
    json_t *v;
    TRY(buf_printf(p->b, p->err, "<tr><td class=\"n\">%lld</td><td>", (long long)json_integer_value(json_object_get(line, "step"))));
    TRY(add_text(p, json_object_get(line, "event")));
    TRY(add(p, "</td><td><code>"));
    json_object_foreach(line, key, v) {
        if (!strcmp(key, "step") || !strcmp(key, "event") || !strcmp(key, "unix_ms"))
            continue;
        TRY(html_str(p->b, key, p->err));
        TRY(add(p, ": "));
        TRY(add_value(p, v));
        TRY(add(p, "\n"));
    }
    return add(p, "</code></td></tr>\n");
}

static int events(const struct page *p)
{
    size_t i;
    json_t *line;
    TRY(add(p, "<h2>Events</h2>"));
    if (!p->h->n_event)
        TRY(add(p, "<p>None: no step was skipped, and no checkpoint failed.</p>\n"));
    else
        TRY(add(p, "<div class=\"wide\"><table><tr><th class=\"n\">step</th><th>event</th><th></th></tr>\n"));
    json_array_foreach(p->h->events, i, line)
        TRY(event_row(p, line));
    if (p->h->n_event)
        TRY(add(p, "</table></div>\n"));
    if (p->h->n_event > HISTORY_EVENTS)
        TRY(buf_printf(p->b, p->err, "<p>and %lld more in metrics.jsonl</p>\n", (long long)(p->h->n_event - HISTORY_EVENTS)));
    if (p->h->n_bad)
        TRY(buf_printf(p->b, p->err, "<p>%lld of %lld lines of metrics.jsonl could not be read.</p>\n", (long long)p->h->n_bad, (long long)p->h->n_line));
    return 0;
}

/* ---- facts ---- */

static int source_row(const struct page *p, const json_t *o)
{
    char a[32], n[40];
    TRY(add(p, "<tr><td>"));
    TRY(add_value(p, json_object_get(o, "role")));
    TRY(add(p, "</td><td>"));
    TRY(add_value(p, json_object_get(o, "path")));
    snprintf(n, sizeof n, "%.0f files", number_of(json_object_get(o, "files")));
    TRY(buf_printf(p->b, p->err, "</td><td class=\"n\">%s</td><td><code>", fmt_or_dash(fmt_bytes, a, number_of(json_object_get(o, "bytes")))));
    TRY(json_object_get(o, "sha256") || !json_is_number(json_object_get(o, "files")) ? add_value(p, json_object_get(o, "sha256")) : html_str(p->b, n, p->err));
    return add(p, "</code></td></tr>\n");
}

static int data(const struct page *p)
{
    const json_t *list = fact(p, NULL, "data");
    const double train = number(p, NULL, "tokens_train"), valid = number(p, NULL, "tokens_valid");
    size_t i;
    json_t *o;
    if (!json_is_array(list))
        return 0;
    TRY(add(p, "<h2>Data</h2><div class=\"wide\"><table><tr><th></th><th>path</th><th class=\"n\">size</th><th>SHA-256</th></tr>\n"));
    json_array_foreach(list, i, o)
        TRY(source_row(p, o));
    TRY(add(p, "</table></div>\n"));
    return isfinite(train) ? buf_printf(p->b, p->err, "<p>%.0f tokens to train on, %.0f held out.</p>\n", train, isfinite(valid) ? valid : 0) : 0;
}

static int pairs(const struct page *p, const json_t *o)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        TRY(add(p, "<tr><td>"));
        TRY(html_str(p->b, key, p->err));
        TRY(add(p, "</td><td>"));
        TRY(add_value(p, v));
        TRY(add(p, "</td></tr>\n"));
    }
    return 0;
}

static int facts_table(const struct page *p, const char *title, const json_t *o, bool open)
{
    if (!json_is_object(o))
        return 0;
    TRY(buf_printf(p->b, p->err, "<details%s><summary>%s</summary><div class=\"wide\"><table>\n", open ? " open" : "", title));
    TRY(pairs(p, o));
    return add(p, "</table></div></details>\n");
}

static int facts(const struct page *p)
{
    if (!p->h->facts)
        return add(p, "<p class=\"soft\">There is no run.json beside metrics.jsonl: settings and plan are not known.</p>\n");
    TRY(data(p));
    TRY(add(p, "<h2>Settings</h2>\n"));
    TRY(facts_table(p, "as given", fact(p, "settings", "given"), true));
    TRY(facts_table(p, "train", fact(p, "settings", "train"), false));
    TRY(facts_table(p, "data", fact(p, "settings", "data"), false));
    TRY(facts_table(p, "upcycle", fact(p, "settings", "upcycle"), false));
    TRY(facts_table(p, "lora", fact(p, "settings", "lora"), false));
    TRY(facts_table(p, "privacy", fact(p, "settings", "privacy"), false));
    TRY(facts_table(p, "model", fact(p, NULL, "model"), false));
    TRY(add(p, "<h2>Machine and plan</h2>\n"));
    TRY(facts_table(p, "machine", fact(p, NULL, "limits"), true));
    TRY(facts_table(p, "memory by kind, in bytes", fact(p, "plan", "parts"), false));
    TRY(facts_table(p, "a step", fact(p, NULL, "step"), false));
    TRY(add(p, "<p class=\"soft\">lathe "));
    TRY(add_value(p, fact(p, NULL, "version")));
    TRY(add(p, ", settings from "));
    TRY(add_value(p, fact(p, NULL, "config")));
    return add(p, "</p>\n");
}

/* ---- the page ---- */

int page_write(const struct history *h, const char *name, struct buf *out, struct err *err)
{
    const struct page p = { h, out, err };
    TRY(html_begin(out, name, err));
    TRY(head(&p, name));
    TRY(planned_and_actual(&p));
    TRY(all_curves(&p));
    TRY(experts(&p));
    TRY(events(&p));
    TRY(facts(&p));
    return html_end(out, err);
}

int page_of_folder(const char *folder, const char *file, struct err *err)
{
    struct history h;
    struct buf b;
    buf_init(&b);
    TRY(history_init(&h, err));
    char *path = file ? mem_strdup(file) : file_join(folder, "report.html");
    int rc = path ? history_load(&h, folder, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = page_write(&h, folder, &b, err);
    if (!rc)
        rc = file_write_all(path, b.data, b.len, err);
    mem_free(path);
    history_release(&h);
    buf_release(&b);
    return rc;
}
