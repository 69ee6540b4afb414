#include "cmd/task_files.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"

int task_files_read(struct task_files *d, const struct opt_list *given, struct err *err)
{
    for (int i = 0; i < given->n; i++) {
        char *s = d->name[d->n] = mem_strdup(given->item[i]), *path = s ? strchr(s, '=') : NULL;
        if (!s)
            return ERR(err, NOMEM, "no memory for --data");
        d->n++;
        if (!path || path == s || !path[1])
            return ERR(err, USAGE, "--data: found '%s', expected TASK=FILE", s);
        *path++ = 0;
        char *split = strchr(s, ':');
        if (split)
            *split++ = 0;
        d->file[i] = (struct task_file){ s, split, path };
    }
    return 0;
}

void task_files_release(struct task_files *d)
{
    for (int i = 0; i < d->n; i++)
        mem_free(d->name[i]);
    d->n = 0;
}

int task_files_list(struct task_list *l, const char *names, const struct task_opts *o, struct err *err)
{
    char *all = mem_strdup(names), *save = NULL;
    int rc = all ? 0 : ERR(err, NOMEM, "no memory for --tasks");
    for (char *name = all ? strtok_r(all, ",", &save) : NULL; name && !rc; name = strtok_r(NULL, ",", &save))
        rc = task_list_add(l, name, o, err);
    mem_free(all);
    for (int i = 0; i < l->n_missing && !rc; i++)
        log_warn("%s is left out: %s", l->missing[i].name, l->missing[i].why.msg);
    return rc || l->n_task ? rc : ERR(err, USAGE, "--tasks names no task; lathe eval --tasks list shows those that are built in");
}
