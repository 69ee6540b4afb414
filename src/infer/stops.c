#include "infer/stops.h"
#include <string.h>
#include "base/mem.h"

/* A node is what was read from the beginning of a text on; its children are a list. */
struct node { int32_t child, sibling, fail, depth, found; unsigned char byte; };
struct stops { struct node *node; int n; char *bytes; size_t begin[STOPS_MAX + 1]; };       /* bytes: the texts one after the other */

static int32_t child_of(const struct stops *s, int32_t at, unsigned char byte)
{
    int32_t i = s->node[at].child;
    while (i >= 0 && s->node[i].byte != byte)
        i = s->node[i].sibling;
    return i;
}

static void add(struct stops *s, const struct stop_text *text, int number)
{
    int32_t at = 0;
    for (size_t i = 0; i < text->n; i++) {
        int32_t next = child_of(s, at, (unsigned char)text->text[i]);
        if (next < 0) {
            next = s->n++;
            s->node[next] = (struct node){ .child = -1, .sibling = s->node[at].child, .depth = (int32_t)i + 1, .found = -1, .byte = (unsigned char)text->text[i] };
            s->node[at].child = next;
        }
        at = next;
    }
    if (s->node[at].found < 0)
        s->node[at].found = number;
}

/* By depth, so that where a node falls back to is known before its children are looked at. */
static void link_up(struct stops *s, int32_t *queue)
{
    int head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        const int32_t at = queue[head++];
        for (int32_t i = s->node[at].child; i >= 0; i = s->node[i].sibling) {
            s->node[i].fail = at ? stops_next(s, s->node[at].fail, s->node[i].byte) : 0;
            if (s->node[i].found < 0)
                s->node[i].found = s->node[s->node[i].fail].found;
            queue[tail++] = i;
        }
    }
}

int stops_new(struct stops **out, const struct stop_text *text, int n, struct err *err)
{
    size_t bytes = 1;
    *out = NULL;
    for (int i = 0; i < n; i++) {
        if (!text[i].n)
            return ERR(err, RANGE, "stop text %d is empty", i + 1);
        bytes += text[i].n;
    }
    if (n > STOPS_MAX || bytes > STOPS_BYTES)
        return ERR(err, RANGE, "%d stop texts of %zu bytes, expected at most %d and %d", n, bytes - 1, STOPS_MAX, STOPS_BYTES - 1);
    struct stops *s = mem_alloc_zero(sizeof *s);
    int32_t *queue = mem_alloc_array(bytes, sizeof *queue);
    if (s) {
        s->node = mem_alloc_array(bytes, sizeof *s->node);
        s->bytes = mem_alloc_array(bytes, 1);
    }
    if (!s || !queue || !s->node || !s->bytes) {
        stops_free(s);
        mem_free(queue);
        return ERR(err, NOMEM, "no memory for %d stop texts", n);
    }
    s->n = 1;
    s->node[0] = (struct node){ .child = -1, .sibling = -1, .found = -1 };
    for (int i = 0; i < n; i++) {
        add(s, &text[i], i);
        memcpy(s->bytes + s->begin[i], text[i].text, text[i].n);
        s->begin[i + 1] = s->begin[i] + text[i].n;
    }
    link_up(s, queue);
    mem_free(queue);
    *out = s;
    return 0;
}

void stops_free(struct stops *s)
{
    if (!s)
        return;
    mem_free(s->node);
    mem_free(s->bytes);
    mem_free(s);
}

int stops_next(const struct stops *s, int state, unsigned char byte)
{
    for (;; state = s->node[state].fail) {
        const int32_t next = child_of(s, state, byte);
        if (next >= 0 || !state)
            return next >= 0 ? next : 0;
    }
}

int stops_found(const struct stops *s, int state) { return s->node[state].found; }
size_t stops_depth(const struct stops *s, int state) { return (size_t)s->node[state].depth; }

const char *stops_text(const struct stops *s, int text, size_t *n)
{
    *n = s->begin[text + 1] - s->begin[text];
    return s->bytes + s->begin[text];
}
