#include "audit/extract.h"
#include <string.h>
#include "audit/html_visible.h"
#include "audit/json_scan.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/text.h"

const char *record_fault_word(enum record_fault f)
{
    static const char *const words[] = {
#define X(name, word) word,
        RECORD_FAULTS(X)
#undef X
    };
    return f < N_RECORD_FAULT ? words[f] : "?";
}

void extract_init(struct extract *x, enum record_format format, const struct source *s)
{
    memset(x, 0, sizeof *x);
    x->format = format, x->field = s ? s->field : "text", x->column = -1;
    for (int k = 0; k < N_MARK && s; k++)
        x->mark_field[k] = s->mark[k];
    for (int k = 0; k < N_MARK; k++)
        buf_init(&x->mark_text[k]);
    buf_init(&x->text);
    buf_init(&x->csv.text);
    buf_init(&x->csv.header);
}

void extract_release(struct extract *x)
{
    buf_release(&x->text);
    mem_free(x->chat.piece);
    for (int k = 0; k < N_MARK; k++)
        buf_release(&x->mark_text[k]);
    csv_release(&x->csv);
    idx_release(&x->labels);
    image_release(&x->image);
}

#define PIECE ((size_t)256 << 10)

/* Bytes of a file, unpacked, at most n. */
static int read_packed(const char *path, size_t n, struct buf *out, struct err *err)
{
    struct unpack *u;
    int64_t got = 1;
    TRY(unpack_open(&u, path, 0, err));
    int rc = 0;
    while (!rc && got > 0 && out->len < n) {
        const size_t want = n - out->len < PIECE ? n - out->len : PIECE;         /* n is what a header says: it is not asked for before it is there */
        if ((rc = buf_reserve(out, want, err)))
            break;
        got = unpack_read(u, out->data + out->len, want, err);
        out->len += got > 0 ? (size_t)got : 0;
        rc = got < 0 ? (int)got : 0;
    }
    unpack_free(u);
    return rc;
}

/* Labels are of bytes, one for each image. */
static int read_labels(struct extract *x, const char *images, int64_t n_image, struct err *err)
{
    enum { HEAD = 8 };           /* of rank 1 */
    struct buf b;
    char *path;
    idx_release(&x->labels);
    TRY(source_idx_labels(images, &path, err));
    if (!path || !n_image) {
        mem_free(path);
        return 0;
    }
    buf_init(&b);
    int rc = read_packed(path, HEAD + (size_t)n_image + 1, &b, err);
    rc = rc ? err_context(err, "'%s'", path) : idx_parse(&x->labels, b.data, b.len, path, err);
    if (!rc && (x->labels.rank != 1 || x->labels.size[0] != n_image))
        rc = ERR(err, FORMAT, "'%s' has rank %d and %lld labels, expected one for each of %lld images", path, x->labels.rank, (long long)x->labels.size[0], (long long)n_image);
    buf_release(&b);
    mem_free(path);
    return rc;
}

static int idx_header(struct extract *x, const char *header, size_t n, const char *path, struct err *err)
{
    int64_t n_image;
    TRY(idx_images(header, n, &n_image, x->size, err));
    return read_labels(x, path, n_image, err);
}

int extract_header(struct extract *x, const char *header, size_t n, const char *path, struct err *err)
{
    if (x->format == RECORD_IDX)
        return idx_header(x, header, n, path, err);
    csv_release(&x->csv);
    TRY(csv_open(&x->csv, header, n, path, err));
    x->column = csv_find(&x->csv, x->field);
    if (x->column < 0)
        return ERR(err, FORMAT, "'%s' has no column '%s'", path, x->field);
    for (int k = 0; k < N_MARK; k++)
        if (x->mark_field[k] && (x->mark_column[k] = csv_find(&x->csv, x->mark_field[k])) < 0)
            return ERR(err, FORMAT, "'%s' has no column '%s'", path, x->mark_field[k]);
    return 0;
}

/* The characters of a string: where they stand, or put into b. */
static int characters(struct json_span s, struct buf *b, const char **text, size_t *n, struct err *why)
{
    *text = s.p + 1, *n = s.n - 2;
    if (!memchr(s.p, '\\', s.n))
        return 0;
    buf_clear(b);
    TRY(json_scan_string(s, b, why));
    *text = b->data, *n = b->len;
    return 0;
}

/* A mark is a string's characters, or the number or word that stands there; null, lists and objects are none. */
static int take_mark(struct extract *x, int k, struct json_span s, struct err *why)
{
    if (!s.p || *s.p == 'n' || *s.p == '{' || *s.p == '[')
        return 0;
    x->mark[k].p = s.p, x->mark[k].n = s.n;
    return *s.p == '"' ? characters(s, &x->mark_text[k], &x->mark[k].p, &x->mark[k].n, why) : 0;
}

/* A chat must be one that whoever trains on it can read: no member twice at any depth, say. */
static enum record_fault of_chat(struct extract *x, const struct raw_record *raw, struct json_span list, const char **text, size_t *n, struct err *why)
{
    json_t *o = NULL;
    const char *p = raw->data, *end = p + raw->n;
    while (p < end && *p != '{')
        p++;
    while (end > p && end[-1] != '}')
        end--;
    x->raw = p, x->n_raw = (size_t)(end - p);
    if (tree_parse_json(&o, x->raw, x->n_raw, "the chat", why))
        return EXTRACT_BAD_JSON;
    json_decref(o);
    if (chat_text_of(&x->chat, list, &x->text, why))
        return EXTRACT_NO_FIELD;
    x->is_chat = true;
    *text = x->text.data, *n = x->text.len;
    return EXTRACT_NONE;
}

/* The lists of messages that are looked for where `text` is, unless another field is named. */
static const char *const chat_fields[] = { "messages", "conversations" };
#define N_CHAT_FIELD 2

static enum record_fault of_json(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    const char *name[1 + N_CHAT_FIELD + N_MARK] = { x->field };
    struct json_span s[1 + N_CHAT_FIELD + N_MARK];
    int of[1 + N_CHAT_FIELD + N_MARK], n_name = 1;      /* which mark a name is */
    for (int i = 0; i < N_CHAT_FIELD && !strcmp(x->field, "text"); i++)
        name[n_name++] = chat_fields[i];
    const int n_text = n_name;
    for (int k = 0; k < N_MARK; k++)
        if (x->mark_field[k])
            name[n_name] = x->mark_field[k], of[n_name++] = k;
    if (json_scan_members(raw->data, raw->n, name, n_name, s, why) < 0)
        return EXTRACT_BAD_JSON;
    struct json_span value = s[0];
    for (int i = 1; i < n_text && !value.p; i++)
        if (s[i].p && *s[i].p == '[')
            value = s[i];
    for (int i = n_text; i < n_name; i++)
        if (take_mark(x, of[i], s[i], why))
            return EXTRACT_BAD_JSON;
    if (!value.p)
        return (void)ERR(why, FORMAT, "there is no member '%s'", x->field), EXTRACT_NO_FIELD;
    if (*value.p == '[')
        return of_chat(x, raw, value, text, n, why);
    if (*value.p != '"')
        return (void)ERR(why, FORMAT, "'%s' is no string", x->field), EXTRACT_NO_FIELD;
    return characters(value, &x->text, text, n, why) ? EXTRACT_BAD_JSON : EXTRACT_NONE;
}

static enum record_fault of_row(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    x->csv.at = raw->data, x->csv.end = raw->data + raw->n, x->csv.next_line = raw->line;
    const int rc = csv_next(&x->csv, why);
    if (rc <= 0)
        return EXTRACT_BAD_ROW;
    *text = csv_field(&x->csv, x->column, n);
    for (int k = 0; k < N_MARK; k++)
        if (x->mark_field[k])
            x->mark[k].p = csv_field(&x->csv, x->mark_column[k], &x->mark[k].n);
    return EXTRACT_NONE;
}

static enum record_fault of_html(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    if (text_check_utf8(raw->data, raw->n, "the text", why))
        return EXTRACT_NOT_UTF8;
    buf_clear(&x->text);
    if (html_visible(raw->data, raw->n, &x->text, why) < 0)
        return EXTRACT_TOO_LONG;
    *text = x->text.data, *n = x->text.len;
    return EXTRACT_NONE;
}

static enum record_fault of_bytes(const struct raw_record *raw, const char **text, size_t *n)
{
    *text = raw->data, *n = raw->n;
    return EXTRACT_NONE;
}

/* Its text is empty. */
static enum record_fault of_image(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    *text = "", *n = 0;
    if (x->format == RECORD_IMAGE)
        return image_decode(&x->image, raw->data, raw->n, 3, "the image", why) ? EXTRACT_BAD_IMAGE : EXTRACT_NONE;
    const size_t size = (size_t)x->size[0] * (size_t)x->size[1];
    if (raw->n != size)
        return (void)ERR(why, FORMAT, "it has %zu bytes, expected %zu", raw->n, size), EXTRACT_BAD_IMAGE;
    if (!(x->image.pixels = mem_alloc(size)))
        return (void)ERR(why, NOMEM, "no memory for an image of %zu bytes", size), EXTRACT_BAD_IMAGE;
    x->image.n_channel = 1, x->image.height = x->size[0], x->image.width = x->size[1];
    memcpy(x->image.pixels, raw->data, size);
    const uint64_t i = (raw->at - IDX_HEADER) / size;
    if (!x->labels.rank || i >= (uint64_t)x->labels.size[0])
        return EXTRACT_NONE;
    buf_clear(&x->mark_text[MARK_LABEL]);
    if (buf_printf(&x->mark_text[MARK_LABEL], why, "%d", (unsigned char)x->labels.bytes.data[i]))
        return EXTRACT_BAD_IMAGE;
    x->mark[MARK_LABEL].p = x->mark_text[MARK_LABEL].data, x->mark[MARK_LABEL].n = x->mark_text[MARK_LABEL].len;
    return EXTRACT_NONE;
}

enum record_fault extract_text(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    if (!raw->data)
        return (void)ERR(why, RANGE, "it has %zu bytes", raw->n), EXTRACT_TOO_LONG;
    enum record_fault f;
    memset(x->mark, 0, sizeof x->mark);
    x->is_chat = false;
    image_release(&x->image);
    switch (x->format) {
    case RECORD_JSONL: f = of_json(x, raw, text, n, why); break;
    case RECORD_CSV: case RECORD_TSV: f = of_row(x, raw, text, n, why); break;
    case RECORD_HTML: f = of_html(x, raw, text, n, why); break;
    case RECORD_IMAGE: case RECORD_IDX: f = of_image(x, raw, text, n, why); break;
    default: f = of_bytes(raw, text, n); break;
    }
    if (f || x->image.pixels)
        return f;
    if (text_check_utf8(*text, *n, "the text", why))
        return EXTRACT_NOT_UTF8;
    return text_is_blank(*text, *n) ? (void)ERR(why, FORMAT, "there is nothing but white space"), EXTRACT_EMPTY : EXTRACT_NONE;
}
