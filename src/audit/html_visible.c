#include "audit/html_visible.h"
#include <libxml/HTMLparser.h>
#include <pthread.h>
#include <string.h>
#include "base/opt.h"

#define PIECE ((size_t)64 << 10)

struct page {
    struct buf *out;
    size_t begin;                /* of out */
    int hidden;                  /* elements around, the first of which is not shown */
    bool in_head;                /* and is the head, whose title counts */
    int pre;
    int lines;                   /* line ends that are owed before the next character */
    bool space, in_title;
    struct err err;
};

static bool is_one_of(const char *name, const char *list) { return word_index(name, strlen(name), list) >= 0; }

/* Line ends around an element. */
static int lines_of(const char *name)
{
    if (is_one_of(name, "p|h1|h2|h3|h4|h5|h6|blockquote|pre|ul|ol|dl|table|figure|title|hr"))
        return 2;
    return is_one_of(name, "br|div|li|dt|dd|tr|section|article|header|footer|main|nav|aside|address|figcaption|form|fieldset|caption|details|summary|center|body") ? 1 : 0;
}

static bool is_hidden(const char *name)
{
    return is_one_of(name, "script|style|template|noscript|head|svg|math|iframe|object|select|textarea|button");
}

static void owe_lines(struct page *p, int n)
{
    p->lines = n > p->lines ? n : p->lines;
    p->space = p->space && !n;
}

static void put(struct page *p, const char *s, size_t n)
{
    if (!p->err.code)
        (void)buf_add(p->out, s, n, &p->err);
}

/* What is owed, before a character is put. */
static void pay(struct page *p)
{
    if (p->out->len > p->begin) {
        put(p, "\n\n", (size_t)p->lines);
        if (p->space && !p->lines)
            put(p, " ", 1);
    }
    p->lines = 0, p->space = false;
}

static void on_start(void *ctx, const xmlChar *element, const xmlChar **attributes)
{
    struct page *p = ctx;
    const char *name = (const char *)element;
    bool hides = is_hidden(name);
    for (int i = 0; attributes && attributes[i] && !hides; i += 2)
        hides = !strcmp((const char *)attributes[i], "hidden");
    if (!p->hidden)
        p->in_head = !strcmp(name, "head");
    if (!strcmp(name, "title") && p->hidden == 1 && p->in_head)
        p->in_title = true;
    if (p->hidden || hides) {
        p->hidden++;
        return;
    }
    owe_lines(p, lines_of(name));
    p->pre += !strcmp(name, "pre");
    if (!strcmp(name, "li")) {
        pay(p);
        put(p, "- ", 2);
    }
    if (is_one_of(name, "td|th") && p->out->len > p->begin && p->out->data[p->out->len - 1] != '\n' && !p->lines)
        put(p, "\t", 1);
}

static void on_end(void *ctx, const xmlChar *element)
{
    struct page *p = ctx;
    const char *name = (const char *)element;
    if (p->in_title && !strcmp(name, "title")) {
        p->in_title = false;
        owe_lines(p, 2);
    }
    if (p->hidden) {
        p->hidden--;
        return;
    }
    owe_lines(p, lines_of(name));
    p->pre -= p->pre && !strcmp(name, "pre");
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'; }

static void on_text(void *ctx, const xmlChar *text, int n)
{
    struct page *p = ctx;
    const char *s = (const char *)text, *end = s + n;
    if (p->hidden && !p->in_title)
        return;
    while (s < end) {
        const char *word = s;
        while (s < end && (p->pre || !is_space(*s)))
            s++;
        if (s > word) {
            pay(p);
            put(p, word, (size_t)(s - word));
        }
        while (s < end && is_space(*s))
            s++, p->space = true;
    }
}

static void nothing(void *ctx, const char *message, ...) { (void)ctx, (void)message; }

static pthread_once_t once = PTHREAD_ONCE_INIT;

int html_visible(const char *html, size_t n, struct buf *out, struct err *err)
{
    struct page p = { .out = out, .begin = out->len };
    xmlSAXHandler sax = { .startElement = on_start, .endElement = on_end, .characters = on_text, .ignorableWhitespace = on_text, .error = nothing, .warning = nothing, .fatalError = nothing };
    pthread_once(&once, xmlInitParser);
    htmlParserCtxtPtr h = htmlCreatePushParserCtxt(&sax, &p, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!h)
        return ERR(err, NOMEM, "no memory to read a page");
    htmlCtxtUseOptions(h, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    int rc = 0;
    for (size_t at = 0; at < n && rc != XML_ERR_NO_MEMORY && !p.err.code; at += PIECE)
        rc = htmlParseChunk(h, html + at, (int)(n - at < PIECE ? n - at : PIECE), 0);
    if (rc != XML_ERR_NO_MEMORY)
        rc = htmlParseChunk(h, NULL, 0, 1);
    htmlFreeParserCtxt(h);
    if (p.err.code || rc == XML_ERR_NO_MEMORY)
        return ERR(err, NOMEM, "no memory to read a page");
    return 0;
}
