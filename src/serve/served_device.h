/* served_device.h - a served model on a device: how it gets there, and what becomes of it when the device is lost.
 *
 * A lost device takes the keys and values of all texts with it, and what the host makes of a text has other bits than were promised: every text that was
 * submitted fails, and says so.  Then the model is loaded here, where it has room; requests that come meanwhile wait, and get another
 * system_fingerprint.  Where it has none the model is stranded: it answers nothing any more, and the server ends (server.h). */
#ifndef SERVE_SERVED_DEVICE_H
#define SERVE_SERVED_DEVICE_H
#include "nn/device.h"
#include "serve/served_model.h"

struct served_device {
    char name[32], model[128], arch[32]; /* "hip:0", "AMD Instinct MI300X", "gfx942" */
    size_t bytes;                        /* of its memory that are taken, as planned */
    size_t home_bytes;                   /* that the model would take here */
    int n_layer, layers, cpu_experts;    /* of the model; of them there; of them with experts here */
    char fingerprint[40];                /* of answers that it makes */
    struct block_key root;
    atomic_bool is_lost, moves, stranded;        /* the model is, or is to be, here; is being loaded; could not be */
    size_t taken;                        /* of the host's memory, when it moved */
    bool (*more_memory)(void *ctx, size_t bytes); void (*less_memory)(void *ctx, size_t bytes); void *ctx_of_memory;       /* the model's options */
};
/* Before a file is read: *out is to be given to engine_new(), or freed. */
int served_device_open(struct served_model *s, const struct served_model_opts *o, struct graph_device **out, struct err *err);
/* e: with the device, after it was planned, to these sizes. */
void served_device_note(struct served_model *s, const struct served_model_opts *o, const struct engine_opts *e, const struct engine_sizes *sizes);
/* Where it is, what it takes, and what would become of it: a line. */
void served_device_tell(const struct served_model *s);
/* By the thread of the steps, after one that has failed: moves the model. */
void served_device_lost(struct served_model *s);
void served_device_close(struct served_model *s);
#endif
