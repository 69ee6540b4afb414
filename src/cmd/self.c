#include "cmd/self.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Of the process while it runs: what wait4() tells of one that was spawned has the parent's memory in it, which it shared until its exec. */
static double peak_of(pid_t pid)
{
    char path[32], line[200];
    long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %lld", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return 1024.0 * (double)kib;
}

/* To the end of what it prints, looking at its memory in between. */
static int read_all(int fd, pid_t pid, struct buf *out, double *peak, struct err *err)
{
    enum { LOOK_MS = 10 };
    char part[4096];
    int rc = 0;
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        const int ready = poll(&p, 1, LOOK_MS);
        *peak = fmax(*peak, peak_of(pid));
        if (ready <= 0)
            continue;
        const ssize_t n = read(fd, part, sizeof part);
        if (!n || (n < 0 && errno != EINTR))
            return rc;
        if (n > 0 && !rc)
            rc = buf_add(out, part, (size_t)n, err);
    }
}

int self_run(const char *const *argv, struct buf *out, double *peak_bytes, struct err *err)
{
    int pipes[2], status = 0, rc;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(pipes, O_CLOEXEC))
        return ERR(err, IO, "no pipe: %s", strerror(errno));
    int e = posix_spawn_file_actions_init(&actions);
    if (!e) {
        e = posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
        if (!e)
            e = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char *const *)argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(pipes[1]);
    if (e) {
        close(pipes[0]);
        return ERR(err, IO, "cannot run this program again: %s", strerror(e));
    }
    double peak = 0;
    rc = read_all(pipes[0], pid, out, &peak, err);
    close(pipes[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (peak_bytes)
        *peak_bytes = peak;
    if (rc)
        return rc;
    if (WIFSIGNALED(status))
        return ERR(err, IO, "lathe %s was ended by signal %d", argv[1], WTERMSIG(status));
    const int code = WEXITSTATUS(status);
    return code == 4 ? ERR(err, STOPPED, "lathe %s was stopped", argv[1]) : code ? ERR(err, IO, "lathe %s ended with exit code %d", argv[1], code) : 0;
}
