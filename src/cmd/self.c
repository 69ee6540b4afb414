#include "cmd/self.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int self_run(const char *const *argv, struct buf *out, double *peak_bytes, struct err *err)
{
    int pipes[2], status = 0, rc = 0;
    pid_t pid;
    struct rusage usage = { 0 };
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
    char part[4096];
    ssize_t n;
    while ((n = read(pipes[0], part, sizeof part)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && !rc)
            rc = buf_add(out, part, (size_t)n, err);
    close(pipes[0]);
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    if (peak_bytes)
        *peak_bytes = 1024.0 * (double)usage.ru_maxrss;
    if (rc)
        return rc;
    if (WIFSIGNALED(status))
        return ERR(err, IO, "lathe %s was ended by signal %d", argv[1], WTERMSIG(status));
    const int code = WEXITSTATUS(status);
    return code == 4 ? ERR(err, STOPPED, "lathe %s was stopped", argv[1]) : code ? ERR(err, IO, "lathe %s ended with exit code %d", argv[1], code) : 0;
}
