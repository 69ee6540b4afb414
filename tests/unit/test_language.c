/* test_language.c - the language of texts whose language is known: article 1 of the Universal Declaration of Human Rights. */
#include "../test.h"
#include "data/language.h"
#include "base/mem.h"

static char room[LANGUAGE_LOOK + LANGUAGE_PAD];

static void texts_have_their_language(void **state)
{
    (void)state;
    static const struct { const char *code, *text; } cases[] = {
        { "en", "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood." },
        { "de", "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen." },
        { "fr", "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité." },
        { "es", "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros." },
        { "it", "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza." },
        { "nl", "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen." },
        { "pl", "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa." },
        { "ru", "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства." },
        { "el", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα." },
        { "ja", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" },
        { "ko", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다." },
        { "zh", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" },
        { "un", "1234 5678 +-*/ 12:00" },
        { "un", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct language l = language_of(cases[i].text, strlen(cases[i].text), room);
        assert_string_equal(l.code, cases[i].code);
        assert_true(i >= 12 || l.share >= 95);
    }
}

/* Its beginning and its middle count, cut between characters. */
static void a_long_text_is_looked_at_in_part(void **state)
{
    (void)state;
    static const char de[] = "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller staatlichen Gewalt. ";
    const size_t n = sizeof de - 1;
    char *text = mem_alloc(4 * LANGUAGE_LOOK);
    for (size_t i = 0; i < 4 * LANGUAGE_LOOK; i++)
        text[i] = de[i % n];
    for (size_t cut = LANGUAGE_LOOK + 1; cut < LANGUAGE_LOOK + (size_t)2000; cut++)
        assert_string_equal(language_of(text, cut, room).code, "de");
    mem_free(text);
}

static void a_text_that_only_begins_in_english_is_not_english(void **state)
{
    static const char en[] = "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience. ";
    static const char de[] = "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller staatlichen Gewalt. ";
    char *text = mem_alloc(4 * LANGUAGE_LOOK);
    (void)state;
    for (size_t i = 0; i < 4 * LANGUAGE_LOOK; i++)
        text[i] = en[i % (sizeof en - 1)];
    assert_true(language_of(text, 4 * LANGUAGE_LOOK, room).share >= 97);
    for (size_t i = LANGUAGE_LOOK; i < 4 * LANGUAGE_LOOK; i++)
        text[i] = de[i % (sizeof de - 1)];
    const struct language l = language_of(text, 4 * LANGUAGE_LOOK, room);
    assert_true(l.share < 70);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_have_their_language), cmocka_unit_test(a_long_text_is_looked_at_in_part), cmocka_unit_test(a_text_that_only_begins_in_english_is_not_english) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
