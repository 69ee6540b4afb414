/* alert.h - tells someone that a rule fired: a POST of JSON (libcurl), or a mail by the system's sendmail.  Each takes at most ALERT_S seconds. */
#ifndef WATCH_ALERT_H
#define WATCH_ALERT_H
#include <jansson.h>
#include "base/err.h"

#define ALERT_S 20
/* ERR_IO: nobody took it; redirects are not followed, and any status but 2xx counts as that. */
int alert_webhook(const char *url, const json_t *what, struct err *err);
/* "sendmail -t -oi" of $PATH or /usr/sbin; subject: one line. */
int alert_mail(const char *to, const char *subject, const char *text, struct err *err);
#endif
