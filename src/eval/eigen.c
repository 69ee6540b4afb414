/* eigen.c - all eigenvalues and eigenvectors of a symmetric matrix.  Loops run along rows, which is where the time goes. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/mem.h"
#include "eval/linalg.h"

struct tri { int d; double *diag, *off, *p, *beta; };      /* off[k]: between k and k+1; p: scratch; beta[k]: of reflector k */

/* The reflector I - beta v v^T that takes row k of a, right of the diagonal, to its first element.  v stays there, that is in a[k][k+1..]. */
static void reflect(double *a, const struct tri *t, int k)
{
    const size_t d = (size_t)t->d;
    const int n = t->d - k - 1;
    double *v = a + (size_t)k * d + (size_t)k + 1, *p = t->p;
    const double norm = sqrt(lin_dot(v, v, n)), to = v[0] > 0 ? -norm : norm;
    t->diag[k] = a[(size_t)k * d + (size_t)k];
    t->off[k] = norm > 0 ? to : 0;
    t->beta[k] = 0;
    if (!(norm > 0))
        return;
    v[0] -= to;
    t->beta[k] = 2 / lin_dot(v, v, n);
    memset(p, 0, (size_t)n * sizeof *p);
    for (int j = 0; j < n; j++) {
        const double *row = a + (size_t)(k + 1 + j) * d + (size_t)k + 1, f = t->beta[k] * v[j];
        for (int i = 0; i < n; i++)
            p[i] += f * row[i];
    }
    const double half = t->beta[k] / 2 * lin_dot(p, v, n);
    for (int i = 0; i < n; i++)
        p[i] -= half * v[i];
    for (int j = 0; j < n; j++) {
        double *row = a + (size_t)(k + 1 + j) * d + (size_t)k + 1;
        const double f = v[j], g = p[j];
        for (int i = 0; i < n; i++)
            row[i] -= f * p[i] + g * v[i];
    }
}

/* z = the reflectors' product, transposed: row i is the i-th basis vector of the tridiagonal form. */
static void gather(const double *a, const struct tri *t, double *z)
{
    const size_t d = (size_t)t->d;
    memset(z, 0, d * d * sizeof *z);
    for (size_t i = 0; i < d; i++)
        z[i * d + i] = 1;
    for (int k = t->d - 3; k >= 0; k--) {
        const int n = t->d - k - 1;
        const double *v = a + (size_t)k * d + (size_t)k + 1;
        for (int i = k + 1; i < t->d; i++) {
            double *row = z + (size_t)i * d + (size_t)k + 1;
            const double f = t->beta[k] * lin_dot(row, v, n);
            for (int j = 0; j < n; j++)
                row[j] -= f * v[j];
        }
    }
}

static void turn(double *z0, double *z1, int d, double c, double s)
{
    for (int j = 0; j < d; j++) {
        const double x = z0[j], y = z1[j];
        z0[j] = c * x + s * y;
        z1[j] = c * y - s * x;
    }
}

/* One step on rows p .. q, which hang together. */
static void qr_step(const struct tri *t, double *z, int p, int q)
{
    double *diag = t->diag, *off = t->off;
    const size_t d = (size_t)t->d;
    const double half = (diag[q - 1] - diag[q]) / 2, e = off[q - 1], root = hypot(half, e);
    double x = diag[p] - (diag[q] - e * (e / (half + (half >= 0 ? root : -root)))), y = off[p];
    for (int k = p; k < q; k++) {
        const double r = hypot(x, y), c = r > 0 ? x / r : 1, s = r > 0 ? y / r : 0;
        const double a = diag[k], b = off[k], g = diag[k + 1];
        if (k > p)
            off[k - 1] = r;
        diag[k] = c * c * a + 2 * c * s * b + s * s * g;
        diag[k + 1] = s * s * a - 2 * c * s * b + c * c * g;
        off[k] = c * s * (g - a) + (c * c - s * s) * b;
        if (k + 1 < q) {
            x = off[k];
            y = s * off[k + 1];
            off[k + 1] *= c;
        }
        turn(z + (size_t)k * d, z + ((size_t)k + 1) * d, t->d, c, s);
    }
}

static bool apart(const struct tri *t, int k) { return fabs(t->off[k]) <= DBL_EPSILON * (fabs(t->diag[k]) + fabs(t->diag[k + 1])); }

static bool diagonalise(const struct tri *t, double *z)
{
    int left = 60 * t->d;
    for (int q = t->d - 1; q > 0;) {
        int p = q;
        while (p > 0 && !apart(t, p - 1))
            p--;
        if (p == q)
            q--;
        else if (!left--)
            return false;
        else
            qr_step(t, z, p, q);
    }
    return true;
}

static void sort_up(double *w, double *z, int d, double *row)
{
    const size_t bytes = (size_t)d * sizeof *z;
    for (int i = 0; i < d; i++) {
        int least = i;
        for (int j = i + 1; j < d; j++)
            if (w[j] < w[least])
                least = j;
        if (least == i)
            continue;
        const double v = w[i];
        w[i] = w[least], w[least] = v;
        memcpy(row, z + (size_t)i * (size_t)d, bytes);
        memcpy(z + (size_t)i * (size_t)d, z + (size_t)least * (size_t)d, bytes);
        memcpy(z + (size_t)least * (size_t)d, row, bytes);
    }
}

int lin_eigen(double *a, int d, double *w, double *z, struct err *err)
{
    for (size_t i = 0; i < (size_t)d * (size_t)d; i++)
        if (!isfinite(a[i]))
            return ERR(err, NUMERIC, "a matrix of %d rows is not finite", d);
    double *room = mem_alloc_array(3 * (size_t)d, sizeof *room);
    if (!room)
        return ERR(err, NOMEM, "no memory for %d eigenvalues", d);
    const struct tri t = { d, w, room, room + d, room + 2 * (size_t)d };
    for (int k = 0; k < d - 2; k++)
        reflect(a, &t, k);
    for (int k = d > 2 ? d - 2 : 0; k < d; k++) {
        t.diag[k] = a[(size_t)k * (size_t)d + (size_t)k];
        if (k + 1 < d)
            t.off[k] = a[(size_t)k * (size_t)d + (size_t)k + 1];
    }
    gather(a, &t, z);
    const bool ok = diagonalise(&t, z);
    if (ok)
        sort_up(w, z, d, t.p);
    mem_free(room);
    return ok ? 0 : ERR(err, NUMERIC, "the eigenvalues of a matrix of %d rows did not converge", d);
}
