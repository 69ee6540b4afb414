#include "serve/workshop_labels.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/text.h"
#include "serve/workshop_project.h"

enum { TRAIN, VALID, N_SPLIT };
static const char *const split_name[N_SPLIT] = { "train", "valid" };

/* count[split]: of each label, how many lines; n: lines that stay. */
struct chosen { const char *column; json_t *count[N_SPLIT]; int64_t n[N_SPLIT], n_class, n_none, n_rare; bool moves; struct file_writer to[N_SPLIT]; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to count labels"); }

static json_int_t count_of(const struct chosen *c, int split, const char *label) { return json_integer_value(json_object_get(c->count[split], label)); }

static bool is_rare(const struct chosen *c, const char *label) { return count_of(c, TRAIN, label) + count_of(c, VALID, label) < LABELS_LEAST; }

/* NULL: none that names a class. */
static const char *label_of(const json_t *line, const char *column, char number[32])
{
    const json_t *v = json_object_get(line, column);
    if (json_is_integer(v)) {
        snprintf(number, 32, "%lld", (long long)json_integer_value(v));
        return number;
    }
    return json_is_string(v) && json_string_length(v) ? json_string_value(v) : NULL;
}

typedef int each_line(struct chosen *c, int split, const char *label, const char *line, size_t n, struct err *err);

static int read_doc(struct chosen *c, int split, const struct text_doc *d, each_line *each, struct err *err)
{
    for (const char *at = d->map.data, *stop = at + d->n, *end; at < stop; at = end + 1) {
        json_t *o;
        char number[32];
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        TRY(tree_parse_json(&o, at, (size_t)(end - at), d->path, err));
        const int rc = each(c, split, label_of(o, c->column, number), at, (size_t)(end - at), err);
        json_decref(o);
        TRY(rc);
    }
    return 0;
}

static int read_split(struct chosen *c, const char *folder, int split, each_line *each, struct err *err)
{
    struct text_list files = { 0 };
    char *path = mem_printf("%s/life.run/build/out/%s", folder, split_name[split]);
    int rc = path ? text_add(&files, path, err) : no_memory(err);
    for (int i = 0; i < files.n_doc && !rc; i++)
        rc = read_doc(c, split, &files.doc[i], each, err);
    text_release(&files);
    mem_free(path);
    return rc;
}

static int read_both(struct chosen *c, const char *folder, each_line *each, struct err *err)
{
    TRY(read_split(c, folder, TRAIN, each, err));
    return read_split(c, folder, VALID, each, err);
}

static int count_line(struct chosen *c, int split, const char *label, const char *line, size_t n, struct err *err)
{
    (void)line, (void)n;
    c->n_none += !label;
    return label && json_object_set_new(c->count[split], label, json_integer(count_of(c, split, label) + 1)) ? no_memory(err) : 0;
}

/* Of the lines of a label that stay: where they go. */
static void add_class(struct chosen *c, const char *label)
{
    const json_int_t train = count_of(c, TRAIN, label), valid = count_of(c, VALID, label);
    if (is_rare(c, label)) {
        c->n_rare += train + valid;
        return;
    }
    c->n_class++;
    c->moves = c->moves || !train;
    c->n[TRAIN] += train ? train : valid, c->n[VALID] += train ? valid : 0;
}

static void add_classes(struct chosen *c)
{
    const char *label;
    json_t *v;
    json_object_foreach(c->count[TRAIN], label, v)
        add_class(c, label);
    json_object_foreach(c->count[VALID], label, v)
        if (!count_of(c, TRAIN, label))
            add_class(c, label);
}

static int write_line(struct chosen *c, int split, const char *label, const char *line, size_t n, struct err *err)
{
    if (!label || is_rare(c, label))
        return 0;
    struct file_writer *to = &c->to[count_of(c, TRAIN, label) ? split : TRAIN];
    TRY(file_writer_add(to, line, n, err));
    return file_writer_add(to, "\n", 1, err);
}

static int open_both(struct chosen *c, const char *folder, struct err *err)
{
    char *dir = file_join(folder, "texts");
    int rc = dir ? file_mkdirs(dir, err) : no_memory(err);
    mem_free(dir);
    for (int i = 0; i < N_SPLIT && !rc; i++) {
        char *path = mem_printf("%s/texts/%s.jsonl", folder, split_name[i]);
        rc = path ? file_writer_open(&c->to[i], path, err) : no_memory(err);
        mem_free(path);
        if (rc && i)
            file_writer_abort(&c->to[0]);
    }
    return rc;
}

static int write_both(struct chosen *c, const char *folder, struct err *err)
{
    TRY(open_both(c, folder, err));
    int rc = read_both(c, folder, write_line, err);
    for (int i = 0; i < N_SPLIT; i++)
        if (!rc)
            rc = file_writer_commit(&c->to[i], err);
        else
            file_writer_abort(&c->to[i]);
    return rc;
}

static int check(const struct chosen *c, struct err *err)
{
    const char *only = c->n_class ? json_object_iter_key(json_object_iter(c->count[TRAIN])) : NULL;
    if (c->n_class == 1 && !c->n_rare)
        return ERR(err, FORMAT, "all texts have the label '%.60s': a reader tells two or more apart", only);
    if (c->n_class < 2)
        return ERR(err, FORMAT, "%s in the column '%.60s' have %d texts or more: bring more of each, or choose the column of the labels again", c->n_class ? "of the labels only one" : "none of the labels",
                   c->column, LABELS_LEAST);
    return c->n[VALID] ? 0 : ERR(err, FORMAT, "%lld texts are left, too few to hold some out and learn from the others: bring a hundred or more", (long long)c->n[TRAIN]);
}

static int put(json_t *p, const struct chosen *c, bool chosen, struct err *err)
{
    const struct { const char *name; int64_t value; } set[] = { { "train", c->n[TRAIN] }, { "valid", c->n[VALID] }, { "classes", c->n_class }, { "unlabelled", c->n_none }, { "rare", c->n_rare } };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        TRY(project_set(p, set[i].name, json_integer(set[i].value), err));
    return project_set(p, "chosen", json_boolean(chosen), err);
}

int workshop_labels(const char *folder, json_t *p, struct err *err)
{
    struct chosen c = { .column = tree_text_at(p, "label"), .count = { json_object(), json_object() } };
    int rc = c.count[TRAIN] && c.count[VALID] ? read_both(&c, folder, count_line, err) : no_memory(err);
    if (!rc) {
        add_classes(&c);
        rc = check(&c, err);
    }
    const bool chosen = c.n_none || c.n_rare || c.moves;
    if (!rc && chosen)
        rc = write_both(&c, folder, err);
    rc = rc ? rc : put(p, &c, chosen, err);
    json_decref(c.count[TRAIN]), json_decref(c.count[VALID]);
    return rc;
}
