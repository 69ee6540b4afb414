#include "cmd/option_modes.h"
#include <string.h>
#include "base/buf.h"
#include "cmd/cmd.h"

/* What people would write for the modes, each word once, without the mode that the option itself asks for. */
static int name_modes(struct buf *b, const char *const *word, int n_word, unsigned modes, const char *option, struct err *err)
{
    int rc = 0;
    b->len = 0;
    for (int i = 0, last = -1; i < n_word && !rc; i++) {
        if (!(modes >> i & 1) || (last >= 0 && !strcmp(word[i], word[last])) || (!strncmp(word[i], "--", 2) && !strcmp(word[i] + 2, option)))
            continue;
        rc = last >= 0 ? buf_add_str(b, ", ", err) : 0;
        rc = rc ? rc : buf_add_str(b, word[i], err);
        last = i;
    }
    return rc ? rc : buf_add(b, "", 1, err);
}

static int refuse(const struct option_use *use, const char *const *word, int n_word, unsigned modes, struct err *err)
{
    struct buf expected, found;
    buf_init(&expected);
    buf_init(&found);
    int rc = name_modes(&expected, word, n_word, use->modes, use->name, err);
    rc = rc ? rc : name_modes(&found, word, n_word, modes, use->name, err);
    if (!rc && *expected.data)
        rc = ERR(err, USAGE, "--%s: it is of %s; found %s", use->name, expected.data, found.data);
    else if (!rc)
        rc = ERR(err, USAGE, "--%s: found %s beside it, expected one of them at a time", use->name, found.data);
    buf_release(&expected);
    buf_release(&found);
    return rc;
}

int option_modes_check(const struct option_use *use, int n_use, const char *const *word, int n_word, unsigned modes, struct err *err)
{
    for (int i = 0; i < n_use; i++)
        if (!(use[i].modes & modes) && cmd_given(use[i].name))
            return refuse(&use[i], word, n_word, modes, err);
    return 0;
}
