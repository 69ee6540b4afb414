/* datasheet.md: the questions of Gebru et al. in their order, each with what the audit knows, what a person says, or that it is open. */
#include <string.h>
#include "card/mark.h"
#include "card/questions.h"

static int title(const struct card *c, struct buf *out, struct err *err)
{
    TRY(buf_add_str(out, "# Datasheet: ", err));
    TRY(md_text(out, c->name, err));
    TRY(buf_printf(out, err, "\n\nOf %.10s. The questions are those of \"Datasheets for Datasets\" (Gebru et al., 2021). What is marked **Audit** was measured; what is marked\n"
                             "**Answer** was said by a person; what is marked **Open** nobody has said yet.\n", c->created));
    return 0;
}

static int marked(struct buf *out, const char *mark, const char *text, struct err *err)
{
    TRY(buf_printf(out, err, "\n**%s.**%s", mark, strncmp(text, "- ", 2) ? " " : "\n\n"));
    return md_lines(out, text, err);
}

static int entry(const struct card *c, int i, int number, struct buf *out, struct err *err)
{
    struct buf known;
    enum question_state state;
    TRY(question_state(c, i, &state, err));
    TRY(buf_printf(out, err, "\n### %d. %s\n", number, question_text(i)));
    buf_init(&known);
    int rc = question_evidence(c, i, &known, err);
    if (!rc && known.len)
        rc = marked(out, "Audit", known.data, err);
    buf_release(&known);
    TRY(rc);
    if (question_answer(c, i))
        return marked(out, "Answer", question_answer(c, i), err);
    if (state == QUESTION_ANSWERED)
        return 0;
    return buf_printf(out, err, "\n**Open**%s: `%s`\n", state == QUESTION_PART ? ", beyond that" : "", question_id(i));
}

static int open_list(const struct card *c, int first, struct buf *out, struct err *err)
{
    int n;
    TRY(questions_open(c, &n, err));
    TRY(buf_printf(out, err, "\n## Open questions\n\n%d of %d. They are filled in in questions.yaml.\n\n", n, question_count()));
    for (int i = 0; i < question_count(); i++) {
        enum question_state state;
        TRY(question_state(c, i, &state, err));
        if (state != QUESTION_ANSWERED)
            TRY(buf_printf(out, err, "- `%s`%s%s\n", question_id(i), i < first ? ": " : "", i < first ? question_text(i) : ""));
    }
    return 0;
}

int datasheet_of_card(const struct card *c, struct buf *out, struct err *err)
{
    const char *section = "";
    int first = 0;
    while (!strcmp(question_section(first), "About"))
        first++;
    TRY(title(c, out, err));
    for (int i = first; i < question_count(); i++) {
        if (strcmp(section, question_section(i)))
            TRY(buf_printf(out, err, "\n## %s\n", section = question_section(i)));
        TRY(entry(c, i, i - first + 1, out, err));
    }
    return open_list(c, first, out, err);
}
