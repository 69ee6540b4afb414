/* log.h - talk to the person: lines and a progress line on stderr.  Results never go through here, they go to stdout. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_level_set(enum log_level level);
enum log_level log_level_get(void);
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));    /* "warning: ..." */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* On a terminal the line replaces the previous progress line; elsewhere a line appears at most every few seconds. */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_progress_end(void);                                                   /* keeps what stands there */
/* Live lines: log_live() draws up to LOG_LIVE_LINES of them, parted by newlines and narrower than the terminal, over those of the
 * call before; other lines come to stand above.  log_progress_end() keeps them.  Columns 0: no terminal that can, or silence. */
#define LOG_LIVE_LINES 8
int log_live_columns(void);
bool log_live_due(void);                                                        /* the last call is a while ago */
bool log_live_utf8(void);                                                       /* the terminal's characters, by the locale's name */
void log_live(const char *text);
/* "1.2 GB", "3.4 M", "1 h 02 min": into the caller's buffer, which is returned. */
char *fmt_bytes(char out[32], double bytes);
char *fmt_count(char out[32], double n);
char *fmt_seconds(char out[32], double s);
char *fmt_seconds_fine(char out[32], double s);                                  /* "1.23 ms" too */
#endif
