#include "watch/alert.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/tree.h"

extern char **environ;

/* ---- a webhook ---- */

static size_t drop(char *p, size_t size, size_t n, void *ctx) { return (void)p, (void)ctx, size * n; }

static CURLcode set_request(CURL *c, struct curl_slist *head, const char *url, const char *text)
{
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(c, (option), (value))
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_POSTFIELDS, text);
    SET(CURLOPT_HTTPHEADER, head);
    SET(CURLOPT_TIMEOUT, (long)ALERT_S);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_WRITEFUNCTION, drop);
#undef SET
    return bad;
}

int alert_webhook(const char *url, const json_t *what, struct err *err)
{
    long status = 0;
    char *text = tree_dumps(what, JSON_COMPACT);
    CURL *c = text && !curl_global_init(CURL_GLOBAL_DEFAULT) ? curl_easy_init() : NULL;
    struct curl_slist *head = c ? curl_slist_append(NULL, "Content-Type: application/json") : NULL;
    int rc = head && !set_request(c, head, url, text) ? 0 : ERR(err, NOMEM, "no memory to tell %.200s", url);
    if (!rc) {
        const CURLcode bad = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
        rc = bad ? ERR(err, IO, "%.200s was not told: %s", url, curl_easy_strerror(bad)) : status / 100 != 2 ? ERR(err, IO, "%.200s was not told: it answers %ld", url, status) : 0;
    }
    curl_slist_free_all(head);
    curl_easy_cleanup(c);
    mem_free(text);
    return rc;
}

/* ---- mail ---- */

static int spawn_sendmail(pid_t *pid, int from, struct err *err)
{
    static char *const argv[] = { "sendmail", "-t", "-oi", NULL };
    posix_spawn_file_actions_t actions;
    int e = posix_spawn_file_actions_init(&actions);
    if (!e) {
        e = posix_spawn_file_actions_adddup2(&actions, from, STDIN_FILENO);
        e = e ? e : posix_spawnp(pid, "sendmail", &actions, NULL, argv, environ);
        e = e == ENOENT ? posix_spawn(pid, "/usr/sbin/sendmail", &actions, NULL, argv, environ) : e;
        posix_spawn_file_actions_destroy(&actions);
    }
    return e ? ERR(err, IO, "no mail was sent: sendmail cannot be run: %s", strerror(e)) : 0;
}

static int wait_for(pid_t pid, struct err *err)
{
    int status;
    for (int i = 0; i < ALERT_S * 20; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : ERR(err, IO, "no mail was sent: sendmail ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return ERR(err, IO, "no mail was sent: sendmail took more than %d s", ALERT_S);
}

/* What is sent is less than a pipe holds, so that writing it waits for nobody. */
int alert_mail(const char *to, const char *subject, const char *text, struct err *err)
{
    char *mail = mem_printf("To: %s\nSubject: %.*s\nContent-Type: text/plain; charset=utf-8\n\n%.4000s\n", to, (int)strcspn(subject, "\r\n"), subject, text);
    int ends[2];
    pid_t pid;
    if (!mail)
        return ERR(err, NOMEM, "no memory for a mail");
    if (pipe2(ends, O_CLOEXEC)) {
        mem_free(mail);
        return ERR(err, IO, "no mail was sent: %s", strerror(errno));
    }
    const size_t n = strlen(mail);
    int rc = write(ends[1], mail, n) == (ssize_t)n ? 0 : ERR(err, IO, "no mail was sent: %s", strerror(errno));
    rc = rc ? rc : spawn_sendmail(&pid, ends[0], err);
    close(ends[0]), close(ends[1]);
    mem_free(mail);
    return rc ? rc : wait_for(pid, err);
}
