/* test_pull_fault.c - the n-th allocation or system call of a pull fails: an error, no leak, no file under its name that is not
 * whole, and the next pull goes on from what is there.  The hub is a thread of this program. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/hub.h"
#include "store/pulled.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
static const char config[] = "{\"model_type\": \"llama\"}";
static char weights[300000], list[1000], home[] = "/tmp/lathe-pull-fault-XXXXXX", endpoint[64];
static int listener;

/* ---- the hub ---- */

static void send_all(int fd, const char *p, size_t n)
{
    for (ssize_t done; n && (done = send(fd, p, n, MSG_NOSIGNAL)) > 0; n -= (size_t)done)
        p += done;
}

static void answer(int fd, const char *p, size_t n)
{
    char head[100];
    const int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", n);
    send_all(fd, head, (size_t)len);
    send_all(fd, p, n);
}

static void *serve(void *unused)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        char request[4096];
        size_t n = 0;
        ssize_t got;
        while (n < sizeof request - 1 && (got = recv(fd, request + n, sizeof request - 1 - n, 0)) > 0) {
            n += (size_t)got;
            request[n] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        if (strstr(request, "/revision/main"))
            answer(fd, "{\"sha\": \"" COMMIT "\"}", strlen(COMMIT) + 11);
        else if (strstr(request, "/tree/"))
            answer(fd, list, strlen(list));
        else if (strstr(request, "/config.json"))
            answer(fd, config, sizeof config - 1);
        else
            answer(fd, weights, sizeof weights);
    }
    return unused;
}

static int set_up(void **state)
{
    (void)state;
    char git[SHA1_HEX], sha[SHA256_HEX];
    struct sha1 h;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    pthread_t thread;
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (char)(i * 31 % 251);
    char head[40];
    const int n = snprintf(head, sizeof head, "blob %zu", sizeof config - 1);
    if (sha1_init(&h, NULL) || sha256_of(weights, sizeof weights, sha, NULL))
        return -1;
    sha1_add(&h, head, (size_t)n + 1);
    sha1_add(&h, config, sizeof config - 1);
    sha1_end(&h, git);
    snprintf(list, sizeof list,
             "[{\"type\": \"file\", \"path\": \"config.json\", \"size\": %zu, \"oid\": \"%s\"},"
             "{\"type\": \"file\", \"path\": \"model.safetensors\", \"size\": 1, \"oid\": \"%s\", \"lfs\": {\"size\": %zu, \"oid\": \"%s\"}}]",
             sizeof config - 1, git, git, sizeof weights, sha);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (!mkdtemp(home) || listener < 0 || bind(listener, (struct sockaddr *)&a, size) || listen(listener, 16) || getsockname(listener, (struct sockaddr *)&a, &size))
        return -1;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", ntohs(a.sin_port));
    setenv("LATHE_HOME", home, 1);
    setenv("no_proxy", "*", 1);
    log_level_set(LOG_WARN);
    return pthread_create(&thread, NULL, serve, NULL) || pthread_detach(thread);
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(home, NULL);
}

/* ---- the pull ---- */

static int pull(struct err *err)
{
    struct hub_result r;
    const struct model_id id = { "a", "b", "main", "" };
    const struct hub_opts o = { .endpoint = endpoint, .token = "t", .n_job = 2, .n_try = 1 };
    const int rc = hub_pull(&r, &id, &o, err);
    hub_result_release(&r);
    return rc;
}

static uint64_t n_live(void)
{
    struct mem_stats s;
    mem_stats_get(&s);
    return s.n_live;
}

static void whole_or_absent(const char *what, const char *name, const char *data, size_t size, bool must)
{
    char path[200];
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/models/a/b/" COMMIT "/%s", home, name);
    if (must || file_exists(path)) {
        assert_int_equal(file_read(path, 1 << 20, &b, NULL), 0);
        if (b.len != size || memcmp(b.data, data, size))
            fail_msg("%s: %s has %zu bytes that are not the hub's", what, name, b.len);
    }
    buf_release(&b);
}

static void check_files(const char *what, bool must)
{
    whole_or_absent(what, "config.json", config, sizeof config - 1, must);
    whole_or_absent(what, "model.safetensors", weights, sizeof weights, must);
    whole_or_absent(what, "../refs/main", COMMIT, strlen(COMMIT), must);
}

static void fail_each(const char *kind, void (*arm)(int64_t), int64_t (*asked)(void), int code)
{
    for (int64_t n = 0;; n++) {
        char what[100];
        struct err err = { 0 };
        snprintf(what, sizeof what, "%s %lld", kind, (long long)n);
        assert_int_equal(file_remove_tree(home, NULL), 0);
        const uint64_t before = n_live();
        arm(n);
        const int rc = pull(&err);
        const bool reached = asked() > n;
        arm(-1);
        if (n_live() != before)
            fail_msg("%s: %lld blocks leaked", what, (long long)(n_live() - before));
        check_files(what, !rc);
        if (!reached) {
            if (rc)
                fail_msg("%s: %s", what, err.msg);
            break;
        }
        if (rc != code || !*err.msg)
            fail_msg("%s: code %d (%s)", what, rc, err.msg);
        if (pull(&err))
            fail_msg("after %s: %s", what, err.msg);
        check_files(what, true);
        assert_true(n < 2000);
    }
}

/* A removal that fails leaves what can be removed again; a model that is found is whole. */
static void fail_each_removal(const char *kind, void (*arm)(int64_t), int64_t (*asked)(void), int code)
{
    const struct model_id id = { "a", "b", "main", "" };
    for (int64_t n = 0;; n++) {
        struct err err = { 0 };
        struct pulled_list l = { 0 };
        char *found;
        uint64_t freed;
        assert_int_equal(file_remove_tree(home, NULL), 0);
        assert_int_equal(pull(&err), 0);
        const uint64_t before = n_live();
        arm(n);
        int rc = pulled_list(&l, &id, &err);
        pulled_list_release(&l);
        if (!rc)
            rc = pulled_remove(&id, n % 2 ? NULL : "main", &freed, &err);
        const bool reached = asked() > n;
        arm(-1);
        assert_int_equal(n_live(), before);
        if (rc && rc != code)
            fail_msg("%s %lld: code %d (%s)", kind, (long long)n, rc, err.msg);
        if (models_find(&found, &id, &err) == 0) {
            assert_int_not_equal(rc, 0);
            check_files(kind, true);
            mem_free(found);
        }
        if (!reached) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(pull(&err), 0);
        check_files(kind, true);
        assert_int_equal(pulled_remove(&id, NULL, &freed, &err), 0);
        assert_int_equal(pulled_list(&l, NULL, &err), 0);
        assert_int_equal(l.n, 0);
        assert_true(n < 500);
    }
}

static void arm_alloc(int64_t n) { mem_fail_at(n); }
static void arm_file(int64_t n) { file_fail_at(n, EIO); }

static void each_allocation_may_fail(void **state) { (void)state; fail_each("allocation", arm_alloc, mem_fail_count, ERR_NOMEM); }
static void each_system_call_may_fail(void **state) { (void)state; fail_each("system call", arm_file, file_fail_count, ERR_IO); }

static void each_removal_may_fail(void **state)
{
    (void)state;
    fail_each_removal("allocation", arm_alloc, mem_fail_count, ERR_NOMEM);
    fail_each_removal("system call", arm_file, file_fail_count, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation_may_fail), cmocka_unit_test(each_system_call_may_fail),
                                        cmocka_unit_test(each_removal_may_fail) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
