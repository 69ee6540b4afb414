#include "cmd/child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "cmd/cmd.h"

enum { LOOK_MS = 100 };

static void pause_ms(long ms) { nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL); }

/* In the child: fds are those of its results and of its talk; `go` gives a byte when it is known who it is. */
static void become(char *const *argv, int go, int out, int err, bool alone, pid_t parent)
{
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char byte;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (alone ? setsid() < 0 : setpgid(0, 0) || prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
        _exit(127);
    if (read(go, &byte, 1) != 1)
        _exit(127);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
        _exit(127);
    execv("/proc/self/exe", argv);
    _exit(127);
}

/* When the kernel says that it began, in its ticks; 0: there is no such process, or it has ended. */
static long long born(pid_t pid)
{
    char path[40], text[1000];
    long long t = 0;
    char state;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *name_end = strrchr(text, ')');
    if (!name_end || sscanf(name_end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld", &state, &t) != 2 || state == 'Z')
        return 0;
    return t;
}

/* A child that waits until w->known() has its name; then it begins. */
static int begin(const struct child_wish *w, int out, int log, bool alone, struct child_id *id, struct err *err)
{
    int go[2], status;
    if (pipe2(go, O_CLOEXEC))
        return ERR_ERRNO(err, "no pipe");
    const pid_t parent = getpid(), pid = fork();
    if (!pid) {
        close(go[1]);
        become(w->argv, go[0], out, log, alone, parent);
    }
    close(go[0]);
    *id = (struct child_id){ .pid = pid, .born = pid > 0 ? born(pid) : 0 };
    int rc = pid < 0 ? ERR_ERRNO(err, "cannot run this program again") : w->known(w->ctx, id, err);
    if (!rc && write(go[1], "g", 1) != 1)
        rc = ERR_ERRNO(err, "the program does not begin");
    close(go[1]);
    while (rc && pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

static int write_all(int fd, const char *p, ssize_t n)
{
    while (n > 0) {
        const ssize_t k = write(fd, p, (size_t)n);
        if (k < 0 && errno != EINTR)
            return -1;
        if (k > 0)
            p += k, n -= k;
    }
    return 0;
}

/* What the child says, to its end. */
static int pass_on(pid_t pid, int from, int log, bool show, struct err *err)
{
    char part[4096];
    bool told = false;
    int rc = 0;
    for (;;) {
        struct pollfd p = { .fd = from, .events = POLLIN };
        const int ready = poll(&p, 1, LOOK_MS);
        if (cmd_stop && !told) {
            told = true;
            kill(pid, SIGTERM);
        }
        if (ready <= 0)
            continue;
        const ssize_t n = read(from, part, sizeof part);
        if (!n || (n < 0 && errno != EINTR))
            return rc;
        if (n > 0 && !rc && write_all(log, part, n))
            rc = ERR_ERRNO(err, "the log cannot be written");
        if (n > 0 && show)
            (void)write_all(STDERR_FILENO, part, n);
    }
}

static int open_log(const char *path, bool on, struct err *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (on ? 0 : O_TRUNC), 0666);
    return fd < 0 ? ERR_ERRNO(err, "%s", path) : fd;
}

static int run_to(const struct child_wish *w, int out, int log, int *code, struct err *err)
{
    struct child_id id;
    int pipes[2], status = 0;
    if (pipe2(pipes, O_CLOEXEC))
        return ERR_ERRNO(err, "no pipe");
    int rc = begin(w, out, pipes[1], false, &id, err);
    close(pipes[1]);
    if (!rc) {
        rc = pass_on(id.pid, pipes[0], log, w->show, err);
        while (waitpid(id.pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(pipes[0]);
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return rc;
}

int child_run(const struct child_wish *w, const char *result, int *code, struct err *err)
{
    char *part = mem_printf("%s.part", result);
    if (!part)
        return ERR(err, NOMEM, "no memory for a path");
    const int log = open_log(w->log, w->on, err), out = log < 0 ? -1 : open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = log < 0 ? log : out < 0 ? ERR_ERRNO(err, "%s", part) : run_to(w, out, log, code, err);
    if (out >= 0) {
        if (!rc && fsync(out))
            rc = ERR_ERRNO(err, "%s", part);
        close(out);
        if (!rc && (*code == 0 || *code == 3))
            rc = file_rename(part, result, err);
        else
            unlink(part);
    }
    if (log >= 0)
        close(log);
    mem_free(part);
    return rc;
}

/* ---- left to itself ---- */

struct child_id child_self(void) { return (struct child_id){ .pid = getpid(), .born = born(getpid()) }; }
bool child_lives(const struct child_id *id) { return id->pid > 0 && id->born && born(id->pid) == id->born; }

int child_end(const struct child_id *id, bool tell, struct err *err)
{
    enum { WAIT_MS = 60000 };
    if (!child_lives(id))
        return 0;
    if (tell && kill(id->pid, SIGTERM) && errno != ESRCH)
        return ERR_ERRNO(err, "process %d cannot be ended", (int)id->pid);
    for (int ms = 0; ms < WAIT_MS && child_lives(id); ms += LOOK_MS) {
        (void)waitpid(id->pid, NULL, WNOHANG);
        pause_ms(LOOK_MS);
    }
    return child_lives(id) ? ERR(err, BUSY, "process %d is still there after a minute", (int)id->pid) : 0;
}

static int until_ready(const struct child_wish *w, const char *ready, const struct child_id *id, struct err *err)
{
    int status;
    while (!file_exists(ready)) {
        if (waitpid(id->pid, &status, WNOHANG) == id->pid)
            return ERR(err, IO, "it ended with %s %d before it was ready; %s says why", WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                       w->log);
        if (cmd_stop) {
            (void)child_end(id, true, NULL);
            return ERR(err, STOPPED, "stopped while it began");
        }
        pause_ms(LOOK_MS / 5);
    }
    return 0;
}

int child_start(const struct child_wish *w, const char *ready, struct child_id *out, struct err *err)
{
    if (unlink(ready) && errno != ENOENT)
        return ERR_ERRNO(err, "%s", ready);
    const int log = open_log(w->log, false, err);
    TRY(log);
    const int rc = begin(w, log, log, true, out, err);
    close(log);
    return rc ? rc : until_ready(w, ready, out, err);
}
