/* fail.h - for tests: which allocation (mem_fail_at), or which system call (file_fail_at), fails.
 *
 * From the n-th on each is asked for by its number, in the thread and in the function that wants it, and fails where `pick` is true; NULL: the n-th alone. */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H
#include <stdbool.h>
#include <stdint.h>

void mem_fail_pick(bool (*pick)(int64_t n));
void file_fail_pick(bool (*pick)(int64_t n));
#endif
