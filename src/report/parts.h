/* parts.h - what the documents of an evaluation share. */
#ifndef REPORT_PARTS_H
#define REPORT_PARTS_H
#include <stdbool.h>
#include "card/bits.h"
#include "card/doc.h"
#include "card/read.h"

/* ---- the tree ---- */

/* Appends the figures of results in lm-evaluation-harness's layout. */
void figures_of_tasks(struct doc *d, json_t *list, const json_t *results);
/* The figures of a file that count: a new list, to be json_decref'ed; NULL: no memory. */
json_t *figures_of_file(const json_t *report, size_t i_file);
json_t *figures_by_name(const json_t *figures);          /* lists by their names, in the order of the first: to be json_decref'ed; NULL: no memory */
const json_t *figures_worst(const json_t *list);         /* of those with 30 items or more, where there are such; NULL: none says what is better */
const json_t *figures_best(const json_t *list);
/* A file's kind; "" of one that could not be read. */
const char *file_kind(const json_t *file);
/* Was it stopped before its end?  "complete" is false at the top, in a part of it or an item of one, or in the "lathe" of results. */
bool was_stopped(const json_t *evidence);
/* The model that a figure or a file is of; NULL: none. */
const json_t *model_of(const json_t *report, const json_t *o);

/* ---- words ---- */

char *date_text(char out[40], double t);                 /* "2026-11-26 21:14 UTC"; "–" of what is no moment */
/* A value as people read it: 4 digits after the point, fewer of large ones; "–" where there is none. */
char *figure_text(char out[32], double v);
/* "0.4300 (0.3366 to 0.5288)", or without what is not known. */
char *figure_interval(char out[96], const json_t *figure);
bool figure_has_interval(const json_t *figure);
/* What is looked at in an evaluation: its word, what it answers, the kinds of evidence that are about it, and how it is had. */
struct topic { const char *id, *title, *kinds, *how; };
extern const struct topic topics[];                      /* ended by id NULL */
const struct topic *topic_of(const char *kind);          /* NULL: none */
bool topic_found(const json_t *report, const struct topic *t);
bool topic_missing(const json_t *report, const struct topic *t);      /* was not measured, and could have been of such a model */
/* Whether a figure is about one of the topics, kinds, "bias" or "energy" of a list with blanks between. */
bool figure_is_about(const json_t *f, const char *about);
const char *image_subject(const json_t *figure);         /* of a figure of kind images: the id of the topic that it is about */

/* ---- pieces of the page ---- */

/* All figures of a list of one file or kind: tables by name with the intervals drawn. */
int page_figures(const struct page *p, const json_t *figures);
int page_figures_folded(const struct page *p, const json_t *figures);     /* where a part has said it in a better form */
/* What a kind has beyond its figures: examples with their texts, tables, trees; folded.  but: names with spaces that were shown. */
int page_rest(const struct page *p, const json_t *evidence, const char *but);
/* Objects with texts: what is short in a line, the texts beside each other. */
int page_texts(const struct page *p, const json_t *list);
int page_calibration(const struct page *p, const json_t *calibration);
int page_tasks(const struct page *p, const json_t *report, size_t i_file);
int page_images(const struct page *p, const json_t *evidence, const json_t *figures);
int page_robustness(const struct page *p, const json_t *tasks);          /* "tasks" of kind robustness (eval/robust.h) */
int page_other_sets(const struct page *p, const json_t *ood);            /* sets by name: scores that tell them from a model's own */
int page_number_cell(const struct page *p, double v);                     /* as figure_text() has it */
int page_heat_cell(const struct page *p, double v, double clean);        /* the warmer, the more of clean is lost */
int page_verdict(const struct page *p, const json_t *evidence);          /* what a kind says in a sentence under that name */

#endif
