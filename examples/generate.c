/* generate.c - continues a text with a model:  ./generate MODEL "Once upon a time"
 * cc -o generate generate.c $(pkg-config --cflags --libs lathe) */
#include <lathe.h>
#include <stdio.h>
#include <string.h>

static int print(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    return fwrite(text, 1, n, stdout) < n || fflush(stdout);      /* not 0 stops */
}

int main(int argc, char **argv)
{
    static int32_t ids[4096];
    const struct lathe_options options = { .context = 4096, .context_clip = 1 };
    const struct lathe_generation generation = { .sampling = { .temperature = 0.8, .seed = 1 }, .max_tokens = 100 };
    struct lathe_model *model = NULL;
    struct lathe_error err = { .code = LATHE_USAGE, .message = "usage: generate MODEL TEXT" };
    size_t n;
    int rc = argc == 3 ? 0 : LATHE_USAGE;
    if (!rc)
        rc = lathe_model_open(&model, argv[1], &options, &err);
    if (!rc)
        rc = lathe_tokenize(model, argv[2], strlen(argv[2]), LATHE_ADD, ids, sizeof ids / sizeof *ids, &n, &err);
    if (!rc)
        rc = lathe_generate(model, ids, n, &generation, print, NULL, NULL, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.message);
    else
        putchar('\n');
    lathe_model_free(model);
    return rc != 0;
}
