/* workshop_images.h - images that an audit kept, as folders to learn from and to be judged by.
 *
 * FOLDER/images/train/CLASS/NUMBER-NAME and images/valid/CLASS/..: links to the files of FOLDER/files that life.run/audit/out/records.jsonl calls kept.  Of each class a tenth, one at least, is
 * held out: those with the lowest SHA-256 of their names, so that the same files give the same folders. */
#ifndef SERVE_WORKSHOP_IMAGES_H
#define SERVE_WORKSHOP_IMAGES_H
#include <jansson.h>
#include "base/err.h"

#define IMAGES_LEAST 5                   /* of a class */
/* Sets p's train, valid and classes.  ERR_FORMAT: fewer than two classes, or too few images of one. */
int workshop_images(const char *folder, json_t *p, struct err *err);
#endif
