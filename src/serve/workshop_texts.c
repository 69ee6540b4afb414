#include "serve/workshop_texts.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/text.h"
#include "serve/json_out.h"
#include "serve/workshop_project.h"

/* most: bytes that are held out of one text. */
struct texts { struct file_writer train, valid; int64_t n_train, n_valid; size_t most; struct buf line; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to hold texts out"); }

static int write_line(struct texts *t, struct file_writer *w, const char *text, size_t n, struct err *err)
{
    buf_clear(&t->line);
    TRY(buf_add_str(&t->line, "{\"text\": ", err));
    TRY(out_string(&t->line, text, n, err));
    TRY(buf_add_str(&t->line, "}\n", err));
    return file_writer_add(w, t->line.data, t->line.len, err);
}

/* Where a text may be cut, from `at` on: behind the end of a line that is near, else behind a space, else at the beginning of a character. */
static size_t cut_from(const char *text, size_t n, size_t at)
{
    const size_t far = n - at > 400 ? at + 400 : n;
    for (size_t i = at; i < far; i++)
        if (text[i] == '\n')
            return i + 1;
    for (size_t i = at; i < far; i++)
        if (text[i] == ' ')
            return i + 1;
    while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static int hold_out(struct texts *t, const char *text, size_t n, struct err *err)
{
    const size_t from = cut_from(text, n, n - (n / 10 < t->most ? n / 10 : t->most));
    TRY(write_line(t, &t->train, text, from, err));
    t->n_train++;
    for (size_t at = from, end; at < n; at = end) {
        end = n - at < 2 * (size_t)TEXTS_PASSAGE ? n : cut_from(text, n, at + TEXTS_PASSAGE);
        if (text_is_blank(text + at, end - at))
            continue;
        TRY(write_line(t, &t->valid, text + at, end - at, err));
        t->n_valid++;
    }
    return 0;
}

static int read_file(struct texts *t, const struct text_doc *d, struct err *err)
{
    for (const char *at = d->map.data, *stop = at + d->n, *end; at < stop; at = end + 1) {
        json_t *o;
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        TRY(tree_parse_json(&o, at, (size_t)(end - at), d->path, err));
        const json_t *text = json_object_get(o, "text");
        const int rc = json_is_string(text) ? hold_out(t, json_string_value(text), json_string_length(text), err) : ERR(err, FORMAT, "%s: a line without a text", d->path);
        json_decref(o);
        TRY(rc);
    }
    return 0;
}

static int write_all(struct texts *t, const struct text_list *files, const char *train, const char *valid, struct err *err)
{
    TRY(file_writer_open(&t->train, train, err));
    int rc = file_writer_open(&t->valid, valid, err);
    if (rc) {
        file_writer_abort(&t->train);
        return rc;
    }
    for (int i = 0; i < files->n_doc && !rc; i++)
        rc = read_file(t, &files->doc[i], err);
    if (!rc)
        rc = file_writer_commit(&t->train, err);
    else
        file_writer_abort(&t->train);
    if (!rc)
        return file_writer_commit(&t->valid, err);
    file_writer_abort(&t->valid);
    return rc;
}

int workshop_texts(const char *folder, json_t *p, struct err *err)
{
    const int64_t bytes = json_integer_value(json_object_get(p, "text_bytes"));
    if (bytes < TEXTS_LEAST)
        return ERR(err, FORMAT, "there are %lld characters of text, too few to learn from: bring %d or more, better a hundred times that", (long long)bytes, TEXTS_LEAST);
    const json_int_t kept = json_integer_value(json_object_get(p, "kept"));
    struct texts t = { .most = (size_t)TEXTS_PASSAGE * TEXTS_HELD_OUT / (size_t)(kept > 0 ? kept : 1) };
    struct text_list files = { 0 };
    char *dir = file_join(folder, "texts"), *built = file_join(folder, "life.run/build/out/train"), *train = file_join(folder, "texts/train.jsonl"), *valid = file_join(folder, "texts/valid.jsonl");
    buf_init(&t.line);
    int rc = dir && built && train && valid ? file_mkdirs(dir, err) : no_memory(err);
    rc = rc ? rc : text_add(&files, built, err);
    rc = rc ? rc : write_all(&t, &files, train, valid, err);
    rc = rc ? rc : project_set(p, "train", json_integer(t.n_train), err);
    rc = rc ? rc : project_set(p, "valid", json_integer(t.n_valid), err);
    text_release(&files);
    buf_release(&t.line);
    mem_free(dir), mem_free(built), mem_free(train), mem_free(valid);
    return rc;
}
