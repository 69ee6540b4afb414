/* secret.h - passwords, keys and tokens in texts, by rules of gitleaks' kind: an expression, words one of which must be there, a least entropy,
 * and what is allowed all the same.
 *
 * The rules are ours (secret.def: the formats that their issuers publish, under the ids that gitleaks gives them), or those of a file in
 * gitleaks' own format.  A match counts where the text holds one of the rule's words, in small letters or large; where the secret, which is the group
 * asked for, else the first that is there, else all of the match, has more bits of Shannon entropy a character than the limit; and where no
 * allow-list of the rule or of all has its text, one of its stop words, or the file's path.  Of spots that overlap the better stays: rules of a
 * known form before those that take whatever stands behind a word (generic-*), then spot.h.  A text is what gitleaks calls a fragment.
 *
 * Not done: decoding base64 before looking; rules that look at the name of a file alone (they are counted); comments that allow a line. */
#ifndef AUDIT_SECRET_H
#define AUDIT_SECRET_H
#include "audit/spot.h"
#include "base/hash.h"

#define SECRET_SCORE 90
#define SECRET_SCORE_GENERIC 60
#define SECRET_FILE_MAX ((size_t)4 << 20)

struct secrets;                                 /* made once, read by all threads */
struct secret_state;                            /* a thread's */
int secrets_new(struct secrets **out, struct err *err);                              /* our rules */
int secrets_read(struct secrets **out, const char *path, struct err *err);           /* a gitleaks.toml */
int secrets_parse(struct secrets **out, const char *toml, size_t n, const char *name, struct err *err);
void secrets_free(struct secrets *s);
/* Of all rules and what they allow. */
int secrets_digest(const struct secrets *s, char hex[SHA256_HEX], struct err *err);
int secrets_count(const struct secrets *s);
int secrets_unused(const struct secrets *s);    /* rules of the file that look at names of files alone */
const char *secret_name(const struct secrets *s, int rule);
const char *secret_description(const struct secrets *s, int rule);

int secret_state_new(struct secret_state **out, const struct secrets *s, struct err *err);
void secret_state_free(struct secret_state *s);
/* Spots of a text; kind: the rule.  path: of the file that it is from, for rules that ask for it, or NULL.  Borrowed until the state's next call. */
int secret_spots(const struct secrets *s, struct secret_state *t, const char *path, const char *text, size_t n, const struct spot **spot, size_t *n_spot,
                 struct err *err);
uint64_t secret_given_up(const struct secret_state *t);    /* patterns_given_up() */

/* Bits of entropy a byte, by how often each byte is there. */
double secret_entropy(const char *p, size_t n);

#endif
