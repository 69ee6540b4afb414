/* store.h - what an audit's pass leaves on the disk: a row of each record, in the order of the input.
 *
 *   OUT/plan.json            what was read and how; a folder holds one plan's
 *   OUT/segments/000000      the rows of some 8 MiB of text as columns (sections.def), and which files ended there
 *   OUT/lock                 held while an audit writes
 * A segment appears whole (written aside, flushed, renamed; its hash at its end), so an audit that was stopped goes on behind the last
 * one.  Which records share a segment depends on the input alone.  Numbers are little-endian.  One thread. */
#ifndef AUDIT_STORE_H
#define AUDIT_STORE_H
#include <jansson.h>
#include "audit/contam.h"
#include "audit/pass.h"
#include "audit/pieces.h"
#include "base/file.h"

enum section {
#define SECTION(name, type, how, doc) SECTION_##name,
#include "audit/sections.def"
#undef SECTION
    N_SECTION
};

/* number: in its file; line from 1; n_text: bytes of its text, 0 with a fault (extract.h). */
struct record_place { uint64_t at; int64_t line, number; uint64_t n_raw, n_text; uint32_t file, fault; unsigned char sha256[SHA256_BYTES]; };

/* spot.h's, as it is kept; the last of a record, with score 0 and KEPT_GIVEN_UP: in n places an expression was given up (patterns.h). */
#define KEPT_GIVEN_UP UINT16_MAX
struct kept_spot { uint32_t at, n; uint16_t kind; uint8_t score, zero; };

/* What a record leaves: elements, borrowed. */
struct row { struct { const void *p; size_t n; } of[N_SECTION]; };
int row_pack(struct buf *out, const struct row *r, struct err *err);      /* appends it as store_put takes it */

/* Records first, first + 1, ... of the whole input. */
struct segment { struct file_map map; json_t *end; int64_t first; int n; const void *data[N_SECTION]; const uint32_t *until[N_SECTION]; size_t n_data[N_SECTION]; };

struct store {
    char *dir;
    int lock;
    json_t *plan;
    int n_segment; bool done;
    int64_t n_record;
    int file; int64_t record;        /* where the pass goes on */
    uint64_t segment_bytes;          /* of text; may be set before the first row */
    struct {
        struct buf data[N_SECTION], until[N_SECTION];
        json_t *ended;
        int n; uint64_t bytes;
    } next;                          /* the segment that is being filled */
};

/* For an audit by this plan: a new folder, or one where the same plan was begun or done.  ERR_USAGE with the first difference where it
 * holds another's.  fresh: what an audit left there is removed.  store_close in any case. */
int store_open(struct store *s, const char *dir, const json_t *plan, bool fresh, struct err *err);
/* What a finished audit left; ERR_USAGE where none is, or none that was finished. */
int store_read(struct store *s, const char *dir, struct err *err);
void store_close(struct store *s);

/* Rows of a block, packed; `next` is the file's first record behind it (pass.h). */
int store_put(struct store *s, int file, int64_t next, const struct buf *rows, struct err *err);
int store_ended(struct store *s, const struct pass_file *f, struct err *err);
int store_finish(struct store *s, struct err *err);

/* Segment i, mapped.  ERR_CORRUPT where it is not what was written. */
int store_segment(const struct store *s, int i, struct segment *out, struct err *err);
void segment_release(struct segment *g);
/* The elements of record i < g->n. */
static inline const void *segment_row(const struct segment *g, enum section k, size_t element, int i, size_t *n)
{
    const size_t from = g->until[k] ? (i ? g->until[k][i - 1] : 0) : (size_t)i, to = g->until[k] ? g->until[k][i] : (size_t)i + 1;
    *n = g->n_data[k] ? to - from : 0;
    return (const char *)g->data[k] + (g->n_data[k] ? from * element : 0);
}
#define SEGMENT_ROW(g, name, type, i, n) ((const type *)segment_row(g, SECTION_##name, sizeof(type), i, n))
static inline const struct record_place *segment_place(const struct segment *g, int i) { return (const struct record_place *)g->data[SECTION_place] + i; }

#endif
