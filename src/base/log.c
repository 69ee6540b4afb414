#include "base/log.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/pool.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level level = LOG_INFO;
static bool progress_open;           /* a progress line stands on the terminal */
static double progress_last = -1e9;  /* when the last one was printed elsewhere */
static double live_last = -1e9;
static int live_n, live_width[LOG_LIVE_LINES];      /* the lines that stand on the terminal, and the characters of each; 0: none */
#define PROGRESS_S 5.0
#define LIVE_S 0.1

void log_level_set(enum log_level l) { level = l; }
enum log_level log_level_get(void) { return level; }

/* The terminal on stderr, if it can go back to the start of a line: its columns and rows; false: none. */
static bool terminal_size(int *columns, int *rows)
{
    const char *term = getenv("TERM");
    struct winsize w;
    if (!isatty(2) || !term || !strcmp(term, "dumb"))
        return false;
    const bool known = !ioctl(2, TIOCGWINSZ, &w) && w.ws_col > 1;
    *columns = known ? w.ws_col : 80, *rows = known && w.ws_row > 1 ? w.ws_row : 24;
    return true;
}

static int columns(void)
{
    int n, rows;
    return terminal_size(&n, &rows) ? n : 0;
}

/* Takes the live lines away.  A terminal that became narrower has broken them into more rows. */
static void erase_live(void)
{
    int n, rows, up = -1;
    if (!live_n || !terminal_size(&n, &rows))
        return;
    for (int i = 0; i < live_n; i++)
        up += live_width[i] > n ? (live_width[i] + n - 1) / n : 1;
    fputc('\r', stderr);
    if (up > 0)
        fprintf(stderr, "\033[%dA", up < rows ? up : rows - 1);
    fputs("\033[J", stderr);
    live_n = 0, progress_open = false;
}

static void line(const char *lead, const char *fmt, va_list ap)
{
    pthread_mutex_lock(&lock);
    erase_live();
    if (progress_open)
        fputc('\n', stderr);
    progress_open = false;
    fputs(lead, stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    pthread_mutex_unlock(&lock);
}

#define LOG_LINE(at, lead)      \
    do {                        \
        if (level < (at))       \
            return;             \
        va_list ap;             \
        va_start(ap, fmt);      \
        line(lead, fmt, ap);    \
        va_end(ap);             \
    } while (0)

void log_info(const char *fmt, ...) { LOG_LINE(LOG_INFO, ""); }
void log_warn(const char *fmt, ...) { LOG_LINE(LOG_WARN, "warning: "); }
void log_debug(const char *fmt, ...) { LOG_LINE(LOG_DEBUG, "debug: "); }

void log_progress(const char *fmt, ...)
{
    if (level < LOG_INFO)
        return;
    const int terminal = columns();
    if (!terminal && clock_wall() - progress_last < PROGRESS_S)
        return;
    pthread_mutex_lock(&lock);
    progress_last = clock_wall();
    va_list ap;
    va_start(ap, fmt);
    char text[400];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    erase_live();
    if (terminal)                        /* a line that wraps could not be written over */
        fprintf(stderr, "\r\033[K%.*s", terminal - 1, text);
    else
        fprintf(stderr, "%s\n", text);
    progress_open = terminal > 0;
    pthread_mutex_unlock(&lock);
}

void log_progress_end(void)
{
    pthread_mutex_lock(&lock);
    if (progress_open)
        fputc('\n', stderr);
    progress_open = false;
    live_n = 0;
    progress_last = live_last = -1e9;
    pthread_mutex_unlock(&lock);
}

int log_live_columns(void) { return level < LOG_INFO ? 0 : columns(); }
bool log_live_due(void) { return clock_wall() - live_last >= LIVE_S; }

bool log_live_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

void log_live(const char *text)
{
    int n, rows;
    if (level < LOG_INFO || !terminal_size(&n, &rows))
        return;
    pthread_mutex_lock(&lock);
    erase_live();
    for (const char *end; live_n < LOG_LIVE_LINES && live_n < rows - 1; text = end + 1) {
        end = strchrnul(text, '\n');
        fprintf(stderr, "%s%.*s", live_n ? "\n" : "", (int)(end - text), text);
        live_width[live_n] = 0;
        for (const char *p = text; p < end; p++)
            live_width[live_n] += ((unsigned char)*p & 0xc0) != 0x80;
        live_n++;
        if (!*end)
            break;
    }
    progress_open = true;
    live_last = clock_wall();
    pthread_mutex_unlock(&lock);
}

static char *scaled(char out[32], double v, double base, const char *const *unit, int n_unit)
{
    int i = 0;
    while (i + 1 < n_unit && (v >= base || v <= -base))
        v /= base, i++;
    snprintf(out, 32, i == 0 ? "%.0f%s" : v < 9.995 ? "%.2f%s" : v < 99.95 ? "%.1f%s" : "%.0f%s", v, unit[i]);
    return out;
}

char *fmt_bytes(char out[32], double bytes)
{
    static const char *const unit[] = { " B", " kB", " MB", " GB", " TB", " PB" };
    return scaled(out, bytes, 1000, unit, 6);
}

char *fmt_count(char out[32], double n)
{
    static const char *const unit[] = { "", " k", " M", " G", " T", " P", " E" };
    return scaled(out, n, 1000, unit, 7);
}

char *fmt_seconds(char out[32], double s)
{
    if (s < 9.95)
        snprintf(out, 32, "%.1f s", s);
    else if (s < 99.5)
        snprintf(out, 32, "%.0f s", s);
    else if (s < 3570)
        snprintf(out, 32, "%d min %02d s", (int)(s + 0.5) / 60, (int)(s + 0.5) % 60);
    else if (!(s < 3.6e9))           /* a million hours */
        snprintf(out, 32, "%.3g h", s / 3600);
    else
        snprintf(out, 32, "%d h %02d min", (int)(s / 60 + 0.5) / 60, (int)(s / 60 + 0.5) % 60);
    return out;
}

char *fmt_seconds_fine(char out[32], double s)
{
    if (s >= 9.95)
        return fmt_seconds(out, s);
    snprintf(out, 32, s >= 0.9995 ? "%.2f s" : s >= 9.995e-3 ? "%.0f ms" : s >= 9.995e-4 ? "%.2f ms" : "%.0f us", s * (s >= 0.9995 ? 1 : s >= 9.995e-4 ? 1e3 : 1e6));
    return out;
}
