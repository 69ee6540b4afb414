/* fuzz_requests.c - any bytes as a request, the first of them says of which API: it becomes a wish that a model can be asked, or is refused
 * with a status of the client's, and the refusal is JSON in each API's form. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../served.h"
#include "serve/anthropic.h"
#include "serve/anthropic_reply.h"
#include "serve/ollama.h"
#include "serve/ollama_reply.h"
#include "serve/openai.h"
#include "serve/openai_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct served_model *model;
static char dir[] = "/tmp/lathe-fuzz-requests-XXXXXX";

static void clean(void)
{
    struct err err;
    served_model_close(model);
    file_remove_tree(dir, &err);
}

static void check_wish(const struct wish *w)
{
    const bool load = w->dialect == &ollama_chat_dialect || w->dialect == &ollama_generate_dialect;
    if ((!w->n_prompt && !load) || w->n < 1 || !w->dialect || !w->param || !w->as.name)
        abort();
    for (int i = 0; i < w->n_prompt; i++)
        for (size_t k = 0; k < w->prompt[i].n; k++)
            if (w->prompt[i].id[k] < 0 || w->prompt[i].id[k] >= model->answers.V)
                abort();
}

static void check_refusal(const struct refusal *e)
{
    static const struct dialect *const all[] = { &openai_chat_dialect, &anthropic_dialect, &ollama_chat_dialect };
    struct err err;
    if (e->status < 400 || e->status > 499)
        abort();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf b;
        buf_init(&b);
        if (all[i]->refusal(&b, e, "id", &err) < 0)
            abort();
        json_t *o = json_loadb(b.data, b.len, 0, NULL);
        if (!o || !json_object_get(o, "error"))
            abort();
        json_decref(o);
        buf_release(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const read[])(struct wish *w, json_t *request, struct served_model *s, struct refusal *e) = { openai_chat, openai_completion, anthropic_messages, ollama_read_chat, ollama_read_generate };
    struct refusal e = { 0 };
    struct err err;
    struct wish w = { 0 };
    if (!model) {
        if (served_open(&model, dir, &err) < 0)
            abort();
        atexit(clean);
    }
    if (!n || n > 16384)
        return 0;
    json_t *request = in_parse((const char *)data + 1, n - 1, &e);
    if (request)
        read[*data % (sizeof read / sizeof *read)](&w, request, model, &e);
    if (e.status)
        check_refusal(&e);
    else
        check_wish(&w);
    if (!e.status)
        wish_release(&w);
    else if (w.prompt || w.request || w.stops)
        abort();
    return 0;
}
