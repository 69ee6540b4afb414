/* exec_open.c - devices by their names, without the kernels that failed their self test there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "exec/exec_op.h"
#include "gpu/verdict.h"

/* The numbers of a list such as "0,2-4"; how many, or an error. */
static int numbers(int device[GPU_PEERS_MAX], const char *list, const char *whole, struct err *err)
{
    int n = 0;
    for (const char *s = list; ; s++) {
        char *end;
        const long first = strtol(s, &end, 10);
        long last = first;
        bool fine = end != s && *s >= '0' && *s <= '9';
        if (fine && *end == '-') {
            s = end + 1, last = strtol(s, &end, 10);
            fine = end != s && *s >= '0' && *s <= '9';
        }
        if (!fine || first > last || last > 1023 || (*end && *end != ','))
            return ERR(err, USAGE, "device '%s': expected numbers, such as cuda:0,1 or hip:0-7", whole);
        for (long k = first; k <= last; k++) {
            if (n == GPU_PEERS_MAX)
                return ERR(err, USAGE, "device '%s': expected at most %d devices", whole, GPU_PEERS_MAX);
            device[n++] = (int)k;
        }
        s = end;
        if (!*s)
            return n;
    }
}

int exec_open(struct graph_device **out, const char *device, struct err *err)
{
    struct gpu *gpu[GPU_PEERS_MAX];
    int number[GPU_PEERS_MAX], n, rc = 0, i = 0;
    const char *colon = strchr(device, ':');
    const int word = (int)(colon ? colon - device : 0);
    *out = NULL;
    if (!colon || !strpbrk(colon, ",-")) {
        TRY(gpu_open(&gpu[0], device, err));
        gpu_verdict_heed(gpu[0]);
        return exec_open_gpu(out, gpu[0], err);
    }
    TRY(n = numbers(number, colon + 1, device, err));
    for (; i < n && !rc; i++) {
        char one[48];
        snprintf(one, sizeof one, "%.32s", device);
        snprintf(one + (word < 32 ? word : 32), 16, ":%d", number[i]);
        rc = gpu_open(&gpu[i], one, err);
        if (!rc)
            gpu_verdict_heed(gpu[i]);
    }
    if (rc) {
        for (int j = 0; j < i - 1; j++)
            gpu_close(gpu[j]);
        return rc;
    }
    return n == 1 ? exec_open_gpu(out, gpu[0], err) : exec_open_gpus(out, gpu, n, err);
}
