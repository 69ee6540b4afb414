/* task_files.h - --tasks and --data of commands that put models to tasks. */
#ifndef CMD_TASK_FILES_H
#define CMD_TASK_FILES_H
#include "base/opt.h"
#include "eval/task.h"

/* TASK=FILE or TASK:SPLIT=FILE of --data; the names are copies.  release in any case. */
struct task_files { struct task_file file[OPT_LIST_MAX]; char *name[OPT_LIST_MAX]; int n; };
int task_files_read(struct task_files *d, const struct opt_list *given, struct err *err);
void task_files_release(struct task_files *d);
/* Adds the tasks of --tasks, names with commas between them; what a group has no files of is told as a warning. */
int task_files_list(struct task_list *l, const char *names, const struct task_opts *o, struct err *err);
#endif
