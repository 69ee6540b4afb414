/* fuzz_sources.c - any bytes as a file of records, packed or not, in every format: records that lie one behind the other, each with a text of
 * UTF-8 or a fault with a sentence.  As JSON they are right exactly when jansson says so, and its string is ours. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "audit/extract.h"
#include "audit/json_scan.h"
#include "data/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* jansson refuses numbers that no double or long long holds, and half pairs of surrogates; we a nesting it allows. */
static bool may_differ(enum json_error_code code, int rc)
{
    return code == json_error_numeric_overflow || code == json_error_invalid_syntax || rc == ERR_RANGE;
}

static void same_json(const char *p, size_t n)
{
    struct err err = { 0 };
    json_error_t e = { .text = "" };
    const char *name = "text";
    struct json_span s;
    if (memchr(p, 0, n))         /* which jansson takes for the end of the text */
        return;
    json_t *j = json_loadb(p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    const int rc = json_scan_check(p, n, &err);
    if (!!j != !rc && !may_differ(j ? json_error_unknown : json_error_code(&e), rc)) {
        fprintf(stderr, "jansson: %s; we: %s\n", j ? "good" : e.text, rc ? err.msg : "good");
        abort();
    }
    if (j && !json_scan_members(p, n, &name, 1, &s, &err)) {
        const json_t *theirs = json_object_get(j, "text");
        struct buf b;
        buf_init(&b);
        require(json_is_object(j) && !!theirs == !!s.p);
        if (json_is_string(theirs))
            require(!json_scan_string(s, &b, &err) && b.len == json_string_length(theirs) && !memcmp(b.data, json_string_value(theirs), b.len));
        buf_release(&b);
    }
    json_decref(j);
}

static int unchanged(void *ctx, const struct chat_piece *p, struct buf *out, struct err *err)
{
    (void)ctx, (void)p, (void)out, (void)err;
    return 0;
}

/* As good as it stands, but that its strings are written anew. */
static int written_anew(void *ctx, const struct chat_piece *p, struct buf *out, struct err *err)
{
    return buf_add(out, (const char *)ctx + p->at, p->n, err) ? -1 : 1;
}

/* A chat is written as it stood, and with all strings anew it says the same. */
static void same_chat(const struct extract *x, const char *text, size_t n)
{
    struct err err = { 0 };
    struct buf out, again;
    struct extract y;
    const char *other;
    size_t m;
    buf_init(&out);
    buf_init(&again);
    require(!chat_text_write(&x->chat, x->raw, x->n_raw, unchanged, NULL, &out, &err) && out.len == x->n_raw && !memcmp(out.data, x->raw, out.len));
    require(!chat_text_write(&x->chat, x->raw, x->n_raw, written_anew, (void *)(uintptr_t)text, &again, &err));
    extract_init(&y, RECORD_JSONL, NULL);
    require(extract_text(&y, &(struct raw_record){ .data = again.data, .n = again.len }, &other, &m, &err) == EXTRACT_NONE && y.is_chat && m == n && !memcmp(text, other, n));
    extract_release(&y);
    buf_release(&out);
    buf_release(&again);
}

static void read_all(const char *path, const struct reader_opts *o)
{
    struct reader *r;
    struct extract x;
    struct raw_record raw;
    struct err err = { 0 };
    uint64_t at = 0;
    int rc;
    if (reader_open(&r, path, o, &err) < 0)
        return;
    extract_init(&x, o->format, NULL);
    bool first = true;
    while ((rc = reader_next(r, &raw, &err)) == 1) {
        const char *text = NULL, *header;
        size_t n = 0, n_header;
        require(raw.at >= at && raw.n > 0 && (raw.data ? raw.n <= o->record_max : raw.n > 0));
        at = raw.at + raw.n;
        header = reader_header(r, &n_header);
        if (first && n_header && extract_header(&x, header, n_header, "in", &err) < 0)
            break;
        first = false;
        err = (struct err){ 0 };
        const enum record_fault f = extract_text(&x, &raw, &text, &n, &err);
        require(f == EXTRACT_EMPTY || (f ? err.code && *err.msg : text && text_bad_utf8(text, n) == n));
        if (!f && x.is_chat)
            same_chat(&x, text, n);
        if (raw.data && o->format == RECORD_JSONL)
            same_json(raw.data, raw.n);
    }
    require(rc >= 0 || (err.code == rc && *err.msg));
    extract_release(&x);
    reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char path[40];
    if (n < 2)
        return 0;
    if (fd < 0) {
        fd = memfd_create("in", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    require(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data + 2, n - 2, 0) == (ssize_t)(n - 2));
    const struct reader_opts o = { .format = (enum record_format)(data[0] % N_RECORD_FORMAT), .record_max = data[1] ? (size_t)data[1] * 16 : RECORD_MAX };
    read_all(path, &o);
    return 0;
}
