/* mem.h - allocation that counts, refuses overflow, and can be told to fail.
 *
 * Every heap allocation of the program goes through here, those of jansson and libyaml's trees too where the library lets
 * us.  Any thread may call.  Large blocks (mem_map) come straight from the kernel, zeroed, aligned to 2 MiB where they are
 * that large, so that what a job takes is what the kernel counts for it. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t n);                              /* NULL when there is none; n = 0 gives a unique pointer */
void *mem_alloc_zero(size_t n);
void *mem_alloc_array(size_t count, size_t size);       /* zeroed; NULL also when count * size overflows */
void *mem_realloc_array(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p);                                 /* mem_free(NULL) is fine */

void *mem_map(size_t n);                                /* zeroed pages; NULL when there are none */
void mem_unmap(void *p, size_t n);                      /* n as given to mem_map; p may be NULL */
size_t mem_map_size(size_t n);                          /* bytes that mem_map(n) takes */

struct mem_stats { uint64_t n_alloc, n_live; size_t bytes_mapped; };
void mem_stats_get(struct mem_stats *out);

/* Allocations that jansson, or mem_json_begin, asked for in this thread and did not get.  It does not tell lack of memory from bad input, and
 * now and then does not notice it; a caller compares this count before and after. */
uint64_t mem_json_refused(void);
/* Around a call of jansson's reader.  It keeps the token it reads in a buffer that doubles, and when there is no room for that it
 * goes on without the byte (lex_save of 2.14): it then reads past the buffer's end, or reaches an assertion.  So this room is
 * taken beforehand, for a token of `longest` bytes; false without memory.  What it made after a refusal must be freed before the
 * end.  Not in the library, where the allocator is its host's. */
bool mem_json_begin(size_t longest);
void mem_json_end(void);

/* For tests: the n-th allocation from now (0 = the next) fails, once; < 0 turns it off.  mem_fail_count() tells how many
 * allocations were asked for since, so a test can loop n = 0, 1, 2 ... until the body no longer reaches n. */
void mem_fail_at(int64_t n);
int64_t mem_fail_count(void);

/* Bytes of private (anonymous) memory of this process now and at its peak, from the kernel; mapped files are not counted.
 * 0 where the kernel does not say.  Peak is sampled: mem_private_sample() from a step loop keeps it true. */
size_t mem_private_now(void);
size_t mem_private_peak(void);
void mem_private_sample(void);
size_t mem_resident_peak(void);                         /* the most that this process ever had in memory, mapped files counted */
size_t mem_available(void);                             /* what the kernel says can still be had, cgroup limit counted */
#endif
