/* evidence.h - what an audit's report says to a question: plain sentences, nothing where it says nothing. */
#ifndef CARD_EVIDENCE_H
#define CARD_EVIDENCE_H
#include "card/parts.h"

#define EVIDENCES(X)                                                                                                                                              \
    X(purposes) X(kinds) X(counts) X(fields) X(labels) X(missing) X(splits) X(errors) X(contained) X(secrets) X(groups) X(personal) X(origins) X(times) X(cleaning) \
    X(raw) X(software) X(limits) X(forbidden) X(licences) X(duties)
#define X(name) int evidence_##name(const struct card *c, struct buf *out, struct err *err);
EVIDENCES(X)
#undef X
/* Of the report's pii or secrets: that expressions were given up; nothing where none was. */
int evidence_given_up(const json_t *part, struct buf *out, struct err *err);

#endif
