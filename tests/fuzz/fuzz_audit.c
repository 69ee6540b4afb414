/* fuzz_audit.c - any bytes as an audit log that a server finds at its start: what a day has used is read from it, and it is refused or goes
 * on in one chain behind its last whole line. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "serve/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/lathe-fuzz-audit-XXXXXX";

static void clean(void) { unlink(path); }

static void begin(void)
{
    const int fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    atexit(clean);
    log_level_set(LOG_QUIET);
}

static void charge(void *ctx, const char *key, int64_t requests, int64_t tokens)
{
    (void)ctx;
    if (!key || requests < 0 || requests > 1 || tokens < 0 || tokens > (int64_t)1 << 40)
        abort();
}

static void read_log(struct buf *all)
{
    struct err err;
    buf_init(all);
    if (file_read(path, (size_t)1 << 30, all, &err) < 0)
        abort();
}

/* Another file is as it was; a log has lost a torn last line at most. */
static void check_refused(const uint8_t *data, size_t size)
{
    struct buf all;
    read_log(&all);
    const uint8_t *end = memrchr(data, '\n', size);
    const bool log = size > 7 && !memcmp(data, "{\"seq\":", 7);
    if (all.len != (log ? (end ? (size_t)(end - data) + 1 : 0) : size) || memcmp(all.data, data, all.len))
        abort();
    buf_release(&all);
}

/* What stands there now: the whole lines of before, and one more that follows them. */
static void check_goes_on(const uint8_t *data, size_t size)
{
    char hash[SHA256_HEX];
    struct buf all;
    struct err err;
    const uint8_t *end = memrchr(data, '\n', size);
    const size_t whole = end ? (size_t)(end - data) + 1 : 0;
    const uint8_t *before = whole ? memrchr(data, '\n', whole - 1) : NULL;
    const size_t last = before ? (size_t)(before - data) + 1 : 0;
    read_log(&all);
    if (all.len <= whole || memcmp(all.data, data, whole) || all.data[all.len - 1] != '\n')
        abort();
    json_t *line = json_loadb(all.data + whole, all.len - whole, 0, NULL);
    const char *prev = json_string_value(json_object_get(line, "prev"));
    if (!json_object_get(line, "n") || !prev || (whole && (sha256_of(data + last, whole - 1 - last, hash, &err) < 0 || strcmp(prev, hash))))
        abort();
    json_decref(line);
    buf_release(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct err err = { 0 };
    struct audit *a;
    if (!begun)
        begin();
    begun = true;
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f))
        abort();
    if (audit_day(path, 1795000000, charge, NULL, &err) < 0)
        abort();
    const int rc = audit_open(&a, path, &err);
    if (rc < 0 && (rc != err.code || !*err.msg || a))
        abort();
    if (rc < 0) {
        check_refused(data, size);
        return 0;
    }
    audit_add(a, "\"n\":1", 5);
    audit_close(a);
    check_goes_on(data, size);
    return 0;
}
