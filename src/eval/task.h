/* task.h - benchmark tasks: the YAML of lm-evaluation-harness read as it is, over files that the user has.
 *
 * A task is opened by its name (one built in, or one of a folder of task files) or by the path of a YAML file.  It reads the documents of
 * its splits, and makes of each document, an item, the requests that lm-evaluation-harness 0.4 makes of it, byte for byte: prompts by
 * Jinja, few-shot examples drawn as Python's random draws them.  What the model replies it makes values of, one for each metric.
 * doc/tasks.md says which keys are read; a key, filter or function that is not is an error that names it with its line.
 *
 * An item that cannot be asked or scored (a field is missing, a label out of range) is that item's error; it never stops a run.
 * A task is not changed after task_open: any threads may ask it.  Numbers of items are below task_n_item. */
#ifndef EVAL_TASK_H
#define EVAL_TASK_H
#include <jansson.h>
#include "base/buf.h"
#include "base/err.h"
#include "eval/request.h"

/* Renders messages ([{role, content}, ...]) as the model's chat template does.  continues: the last message is the beginning of the
 * assistant's answer, and is left open; else the template's opening of an answer follows. */
typedef int (*task_chat)(void *user, const json_t *messages, bool continues, struct buf *out, struct err *err);

/* Where the documents of a task are: of all its splits where split is NULL or "" (a file is then that of the split that is evaluated). */
struct task_file { const char *task, *split, *path; };

struct task_opts {
    const char *data_dir;                        /* where files with the usual names lie (doc/tasks.md); NULL: nowhere */
    const struct task_file *file; int n_file;    /* looked at before data_dir */
    const char *const *task_dir; int n_task_dir; /* folders of task files, looked at before what is built in */
    int num_fewshot;                             /* -1: what the task says; one that says 0 keeps to it, as in lm-evaluation-harness */
    int64_t limit;                               /* the first so many items; 0: all */
    uint32_t seed;                               /* of the few-shot draws; lm-evaluation-harness: TASK_SEED */
    task_chat chat; void *chat_user;             /* NULL: prompts are plain texts */
    const char *system;                          /* goes before the task's description; NULL: none */
    bool single_turn;                            /* with chat: few-shot examples in one message of the user, and not as turns */
};
#define TASK_SEED 1234
#define TASK_OPTS { .num_fewshot = -1, .seed = TASK_SEED }

/* How the values of the items become a score.  word in task files and results; what `values` and `weights` of an item are */
#define TASK_AGGREGATES(X)                                                                        \
    X(MEAN, "mean")                          /* sum v / n */                                     \
    X(NANMEAN, "nanmean")                    /* the same: items without a value never count */   \
    X(MEDIAN, "median")                      /* sorted(v)[n / 2] */                              \
    X(PERPLEXITY, "perplexity")              /* exp(-mean v), v: log-likelihood */               \
    X(WEIGHTED_PERPLEXITY, "weighted_perplexity")     /* exp(-sum v / sum w), v: log-likelihood, w: words or bytes */ \
    X(BITS_PER_BYTE, "bits_per_byte")        /* -sum v / sum w / ln 2 */                         \
    X(BRIER, "brier_score")                  /* mean v, v: the sum over classes */               \
    X(F1, "f1")                              /* binary F1 of class 1, v: gold, w: predicted */    \
    X(MCC, "matthews_corrcoef")              /* Matthews' correlation, v: gold, w: predicted */   \
    X(BBQ_AMBIG, "bbq_amb")                  /* (1 - sum right / n) * (2 sum v / sum u - 1), v: the answer is the biased one, w: u + 2 right, u: it is not "unknown" */ \
    X(BBQ_DISAMBIG, "bbq_disamb")            /* 2 sum v / sum u - 1 (Parrish et al. 2022, s_DIS); as there both are 0 where no answer is biased */
enum task_aggregate {
#define X(name, word) TASK_##name,
    TASK_AGGREGATES(X)
#undef X
    N_TASK_AGGREGATE
};
const char *task_aggregate_word(enum task_aggregate a);

/* name, filter: as in "acc,none" of results.  own: one that lm-evaluation-harness does not have (extraction_failed: the share of answers
 * that no filter found anything in), for a place beside its results. */
struct task_metric { const char *name, *filter; enum task_aggregate aggregate; bool higher_is_better, own; };
struct task_value { double v, w; };              /* v NAN: the item does not count; w: 1, or what the aggregate says */

struct task;
int  task_open(struct task **out, const char *name_or_path, const struct task_opts *o, struct err *err);
void task_free(struct task *t);

const char *task_name(const struct task *t);
const char *task_alias(const struct task *t);    /* the name where there is none */
const char *task_version(const struct task *t);  /* metadata.version as text, "Yaml" where there is none */
int         task_fewshot(const struct task *t);
const json_t *task_config(const struct task *t); /* as read, includes merged: for `configs` of results */
const char *task_data_name(const struct task *t);/* the file of the evaluated split */
const char *task_data_sha256(const struct task *t);        /* of its bytes as they lie on the disk; of several files a chain of theirs, SHA-256 of the one before and the file's */
bool        task_data_has(const struct task *t, const char *sha256);     /* is it the digest of one of its files? */
int64_t     task_n_item(const struct task *t);
int64_t     task_n_document(const struct task *t);             /* all that there are: of them task_opts' limit leaves the items */
/* What the label of an item is worth knowing for: the choices of multiple_choice (0 for others) and which of them is right (-1: several,
 * none, or out of range). */
int         task_n_choice(const struct task *t, int64_t item);
int         task_gold(const struct task *t, int64_t item);
/* Items of one cluster (a passage, a question in two forms) are not independent: standard errors are over clusters.  A number below
 * task_n_item, or -1 where each item stands for itself.  By the field, or the fields together, that metadata.cluster of the task names. */
int64_t     task_cluster(const struct task *t, int64_t item);
const json_t *task_doc(const struct task *t, int64_t item);          /* as the prompts saw it; where there is none, a string that says why */
const char *task_doc_place(const struct task *t, int64_t item, char *out, size_t n);      /* "FILE:LINE", in out */

/* The requests of an item, their number returned; texts and struct are the task's.  Negative: the item cannot be asked, and why. */
int  task_requests(const struct task *t, int64_t item, const struct request **out, struct err *err);

void task_metrics(const struct task *t, const struct task_metric **out, int *n);
/* A value for each metric, of the replies to the item's requests in their order.  Negative: the item failed, and why; values are then
 * those that count all the same (a label out of range is a wrong answer, as there), else NAN. */
int  task_score(const struct task *t, int64_t item, const struct reply *replies, int n, struct task_value *values, struct err *err);
/* The score of n items' values of one metric (stride: values[i * stride]), those with NAN left out; NAN where none is left.  of: which
 * items (NULL: 0 to n - 1), as a bootstrap draws them. */
double task_score_all(enum task_aggregate a, const struct task_value *values, size_t stride, const int64_t *of, int64_t n);

/* For a line of samples: {"doc", "target", "filtered_resps": {filter: answer, ...}}; *out is the caller's. */
int  task_sample(const struct task *t, int64_t item, const struct reply *replies, int n, json_t **out, struct err *err);

/* ---- a task asked in another form ---- */

/* What is other about the requests; documents, which of them are asked, and scores stay. */
struct task_form {
    /* Appends what stands in place of a question, which is what doc_to_text gives of a document: n bytes, of_doc[i] 1 where byte i came from the
     * document, else 0 (the task's own words).  item -1: of an example.  NULL: questions are as they are. */
    int (*question)(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err);
    void *ctx;
    bool examples;                               /* question() is for those of examples too */
    const char *const *label; int n_label;       /* stand for doc_to_choice's, in examples too; NULL: those of the task */
    uint64_t option_key, example_key;            /* not 0: the options that a question lists, or the examples before it, are in another order, by (key, item) */
};
/* The same task in that form; t stays open for as long as it, and f->ctx until this returns.  name: its own.  ERR_UNSUPPORTED: it does not apply to such
 * a task, and why. */
int task_in_form(struct task **out, const struct task *t, const char *name, const struct task_form *f, const struct task_opts *o, struct err *err);
/* The labels of its choices where they are letters, the same for all documents, one for each of the options that the question lists; NULL: they are not. */
const json_t *task_letters(const struct task *t);
/* of[k]: which of the document's options stands at place k, for k < task_n_choice; k itself but with an option_key. */
void task_option_order(const struct task *t, int64_t item, int *of);
/* The names of the fields of documents that doc_to_text reads, an array: a new reference, NULL without memory. */
json_t *task_text_fields(const struct task *t);

/* ---- several tasks by one name ---- */

struct task_group_metric { char *metric, **filter; int n_filter; bool weight_by_size; };      /* n_filter 0: all that the tasks have */
struct task_group { char *name, *alias, *version; struct task_group_metric *metric; int n_metric; int *task; int n_task; int parent; };     /* task: indices into tasks; parent: a group, or -1 */
struct task_missing { char *name; struct err why; };
/* zeroed by the caller.  missing: tasks of a group or tag whose files are not there, left out and to be told. */
struct task_list { struct task **task; int n_task; struct task_group *group; int n_group; struct task_missing *missing; int n_missing; json_t *index; };
/* Adds what a name stands for: a task, a group or a tag of tasks, the path of a task file or of a group's.  A task that is there already
 * is not opened again.  ERR_NOTFOUND where the name is not known, or no file of any of its tasks is there. */
int  task_list_add(struct task_list *l, const char *name, const struct task_opts *o, struct err *err);
void task_list_release(struct task_list *l);
/* Closes the tasks without keep[i].  A group that loses one has no score of its own any more. */
void task_list_keep(struct task_list *l, const bool *keep);
/* An array of the names of all tasks and groups: what is built in (of families their groups alone), then what the folders of task files have. */
int  task_names(json_t **out, struct task_list *l, const struct task_opts *o, struct err *err);
/* `metadata` of a task's or group's file, no data looked at; an empty object where it has none.  ERR_NOTFOUND: there is no such name. */
int  task_metadata(json_t **out, struct task_list *l, const char *name, const struct task_opts *o, struct err *err);
/* The names of what is built in, groups first; description: a sentence each.  NULL at the end. */
struct task_builtin { const char *name, *description; };
const struct task_builtin *task_builtins(void);
#endif
