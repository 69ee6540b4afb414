#include "serve/tickets.h"
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

int tickets_init(struct tickets *t, struct err *err)
{
    return RAND_bytes(t->key, sizeof t->key) == 1 ? 0 : ERR(err, IO, "the system gives no random numbers");
}

int ticket_make(const struct tickets *t, const char *what, int64_t until, char out[TICKET_TEXT], struct err *err)
{
    unsigned char mac[SHA256_BYTES];
    unsigned n;
    char *text = mem_printf("%" PRId64 "\n%s", until, what);
    const bool made = text && HMAC(EVP_sha256(), t->key, sizeof t->key, (const unsigned char *)text, strlen(text), mac, &n) && n == sizeof mac;
    mem_free(text);
    if (!made)
        return ERR(err, NOMEM, "no memory for a ticket");
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", mac[i]);
    return 0;
}

bool ticket_is_good(const struct tickets *t, const char *what, int64_t until, int64_t now, const char *ticket)
{
    char right[TICKET_TEXT];
    struct err none;
    return now < until && strlen(ticket) == TICKET_TEXT - 1 && !ticket_make(t, what, until, right, &none) && !CRYPTO_memcmp(right, ticket, TICKET_TEXT - 1);
}
