/* workshop_life.h - a project as files that lathe run reads: data.yaml, recipes/NAME.yaml, held-out.yaml and life.yaml, in its folder.
 *
 * Where p has a base, base_path is what train goes on from, and adapters are merged into it (merge), which is then the model.
 *
 *   texts      audit, build; train on the build's texts; eval of what was held out, and a text of its own
 *   classes    audit of a table's columns, build; train; classify --judge on what was held out
 *   images     audit; images/train and images/valid are links to what it kept (workshop_images.h); train; classify --judge
 * All paths are relative to the folder.  p: project.json (workshop_project.h).  One thread. */
#ifndef SERVE_WORKSHOP_LIFE_H
#define SERVE_WORKSHOP_LIFE_H
#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"

/* tunes: from the project's base, lora the settings of its adapters, or NULL; model and data are NULL then. */
struct workshop_recipe { const char *goal, *name, *title, *sentence, *model, *data, *train; int batch, epochs; int64_t least, most; bool tunes; const char *lora; };
extern const struct workshop_recipe workshop_recipes[];
extern const int workshop_n_recipe;
bool workshop_recipe_fits(const struct workshop_recipe *r, const json_t *p);            /* its goal, and whether it goes on from a model */
const struct workshop_recipe *workshop_recipe_find(const json_t *p, const char *name);      /* of those; NULL: none */
bool life_base_is_file(const json_t *p);         /* GGUF */
json_t *workshop_recipes_json(void);             /* [{ goal, name, title, sentence }] */

#define LIFE_DATA "-data"                /* behind a version's name: that of what it learned from */
extern const char *const life_stages[];          /* of all goals, in their order; NULL behind the last */
/* How far: each has all before it. */
enum life_part { LIFE_AUDIT, LIFE_BUILD, LIFE_TRAIN, LIFE_REGISTER };
int life_write(const char *folder, const json_t *p, enum life_part last, const char *registry, struct err *err);
int life_write_data(const char *folder, const json_t *p, struct err *err);
/* RECIPE's settings, for as many steps as p's counts ask for. */
int life_write_recipe(const char *folder, const json_t *p, const struct workshop_recipe *r, struct err *err);
int64_t life_steps(const json_t *p, const struct workshop_recipe *r);
/* So few texts that the end of each is held out (workshop_texts.h), and not some of them whole. */
bool life_cuts_texts(const json_t *p);
#endif
