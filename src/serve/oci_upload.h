/* oci_upload.h - blobs on their way into a registry: files beside its blobs that grow until they are whole, have their digest and become one.
 *
 * They are in FOLDER/oci/uploads/SERVER/, which the server holds (file_lock): what one that was killed left is removed by the next one.  One thread, but for upload_finish(). */
#ifndef SERVE_OCI_UPLOAD_H
#define SERVE_OCI_UPLOAD_H
#include "base/err.h"
#include "store/registry.h"

enum { UPLOADS_MAX = 100, UPLOAD_ID = 33 };
#define UPLOAD_S 3600            /* without a byte until it is gone */

struct uploads;
struct upload;
int uploads_new(struct uploads **out, const char *folder, struct err *err);
void uploads_free(struct uploads *u);                    /* with all uploads that are in it; NULL is fine */
/* ERR_BUSY: there are too many.  whole: its bytes come with the request that begins it, whose client knows no other way to it. */
int upload_begin(struct uploads *u, const char *name, bool whole, struct upload **out, struct err *err);
struct upload *upload_find(struct uploads *u, const char *name, const char *id);       /* NULL: there is none */
const char *upload_id(const struct upload *p);
uint64_t upload_size(const struct upload *p);
/* For the one request that brings bytes, in whose *at it is then; an earlier one loses it, as its client may be long gone.  False: bytes of it are missing.  An upload that is held stays. */
bool upload_hold(struct upload *p, struct upload **at);
void upload_drop(struct upload **at);                    /* *at: NULL is fine, here and below */
/* The request is over: one that comes whole, and is not taken, is cancelled. */
void upload_over(struct uploads *u, struct upload **at);
/* The next bytes, as http_take_pieces() gives them: ctx is that place. */
int upload_piece(void *ctx, const char *data, size_t n, const char **message);
/* Out of its uploads: it is the caller's, for upload_finish() or upload_cancel(). */
void upload_take(struct uploads *u, struct upload *p);
/* It becomes the blob sha256 of a registry's folder.  ERR_CORRUPT: its digest is another.  It is gone, whatever happens.  Any thread. */
int upload_finish(struct upload *p, const char *folder, const char *sha256, struct err *err);
void upload_cancel(struct upload *p);

#endif
