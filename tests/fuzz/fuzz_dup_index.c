/* fuzz_dup_index.c - any bytes as an index of duplicates, with the checksum that they should have: refused, or rows that lie within. */
#include <stdlib.h>
#include <string.h>
#include "audit/dup_index.h"
#include "base/hash.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct minhash *m;
    struct err err = { 0 };
    struct dup_rows rows;
    if (!m && minhash_new(&m, &(struct minhash_opts){ 5, 2, 4, 1 }, &err))
        abort();
    char *file = mem_alloc(n + SHA256_HEX);
    if (!file)
        return 0;
    memcpy(file, data, n);
    if (sha256_of(data, n, file + n, &err))
        abort();
    const int rc = dup_index_read(&rows, file, n + SHA256_HEX - 1, "input", m, &err);
    if (rc < 0 ? rc != err.code || !strstr(err.msg, "input") || rows.n : rows.n * dup_row_bytes(m) + 40 != n || (const char *)rows.row != file + 40)
        abort();
    mem_free(file);
    return 0;
}
