#include "card/licences.h"
#include <string.h>
#include <strings.h>
#include "card/questions.h"
#include "card/read.h"

const char *licence_of_source(const struct card *c, const json_t *source)
{
    const json_t *list = read_at(c->report, "licences.sources");
    const char *stated = read_str(source, "licence"), *name = read_str(source, "name");
    for (size_t i = 0; i < json_array_size(list) && !stated && name; i++) {
        const char *of = read_str(json_array_get(list, i), "source");
        if (of && !strcmp(of, name))
            return read_str(json_array_get(list, i), "expression");
    }
    return stated;
}

static bool seen(const struct card *c, const json_t *sources, size_t n, const char *licence)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(licence_of_source(c, json_array_get(sources, i)), licence))
            return true;
    return false;
}

int licence_of_card(const struct card *c, struct buf *out, struct err *err)
{
    const json_t *sources = json_object_get(c->report, "sources");
    const char *said = card_answer(c, "about.licence");
    size_t n = 0;
    if (said)
        return buf_add_str(out, said, err);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const char *one = licence_of_source(c, json_array_get(sources, i));
        if (!one)
            return 0;
        n += !seen(c, sources, i, one);
    }
    for (size_t i = 0, k = 0; i < json_array_size(sources); i++) {
        const char *one = licence_of_source(c, json_array_get(sources, i));
        if (seen(c, sources, i, one))
            continue;
        const bool group = n > 1 && strpbrk(one, " (");
        TRY(buf_printf(out, err, "%s%s%s%s", k++ ? " AND " : "", group ? "(" : "", one, group ? ")" : ""));
    }
    return 0;
}

bool licence_is_id(const char *s)
{
    if (!strncmp(s, "LicenseRef-", 11) || !strncmp(s, "DocumentRef-", 12))
        return false;
    const size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");
    return n && !s[n];
}

/* The Hub knows these, by the SPDX identifier in small letters. */
static const char *const hub_ids[] = {
    "apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl-2.0",
    "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib",
};

const char *licence_hub_id(const char *expression)
{
    static const struct { const char *spdx, *hub; } others[] = {
        { "AGPL-3.0-only", "agpl-3.0" }, { "GPL-2.0-only", "gpl-2.0" }, { "GPL-3.0-only", "gpl-3.0" }, { "LGPL-2.1-only", "lgpl-2.1" },
        { "LGPL-3.0-only", "lgpl-3.0" }, { "ODC-By-1.0", "odc-by" }, { "ODbL-1.0", "odbl" }, { "PDDL-1.0", "pddl" }, { "C-UDA-1.0", "c-uda" },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcasecmp(others[i].spdx, expression))
            return others[i].hub;
    for (size_t i = 0; i < sizeof hub_ids / sizeof *hub_ids; i++)
        if (!strcasecmp(hub_ids[i], expression))
            return hub_ids[i];
    return NULL;
}
