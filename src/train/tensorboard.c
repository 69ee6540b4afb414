#include "train/tensorboard.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

#define PENDING_MAX ((size_t)1 << 20)

/* ---- records ---- */

/* Castagnoli's polynomial, reflected; bit by bit, since a line has a few hundred bytes. */
static uint32_t crc32c(const void *p, size_t n)
{
    uint32_t crc = ~0u;
    for (const unsigned char *at = p; n--; at++) {
        crc ^= *at;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Rotated and moved, so that a crc of bytes that hold a crc is as good as any. */
static uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

static int put_fixed(struct buf *b, uint64_t v, int n_byte, struct err *err)
{
    char byte[8];
    for (int i = 0; i < n_byte; i++)
        byte[i] = (char)(v >> 8 * i & 0xff);
    return buf_add(b, byte, (size_t)n_byte, err);
}

static int put_record(struct buf *out, const struct buf *payload, struct err *err)
{
    const size_t at = out->len;
    TRY(put_fixed(out, payload->len, 8, err));
    TRY(put_fixed(out, masked(crc32c(out->data + at, 8)), 4, err));
    TRY(buf_add(out, payload->data, payload->len, err));
    return put_fixed(out, masked(crc32c(payload->data, payload->len)), 4, err);
}

/* ---- protobuf: a field is its number and wire type, then its value ---- */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static int put_varint(struct buf *b, uint64_t v, struct err *err)
{
    for (; v >= 0x80; v >>= 7)
        TRY(buf_add_char(b, (char)((v & 0x7f) | 0x80), err));
    return buf_add_char(b, (char)v, err);
}

static int put_key(struct buf *b, int field, enum wire wire, struct err *err) { return put_varint(b, (uint64_t)field << 3 | (uint64_t)wire, err); }

static int put_int(struct buf *b, int field, int64_t v, struct err *err)
{
    if (!v)                                  /* as proto3 has it: the default is left out */
        return 0;
    TRY(put_key(b, field, WIRE_VARINT, err));
    return put_varint(b, (uint64_t)v, err);
}

static int put_double(struct buf *b, int field, double v, struct err *err)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    TRY(put_key(b, field, WIRE_64, err));
    return put_fixed(b, bits, 8, err);
}

static int put_float(struct buf *b, int field, double v, struct err *err)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    TRY(put_key(b, field, WIRE_32, err));
    return put_fixed(b, bits, 4, err);
}

static int put_bytes(struct buf *b, int field, const void *p, size_t n, struct err *err)
{
    TRY(put_key(b, field, WIRE_BYTES, err));
    TRY(put_varint(b, n, err));
    return buf_add(b, p, n, err);
}

/* A message inside another: m is written as a field of b, and emptied. */
static int put_message(struct buf *b, int field, struct buf *m, struct err *err)
{
    const int rc = put_bytes(b, field, m->data, m->len, err);
    buf_clear(m);
    return rc;
}

/* ---- what stands in an event ---- */

struct scalars { struct buf summary, value; };

/* Summary.value = 1: tag = 1, simple_value = 2. */
static int put_scalar(struct scalars *s, const char *tag, const json_t *v, struct err *err)
{
    TRY(put_bytes(&s->value, 1, tag, strlen(tag), err));
    TRY(put_float(&s->value, 2, json_is_null(v) ? NAN : json_number_value(v), err));
    return put_message(&s->summary, 1, &s->value, err);
}

static bool is_scalar(const json_t *v) { return json_is_number(v) || json_is_null(v); }

static int put_list(struct scalars *s, const char *key, json_t *list, struct err *err)
{
    size_t i;
    json_t *o, *v;
    const char *member;
    json_array_foreach(list, i, o)
        json_object_foreach(o, member, v) {
            char tag[200];
            snprintf(tag, sizeof tag, "%.80s/%.80s/%02zu", key, member, i);
            if (is_scalar(v))
                TRY(put_scalar(s, tag, v, err));
        }
    return 0;
}

/* Summary.value = 1: tag = 1, tensor = 8 {dtype = 1: string, string_val = 8}, metadata = 9 {plugin_data = 1 {plugin_name = 1}, data_class = 4: tensor}. */
static int put_text(struct scalars *s, const char *tag, const json_t *line, struct err *err)
{
    struct buf part, inner;
    buf_init(&part);
    buf_init(&inner);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    int rc = text ? put_bytes(&s->value, 1, tag, strlen(tag), err) : ERR(err, NOMEM, "no memory for an event");
    if (!rc && !(rc = put_int(&part, 1, 7, err)) && !(rc = put_bytes(&part, 8, text, strlen(text), err)))
        rc = put_message(&s->value, 8, &part, err);
    if (!rc && !(rc = put_bytes(&inner, 1, "text", 4, err)) && !(rc = put_message(&part, 1, &inner, err)) && !(rc = put_int(&part, 4, 2, err)))
        rc = put_message(&s->value, 9, &part, err);
    if (!rc)
        rc = put_message(&s->summary, 1, &s->value, err);
    mem_free(text);
    buf_release(&part);
    buf_release(&inner);
    return rc;
}

static int put_line(struct scalars *s, json_t *line, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(line, key, v) {
        if (!strcmp(key, "step") || !strcmp(key, "unix_ms"))
            continue;
        if (is_scalar(v))
            TRY(put_scalar(s, key, v, err));
        else if (json_is_array(v))
            TRY(put_list(s, key, v, err));
        else if (!strcmp(key, "event"))
            TRY(put_text(s, key, line, err));
    }
    return 0;
}

/* ---- the file ---- */

static int flush(struct tensorboard *t, struct err *err)
{
    const int rc = t->pending.len ? file_log_add(&t->log, t->pending.data, t->pending.len, err) : 0;
    buf_clear(&t->pending);                  /* what the disk did not take is lost until the next start */
    return rc;
}

int tensorboard_add(struct tensorboard *t, const json_t *line, bool now, struct err *err)
{
    struct scalars s;
    buf_init(&s.summary);
    buf_init(&s.value);
    buf_clear(&t->record);
    int rc = put_line(&s, (json_t *)(uintptr_t)line, err);
    if (!rc && s.summary.len) {
        rc = put_double(&t->record, 1, (double)json_integer_value(json_object_get(line, "unix_ms")) / 1000, err);
        if (!rc && !(rc = put_int(&t->record, 2, json_integer_value(json_object_get(line, "step")), err)) && !(rc = put_message(&t->record, 5, &s.summary, err)))
            rc = put_record(&t->pending, &t->record, err);
    }
    buf_release(&s.summary);
    buf_release(&s.value);
    return rc ? rc : now || t->pending.len > PENDING_MAX ? flush(t, err) : 0;
}

/* Removes what earlier starts left. */
static int remove_earlier(const char *dir, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(dir, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        const size_t len = strlen(names[i]);
        if (strncmp(names[i], "events.out.tfevents.", 20) || len < 26 || strcmp(names[i] + len - 6, ".lathe"))
            continue;
        char *path = file_join(dir, names[i]);
        rc = path ? file_remove_tree(path, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

/* Event.file_version, and Event.session_log = 7 {status = 1: start}. */
static int put_head(struct tensorboard *t, double seconds, struct err *err)
{
    static const char session[] = { 1 << 3 | WIRE_VARINT, 1 };
    buf_clear(&t->record);
    TRY(put_double(&t->record, 1, seconds, err));
    TRY(put_bytes(&t->record, 3, "brain.Event:2", 13, err));
    TRY(put_record(&t->pending, &t->record, err));
    buf_clear(&t->record);
    TRY(put_double(&t->record, 1, seconds, err));
    TRY(put_bytes(&t->record, 7, session, sizeof session, err));
    TRY(put_record(&t->pending, &t->record, err));
    return flush(t, err);
}

int tensorboard_open(struct tensorboard *t, const char *dir, double seconds, struct err *err)
{
    t->log = (struct file_log){ -1, NULL };
    buf_init(&t->record);
    buf_init(&t->pending);
    char *path = mem_printf("%s/events.out.tfevents.%010lld.lathe", dir, (long long)seconds);
    int rc = path ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc && !(rc = remove_earlier(dir, err)) && !(rc = file_log_open(&t->log, path, err)))
        rc = put_head(t, seconds, err);
    mem_free(path);
    if (rc)
        tensorboard_close(t);
    return rc;
}

void tensorboard_close(struct tensorboard *t)
{
    if (!t->log.path && !t->record.data)
        return;
    file_log_close(&t->log);
    buf_release(&t->record);
    buf_release(&t->pending);
    *t = (struct tensorboard){ .log = { -1, NULL } };
}
