/* keys.h - the file of keys that a server knows: a list, in YAML or JSON, of who may ask, and what.
 *
 *     - name: team-a
 *       sha256: "0f3c...64 digits"      of the key itself, which stands nowhere
 *       requests_per_minute: 60         limits (quota.h); absent: none
 *       requests_per_day: 10000
 *       tokens_per_minute: 60000
 *       tokens_per_day: 2000000
 *       parallel: 4                     texts at once
 *       priority: -5                    the most urgent that its requests may ask for, lower is sooner; 0 unless given
 *       models: [small]                 absent: all
 *       expires: 2027-01-01             or 2027-01-01T12:00:00Z; UTC
 *       keep_texts: true                they may stand in the audit log
 *       admin: true                     may promote and roll back releases (releases.h) and use the workshop (workshop.h); never the command line's one key
 *       tenant: team-a                  whose cache it uses; its own unless given, "shared": that of all who say so
 *
 * A file that others than its group may read, or others than its owner may write, or that belongs to another user, is refused. */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H
#include "base/hash.h"
#include "serve/quota.h"

#define KEY_NAME 65                          /* letters, digits, and . _ - ; with the NUL */
#define KEY_SECRET 71                        /* "lathe-" and 64 digits; with the NUL */
#define KEY_SHARED "shared"

struct key {
    char name[KEY_NAME], tenant[KEY_NAME];
    unsigned char sha256[SHA256_BYTES];
    struct quota quota;
    int priority;
    char **model; int n_model;               /* 0: all */
    double expires;                          /* seconds since 1970; 0: never */
    bool keep_text, admin;
};
struct key_file { struct key *key; int n; };

int keys_load(struct key_file *out, const char *path, struct err *err);
/* The same of a text; name leads its errors.  yaml: else JSON. */
int keys_parse(struct key_file *out, const char *text, size_t n, bool yaml, const char *name, struct err *err);
void keys_release(struct key_file *f);
void key_release(struct key *k);             /* what it owns */
void keys_digest(unsigned char sha256[SHA256_BYTES], const char *secret);
/* Makes a key, and appends its hash to the file (YAML), which is made when it is not there; those who do so at once wait for each other.
 * The secret is the caller's alone. */
int keys_add(const char *path, const char *name, char secret[KEY_SECRET], struct err *err);
#endif
