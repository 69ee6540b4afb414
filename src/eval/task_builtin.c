#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "eval/task_impl.h"

/* The files, each with a NUL behind it. */
#define FILE_OF(file)                                                       \
    __asm__(".pushsection .rodata\n"                                        \
            "task_" #file ": .incbin \"src/eval/tasks/" #file ".yaml\"\n"   \
            ".byte 0\n"                                                     \
            ".popsection\n");                                               \
    extern const char task_##file[] __attribute__((visibility("hidden")));
#define BUILTIN(name, file, sentence) FILE_OF(file)
#define FAMILY(prefix, file, members) FILE_OF(file)
#define PART(name, file) FILE_OF(file)
#include "eval/task_builtin.def"
#undef BUILTIN
#undef FAMILY
#undef PART

static const struct { const char *name, *text; } whole[] = {
#define BUILTIN(name, file, sentence) { name, task_##file },
#define FAMILY(prefix, file, members)
#define PART(name, file) { name, task_##file },
#include "eval/task_builtin.def"
#undef BUILTIN
#undef FAMILY
#undef PART
};

static const struct { const char *prefix, *text, *members; } families[] = {
#define BUILTIN(name, file, sentence)
#define FAMILY(prefix, file, members) { prefix, task_##file, members },
#define PART(name, file)
#include "eval/task_builtin.def"
#undef BUILTIN
#undef FAMILY
#undef PART
};

const struct task_builtin *task_builtins(void)
{
    static const struct task_builtin all[] = {
#define BUILTIN(name, file, sentence) { name, sentence },
#define FAMILY(prefix, file, members) { prefix "*", "one of them: " members },
#define PART(name, file)
#include "eval/task_builtin.def"
#undef BUILTIN
#undef FAMILY
#undef PART
        { NULL, NULL },
    };
    return all;
}

/* The file of a family with a member's name in it. */
static int fill(struct buf *b, const char *text, const char *member, struct err *err)
{
    static const char name[] = "@member@", words[] = "@words@";
    for (const char *p = text; *p; p++) {
        if (!strncmp(p, name, sizeof name - 1)) {
            TRY(buf_add_str(b, member, err));
            p += sizeof name - 2;
        } else if (!strncmp(p, words, sizeof words - 1)) {
            for (const char *m = member; *m; m++)
                TRY(buf_add_char(b, *m == '_' ? ' ' : *m, err));
            p += sizeof words - 2;
        } else {
            TRY(buf_add_char(b, *p, err));
        }
    }
    return 0;
}

int task_builtin_text(const char *name, char **text, size_t *n, struct err *err)
{
    struct buf b;
    int rc = 0;
    bool found = false;
    *text = NULL;
    buf_init(&b);
    for (size_t i = 0; !found && i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(whole[i].name, name)) {
            found = true;
            rc = buf_add_str(&b, whole[i].text, err);
        }
    for (size_t i = 0; !found && i < sizeof families / sizeof *families; i++) {
        const size_t k = strlen(families[i].prefix);
        if (!strncmp(name, families[i].prefix, k) && words_have(families[i].members, name + k)) {
            found = true;
            rc = fill(&b, families[i].text, name + k, err);
        }
    }
    if (rc || !found)
        buf_release(&b);
    else
        *text = b.data, *n = b.len;
    return rc;
}
