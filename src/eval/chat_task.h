/* chat_task.h - prompts of tasks by a model's own chat template, as lm-evaluation-harness' --apply_chat_template. */
#ifndef EVAL_CHAT_TASK_H
#define EVAL_CHAT_TASK_H
#include "eval/task.h"
#include "model/chat.h"

/* task_chat; user: the model's struct chat. */
int chat_task(void *user, const json_t *messages, bool continues, struct buf *out, struct err *err);
#endif
