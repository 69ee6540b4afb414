#include "cmd/line.h"
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define HISTORY_MAX 2000
#define MESSAGE_MAX ((size_t)16 << 20)

struct line_reader {
    EditLine *el;                /* NULL: plain lines */
    History *hist;
    char *file;
    const char *prompt;
    bool interrupted;
    char *plain; size_t cap;
};

static const char *prompt_of(EditLine *el)
{
    void *l = NULL;
    el_get(el, EL_CLIENTDATA, &l);
    return ((struct line_reader *)l)->prompt;
}

/* Ctrl-C while a line is edited: the terminal gives it as a character, so no signal is involved. */
static unsigned char on_interrupt(EditLine *el, int c)
{
    void *l = NULL;
    (void)c;
    el_get(el, EL_CLIENTDATA, &l);
    ((struct line_reader *)l)->interrupted = true;
    const LineInfo *line = el_line(el);
    el_cursor(el, (int)(line->lastchar - line->cursor));
    line = el_line(el);
    el_deletestr(el, (int)(line->lastchar - line->buffer));
    fputs("^C\n", stdout);
    return CC_NEWLINE;
}

/* Ctrl-Z, likewise. */
static unsigned char on_suspend(EditLine *el, int c)
{
    (void)c;
    el_set(el, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(el, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

static EditLine *resized;        /* as the editor's own handler, which we do without */
static void on_resize(int number) { (void)number, el_resize(resized); }

/* The editor's read goes on after a signal, and its own handler would send the signal to the whole process group. */
static struct termios terminal_before;
static void on_end(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    _exit(128 + number);
}

static int open_editor(struct line_reader *l, struct err *err)
{
    HistEvent ev;
    static const int ends[] = { SIGTERM, SIGHUP };
    if (!tcgetattr(STDIN_FILENO, &terminal_before))
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            sigaction(ends[i], &(struct sigaction){ .sa_handler = on_end }, NULL);
    /* Only the character type: numbers in files must not depend on where the user lives. */
    const char *type = setlocale(LC_CTYPE, "");
    if (!type || !strcmp(type, "C") || !strcmp(type, "POSIX"))
        setlocale(LC_CTYPE, "C.UTF-8");
    if (!(l->el = el_init("lathe", stdin, stdout, stderr)) || !(l->hist = history_init()))
        return ERR(err, NOMEM, "the line editor cannot start");
    history(l->hist, &ev, H_SETSIZE, HISTORY_MAX);
    history(l->hist, &ev, H_SETUNIQUE, 1);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_PROMPT, prompt_of);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_HIST, history, l->hist);
    el_set(l->el, EL_ADDFN, "lathe-interrupt", "Drop the line", on_interrupt);
    el_set(l->el, EL_SETTY, "-d", "-isig", NULL);
    el_set(l->el, EL_BIND, "^C", "lathe-interrupt", NULL);
    el_set(l->el, EL_ADDFN, "lathe-suspend", "Stop the program for now", on_suspend);
    el_set(l->el, EL_BIND, "^Z", "lathe-suspend", NULL);
    el_set(l->el, EL_BIND, "\\e[1~", "ed-move-to-beg", NULL);
    el_set(l->el, EL_BIND, "\\e[4~", "ed-move-to-end", NULL);
    el_set(l->el, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(l->el, NULL);                       /* the user's ~/.editrc */
    if (l->file && file_exists(l->file) && history(l->hist, &ev, H_LOAD, l->file) < 0)
        log_warn("the history in %s cannot be read", l->file);
    return 0;
}

int line_open(struct line_reader **out, bool terminal, const char *file, struct err *err)
{
    struct line_reader *l = mem_alloc_zero(sizeof *l);
    *out = NULL;
    if (!l || (file && !(l->file = mem_strdup(file)))) {
        line_close(l);
        return ERR(err, NOMEM, "no memory to read lines");
    }
    const int rc = terminal ? open_editor(l, err) : 0;
    if (rc < 0) {
        line_close(l);
        return rc;
    }
    *out = l;
    return 0;
}

void line_close(struct line_reader *l)
{
    if (!l)
        return;
    if (l->el)
        el_end(l->el);
    if (l->hist)
        history_end(l->hist);
    free(l->plain);              /* getline's */
    mem_free(l->file);
    mem_free(l);
}

/* One line without its end; *n is -1 at the end of the input. */
static const char *next_line(struct line_reader *l, const char *prompt, ssize_t *n)
{
    const char *s;
    if (l->el) {
        int count = 0;
        l->prompt = prompt;
        el_resize(l->el);
        resized = l->el;
        sigaction(SIGWINCH, &(struct sigaction){ .sa_handler = on_resize, .sa_flags = SA_RESTART }, NULL);
        s = el_gets(l->el, &count);
        *n = s && count > 0 ? count : -1;
        sigaction(SIGWINCH, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    } else {
        *n = getline(&l->plain, &l->cap, stdin);
        s = l->plain;
    }
    while (*n > 0 && (s[*n - 1] == '\n' || s[*n - 1] == '\r'))
        --*n;
    return s;
}

/* More input is there already: a paste of several lines. */
static bool more_pasted(const struct line_reader *l)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    return l->el && poll(&p, 1, 10) > 0 && p.revents & POLLIN;
}

/* Only the user may read what they asked. */
static void save_history(struct line_reader *l)
{
    HistEvent ev;
    const int fd = open(l->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    if (fd < 0 || history(l->hist, &ev, H_SAVE, l->file) < 0)
        log_warn("the history cannot be kept in %s", l->file);
}

static void remember(struct line_reader *l, const struct buf *message)
{
    HistEvent ev;
    if (l->hist && message->len && !strchr(message->data, '\n'))
        history(l->hist, &ev, H_ENTER, message->data);
    if (l->hist && l->file)
        save_history(l);
}

int line_read(struct line_reader *l, const char *prompt, const char *more, struct buf *out, struct err *err)
{
    const size_t before = out->len;
    bool quoted = false, first = true;
    for (;; first = false) {
        ssize_t n;
        const char *s = next_line(l, first ? prompt : more, &n);
        if (l->interrupted) {
            l->interrupted = false;
            out->len = before;
            return LINE_INTERRUPT;
        }
        if (n < 0 && (first || quoted))
            return out->len > before ? LINE_MESSAGE : LINE_END;
        if (n < 0)
            break;
        if ((size_t)n > MESSAGE_MAX || out->len - before > MESSAGE_MAX)
            return ERR(err, RANGE, "a message of more than %zu bytes", MESSAGE_MAX);
        if (n == 3 && !memcmp(s, "\"\"\"", 3)) {
            if (quoted)
                break;
            quoted = first;
            if (first)
                continue;
        }
        const bool joined = !quoted && n && s[n - 1] == '\\';
        if (out->len > before)
            TRY(buf_add_char(out, '\n', err));
        TRY(buf_add(out, s, (size_t)(n - joined), err));
        if (!quoted && !joined && !more_pasted(l))
            break;
    }
    remember(l, out);
    return LINE_MESSAGE;
}
