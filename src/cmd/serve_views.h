/* serve_views.h - what the page of lathe serve shows of releases and serve/ knows nothing of: how answers compare with their reference, and reports as pages.
 *
 * A version is followed (watch/follow.h) from the first time that somebody asks for it; the SERVE_FOLLOWED that were asked for last are kept.  Rules (watch/rules.h) are
 * shown beside what they look at: it is `lathe watch` that keeps to them.  Reports are made of what the registry has: evaluations as `lathe report` shows
 * them, an audit as `lathe data card` does, a training run as `lathe report RUN`, a page as it is, all else as text. */
#ifndef CMD_SERVE_VIEWS_H
#define CMD_SERVE_VIEWS_H
#include "serve/releases.h"

enum { SERVE_FOLLOWED = 8 };
struct serve_views;
/* rules: their file, or NULL. */
int serve_views_open(struct serve_views **out, const char *rules, struct err *err);
void serve_views_close(struct serve_views *v);            /* NULL is fine */
struct releases_more serve_views_more(struct serve_views *v);
/* releases_more.report; ctx is not used. */
int serve_report(void *ctx, struct registry *g, const struct registry_version *v, const char *what, struct buf *out, bool *html, struct err *err);
#endif
