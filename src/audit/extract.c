#include "audit/extract.h"
#include <string.h>
#include "audit/html_visible.h"
#include "audit/json_scan.h"
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

void extract_init(struct extract *x, enum record_format format, const char *field)
{
    memset(x, 0, sizeof *x);
    x->format = format, x->field = field ? field : "text", x->column = -1;
    buf_init(&x->text);
    buf_init(&x->csv.text);
    buf_init(&x->csv.header);
}

void extract_release(struct extract *x)
{
    buf_release(&x->text);
    csv_release(&x->csv);
}

int extract_header(struct extract *x, const char *header, size_t n, const char *path, struct err *err)
{
    csv_release(&x->csv);
    TRY(csv_open(&x->csv, header, n, path, err));
    x->column = csv_find(&x->csv, x->field);
    return x->column >= 0 ? 0 : ERR(err, FORMAT, "'%s' has no column '%s'", path, x->field);
}

static enum record_fault of_json(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    struct json_span s;
    if (json_scan_members(raw->data, raw->n, &x->field, 1, &s, why) < 0)
        return FAULT_BAD_JSON;
    if (!s.p)
        return (void)ERR(why, FORMAT, "there is no member '%s'", x->field), FAULT_NO_FIELD;
    if (*s.p != '"')
        return (void)ERR(why, FORMAT, "'%s' is no string", x->field), FAULT_NO_FIELD;
    if (!memchr(s.p, '\\', s.n)) {
        *text = s.p + 1, *n = s.n - 2;
        return FAULT_NONE;
    }
    buf_clear(&x->text);
    if (json_scan_string(s, &x->text, why) < 0)
        return FAULT_BAD_JSON;
    *text = x->text.data, *n = x->text.len;
    return FAULT_NONE;
}

static enum record_fault of_row(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    x->csv.at = raw->data, x->csv.end = raw->data + raw->n, x->csv.next_line = raw->line;
    const int rc = csv_next(&x->csv, why);
    if (rc <= 0)
        return FAULT_BAD_ROW;
    *text = csv_field(&x->csv, x->column, n);
    return FAULT_NONE;
}

static enum record_fault of_html(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    if (text_check_utf8(raw->data, raw->n, "the text", why))
        return FAULT_NOT_UTF8;
    buf_clear(&x->text);
    if (html_visible(raw->data, raw->n, &x->text, why) < 0)
        return FAULT_TOO_LONG;
    *text = x->text.data, *n = x->text.len;
    return FAULT_NONE;
}

static enum record_fault of_bytes(const struct raw_record *raw, const char **text, size_t *n)
{
    *text = raw->data, *n = raw->n;
    return FAULT_NONE;
}

enum record_fault extract_text(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why)
{
    if (!raw->data)
        return (void)ERR(why, RANGE, "it has %zu bytes", raw->n), FAULT_TOO_LONG;
    enum record_fault f;
    switch (x->format) {
    case RECORD_JSONL: f = of_json(x, raw, text, n, why); break;
    case RECORD_CSV: case RECORD_TSV: f = of_row(x, raw, text, n, why); break;
    case RECORD_HTML: f = of_html(x, raw, text, n, why); break;
    default: f = of_bytes(raw, text, n); break;
    }
    if (f)
        return f;
    if (text_check_utf8(*text, *n, "the text", why))
        return FAULT_NOT_UTF8;
    return text_is_blank(*text, *n) ? (void)ERR(why, FORMAT, "there is nothing but white space"), FAULT_EMPTY : FAULT_NONE;
}
