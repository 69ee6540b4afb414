/* arg.h - arguments of the benchmark programs: what is not what it should be is said, and ends the program. */
#ifndef BENCH_ARG_H
#define BENCH_ARG_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/kernels.h"

/* Argument i as a whole number, or `fallback` where it is not given. */
static inline int arg_number(int argc, char **argv, int i, int fallback, int min, int max)
{
    if (i >= argc)
        return fallback;
    char *end;
    const long v = strtol(argv[i], &end, 10);
    if (end != argv[i] && !*end && v >= min && v <= max)
        return (int)v;
    fprintf(stderr, "%s: argument %d is '%s', expected a whole number from %d to %d\n", argv[0], i, argv[i], min, max);
    exit(2);
}

/* Argument i as a level of kernels that this machine has, or NULL where it is not given. */
static inline const struct cpu_kernels *arg_level(int argc, char **argv, int i)
{
    if (i >= argc)
        return NULL;
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++)
        if (!strcmp(argv[i], (*l)->level))
            return *l;
    fprintf(stderr, "%s: argument %d is '%s', expected one of:", argv[0], i, argv[i]);
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++)
        fprintf(stderr, " %s", (*l)->level);
    fprintf(stderr, "\n");
    exit(2);
}
#endif
