#include "data/fields.h"
#include <stdio.h>
#include <string.h>

static int unknown(const char *found, const char *const own[], int n, struct err *err)
{
    char list[200] = "";
    for (int i = 0, at = 0; i < n && at < (int)sizeof list; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%s", i ? ", " : "", own[i]);
    return ERR(err, USAGE, "data.fields: no record has '%s', expected some of %s", found, list);
}

/* "member = name", spaces around both allowed. */
static int parse_one(char (*name)[FIELD_NAME_MAX], const char *const own[], int n, char *part, struct err *err)
{
    char *member = part + strspn(part, " "), *eq = strchr(member, '=');
    if (!eq)
        return ERR(err, USAGE, "data.fields: found '%s', expected member=name, as in %s=column", member, own[0]);
    char *value = eq + 1 + strspn(eq + 1, " ");
    while (eq > member && eq[-1] == ' ')
        eq--;
    *eq = 0;
    for (size_t k = strlen(value); k && value[k - 1] == ' ';)
        value[--k] = 0;
    int i = 0;
    while (i < n && strcmp(own[i], member))
        i++;
    if (i == n)
        return unknown(member, own, n, err);
    if (!*value || strlen(value) >= FIELD_NAME_MAX)
        return ERR(err, USAGE, "data.fields: '%s' has no name, or one longer than %d bytes", member, FIELD_NAME_MAX - 1);
    strcpy(name[i], value);
    return 0;
}

int fields_parse(char (*name)[FIELD_NAME_MAX], const char *const own[], int n, const char *text, struct err *err)
{
    for (int i = 0; i < n; i++)
        strcpy(name[i], own[i]);
    for (const char *p = text; p && *p;) {
        const size_t len = strcspn(p, ",");
        char part[160];
        snprintf(part, sizeof part, "%.*s", (int)(len < 150 ? len : 150), p);
        p += len + (p[len] == ',');
        TRY(parse_one(name, own, n, part, err));
    }
    return 0;
}
