/* mlflow_filter.h - the filters of MLflow's searches: "name LIKE 'a%' AND tags.team = 'b'".
 *
 * Comparisons joined by AND; a key of those the search knows, or tags.KEY (KEY in back quotes or double quotes where it has more than letters,
 * digits and . _ -); = and !=, for texts also LIKE and ILIKE (% any text, _ any character of one byte), for version_number also < <= > >=.  What has not got the
 * key matches no comparison.  OR, IN and parentheses are refused. */
#ifndef SERVE_MLFLOW_FILTER_H
#define SERVE_MLFLOW_FILTER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define MLFLOW_TESTS 16                  /* comparisons of a filter */
enum mlflow_op { MLFLOW_EQ, MLFLOW_NE, MLFLOW_LE, MLFLOW_GE, MLFLOW_LT, MLFLOW_GT, MLFLOW_ILIKE, MLFLOW_LIKE, N_MLFLOW_OP };
struct mlflow_test { bool tag; enum mlflow_op op; char key[256], value[1000]; int64_t number; };
struct mlflow_filter { struct mlflow_test test[MLFLOW_TESTS]; int n; };

/* keys: "name|run_id".  "" has no comparison.  ERR_USAGE: what was found and where. */
int mlflow_filter_parse(struct mlflow_filter *out, const char *text, const char *keys, struct err *err);
/* Of one comparison; value NULL: it is not there. */
bool mlflow_test_is(const struct mlflow_test *t, const char *value);
bool mlflow_like(const char *text, const char *pattern, bool any_case);
#endif
