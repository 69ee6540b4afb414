/* chat.c - time of rendering a chat template: 41 messages and a tool.  Usage: build/bench/chat TEMPLATE.jinja [N]
 * Prints the median of N renders in microseconds; bench/chat-vs-jinja2 holds it beside Python's. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "arg.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "model/jinja.h"

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static json_t *conversation(void)
{
    json_t *list = json_array();
    for (int i = 0; i < 41; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "role", !i ? "system" : i % 2 ? "user" : "assistant", "content", "The quick brown fox jumps over the lazy dog, again and again and again."));
    return list;
}

int main(int argc, char **argv)
{
    struct err err = { 0 };
    struct buf text;
    struct jinja *t;
    const int n = arg_number(argc, argv, 2, 2000, 1, 10000000);
    buf_init(&text);
    if (argc < 2 || file_read(argv[1], JINJA_TEXT_MAX, &text, &err) < 0 || jinja_parse(&t, text.data, text.len, argv[1], &err) < 0) {
        fprintf(stderr, "chat: %s\n", argc < 2 ? "expected a template" : err.msg);
        return 2;
    }
    json_t *messages = conversation(), *tools = json_pack("[{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s}}}}}]", "type", "function", "function", "name", "get_weather", "description", "Weather",
                                                          "parameters", "type", "object", "properties", "city", "type", "string");
    const struct jinja_var v[] = { { "messages", messages, true }, { "tools", tools, true }, { "add_generation_prompt", json_true(), false } };
    double *us = mem_alloc_array((size_t)n, sizeof *us);
    size_t bytes = 0;
    for (int i = 0; i < n && us; i++) {
        struct jinja_text out;
        jinja_text_init(&out);
        const double start = clock_wall();
        if (jinja_render(t, v, 3, NULL, NULL, &out, &err) < 0) {
            fprintf(stderr, "chat: %s\n", err.msg);
            return 1;
        }
        us[i] = (clock_wall() - start) * 1e6;
        bytes = out.text.len;
        jinja_text_release(&out);
    }
    if (!us)
        return 1;
    qsort(us, (size_t)n, sizeof *us, by_value);
    printf("%.1f us, %zu bytes\n", us[n / 2], bytes);
    mem_free(us);
    json_decref(messages);
    json_decref(tools);
    jinja_free(t);
    buf_release(&text);
    return 0;
}
