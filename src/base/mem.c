#include "base/mem.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/fail.h"

static _Atomic int64_t fail_at = -1, n_asked;
static bool (*_Atomic fail_pick)(int64_t n);
static _Atomic uint64_t n_alloc, n_live;
static _Atomic size_t bytes_mapped, private_peak;

void mem_fail_at(int64_t n)
{
    atomic_store(&n_asked, 0);
    atomic_store(&fail_at, n);
}

int64_t mem_fail_count(void) { return atomic_load(&n_asked); }
void mem_fail_pick(bool (*pick)(int64_t n)) { atomic_store(&fail_pick, pick); }

/* True for the one allocation that is to fail. */
static bool fails(void)
{
    if (atomic_load_explicit(&fail_at, memory_order_relaxed) < 0)
        return false;
    const int64_t n = atomic_fetch_add(&n_asked, 1), at = atomic_load(&fail_at);
    bool (*pick)(int64_t n) = atomic_load(&fail_pick);
    return pick ? n >= at && pick(n) : n == at;
}

static void *counted(void *p)
{
    if (p) {
        atomic_fetch_add_explicit(&n_alloc, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    }
    return p;
}

void *mem_alloc(size_t n) { return fails() ? NULL : counted(malloc(n ? n : 1)); }
void *mem_alloc_zero(size_t n) { return mem_alloc_array(n ? n : 1, 1); }

void *mem_alloc_array(size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n) || fails())
        return NULL;
    return counted(calloc(n ? n : 1, 1));
}

void *mem_realloc_array(void *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n) || fails())
        return NULL;
    void *q = realloc(p, n ? n : 1);
    return p ? q : counted(q);
}

char *mem_strdup(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *p = mem_alloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : mem_alloc((size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}

void mem_free(void *p)
{
    if (p)
        atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    free(p);
}

#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL_PAGE ((size_t)4096)

size_t mem_map_size(size_t n) { return n ? (n + SMALL_PAGE - 1) / SMALL_PAGE * SMALL_PAGE : 0; }

/* A large block is mapped with room for alignment, and the room is given back: its size is then what was asked for. */
void *mem_map(size_t n)
{
    const size_t size = mem_map_size(n), slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    if (size < n || fails())
        return NULL;
    char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (slack) {
        const size_t head = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
        if (head)
            munmap(p, head);
        if (slack > head)
            munmap(p + head + size, slack - head);
        p += head;
        madvise(p, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    atomic_fetch_add(&bytes_mapped, size);
    return p;
}

void mem_unmap(void *p, size_t n)
{
    if (!p)
        return;
    munmap(p, mem_map_size(n));
    atomic_fetch_sub(&bytes_mapped, mem_map_size(n));
}

void mem_stats_get(struct mem_stats *out)
{
    *out = (struct mem_stats){ atomic_load(&n_alloc), atomic_load(&n_live), atomic_load(&bytes_mapped) };
}

/* ---- what the kernel counts ---- */

/* The number of kB behind a key in a /proc file, as bytes; 0 when it is not there. */
static size_t proc_bytes(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    size_t kb = 0;
    char line[256];
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), ": %zu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb << 10;
}

size_t mem_private_now(void) { return proc_bytes("/proc/self/status", "RssAnon"); }
size_t mem_resident_peak(void) { return proc_bytes("/proc/self/status", "VmHWM"); }

void mem_private_sample(void)
{
    const size_t now = mem_private_now();
    size_t peak = atomic_load(&private_peak);
    while (now > peak && !atomic_compare_exchange_weak(&private_peak, &peak, now))
        ;
}

size_t mem_private_peak(void)
{
    mem_private_sample();
    return atomic_load(&private_peak);
}

static bool read_number(const char *path, size_t *out)
{
    FILE *f = fopen(path, "re");
    const bool ok = f && fscanf(f, "%zu", out) == 1;
    if (f)
        fclose(f);
    return ok;
}

size_t mem_available(void)
{
    size_t free_bytes = proc_bytes("/proc/meminfo", "MemAvailable"), limit, used;
    if (!free_bytes)
        free_bytes = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    static const char *const groups[][2] = {
        { "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current" },
        { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes" },
    };
    for (int i = 0; i < 2; i++)
        if (read_number(groups[i][0], &limit) && read_number(groups[i][1], &used)) {
            const size_t left = limit > used ? limit - used : 0;
            free_bytes = left < free_bytes ? left : free_bytes;
        }
    return free_bytes;
}

/* ---- jansson ---- */

static _Thread_local uint64_t n_json_refused;

uint64_t mem_json_refused(void) { return n_json_refused; }

/* Not in the library that others link: how jansson allocates is theirs to say.  There it uses malloc, as it does by itself. */
#ifdef LATHE_LIBRARY
bool mem_json_begin(size_t longest) { (void)longest; return true; }
void mem_json_end(void) { }
#else
/* The reader's buffer: its first allocation, of 16 bytes; then what it asked for last before it frees the one before.  The spare
 * room has two blocks for each size that it can grow to (32, 64, ...): an array or a table may want as much as the buffer would. */
static _Thread_local struct { char *room; size_t largest; uint64_t given[2]; const void *buffer, *last; size_t n_buffer, n_last; } spare;

bool mem_json_begin(size_t longest)
{
    size_t n = 32;
    while (n < longest + 2)                    /* a byte more is read, and a NUL */
        n *= 2;
    memset(&spare, 0, sizeof spare);
    spare.largest = n;
    spare.room = n > SIZE_MAX / 8 ? NULL : mem_alloc(4 * n);
    n_json_refused += !spare.room;
    return spare.room;
}

void mem_json_end(void)
{
    mem_free(spare.room);
    spare.room = NULL;
}

static void *from_spare(size_t n)
{
    for (int i = 0; i < 2 && spare.room && n == 2 * spare.n_buffer && n <= spare.largest; i++)
        if (!(spare.given[i] & n)) {
            spare.given[i] |= n;
            return spare.room + (size_t)i * 2 * spare.largest + n - 32;
        }
    return NULL;
}

static void *json_alloc(size_t n)
{
    void *p = mem_alloc(n);
    if (!p) {
        n_json_refused++;
        p = from_spare(n);
    }
    if (spare.room && !spare.buffer)
        spare.buffer = p, spare.n_buffer = n;
    spare.last = p, spare.n_last = n;
    return p;
}

static void json_free(void *p)
{
    const uintptr_t at = (uintptr_t)p, room = (uintptr_t)spare.room;
    if (spare.room && p && p == spare.buffer)
        spare.buffer = spare.last, spare.n_buffer = spare.n_last;
    if (!spare.room || at < room || at >= room + 4 * spare.largest)
        mem_free(p);
}

__attribute__((constructor)) static void jansson_uses_mem(void) { json_set_alloc_funcs(json_alloc, json_free); }
#endif
