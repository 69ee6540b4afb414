#include "cmd/serve_program.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"

enum { LOOK_MS = 50, NICE = 15 };
#define GRACE_S 2.0              /* between being told to end and being ended, of one that has a limit */
#define ACTOR "LATHE_ACTOR="

extern char **environ;

/* The environment with another actor; *own is its text, to be freed with the list. */
static char **environment(const char *actor, char **own)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **list = mem_alloc_array(n + 2, sizeof *list);
    *own = mem_printf(ACTOR "%s", actor);
    if (!list || !*own) {
        mem_free(list), mem_free(*own);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], ACTOR, strlen(ACTOR)))
            list[k++] = environ[i];
    list[k] = *own;
    return list;
}

/* In the child, which has this process's memory until it becomes another program: nothing but system calls. */
static void become(const struct server_program *p, char *const *env, int in, int out, int log, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    if (setpgid(0, 0) || prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent || chdir(p->folder))
        _exit(127);
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127);
    if (p->bytes_most && setrlimit(RLIMIT_FSIZE, &(struct rlimit){ p->bytes_most, p->bytes_most }))
        _exit(127);
    sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", p->argv, env);
    _exit(127);
}

/* A copy of a server's page tables (fork) would cost its texts tens of milliseconds. */
static pid_t begin(const struct server_program *p, char *const *env, int in, int out, int log)
{
    const pid_t parent = getpid(), pid = vfork();
    if (!pid)
        become(p, env, in, out, log, parent);
    return pid;
}

/* Its exit code, 128 and more: it was ended by a signal. */
static int wait_for(pid_t pid, const struct server_program *p, struct err *err)
{
    const double begun = clock_wall();
    double told = 0;
    bool late = false;
    int status;
    for (;;) {
        const pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid && late)
            return ERR(err, STOPPED, "it took longer than %g s, and was ended", p->seconds_most);
        if (done == pid)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (done < 0 && errno != EINTR)
            return ERR_ERRNO(err, "the program that was begun is lost");
        if (p->seconds_most > 0 && clock_wall() - begun > p->seconds_most)
            late = true;
        if ((late || atomic_load(p->stop)) && !told) {
            told = clock_wall();
            kill(pid, SIGTERM);
        }
        if (told && p->seconds_most > 0 && clock_wall() - told > GRACE_S)
            kill(pid, SIGKILL);
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
    }
}

static int open_at(const struct server_program *p, const char *name, struct err *err)
{
    char *path = file_join(p->folder, name);
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666), rc = fd < 0 ? ERR_ERRNO(err, "%s", path) : fd;
    mem_free(path);
    return rc;
}

int serve_program_run(void *ctx, const struct server_program *p, int *code, struct err *err)
{
    (void)ctx;
    char *actor = NULL, **env = environment(p->actor ? p->actor : "", &actor);
    if (!env)
        return ERR(err, NOMEM, "no memory for an environment");
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = open_at(p, p->out, err), log = out < 0 ? -1 : open_at(p, p->log, err);
    int rc = in < 0 ? ERR_ERRNO(err, "/dev/null") : out < 0 ? out : log < 0 ? log : 0;
    if (!rc) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        const pid_t pid = begin(p, env, in, out, log);
        const int why = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = why;
        rc = pid < 0 ? ERR_ERRNO(err, "cannot run this program again") : wait_for(pid, p, err);
    }
    *code = rc > 0 ? rc : 0;
    for (int i = 0; i < 3; i++) {
        const int fd[] = { in, out, log };
        if (fd[i] >= 0)
            close(fd[i]);
    }
    mem_free(env), mem_free(actor);
    return rc < 0 ? rc : 0;
}
