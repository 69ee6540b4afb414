/* workshop_project.h - a project of the workshop on disk: WORKSHOP/ID/project.json.
 *
 *   { id, name, created, actor, goal: texts | classes | images, file: of files/, a table, text, label: its columns, licence, base, base_path: what it goes on from, "" where that is nothing,
 *     kept, text_bytes: by the audit, train, valid: records or images of each, classes, recipe, version_name, reason, number: of the version, worker: who asked for what is done,
 *     step: files | look | train | register, state: idle | running | done | stopped | failed, message: why, for people }
 * A file is replaced as a whole.  Trees are the caller's.  Errors name the project. */
#ifndef SERVE_WORKSHOP_PROJECT_H
#define SERVE_WORKSHOP_PROJECT_H
#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"

#define PROJECT_ID 16                    /* "p1", "p2", ..; with the NUL */
bool project_id_ok(const char *id);
/* WORKSHOP/ID/NAME, to be freed; name NULL: the folder.  NULL without memory. */
char *project_path(const char *workshop, const char *id, const char *name);

int project_new(const char *workshop, const char *name, const char *actor, json_t **out, struct err *err);
int project_load(const char *workshop, const char *id, json_t **out, struct err *err);           /* ERR_NOTFOUND */
int project_save(const char *workshop, const json_t *p, struct err *err);
int project_remove(const char *workshop, const char *id, struct err *err);
/* All, the oldest first; one that cannot be read is { id, name: id, step: "files", state: "failed", message }. */
int project_list(const char *workshop, json_t **out, struct err *err);
/* What ran when the server went is stopped. */
int project_settle(const char *workshop, struct err *err);

int project_set(json_t *p, const char *key, json_t *value, struct err *err);     /* takes the value; NULL: no memory */
int project_state(json_t *p, const char *step, const char *state, const char *message, struct err *err);
#endif
