#include "cmd/foretold.h"
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "nn/limits.h"

void foretold(enum planned what, const char *model, double predicted, double actual)
{
    struct plan_outcome o = { .what = what, .predicted = predicted, .actual = actual };
    struct limits l;
    struct err err = { 0 };
    char *path = plan_history_path();
    snprintf(o.model, sizeof o.model, "%s", model);
    if (limits_load(&l, cmd_n_thread(), NULL) < 0)
        snprintf(o.machine, sizeof o.machine, "not measured, %d threads", cmd_n_thread());
    else
        snprintf(o.machine, sizeof o.machine, "%s, %s, %d threads", l.cpu, l.level, l.n_thread);
    if (path && plan_history_add(path, &o, &err) < 0)
        log_warn("what was predicted is not kept: %s", err.msg);
    mem_free(path);
}
