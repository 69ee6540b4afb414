/* page_parts.h - the parts of the page: each writes what the report has under one name, below its title. */
#ifndef CARD_PAGE_PARTS_H
#define CARD_PAGE_PARTS_H
#include "card/bits.h"
#include "card/parts.h"

#define PAGE_PARTS(X) X(records) X(gate) X(sources) X(rules) X(languages) X(signals) X(duplicates) X(contamination) X(leakage) X(pii) X(secrets) X(licences) X(labels) X(groups) X(poison) X(faults) X(tree)
#define X(name) int part_##name(const struct page *p, const json_t *part, const struct card *c);
PAGE_PARTS(X)
#undef X

#endif
