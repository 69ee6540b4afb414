/* fuzz_pii.c - any bytes as a text: spots of personal data and of secrets lie in it, in order and apart, and are gone from it when they are redacted. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/pii.h"
#include "audit/redact.h"
#include "audit/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pii *pii;
static struct pii_state *pii_state;
static struct secrets *secrets;
static struct secret_state *secret_state;
static struct redact_key key = { .byte = "0123456789abcdef", .n = 16 };

static struct redact_kind kind(const void *ctx, int k) { (void)k; return (struct redact_kind){ "X", VALUE_PLAIN, *(const enum redact *)ctx }; }

static void check(const char *text, size_t n, const struct spot *spot, size_t n_spot)
{
    size_t end = 0;
    struct buf out;
    char mask[SPOT_MASK];
    for (size_t i = 0; i < n_spot; i++) {
        if (!spot[i].n || spot[i].at < end || spot[i].n > n || spot[i].at > n - spot[i].n || spot[i].score < 1 || spot[i].score > 100)
            abort();
        end = spot[i].at + spot[i].n;
        spot_mask(text + spot[i].at, spot[i].n, mask);
        if (strlen(mask) >= SPOT_MASK)
            abort();
    }
    buf_init(&out);
    for (enum redact how = REDACT_TAG; how < N_REDACT; how++) {
        buf_clear(&out);
        if (redact(text, n, spot, n_spot, &key, kind, &how, &out, NULL))
            abort();
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spot *spot;
    size_t n;
    char *text = malloc(size ? size : 1);      /* exactly as long: what is read behind it is seen */
    if (!pii && (pii_new(&pii, NULL) || pii_state_new(&pii_state, pii, NULL) || secrets_new(&secrets, NULL) || secret_state_new(&secret_state, secrets, NULL)))
        abort();
    if (!text)
        abort();
    memcpy(text, data, size);
    if (pii_spots(pii, pii_state, text, size, 1, &spot, &n, NULL))
        abort();
    check(text, size, spot, n);
    if (secret_spots(secrets, secret_state, "a.env", text, size, &spot, &n, NULL))
        abort();
    check(text, size, spot, n);
    free(text);
    return 0;
}
