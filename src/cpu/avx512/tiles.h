/* tiles.h - heights of the tiles that are unrolled for each height: one panel by up to 16 rows.
 *
 * A height between them runs as the next one, with its last row repeated and dropped.  Sanitizers compile unrolled tiles for
 * minutes; under them there are two heights, which read and write the same memory. */
#ifndef CPU_AVX512_TILES_H
#define CPU_AVX512_TILES_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SMALL_TILES
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SMALL_TILES
#endif
#endif

#ifdef SMALL_TILES
#define MR 4
#define N_SIZE 2
#define SIZES(X) X(1) X(4)
#else
#define MR 16
#define N_SIZE 10
#define SIZES(X) X(1) X(2) X(3) X(4) X(6) X(8) X(10) X(12) X(14) X(16)
#endif

#define HEIGHT(mr) mr,
static const int heights[N_SIZE] = { SIZES(HEIGHT) };

/* The tile for the first of n rows that are left: the highest that they fill, or one higher when a single row lacks. */
static inline int tile_size(int n)
{
    int i = 0;
    while (i + 1 < N_SIZE && heights[i + 1] <= (n <= 3 ? n : n + 1))
        i++;
    return i;
}
#endif
