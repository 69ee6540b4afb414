/* task_impl.h - inside a task: what its YAML says, made ready.  Internal to eval/task_*.c.
 *
 *   task_yaml     text -> keys with places          task_read    keys -> struct task
 *   task_data     files -> documents of a split     task_functions   the functions of tasks that are known by name
 *   task_field    a field of a document             task_prompt  documents -> requests
 *   task_filter   what was generated -> answers     task_score   replies -> values                 task_list   groups and tags
 *   task_form     the same task asked otherwise */
#ifndef EVAL_TASK_IMPL_H
#define EVAL_TASK_IMPL_H
#include "base/hash.h"
#include "base/pyre.h"
#include "eval/task.h"
#include "eval/task_yaml.h"
#include "model/jinja.h"

/* ---- documents ---- */

/* Documents of a split, in the order of its file; line[i]: where document i begins (0: unknown), of file[i_file[i]] where there are several. */
struct docs { char *split; json_t *list; int *line; int *i_file; char **file; char (*digest)[SHA256_HEX]; int n_file; char sha256[SHA256_HEX]; };      /* digest: of each file; sha256: of all */
void docs_release(struct docs *d);
int  docs_place(const struct docs *d, int64_t i, char *out, size_t n);

/* What is known of the data sets that tasks name, and how their files become documents (task_data.def). */
struct data_request {
    const char *task, *path, *name;      /* dataset_path and dataset_name, or NULL */
    const json_t *kwargs;                /* dataset_kwargs, or NULL */
    const char *folder;                  /* of the task's file; NULL: built in */
    const char *split, *main_split;      /* wanted; the one that is evaluated */
    const struct task_opts *opts;
};
int data_load(struct docs *out, const struct data_request *q, struct err *err);

/* ---- fields: doc_to_text and the like ---- */

enum field_kind { FIELD_NONE, FIELD_INT, FIELD_TEXT, FIELD_LIST };
/* TEXT: the name of a column where documents have one of that name, else a template; jinja: NULL where it does not parse (a column then). */
struct field { enum field_kind kind; bool raw, is_template; int64_t i; const char *text; struct jinja *jinja; struct err why; const json_t *list; };
enum field_as { AS_TEXT, AS_TARGET, AS_CHOICES, AS_STRING };       /* AS_STRING: description and gen_prefix */
int  field_read(struct field *f, const json_t *v, const char *at, struct err *err);
int  field_template(struct field *f, const char *text, bool raw, const char *at, struct err *err);      /* raw: text, whatever it looks like */
void field_release(struct field *f);
/* A new reference: a string, whole number or list, as lm-evaluation-harness' doc_to_text, doc_to_target and doc_to_choice give it.  columns:
 * the names that count as columns.  has_choices: the task has doc_to_choice. */
int  field_get(const struct field *f, enum field_as as, const json_t *doc, const json_t *columns, bool has_choices, json_t **out, struct err *err);
/* What it gives as text, each byte marked where it comes from the document.  ERR_FORMAT: it gives something else. */
int  field_marked(const struct field *f, const json_t *doc, const json_t *columns, struct jinja_text *out, struct err *err);
int  template_parse(struct jinja **out, const char *text, const char *name, struct err *err);
int  template_text(const struct jinja *j, const json_t *doc, struct buf *out, struct err *err);
/* Python's ast.literal_eval of lists, tuples, dictionaries, strings, numbers, True, False and None; tuples become lists. */
int  literal_parse(json_t **out, const char *s, size_t n, struct err *err);

/* ---- functions that are known (task_functions.def) ---- */

enum process_results { RESULTS_OWN, RESULTS_TRUTHFULQA_MC2, RESULTS_CROWS_PAIRS, RESULTS_WIKITEXT, RESULTS_BBQ };
bool words_have(const char *words, const char *word);        /* a word of several with | between them */
/* The template that stands for `!function module.name` as a field of a task over this data set, or NULL. */
const char *function_field(const char *name, const char *dataset_path, bool *raw);
bool function_results(const char *name, const char *dataset_path, enum process_results *out);
bool function_aggregate(const char *name, const char *dataset_path, enum task_aggregate *out);
/* process_docs: columns that documents get, and conditions (name NULL) that they must meet; then what is done to each by a function here.  find: 0 where the name is not known. */
struct docs_column { const char *name; bool raw; struct jinja *jinja; };
struct process_docs { struct docs_column column[4]; int n; int (*native)(json_t *doc, struct err *err); };
int  process_docs_find(struct process_docs *p, const char *name, const char *dataset_path, struct err *err);
int  process_docs_run(const struct process_docs *p, struct docs *d, struct err *err);
void process_docs_release(struct process_docs *p);

/* ---- BBQ (task_bbq.c) ---- */

/* process_docs of lm-evaluation-harness' bbq: biased_answers and ans0_groups to ans2_groups are added. */
int  bbq_process(json_t *doc, struct err *err);
bool bbq_is_unknown(const char *answer);
/* A metric's value where `choice` is chosen of those in `choices` and gold is right: v NAN where the document is not of its context or category. */
struct metric;
struct task_value bbq_value(const struct metric *m, const json_t *doc, const json_t *choices, int choice, int gold);

/* ---- what is done to answers ---- */

enum filter_kind { FILTER_TAKE_FIRST, FILTER_TAKE_K, FILTER_MAJORITY, FILTER_REGEX, FILTER_STRIP, FILTER_LOWER, FILTER_UPPER, FILTER_MAP, FILTER_CHOICE_REGEX,
                   FILTER_MAP_REGEX, FILTER_WORD_SORT, FILTER_PROMPT };
struct filter {
    enum filter_kind kind;
    int k, group_select;
    bool ignore_case, ignore_punctuation, choices_of_text;
    struct pyre *re, **ignore, **map_re;
    int n_ignore, n_map;
    const char *fallback;
    const json_t *map, *otherwise;
    const char *cut;                       /* PROMPT: the document's prompt goes before; the answer ends before this, or NULL */
};
struct filters { char *name; struct filter *f; int n; bool extracts; };
/* One of filter_list, whose place is at path. */
int  filters_read(struct filters *out, const json_t *one, const struct task_yaml *y, const char *path, const char *dataset_path, struct err *err);
int  pyres_read(struct pyre ***out, int *n, const json_t *list, const char *at, struct err *err);      /* a string or a list of them */
void pyres_free(struct pyre **p, int n);
void filters_release(struct filters *f);
/* The answers to the repeats of one item (a list of strings) become what the metrics see: a new reference, a string, a list or, of a map,
 * any value.  *failed: an extraction found nothing. */
int  filters_run(const struct filters *f, const json_t *answers, const json_t *doc, json_t **out, bool *failed, struct err *err);

/* ---- metrics ---- */

enum metric_kind {
    METRIC_ACC, METRIC_ACC_NORM, METRIC_ACC_BYTES, METRIC_ACC_TOKEN, METRIC_ACC_MUTUAL_INFO, METRIC_EXACT_MATCH, METRIC_BRIER, METRIC_LIKELIHOOD, METRIC_F1, METRIC_MCC,
    METRIC_PERPLEXITY, METRIC_WORD_PERPLEXITY, METRIC_BYTE_PERPLEXITY, METRIC_BITS_PER_BYTE, METRIC_LIKELIHOOD_DIFF, METRIC_PCT_STEREOTYPE,
    METRIC_BBQ_ACC_AMBIG, METRIC_BBQ_ACC_DISAMBIG, METRIC_BBQ_AMBIG, METRIC_BBQ_DISAMBIG, METRIC_BBQ_UNKNOWN_AMBIG, METRIC_BBQ_UNKNOWN_DISAMBIG, METRIC_UNSCORED
};
/* UNSCORED: what only running the answers tells (pass@k): no value; the answers are in the samples. */
struct metric { enum metric_kind kind; char *name; enum task_aggregate aggregate; bool higher_is_better, ignore_case, ignore_punctuation, ignore_numbers; struct pyre **ignore; int n_ignore; };

enum output_type { OUT_LOGLIKELIHOOD, OUT_ROLLING, OUT_CHOICE, OUT_GENERATE };
struct shot_fields { struct field text, target, choice, prefix; const char *target_delimiter, *delimiter; };

struct item {
    struct request *request;
    int n_request, n_choice, gold;      /* gold: n_choice > 0; -1 as task_gold says */
    int64_t cluster;
    json_t *choices, *target;           /* as the scores need them */
    char *memory;                       /* of the requests' texts */
    struct err *why;                    /* it cannot be asked */
};

struct task {
    struct task_yaml yaml;
    char *file;                         /* of the YAML, or NULL: built in */
    char *name, *version;
    const char *alias;
    enum output_type output;
    const char *dataset_path, *dataset_name, *split_main, *split_shot;
    const char *split_train, *split_valid, *split_test;
    struct process_docs process;
    enum process_results results;
    struct field text, target, choice, description, prefix;
    const char *target_delimiter, *delimiter;
    struct shot_fields shot;
    bool first_n;
    const json_t *samples;              /* fewshot_config.samples, or NULL */
    int n_shot, repeats;
    struct request_generation generation;
    struct filters *filters; int n_filters;
    struct metric *metric; int n_metric;
    struct task_metric *score; int n_score;      /* of each pipeline of filters each metric, and extraction_failed where it extracts */
    const json_t *cluster_field;        /* metadata.cluster: a name, or a list of names */

    struct docs docs, shots;            /* shots.list borrowed from docs where they are one */
    const json_t *shot_list;            /* what examples are drawn from: borrowed */
    json_t *columns;                    /* names of the documents' columns */
    bool multiple_input, multiple_target;
    struct item *item; int64_t n_item;
    bool changed;                       /* by a group: it is not what its name alone gives */
    const struct task *base;            /* of a form: whose all but the name, items and these are */
    struct task_form form; const char *options;      /* the list of documents that option_key is about */
};

/* ---- names ---- */

/* A task file by its name: built in (path NULL, the text as it is compiled in, made for this name), or on the disk. */
struct task_source { char *path, *text; size_t n; };
void task_source_release(struct task_source *s);
/* What the folders of task files hold: {"task": {name: path}, "group": {name: path}, "tag": {name: [path, ...]}}. */
int  task_index_make(json_t **out, const struct task_opts *o, struct err *err);
/* 1: found; 0: there is no such task or group.  name may be a path. */
int  task_source_find(struct task_source *s, const char *name, const json_t *index, struct err *err);
int  task_source_parse(const struct task_source *s, struct task_yaml *y, struct err *err);
int  task_open_source(struct task **out, const struct task_source *s, const json_t *overrides, const struct task_opts *o, struct err *err);
/* The text of what is built in by this name, made for it; NULL: nothing is.  For mem_free. */
int  task_builtin_text(const char *name, char **text, size_t *n, struct err *err);

int task_read(struct task *t, const struct task_opts *o, struct err *err);          /* from t->yaml */
int task_prompts(struct task *t, const struct task_opts *o, struct err *err);       /* from the documents to items */

/* ---- forms (task_form.c); of a task that has none they change nothing ---- */

int  form_question(const struct task *t, const struct field *f, int64_t item, const json_t *doc, json_t **q, struct err *err);      /* *q: as field_get gave it */
int  form_choices(const struct task *t, json_t **choices, struct err *err);
int  form_target(const struct task *t, int64_t item, const json_t *choices, json_t **target, struct err *err);      /* choices: before form_choices() */
void form_examples(const struct task *t, int64_t item, int64_t *pick, int n);

int py_case(const char *s, size_t n, bool upper, struct buf *out, struct err *err);      /* str.lower or str.upper, appended */
bool py_space(uint32_t c);
size_t py_strip(const char **s, size_t n);      /* without white space at both ends; the bytes left */
size_t py_chars(const char *s, size_t n);       /* characters */
#endif
