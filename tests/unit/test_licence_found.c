/* test_licence_found.c - licences as they stand in names, texts, Debian copyright files and dataset cards. */
#include <errno.h>
#include "../test.h"
#include "audit/licence_found.h"
#include "base/mem.h"

static struct err err;

static const char *words(const char *text)
{
    static struct buf b;
    if (b.data)
        buf_release(&b);
    buf_init(&b);
    const int rc = licence_of_words(text, strlen(text), &b, &err);
    OK(rc);
    assert_int_equal(rc > 0, b.len > 0);
    return b.len ? b.data : "unknown";
}

/* tests/golden/licences/paraphrases.tsv: strings of data sets, what the Data Provenance Initiative calls them, what we do, and why. */
static void names_in_the_wild_are_read_and_each_difference_is_explained(void **state)
{
    (void)state;
    struct buf b;
    int n = 0, n_differ = 0;
    buf_init(&b);
    OK(file_read("tests/golden/licences/paraphrases.tsv", 1 << 20, &b, &err));
    for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *field[4] = { line, NULL, NULL, NULL };
        *end = 0;
        if (*line == '#' && !strchr(line, '\t'))
            continue;
        for (int f = 1; f < 4; f++) {
            field[f] = strchr(field[f - 1], '\t');
            assert_non_null(field[f]);
            *field[f]++ = 0;
        }
        if (strcmp(words(field[0]), field[2]))
            fail_msg("'%s' (%s): '%s', expected '%s'", field[0], field[1], words(field[0]), field[2]);
        n++, n_differ += *field[3] != 0;
    }
    assert_int_equal(n, 137);
    assert_int_equal(n_differ, 24);
    buf_release(&b);
}

/* Ids of a model hub, and what must not become a licence by accident. */
static void other_names_are_read_or_not_guessed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "openrail", "LicenseRef-openrail" }, { "openrail++", "LicenseRef-openrail-plus-plus" }, { "bigscience-openrail-m", "LicenseRef-bigscience-openrail-m" },
        { "llama2", "LicenseRef-llama2" }, { "Llama3.1", "LicenseRef-llama3.1" }, { "gemma", "LicenseRef-gemma" }, { "odbl", "ODbL-1.0" }, { "pddl", "PDDL-1.0" },
        { "lgpl-2.1", "LGPL-2.1-only" }, { "lgpl", "LGPL-2.0-or-later" }, { "GPLv2+", "GPL-2.0-or-later" }, { "GPL v2 or later", "GPL-2.0-or-later" },
        { "gplv2", "GPL-2.0-only" }, { "GNU Lesser General Public License, version 3", "LGPL-3.0-only" }, { "mpl-2.0", "MPL-2.0" },
        { "Mozilla Public License 2.0", "MPL-2.0" }, { "CC BY 4.0 and MIT License", "CC-BY-4.0 AND MIT" }, { "MIT OR Apache-2.0", "Apache-2.0 OR MIT" },
        { "cc-by-nc-nd-3.0", "CC-BY-NC-ND-3.0" }, { "CC BY-NC-SA 2.0", "CC-BY-NC-SA-2.0" }, { "CC0 1.0 Universal", "CC0-1.0" },
        { "", "unknown" }, { "  ", "unknown" }, { "see LICENSE", "unknown" }, { "Not licensed under CC BY 4.0", "unknown" }, { "free for everyone", "unknown" },
        { "transmit", "unknown" }, { "mit freundlichen Grüßen", "unknown" }, { "Attribution", "unknown" }, { "by 4.0", "unknown" }, { "GPL-9", "GPL-1.0-or-later" },
        { "CC BY-SA-ND 4.0", "unknown" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(words(cases[i][0]), cases[i][1]))
            fail_msg("'%s': '%s', expected '%s'", cases[i][0], words(cases[i][0]), cases[i][1]);
}

/* ---- texts ---- */

static const char *text_of(const char *text, size_t n, enum licence_how *how)
{
    static struct buf b;
    if (b.data)
        buf_release(&b);
    buf_init(&b);
    OK(licence_of_text(text, n, &b, how, &err));
    return b.len ? b.data : "unknown";
}

#define MIT_BODY                                                                                                                             \
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the\n" \
    "\"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,\n" \
    "distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to\n" \
    "the following conditions:\n\nThe above copyright notice and this permission notice shall be included in all copies or substantial\n"      \
    "portions of the Software.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT\n"   \
    "LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR\n"   \
    "COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING\n"    \
    "FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.\n"

static void texts_are_known_by_all_their_words_or_by_sentences(void **state)
{
    (void)state;
    static const struct { const char *text, *id; enum licence_how how; } cases[] = {
        { "MIT License\n\nCopyright (c) 2026 Somebody\n\n" MIT_BODY, "MIT", LICENCE_BY_TEXT },
        { "The MIT License (MIT)\n\n(c) Copyright 2026 Somebody. All rights reserved.\nAll rights reserved.\n\n" MIT_BODY, "MIT", LICENCE_BY_TEXT },
        { "Copyright 2026 Somebody\n\n" MIT_BODY "\nAnd a word more.\n", "MIT", LICENCE_BY_SENTENCES },
        { "Data are under the Open Data Commons Attribution License, as the Licensor says.\n" MIT_BODY, "MIT AND ODC-By-1.0", LICENCE_BY_SENTENCES },
        { "/* SPDX-License-Identifier: Apache-2.0 or MIT\r\n", "Apache-2.0 OR MIT", LICENCE_BY_TAG },
        { "CC BY-SA 4.0 (wikipedia.org)\n", "CC-BY-SA-4.0", LICENCE_BY_WORDS },
        { "All rights are ours.\n", "unknown", LICENCE_BY_WORDS },
        { "", "unknown", LICENCE_BY_WORDS },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum licence_how how;
        assert_string_equal(text_of(cases[i].text, strlen(cases[i].text), &how), cases[i].id);
        assert_string_equal(licence_how_word(how), licence_how_word(cases[i].how));
    }
}

/* The texts that Debian keeps for all packages, and those of data that tests use. */
static void texts_of_others_are_known(void **state)
{
    (void)state;
    static const char *const debian[][2] = {
        { "Apache-2.0", "Apache-2.0" }, { "BSD", "BSD-3-Clause" }, { "CC0-1.0", "CC0-1.0" }, { "GFDL-1.2", "GFDL-1.2-only" }, { "GFDL-1.3", "GFDL-1.3-only" },
        { "GPL-1", "GPL-1.0-only" }, { "GPL-2", "GPL-2.0-only" }, { "GPL-3", "GPL-3.0-only" }, { "LGPL-2", "LGPL-2.0-only" }, { "LGPL-2.1", "LGPL-2.1-only" },
        { "LGPL-3", "LGPL-3.0-only" }, { "MPL-2.0", "MPL-2.0" },
    };
    static const char *const data[][2] = {
        { "governance-licences", "CC-BY-4.0" }, { "governance-croissant", "Apache-2.0" }, { "governance-pii", "MIT" }, { "intents-clinc-oos", "CC-BY-3.0" },
        { "text-tinyshakespeare", "BSD-3-Clause" }, { "governance-spdx-ids", "CC0-1.0" },
    };
    enum licence_how how;
    struct buf b;
    for (size_t i = 0; i < sizeof debian / sizeof *debian + sizeof data / sizeof *data; i++) {
        const bool ours = i < sizeof debian / sizeof *debian;
        const size_t k = ours ? i : i - sizeof debian / sizeof *debian;
        const char *path = ours ? path_in("/usr/share/common-licenses", debian[k][0]) : path_in(shared(data[k][0]), "LICENCE.txt");
        if (ours && !file_exists(path)) {
            print_message("SKIPPED: %s is not here\n", path);
            continue;
        }
        buf_init(&b);
        OK(file_read(path, 1 << 20, &b, &err));
        if (strcmp(text_of(b.data, b.len, &how), ours ? debian[k][1] : data[k][1]))
            fail_msg("%s: %s", path, text_of(b.data, b.len, &how));
        buf_release(&b);
    }
}

/* ---- Debian copyright files ---- */

static const char copyright[] =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
    "Upstream-Name: thing\n"
    "\n"
    "Files: *\n"
    "Copyright: 2026, Somebody\n"
    "License: GPL-2+ or Artistic-2.0, and BSD-3-clause\n"
    " A text that is not read.\n"
    "\n"
    "# a comment\n"
    "Files:\n"
    " data/*\n"
    " *.csv\n"
    "Copyright: none\n"
    "License: CC-BY-SA-4.0\n"
    "\n"
    "Files: data/a?\\*.txt\n"
    "Copyright: 2026\n"
    "License: GPL-2+ with OpenSSL exception\n"
    "\n"
    "Files: data/odd/*\n"
    "License: Some odd one\n"
    "\n"
    "License: GPL-2+\n"
    " stands alone\n";

static void a_copyright_file_tells_the_licence_of_each_file(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "src/main.c", "BSD-3-Clause AND (Artistic-2.0 OR GPL-2.0-or-later)" },
        { "data/x.txt", "CC-BY-SA-4.0" },
        { "deep/er/x.csv", "CC-BY-SA-4.0" },
        { "data/ab*.txt", "GPL-2.0-or-later WITH AdditionRef-OpenSSL-exception" },
        { "data/abc.txt", "CC-BY-SA-4.0" },
        { "data/odd/a/b", "LicenseRef-Some-odd-one" },
    };
    struct dep5 d;
    OK(dep5_read(&d, copyright, sizeof copyright - 1, "copyright", &err));
    assert_int_equal(d.n, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(dep5_find(&d, cases[i][0]), cases[i][1]);
    dep5_release(&d);
}

static void a_wrong_copyright_file_is_an_error_with_its_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "c: it is empty" },
        { "This package was made by\n", "c:1: expected 'Format: ...copyright-format/1.0/'" },
        { "Format: copyright-format/1.0\n\nFiles: *\nCopyright: x\n", "c:3: a stanza with Files has no License" },
        { "Format: copyright-format/1.0\n\nFiles: *\nLicense: and or\n", "c:4: 'and or' is no list of licences" },
        { "Format: copyright-format/1.0\n\nFiles: *\nLicense: ,,\n", "c:4: ',,' is no list of licences" },
        { "Format: copyright-format/1.0\n\nFiles *\n", "c:3: 'Files *', expected a field and ':'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dep5 d;
        assert_int_equal(dep5_read(&d, cases[i][0], strlen(cases[i][0]), "c", &err), ERR_FORMAT);
        assert_string_equal(err.msg, cases[i][1]);
    }
}

/* ---- dataset cards ---- */

static const char *card(const char *front)
{
    static struct buf b;
    char text[2000];
    json_t *c;
    snprintf(text, sizeof text, "---\n%s---\n# A set\n", front);
    if (b.data)
        buf_release(&b);
    buf_init(&b);
    OK(card_read(&c, text, strlen(text), "README.md", &err));
    OK(card_licence(c, &b, &err));
    json_decref(c);
    return b.len ? b.data : "unknown";
}

static void cards_tell_their_licence(void **state)
{
    (void)state;
    assert_string_equal(card("license: cc-by-sa-4.0\nlanguage:\n- en\n- de\n"), "CC-BY-SA-4.0");
    assert_string_equal(card("license:\n- apache-2.0\n- cc-by-4.0\n"), "Apache-2.0 AND CC-BY-4.0");
    assert_string_equal(card("license:\n- apache-2.0\n- other\n"), "unknown");
    assert_string_equal(card("license: other\nlicense_name: my terms v2\n"), "LicenseRef-my-terms-v2");
    assert_string_equal(card("license: other\nlicense_name: deepseek-mit License\n"), "MIT");
    assert_string_equal(card("license: unknown\n"), "unknown");
    assert_string_equal(card("license: 7\n"), "unknown");
    assert_string_equal(card("language: en\n"), "unknown");
    json_t *c;
    assert_int_equal(card_read(&c, "# no front matter\n", 18, "README.md", &err), 0);
    assert_int_equal(card_read(&c, "---\nlicense: mit\n", 17, "README.md", &err), ERR_FORMAT);
    assert_string_equal(err.msg, "README.md: the front matter that begins in line 1 has no end ('---')");
    assert_int_equal(card_read(&c, "---\n- mit\n---\n", 14, "README.md", &err), ERR_FORMAT);
    assert_string_equal(err.msg, "README.md: the front matter is no list of keys");
}

/* ---- a folder ---- */

static int n_fault;
static char fault[600];

static void told(void *ctx, const char *path, const struct err *why)
{
    (void)ctx, (void)path;
    n_fault++;
    snprintf(fault, sizeof fault, "%s", why->msg);
}

static void what_stands_in_a_folder_is_found_and_faults_are_told(void **state)
{
    (void)state;
    struct licence_finds f;
    OK(file_mkdirs(in_dir("set/debian"), &err));
    put_in_dir("set/LICENSE", "MIT License\n\nCopyright (c) 2026 Somebody\n\n" MIT_BODY);
    put_in_dir("set/COPYING.txt", "what?\n");
    put_in_dir("set/README.md", "---\nlicense: odc-by\nlanguage: en\n---\n");
    put_in_dir("set/debian/copyright", copyright);
    put_in_dir("set/a.csv", "text\na\n");
    const char *files[] = { in_dir("set/a.csv"), in_dir("set/data/x") };
    OK(licence_find(&f, in_dir("set"), files, 2, told, NULL, &err));
    assert_int_equal(f.n, 4);
    assert_null(f.item[0].expression);
    assert_string_equal(f.item[1].expression, "MIT");
    assert_string_equal(f.item[2].expression, "ODC-By-1.0");
    assert_int_equal(f.item[2].how, LICENCE_BY_CARD);
    assert_string_equal(f.item[3].expression, "CC-BY-SA-4.0");
    assert_string_equal(json_string_value(json_object_get(f.card, "language")), "en");
    licence_finds_release(&f);
    assert_int_equal(n_fault, 0);

    put_in_dir("set/README.md", "---\nlicense: [\n---\n");
    OK(licence_find(&f, in_dir("set/a.csv"), files, 1, told, NULL, &err));        /* the same folder */
    assert_int_equal(f.n, 3);
    assert_int_equal(n_fault, 1);
    assert_non_null(strstr(fault, "README.md:"));
    licence_finds_release(&f);

    n_fault = 0;                                 /* a copyright file of some files tells nothing of the others */
    OK(file_mkdirs(in_dir("some/debian"), &err));
    put_in_dir("some/debian/copyright", "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: a/*\nCopyright: 2026\nLicense: MIT\n");
    const char *some[] = { in_dir("some/a/x.txt"), in_dir("some/debian/copyright"), in_dir("some/b/x.txt") };
    OK(licence_find(&f, in_dir("some"), some, 2, told, NULL, &err));
    assert_int_equal(n_fault, 0);
    assert_string_equal(f.item[0].expression, "MIT");
    licence_finds_release(&f);
    OK(licence_find(&f, in_dir("some"), some, 3, told, NULL, &err));
    assert_int_equal(f.n, 0);
    assert_int_equal(n_fault, 1);
    assert_non_null(strstr(fault, "no stanza fits 'b/x.txt'"));
    licence_finds_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_the_wild_are_read_and_each_difference_is_explained),
        cmocka_unit_test(other_names_are_read_or_not_guessed),
        cmocka_unit_test(texts_are_known_by_all_their_words_or_by_sentences),
        cmocka_unit_test(texts_of_others_are_known),
        cmocka_unit_test(a_copyright_file_tells_the_licence_of_each_file),
        cmocka_unit_test(a_wrong_copyright_file_is_an_error_with_its_line),
        cmocka_unit_test(cards_tell_their_licence),
        cmocka_unit_test(what_stands_in_a_folder_is_found_and_faults_are_told),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
