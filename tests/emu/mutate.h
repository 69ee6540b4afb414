/* mutate.h - planted faults in PTX: another text in place of a part of a kernel. */
#ifndef TESTS_EMU_MUTATE_H
#define TESTS_EMU_MUTATE_H
#include "../test.h"

/* The image with what is found in the kernel's part of it, at its n-th place (from 0), put in place of it; NULL where there is none. */
SHARED_BY_TESTS char *mutated(const char *image, const char *kernel, const char *from, const char *to, int n)
{
    char entry[96];
    snprintf(entry, sizeof entry, ".entry %s(", kernel);
    const char *at = strstr(image, entry), *end = at ? strstr(at, "\n}") : NULL;
    for (int i = -1; at && i < n; i++)
        at = strstr(at + 1, from);
    if (!at || at > end)
        return NULL;
    char *text = malloc(strlen(image) + strlen(to) + 1);
    assert_non_null(text);
    sprintf(text, "%.*s%s%s", (int)(at - image), image, to, at + strlen(from));
    return text;
}
#endif
