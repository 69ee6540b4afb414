/* audit.h - `lathe data audit`: every record of all sources is read once, what it is stored (store.h), then stages over all of them say
 * what is wrong, and a report tells (report.json).
 *
 * The same input and options give the same bytes in the folder, whatever the threads and however often the audit was stopped in between. */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H
#include <jansson.h>
#include <stdbool.h>
#include "audit/contam.h"
#include "audit/minhash.h"
#include "audit/policy.h"
#include "audit/rules.h"
#include "audit/pii.h"
#include "audit/secret.h"
#include "audit/source.h"
#include "base/pool.h"

/* A model that makes vectors of texts; whoever audits passes one in, as what runs models lies above.  By the thread of audit_run alone. */
struct audit_embedder {
    const char *name; int d;
    int (*embed)(void *ctx, const char *text, size_t n, float *out, struct err *err);      /* out[d] */
    void *ctx;
};

struct audit_opts {
    const char *dir;                     /* where the audit is kept */
    struct pool *pool;
    size_t record_max; double ratio;     /* 0: reader.h */
    int signals;                         /* enum signal_group: what is counted in each text, 0 for nothing */
    const struct rules_policy *rules;    /* what drops a record beside the policy, and limits; NULL: nothing, and those of rules.def */
    bool fresh;                          /* what the folder holds of another audit is removed */
    uint64_t segment_bytes;              /* 0: store.h; for tests */
    const struct contam *contam;         /* NULL, or the evaluation sets that are looked for; contamination.jsonl has a line of each item */
    const struct policy *policy;         /* NULL: none, and then no gate; its thresholds and limits change no stored byte */
    const char *override;                /* why the data are used though the gate says no, or NULL */
    const struct pii *pii;               /* NULL, or what finds personal data; pii_score: what has less is not counted, 0: pii.h */
    int pii_score;
    const struct secrets *secrets;       /* NULL, or the rules of secrets that are looked for */
    const char *groups;                  /* NULL, or a file of terms of groups (groups.h) */
    const struct audit_embedder *embedder;      /* NULL, or whose vectors of labelled texts are searched for those that pull a class (spectral.h) */
    bool records;                        /* records.jsonl: a line of each record and its verdict */
    struct minhash_opts minhash;         /* of near duplicates; 0: MINHASH_DATATROVE */
    double near_least;                   /* their least similarity (dup.h); 0: as datatrove */
    bool keep_duplicates;                /* they are told and not dropped */
    const char *index, *index_from, *index_add;      /* earlier data's folder (dup_index.h), which may be missing only where this data is added; which of it, divided by commas (NULL: all); the name that this data gets there; NULL: none */
    /* Between rounds of the pass, bytes of the files so far, and before each stage with what it does.  May end the audit with an error:
     * ERR_STOPPED for a stop, after which the same call goes on. */
    int (*progress)(void *ctx, uint64_t bytes, const char *stage, struct err *err);
    void *ctx;
};
/* The report (doc/data-audit.md) is written to DIR/report.json and given to the caller. */
int audit_run(const struct sources *s, const struct audit_opts *o, json_t **report, struct err *err);

#endif
