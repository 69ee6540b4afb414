/* fuzz_perturb.c - any bytes, cut in two, as a list of misspellings and as a text to be perturbed: a strength that touches more places than there
 * are, another result of the same call, or a changed byte that was to be kept, is a bug. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "eval/misspellings.h"
#include "eval/perturb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct perturb *p, const char *text, size_t n, const uint8_t *free_bytes)
{
    struct buf once, again;
    struct perturbed done, done_again;
    struct err err;
    buf_init(&once), buf_init(&again);
    if (perturb_text(p, 5, text, n, free_bytes, &once, &done, &err) || perturb_text(p, 5, text, n, free_bytes, &again, &done_again, &err))
        abort();
    if (once.len != again.len || memcmp(once.data, again.data, once.len) || done.n_touched > done.n_place || !done.n_touched != !done.n_place)
        abort();
    if (!done.n_place && (once.len != n || memcmp(once.data, text, n)))
        abort();
    if (free_bytes && n && (once.len < n - n / 2 || memcmp(once.data + once.len - (n - n / 2), text + n / 2, n - n / 2)))
        abort();
    buf_release(&once), buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct misspellings *m = NULL;
    struct err err;
    if (size < 3)
        return 0;
    const size_t n_list = data[2] < size - 3 ? data[2] : size - 3, n = size - 3 - n_list;
    char *text = malloc(n + !n);
    uint8_t *free_bytes = calloc(n + !n, 1);
    if (!text || !free_bytes)
        abort();
    memcpy(text, data + 3 + n_list, n);
    memset(free_bytes, 1, n / 2);
    if (misspellings_parse(&m, (const char *)data + 3, n_list, "list", &err))
        m = NULL;
    const struct perturb p = { data[0] % N_PERTURB_FAMILY, 1 + data[1] % PERTURB_STRENGTHS, 9, m };
    check(&p, text, n, NULL);
    check(&p, text, n, free_bytes);
    misspellings_free(m);
    free(text);
    free(free_bytes);
    return 0;
}
