/* refset.h - evaluation sets that training data must not hold: their items, read once into memory.
 *
 *   jsonl       a line an item; members by name.  decon's reference files, GSM8K, LAMBADA, PIQA, HumanEval, SQuAD-like ones
 *   csv, tsv    a row an item; columns by name, or by number from 1, and then the first row is an item too
 *   mmlu        rows without a header: question, four choices, the letter of the right one, whose text is the answer
 *   lines       a line an item: its question
 *   hellaswag   six lines an item: context, number of the right ending, four endings; the right one is the answer
 * Packed as unpack.h reads it.  An item has a question, and perhaps an answer and a passage.  Which members these are is told, as names divided
 * by '+' whose texts are joined, or found: the first of well-known names that is there (question: question, Question, query, prompt,
 * problem, goal, instruction, input, ctx, text, sentence; answer: answer, Best Answer, solution, canonical_solution, target, output,
 * completion, response, sol1+sol2; passage: passage, context, article, story).  Numbers and true/false count as they are written.
 *
 * An item without a question is passed over and counted.  So is one whose fingerprint (decon's files have them) another item of
 * the same set has.  Anything else that is wrong is an error with file and line: a set that is half read protects half. */
#ifndef AUDIT_REFSET_H
#define AUDIT_REFSET_H
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define REF_FORMATS(X) X(JSONL, "jsonl") X(CSV, "csv") X(TSV, "tsv") X(MMLU, "mmlu") X(LINES, "lines") X(HELLASWAG, "hellaswag")
enum ref_format {
#define X(name, word) REF_##name,
    REF_FORMATS(X)
#undef X
    N_REF_FORMAT
};
const char *ref_format_name(enum ref_format f);
enum ref_format ref_format_find(const char *word);        /* N_REF_FORMAT when there is none */

/* What a caller tells of a set.  name NULL: the path's last part without its endings; a member eval_key of an item goes before
 * both.  format N_REF_FORMAT: by the path's name, and a table whose header holds no well-known name but an MMLU row is mmlu.
 * path: a file, or a folder, all of whose files are read, in byte order (those of folders in it too). */
struct ref_spec { const char *name, *path; enum ref_format format; const char *question, *answer, *passage; };

enum ref_part { REF_QUESTION, REF_ANSWER, REF_PASSAGE, N_REF_PART };
struct ref_text { uint64_t at; uint32_t n; };                           /* of refs.text; n 0: there is none */
struct ref_item { int32_t set, file; int64_t line; struct ref_text part[N_REF_PART]; };
struct ref_set { char *name; int64_t n_item, n_without, n_same; };      /* passed over: without a question, of a known fingerprint */
struct refs {
    struct ref_set *set; int n_set;
    struct ref_item *item; int64_t n_item, cap_item;                     /* in the order of the files */
    char **file; int n_file;
    struct buf text;
    uint64_t *seen; size_t n_seen, cap_seen;                             /* fingerprints, while reading */
};

#define REF_TEXT_MAX ((size_t)2 << 30)
#define REF_ITEM_MAX ((size_t)16 << 20)

void refs_init(struct refs *r);
void refs_release(struct refs *r);
int refs_add(struct refs *r, const struct ref_spec *spec, struct err *err);
const char *refs_text(const struct refs *r, int64_t item, enum ref_part part, size_t *n);

#endif
