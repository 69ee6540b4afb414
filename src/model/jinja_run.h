/* jinja_run.h - inside the template engine: what expressions (jinja_eval.c) and statements (jinja_exec.c) ask of each other. */
#ifndef MODEL_JINJA_RUN_H
#define MODEL_JINJA_RUN_H
#include "model/jinja_tree.h"

struct jscope;
struct jmacro { const struct jnode *node; struct jscope *scope; };
struct jloop { const struct jlist *list; uint32_t i; struct jval changed; bool has_changed; };

/* ---- statements ---- */
const struct jval *jscope_find(struct jrun *r, const struct jscope *s, int id);        /* NULL when it has no value */
int jmacro_call(struct jrun *r, const struct jmacro *macro, const struct jargs *a, struct jval *out);

/* ---- expressions ---- */
int jeval(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out);
/* A CALL with one more argument, `caller`. */
int jeval_with_caller(struct jrun *r, struct jscope *s, const struct jnode *n, const struct jval *caller, struct jval *out);
#endif
