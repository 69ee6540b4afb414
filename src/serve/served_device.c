#include "serve/served_device.h"
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

int served_device_open(struct served_model *s, const struct served_model_opts *o, struct graph_device **out, struct err *err)
{
    if (s->n_adapter)
        return ERR(err, UNSUPPORTED, "%s on %s: adapters are done on the CPU alone (--adapter); lathe merge puts one into a model", s->name, o->device);
    TRY(o->open_device(out, o->device, err));
    struct served_device *d = s->device = mem_alloc_zero(sizeof *d);
    if (!d) {
        (*out)->free(*out);
        *out = NULL;
        return ERR(err, NOMEM, "no memory for what is known of %s", o->device);
    }
    d->more_memory = o->more_memory, d->less_memory = o->less_memory, d->ctx_of_memory = o->ctx_of_memory;
    snprintf(d->name, sizeof d->name, "%s", (*out)->name);
    snprintf(d->model, sizeof d->model, "%s", (*out)->model);
    snprintf(d->arch, sizeof d->arch, "%s", (*out)->arch);
    return 0;
}

void served_device_note(struct served_model *s, const struct served_model_opts *o, const struct engine_opts *e, const struct engine_sizes *sizes)
{
    struct engine_opts here = *e;
    struct err none;
    s->device->bytes = e->device->bytes;
    s->device->n_layer = sizes->n_layer, s->device->layers = sizes->device_layers, s->device->cpu_experts = e->cpu_experts;
    if (o->device_layers == ENGINE_LAYERS_FIT && sizes->device_layers < sizes->n_layer)
        log_warn("%s does not fit on %s whole: %d of %d layers run there, the others here", s->name, s->device->name, sizes->device_layers, sizes->n_layer);
    here.device = NULL;
    if (engine_plan_bytes(&s->device->home_bytes, o->path, &here, o->n_thread, &none) < 0)
        s->device->home_bytes = 0;               /* it is found out again when it matters */
}

void served_device_tell(const struct served_model *s)
{
    const struct served_device *d = s->device;
    char bytes[32], here[32], home[32];
    log_info("%s is on %s (%s, %s), of which it takes %s, beside %s here; should that be lost, it goes on here if there is room for %s", s->name, d->name, d->model, d->arch,
             fmt_bytes(bytes, (double)d->bytes), fmt_bytes(here, (double)s->bytes), fmt_bytes(home, (double)d->home_bytes));
    if (engine_config(s->engine)->n_expert)
        log_warn("%s: which experts its rows go to is not counted on %s", s->name, d->name);
}

static int go_home(struct served_model *s, struct err *err)
{
    struct served_device *d = s->device;
    const size_t more = d->home_bytes > s->bytes ? d->home_bytes - s->bytes : 0;
    char bytes[32];
    if (d->more_memory && !d->more_memory(d->ctx_of_memory, more))
        return ERR(err, NOMEM, "%s more are not left of what all models may take here (--memory)", fmt_bytes(bytes, (double)more));
    d->taken = more;
    return engine_leave_device(s->engine, err);
}

void served_device_lost(struct served_model *s)
{
    struct served_device *d = s->device;
    struct err err;
    char seconds[32];
    if (atomic_load(&d->stranded))
        return;
    const double from = clock_wall();
    atomic_store(&d->moves, true);
    atomic_store(&d->is_lost, true);             /* requests that come from now on are for the host's answers */
    log_warn("%s: %s is lost, and all texts that it had; the model is loaded here, requests wait meanwhile", s->name, d->name);
    machine_load_begin(s->machine);
    const int rc = go_home(s, &err);
    machine_load_end(s->machine);
    if (rc < 0) {
        log_warn("%s: %s is lost, and the model cannot be loaded here: %s", s->name, d->name, err.msg);
        atomic_store(&d->stranded, true);
    } else {
        log_warn("%s goes on on the CPU, after %s: its answers have another system_fingerprint, and are slower", s->name, fmt_seconds_fine(seconds, clock_wall() - from));
    }
    atomic_store(&d->moves, false);
}

void served_device_close(struct served_model *s)
{
    struct served_device *d = s->device;
    if (d && d->taken && d->less_memory)
        d->less_memory(d->ctx_of_memory, d->taken);
    mem_free(d);
    s->device = NULL;
}
