/* record.h - what a stage was run with and what came of it, OUT/STAGE/stage.json; and whether it has to be run again.
 *
 *   {"argv": [..], "inputs": {PATH or "$(STAGE)": digest, ..}, "output": digest of what it left and printed, "made": [paths elsewhere that its options had it write],
 *    "state": "running" | "done" | "refused" | "failed" | "stopped", "exit", "began", "ended", "seconds", "program"}
 * Inputs are the files and folders that the stage's texts name, and those that a YAML or JSON file among them names in turn (flow_paths), each with its digest (digests.h).  One thread. */
#ifndef FLOW_RECORD_H
#define FLOW_RECORD_H
#include "flow/digests.h"
#include "flow/flow.h"

/* What a stage would be run with now: {"argv", "inputs"}. */
int record_wanted(json_t **out, const struct flow *f, const struct flow_stage *s, struct digests *d, struct err *err);
/* The record that is there; *out NULL: none, or one that cannot be read. */
int record_load(json_t **out, const struct flow_stage *s, struct err *err);
int record_save(const json_t *record, const struct flow_stage *s, struct err *err);
int record_output(const struct flow_stage *s, struct digests *d, char hex[SHA256_HEX], struct err *err);

/* What options of its have it write outside of all stages' folders and is there: others may write there too, so that it is known by its being there alone. */
int record_made(json_t **out, const struct flow *f, const struct flow_stage *s, struct err *err);

enum record_why { RECORD_SAME, RECORD_NEW, RECORD_UNFINISHED, RECORD_ARGV, RECORD_INPUT, RECORD_OUTPUT };
/* Why it has to be run: b gets a few words.  before may be NULL.  RECORD_UNFINISHED: with the same, so that it can go on from what is there. */
int record_compare(enum record_why *why, struct buf *b, const json_t *before, const json_t *wanted, const struct flow_stage *s, struct digests *d, struct err *err);

#endif
