/* croissant_check.h - is a tree a Croissant document (0.8, 1.0, 1.1)?
 *
 * What is looked at: that it is a data set, types, what must be there, references, joins, arrays, ids and texts in several languages.  Terms
 * are read through the document's own @context, prefixes and @vocab; a context elsewhere is not fetched, and is an error. */
#ifndef CARD_CROISSANT_CHECK_H
#define CARD_CROISSANT_CHECK_H
#include <jansson.h>
#include "base/err.h"

/* The first thing that is wrong is told by its path: "m.json: distribution[0].encodingFormat: found nothing, expected a media type". */
int croissant_check(const json_t *doc, const char *where, struct err *err);

#endif
