#include "card/licences.h"
#include <string.h>
#include <strings.h>
#include "card/questions.h"
#include "card/read.h"

static int put(json_t *o, const char *name, const json_t *licence, struct err *err)
{
    const bool known = json_string_length(licence) && !json_object_get(o, name);
    return known && json_object_set(o, name, (json_t *)(uintptr_t)licence) < 0 ? ERR(err, NOMEM, "no memory for the licences of sources") : 0;
}

int licences_of_sources(const json_t *report, json_t **out, struct err *err)
{
    const json_t *stated = json_object_get(report, "sources"), *found = read_at(report, "licences.sources"), *s;
    int rc = (*out = json_object()) ? 0 : ERR(err, NOMEM, "no memory for the licences of sources");
    for (size_t i = 0; i < json_array_size(stated) && !rc; i++)
        s = json_array_get(stated, i), rc = put(*out, read_str(s, "name"), json_object_get(s, "licence"), err);
    for (size_t i = 0; i < json_array_size(found) && !rc; i++)
        s = json_array_get(found, i), rc = put(*out, json_string_value(json_object_get(s, "source")), json_object_get(s, "expression"), err);
    return rc;
}

const char *licence_of_source(const struct card *c, const json_t *source) { return json_string_value(json_object_get(c->licences, read_str(source, "name"))); }

/* All of them, each once, in order; none where one is unknown. */
static int distinct(const struct card *c, json_t *set, struct err *err)
{
    const json_t *sources = json_object_get(c->report, "sources");
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const char *one = licence_of_source(c, json_array_get(sources, i));
        if (!one) {
            json_object_clear(set);
            return 0;
        }
        if (json_object_set_new(set, one, json_true()) < 0)
            return ERR(err, NOMEM, "no memory for the licence of the whole");
    }
    return 0;
}

int licence_of_card(const struct card *c, struct buf *out, struct err *err)
{
    const char *said = card_answer(c, "about.licence"), *one;
    json_t *set, *v;
    if (said)
        return buf_add_str(out, said, err);
    if (!(set = json_object()))
        return ERR(err, NOMEM, "no memory for the licence of the whole");
    int rc = distinct(c, set, err), k = 0;
    json_object_foreach(set, one, v) {
        const bool group = json_object_size(set) > 1 && strpbrk(one, " (");
        rc = rc ? rc : buf_printf(out, err, "%s%s%s%s", k++ ? " AND " : "", group ? "(" : "", one, group ? ")" : "");
    }
    json_decref(set);
    return rc;
}

bool licence_is_id(const char *s)
{
    if (!strncmp(s, "LicenseRef-", 11) || !strncmp(s, "DocumentRef-", 12))
        return false;
    const size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");
    return n && !s[n];
}

/* The Hub knows these, by the SPDX identifier in small letters or, the last ones, by names of its own; https://huggingface.co/docs/hub/repositories-licenses */
static const char *const hub_ids[] = {
    "apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl-2.0",
    "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib",
    "unknown", "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "bsd", "cc", "gpl", "lgpl", "lgpl-lr",
    "etalab-2.0", "c-uda", "odbl", "pddl", "deepfloyd-if-license", "fair-noncommercial-research-license", "apple-ascl", "apple-amlr", "h-research", "intel-research", "open-mdw",
    "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma",
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
