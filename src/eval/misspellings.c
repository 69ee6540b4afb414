#include "eval/misspellings.h"
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

/* Common ones of English, as dictionaries and style guides list them. */
static const char *const common[] = {
    "absence absense abcence", "acceptable acceptible", "accessible accessable", "accidentally accidently accidentaly", "accommodate accomodate acommodate",
    "achieve acheive", "acknowledge acknowlege aknowledge", "acquaintance aquaintance", "acquire aquire", "across accross", "address adress",
    "aggressive agressive", "amateur amatuer amature", "among amoung", "annually anually annualy", "answer anwser anser", "apparent apparant aparent",
    "appearance appearence", "argument arguement", "assassination assasination", "atheist athiest", "attendance attendence", "basically basicly",
    "beautiful beutiful beautifull", "because becuase becasue", "becoming becomming", "before befor", "beginning begining", "believe beleive belive",
    "beneficial benificial", "between beetween", "bizarre bizzare", "business buisness busines", "calendar calender", "careful carefull", "category catagory",
    "cemetery cemetary", "certain certian", "changing changeing", "children childern", "chocolate choclate", "collectible collectable", "colleague collegue",
    "coming comming", "committee commitee comittee", "completely completly", "conscience concience", "conscious concious", "consensus concensus",
    "controversy contraversy", "convenient convinient", "could coud", "definite definate", "definitely definately definitly definatly", "describe discribe",
    "desperate desparate", "development developement", "different diffrent diferent", "dilemma dilemna", "disappear dissapear disapear",
    "disappoint dissapoint disapoint", "disease desease", "easily easyly", "ecstasy ecstacy", "eighth eigth", "embarrass embarass", "environment enviroment",
    "equipment equiptment", "especially especialy expecially", "essential essencial", "every evry", "exaggerate exagerate", "excellent excelent excellant",
    "existence existance", "experience experiance", "explanation explaination", "extremely extreemly extremly", "familiar familar", "family famly",
    "fascinating facinating", "favorite favorit", "february febuary", "finally finaly", "fluorescent florescent", "foreign foriegn", "forty fourty",
    "forward foward", "friend freind", "fulfill fullfil", "gauge guage", "generally generaly", "glamorous glamourous", "going goign",
    "government goverment govenment", "grammar grammer", "grateful greatful", "guarantee garantee guarentee", "guard gaurd", "guidance guidence",
    "happened happend", "harass harrass", "heard herd", "height heigth", "honorary honourary", "humorous humerous", "hygiene hygeine", "identity idenity",
    "immediately immediatly imediately", "incidentally incidently", "independent independant", "indispensable indispensible", "inoculate innoculate",
    "intelligence inteligence", "interesting intresting", "interrupt interupt", "irresistible irresistable", "island iland", "jewelry jewelery",
    "knowledge knowlege", "language langauge", "leisure liesure", "length lenght", "liaison liason", "library libary", "license lisence",
    "lightning lightening", "little littel", "lonely lonly", "maintenance maintainance maintenence", "many meny", "marriage marrige", "medicine medecine",
    "millennium millenium", "miniature minature", "minuscule miniscule", "mischievous mischevious", "misspell mispell", "money mony", "morning mornig",
    "mother mohter", "natural naturel", "necessary neccessary necesary", "neighbour nieghbour", "neighbor nieghbor", "noticeable noticable",
    "occasion occassion ocasion", "occasionally occasionaly occassionally", "occur occure", "occurred occured", "occurrence occurence occurrance",
    "often offen", "opinion opinon", "opportunity oppurtunity", "other ohter", "outrageous outragous", "parallel paralel", "parliament parliment",
    "particularly particulary", "pastime pasttime", "people peopel poeple", "perceive percieve", "perform preform", "permanent permanant",
    "perseverance perseverence", "personnel personel", "persuade pursuade", "piece peice", "playing playng", "pleasant plesant", "poem peom",
    "possession posession possesion", "possible possable", "potato potatoe", "practical practicle", "precede preceed", "preferred prefered",
    "prejudice predjudice", "presence presense", "privilege priviledge privelege", "probably probly prolly", "proceed procede",
    "professor proffesor professer", "pronunciation pronounciation", "publicly publically", "question qestion", "quiet queit", "quite qiute",
    "quickly quikly", "really realy", "receive recieve", "receipt reciept", "recommend recomend reccomend", "reference referance", "referred refered",
    "relevant relevent", "religious religous", "remember remeber rember", "repetition repitition", "resistance resistence", "restaurant restaraunt resturant",
    "rhyme ryhme", "rhythm rythm rythym", "right rigth", "said siad", "schedule schedual", "school shcool", "scissors sissors", "separate seperate",
    "sergeant sargent", "should shoud", "shoulder sholder", "siege seige", "similar similer", "sincerely sincerly", "something somthing",
    "sometimes somtimes", "speech speach", "stopped stoped", "strength strenght", "studying studing", "success succes sucess",
    "successful succesful successfull sucessful", "supersede supercede", "suppose supose", "surprise suprise surprize", "swimming swiming",
    "temperature temperture tempature", "than then", "that taht", "the teh hte", "their thier", "there thier", "they thay", "think thnik", "this tihs",
    "thought thougth", "through throught trough", "threshold threshhold", "together togather", "tomorrow tommorow tommorrow tomorow", "tongue tounge",
    "transferred transfered", "truly truely", "twelfth twelth", "tyranny tyrany", "understand undrestand", "unforeseen unforseen",
    "unfortunately unfortunatly", "until untill", "unusual unusal", "using useing", "usually usualy usally", "vacuum vaccuum vacume", "valuable valueable",
    "various varius", "vegetable vegtable", "vehicle vehical", "villain villian", "visible visable", "watch wacth", "weather wether", "wednesday wensday",
    "weight wieght", "weird wierd", "welcome wellcome", "welfare wellfare", "where were", "whether wether", "which wich whcih", "while whlie", "with wiht",
    "without wihtout", "would woud", "writing writting", "written writen", "year yaer", "yield yeild", "your youre yuor", "young yuong",
};

enum { FILE_MAX = 16 << 20 };
/* The text of the list, each word of it ended by NUL; rows are sorted by the word without its capitals. */
struct row { const char *word; const char *wrong; int n_wrong; };
struct misspellings { char *text; size_t len; struct row *row; size_t n; };

static int small(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

/* Words of n bytes against a row's, without regard to the case of ASCII's letters. */
static int compare(const char *a, size_t n, const char *row)
{
    for (size_t i = 0; i < n; i++) {
        const int d = small((unsigned char)a[i]) - small((unsigned char)row[i]);
        if (d || !row[i])
            return d ? d : 1;
    }
    return row[n] ? -1 : 0;
}

static int by_word(const void *a, const void *b)
{
    const struct row *p = a, *q = b;
    const int d = compare(p->word, strlen(p->word), q->word);
    return d ? d : p->word < q->word ? -1 : p->word > q->word;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == ','; }

/* Cuts a line into its words, ended by NUL; their number. */
static int cut(char *line, char *end)
{
    int n = 0;
    for (char *p = line, *to = line; p < end;) {
        while (p < end && blank(*p))
            p++;
        if (p == end)
            break;
        while (p < end && !blank(*p))
            *to++ = *p++;
        p += p < end;
        *to++ = 0;
        n++;
    }
    return n;
}

static int read_row(struct misspellings *m, char *line, char *end, size_t number, const char *path, struct err *err)
{
    if (memchr(line, 0, (size_t)(end - line)))
        return ERR(err, FORMAT, "%s, line %zu: a NUL byte, expected a word and its misspellings", path, number);
    char *comment = memchr(line, '#', (size_t)(end - line));
    const int n = cut(line, comment ? comment : end);
    if (n == 1)
        return ERR(err, FORMAT, "%s, line %zu: '%s' alone, expected a word and its misspellings", path, number, line);
    if (n)
        m->row[m->n++] = (struct row){ line, line + strlen(line) + 1, n - 1 };
    return 0;
}

/* Of equal words the first row counts. */
static void drop_repeated(struct misspellings *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!n || compare(m->row[i].word, strlen(m->row[i].word), m->row[n - 1].word))
            m->row[n++] = m->row[i];
    m->n = n;
}

static int read_list(struct misspellings *m, const char *path, struct err *err)
{
    size_t n_line = 1;
    for (size_t i = 0; i < m->len; i++)
        n_line += m->text[i] == '\n';
    m->row = mem_alloc_array(n_line, sizeof *m->row);
    if (!m->row)
        return ERR(err, NOMEM, "%s: no memory for %zu words", path, n_line);
    size_t number = 0;
    for (char *p = m->text, *all = m->text + m->len; p < all; ) {
        char *end = memchr(p, '\n', (size_t)(all - p));
        end = end ? end : all;
        TRY(read_row(m, p, end, ++number, path, err));
        p = end + 1;
    }
    if (!m->n)
        return ERR(err, FORMAT, "%s: no word, expected lines of a word and its misspellings", path);
    qsort(m->row, m->n, sizeof *m->row, by_word);
    drop_repeated(m);
    return 0;
}

int misspellings_parse(struct misspellings **out, const char *text, size_t n, const char *name, struct err *err)
{
    struct misspellings *m = mem_alloc_zero(sizeof *m);
    if (!m || !(m->text = mem_alloc(n + 1))) {            /* one more: a NUL behind the last word */
        mem_free(m);
        return ERR(err, NOMEM, "%s: no memory for %zu bytes", name, n);
    }
    memcpy(m->text, text, n);
    m->len = n;
    const int rc = read_list(m, name, err);
    if (rc)
        misspellings_free(m);
    else
        *out = m;
    return rc;
}

int misspellings_new(struct misspellings **out, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = path ? file_read(path, FILE_MAX, &text, err) : 0;
    for (size_t i = 0; !path && !rc && i < sizeof common / sizeof *common; i++)
        if (!(rc = buf_add_str(&text, common[i], err)))
            rc = buf_add_char(&text, '\n', err);
    if (!rc)
        rc = misspellings_parse(out, text.data, text.len, path ? path : "misspellings", err);
    buf_release(&text);
    return rc;
}

void misspellings_free(struct misspellings *m)
{
    if (!m)
        return;
    mem_free(m->text);
    mem_free(m->row);
    mem_free(m);
}

size_t misspellings_n(const struct misspellings *m) { return m->n; }

size_t misspellings_of(const struct misspellings *m, const char *word, size_t n, const char **first)
{
    size_t lo = 0, hi = m ? m->n : 0;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int d = compare(word, n, m->row[mid].word);
        if (!d) {
            if (first)
                *first = m->row[mid].wrong;
            return (size_t)m->row[mid].n_wrong;
        }
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return 0;
}
