/* notify.h - what a service manager is told (sd_notify(3)): datagrams to the socket that $NOTIFY_SOCKET names.  Without it nothing is. */
#ifndef SERVE_NOTIFY_H
#define SERVE_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."; several lines may be told at once. */
void notify_manager(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Seconds within which it wants to hear WATCHDOG=1; 0: it does not. */
double notify_watchdog_s(void);

#endif
