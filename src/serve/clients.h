/* clients.h - who asks a server: the keys that it knows, and what each has used of its limits.
 *
 * A client lives as long as the server, whatever files are loaded meanwhile: what is under way goes on, and counts go on under the same
 * name.  Nobody can ask any more by a name that a new file does not have.  Any thread; times are the caller's (quota.h). */
#ifndef SERVE_CLIENTS_H
#define SERVE_CLIENTS_H
#include "serve/keys.h"

#define CLIENT_OF_KEY "(key)"                /* who has the one key of the command line: without limits */

struct clients;
struct client;

/* secret: a key beside the file's, or NULL or empty: none; path: of a keys file, or NULL. */
int clients_new(struct clients **out, const char *secret, const char *path, struct err *err);
void clients_free(struct clients *c);
bool clients_open(const struct clients *c);          /* there are no keys: everybody may ask */
int clients_reload(struct clients *c, struct err *err);      /* on an error all is as it was */
int clients_count(struct clients *c);                /* keys that are known */

/* Whose secret that is, in the same time whatever it is; NULL: nobody's, or it has expired. */
struct client *clients_find(struct clients *c, const char *secret, double now, bool *expired);
/* What was used earlier on the day of `now`, before this server began; a name that is not known is passed over. */
void clients_used(struct clients *c, const char *name, double now, int64_t requests, int64_t tokens);

/* number: another for each, from 1.  tokens_most, texts_most: of one request, by the limits; 0: any */
struct client_rights { char name[KEY_NAME], tenant[KEY_NAME]; int number, priority; int64_t tokens_most, texts_most; bool keep_text, admin; };
void client_rights(struct client *k, struct client_rights *out);
bool client_may_use(struct client *k, const char *model);
bool client_take(struct client *k, double now, struct quota_ask ask, struct quota_grant *g, struct quota_no *no);      /* added to g */
void client_settle(struct client *k, double now, const struct quota_grant *g, int64_t tokens, bool counts);
void client_left(struct client *k, double now, struct quota_left *requests, struct quota_left *tokens);
#endif
