#include "watch/picture.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/order.h"
#include "watch/reference_impl.h"

static json_t *numbers(const double *v, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n && a; i++)
        if (json_array_append_new(a, json_real(v[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *shares(const int64_t *count, int n, int64_t of)
{
    double share[PICTURE_BINS + 2];
    for (int i = 0; i < n; i++)
        share[i] = of ? (double)count[i] / (double)of : 0;
    return numbers(share, n);
}

/* ---- numbers ---- */

struct bins { double cut[PICTURE_BINS + 1]; int n; };

/* sorted[n], finite. */
static void bins_make(struct bins *b, const double *sorted, int n)
{
    const double low = n ? order_quantile(sorted, n, 0.01) : 0, high = n ? order_quantile(sorted, n, 0.99) : 0;
    b->n = 0;
    if (!(high > low)) {
        b->cut[b->n++] = low, b->cut[b->n++] = nextafter(low, INFINITY);
        return;
    }
    for (int i = 0; i <= PICTURE_BINS; i++) {
        const double cut = low * (1 - i / (double)PICTURE_BINS) + high * (i / (double)PICTURE_BINS);
        if (!b->n || cut > b->cut[b->n - 1])
            b->cut[b->n++] = cut;
    }
}

static void bins_add(const struct bins *b, double x, int64_t *count)
{
    int i = 0;
    while (i < b->n && b->cut[i] <= x)
        i++;
    count[i]++;
}

static json_t *bins_json(const struct bins *b, const int64_t *reference, int64_t n_reference, const int64_t *window, int64_t n_window)
{
    return json_pack("{s:o, s:o, s:o}", "cuts", numbers(b->cut, b->n), "reference", shares(reference, b->n + 1, n_reference), "window", shares(window, b->n + 1, n_window));
}

static json_t *of_number(const struct ref_signal *r, const struct ref_signal *w)
{
    int64_t reference[PICTURE_BINS + 2] = { 0 }, window[PICTURE_BINS + 2] = { 0 };
    struct bins b;
    int lacking = 0;
    while (lacking < r->n_sorted && isinf(r->sorted[lacking]))
        lacking++;
    bins_make(&b, r->sorted + lacking, r->n_sorted - lacking);
    for (int i = lacking; i < r->n_sorted; i++)
        bins_add(&b, r->sorted[i], reference);
    for (int i = 0; i < w->n_kept; i++)
        if (!isinf(w->kept[i].number))
            bins_add(&b, w->kept[i].number, window);
    return bins_json(&b, reference, r->n_sorted, window, w->n_kept);
}

/* ---- vectors ---- */

static double length_of(const double *x, int r)
{
    double sum = 0;
    for (int k = 0; k < r; k++)
        sum += x[k] * x[k];
    return sqrt(sum);
}

static int of_vector(json_t **out, const struct ref_signal *r, const struct ref_signal *w, struct err *err)
{
    int64_t reference[PICTURE_BINS + 2] = { 0 }, window[PICTURE_BINS + 2] = { 0 };
    const int width = r->space.r + r->space.residual;
    double x[WATCH_COORDINATES + 1], *far = mem_alloc_array((size_t)r->n_coordinate, sizeof *far);
    struct bins b;
    if (!far)
        return ERR(err, NOMEM, "signal '%s': no memory for %d distances", r->name, r->n_coordinate);
    for (int i = 0; i < r->n_coordinate; i++)
        far[i] = length_of(r->coordinate + (size_t)i * (size_t)width, r->space.r);
    const int rc = order_sort(far, r->n_coordinate, err);
    bins_make(&b, far, rc ? 0 : r->n_coordinate);
    for (int i = 0; i < r->n_coordinate && !rc; i++)
        bins_add(&b, far[i], reference);
    for (int i = 0; i < w->n_kept && !rc; i++) {
        ref_coordinates(&r->space, w->vector + (size_t)w->kept[i].slot * (size_t)w->d, x);
        bins_add(&b, length_of(x, r->space.r), window);
    }
    mem_free(far);
    TRY(rc);
    /* those without the vector are counted, and not kept */
    const double given_r = r->n ? 1 - (double)r->n_missing / (double)r->n : 1, given_w = w->n ? 1 - (double)w->n_missing / (double)w->n : 1;
    const int64_t n_r = given_r > 0 ? llround(r->n_coordinate / given_r) : 0, n_w = given_w > 0 ? llround(w->n_kept / given_w) : 0;
    *out = bins_json(&b, reference, n_r, window, n_w);
    return 0;
}

/* ---- categories ---- */

struct named { const char *name; int64_t reference, window; };

static int64_t count_of(const struct ref_signal *s, const char *name)
{
    const int c = ref_category_find(s, name);
    return c < 0 ? 0 : s->category[c].n[0] + s->category[c].n[1];
}

static double weight(const struct named *x, int64_t n_r, int64_t n_w) { return (double)x->reference / (double)n_r + (n_w ? (double)x->window / (double)n_w : 0); }

/* Puts one into the list of the most frequent; what falls out goes to the others. */
static void keep(struct named *top, int *n, struct named *others, struct named x, int64_t n_r, int64_t n_w)
{
    int at = *n;
    while (at && weight(&top[at - 1], n_r, n_w) < weight(&x, n_r, n_w))
        at--;
    const bool full = *n == PICTURE_NAMES;
    const struct named out = !full ? (struct named){ 0 } : at == PICTURE_NAMES ? x : top[PICTURE_NAMES - 1];
    others->reference += out.reference, others->window += out.window;
    if (at == PICTURE_NAMES)
        return;
    memmove(top + at + 1, top + at, (size_t)(*n - at - full) * sizeof *top);
    top[at] = x;
    *n += !full;
}

static json_t *of_category(const struct ref_signal *r, const struct ref_signal *w)
{
    struct named top[PICTURE_NAMES], others = { 0 };
    int64_t reference[PICTURE_NAMES], window[PICTURE_NAMES];
    int n = 0;
    for (int c = 0; c < r->n_category; c++)
        keep(top, &n, &others, (struct named){ r->category[c].name, count_of(r, r->category[c].name), count_of(w, r->category[c].name) }, r->n, w->n);
    for (int c = 0; c < w->n_category; c++)
        if (ref_category_find(r, w->category[c].name) < 0)
            keep(top, &n, &others, (struct named){ w->category[c].name, 0, count_of(w, w->category[c].name) }, r->n, w->n);
    json_t *names = json_array(), *both = json_pack("[f, f]", r->n ? (double)others.reference / (double)r->n : 0, w->n ? (double)others.window / (double)w->n : 0);
    for (int i = 0; i < n && names; i++) {
        reference[i] = top[i].reference, window[i] = top[i].window;
        if (json_array_append_new(names, strcmp(top[i].name, REF_MISSING) ? json_string(top[i].name) : json_null())) {
            json_decref(names);
            names = NULL;
        }
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "names", names, "reference", shares(reference, n, r->n), "window", shares(window, n, w->n), "others", both);
}

int picture_make(json_t **out, const struct reference *r, const struct reference *window, int i, struct err *err)
{
    const struct ref_signal *a = &r->signal[i], *b = &window->signal[i];
    *out = NULL;
    if (a->kind == WATCH_VECTOR)
        TRY(of_vector(out, a, b, err));
    else
        *out = a->kind == WATCH_NUMBER ? of_number(a, b) : of_category(a, b);
    return *out ? 0 : ERR(err, NOMEM, "signal '%s': no memory for its picture", a->name);
}
