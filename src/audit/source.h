/* source.h - where records come from: what a data.yaml or a command line names, down to the files.
 *
 *   sources:
 *     - name: stories                 letters, digits, . _ -; once
 *       path: corpus/stories          a file, or a folder: its files and those of its folders, in byte order of the names
 *       format: jsonl                 reader.h; not given: by each file's name
 *       field: body                   of jsonl, csv and tsv; text
 *       licence: CC-BY-4.0            an SPDX expression; not given: unknown
 *       origin, collected, purpose, language       sentences for the documents, the date as YYYY-MM-DD
 *       split: train                  what its records are for: a name; not given: none
 *       label, group, time            fields of jsonl, csv and tsv: a record's class, whom or what it belongs to, and its date
 * The label of an image in idx form is what the file beside it says whose name has labels for images and idx1 for idx3
 * (train-labels-idx1-ubyte for train-images-idx3-ubyte, packed or not); a source of such files and images alone then has the label `label`.
 * Files and folders whose names begin with a point, and files named LICENSE, LICENCE, COPYING, README or ..idx1-ubyte (labels of
 * images), are no records.  A path that is not there is an error before anything is read; what is in a folder and cannot be read (a link
 * to nothing or to a folder that holds it, a device, a name that is not UTF-8) is a file with a why.  Paths are relative to the
 * data.yaml. */
#ifndef AUDIT_SOURCE_H
#define AUDIT_SOURCE_H
#include <stdbool.h>
#include "audit/reader.h"

/* What is said of a record beside its text, by a field of its own. */
#define RECORD_MARKS(X) X(LABEL, "label") X(GROUP, "group") X(TIME, "time")
enum record_mark {
#define X(name, word) MARK_##name,
    RECORD_MARKS(X)
#undef X
    N_MARK
};

struct source { char *name, *path, *field, *licence, *origin, *collected, *purpose, *language, *split, *mark[N_MARK]; enum record_format format; };     /* N_RECORD_FORMAT: by name */
struct source_file { char *path; int source; enum record_format format; uint64_t bytes; int64_t mtime_ns; char *why; uint64_t label_bytes; int64_t label_mtime_ns; };      /* why it cannot be read, or NULL; of the labels beside it, 0: none */
struct sources { struct source *source; int n; struct source_file *file; int n_file, cap_file; uint64_t n_bytes; };

/* A split is a folder of a build: a name that does not begin with a point. */
bool source_split_good(const char *name);

/* A path ends in .yaml or .yml: a data.yaml; else a source named as its last part.  sources_release in any case. */
int sources_add(struct sources *s, const char *path, struct err *err);
void sources_release(struct sources *s);
/* The file of labels beside one of images in idx form, mem_alloc'ed; NULL where there is none. */
int source_idx_labels(const char *images, char **labels, struct err *err);
/* ERR_USAGE where what is written into dir would lie in a source. */
int sources_keep_out(const struct sources *s, const char *dir, struct err *err);

#endif
