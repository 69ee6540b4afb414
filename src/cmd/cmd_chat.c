/* cmd_chat.c - lathe chat: on a terminal a conversation with commands; from a pipe or a file, messages in and answers out. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/signature.h"
#include "cmd/line.h"
#include "infer/talk.h"

static const char *system_text, *messages_file, *template_file, *variables_text;
static int64_t max_tokens, ctx;
static bool interactive;

#define FILE_MAX ((size_t)64 << 20)

/* Ctrl-C stops the answer, however often it is pressed; SIGTERM ends the program as everywhere. */
static volatile sig_atomic_t stop_answer;
static void on_interrupt(int number) { (void)number, stop_answer = 1; }

struct session { struct talk talk; struct chat *chat; struct line_reader *line; bool tty, done; };

/* ---- an answer ---- */

static void print_text(void *to, const char *text, size_t n)
{
    (void)to;
    fwrite(text, 1, n, stdout);
    fflush(stdout);
}

static void print_nothing(void *to, const char *text, size_t n) { (void)to, (void)text, (void)n; }

static void drop_last(json_t *messages)
{
    if (json_array_size(messages))
        json_array_remove(messages, json_array_size(messages) - 1);
}

/* Answers on standard output.  When that fails, or was stopped before a word, the question is taken back. */
static int answer(struct session *s, struct talk_answer *a, struct err *err)
{
    const size_t before = json_array_size(s->talk.messages);
    stop_answer = 0;
    const int rc = talk_answer(&s->talk, cmd_json ? print_nothing : print_text, NULL, a, err);
    if (!cmd_json && (a->text.len || !rc))
        putchar('\n');
    fflush(stdout);
    if (rc < 0 || json_array_size(s->talk.messages) == before)
        drop_last(s->talk.messages);
    TRY(rc);
    if (a->end == TALK_FULL)
        log_warn("the context is full: %d positions; the answer ends here", engine_ctx(s->talk.e));
    else if (a->end == TALK_LENGTH)
        log_info("(cut at %d tokens)", a->n_token);
    else if (a->end == TALK_STOPPED)
        log_info("(stopped)");
    return 0;
}

/* ---- commands of a terminal ---- */

/* name, argument, what it does.  Gives the dispatch, /help and doc/chat.md. */
#define SLASH(X)                                                                     \
    X(help, "", "lists these commands")                                              \
    X(system, "[TEXT]", "sets the system message and begins anew; without TEXT: shows it")      \
    X(temp, "[NUMBER]", "sets or shows the temperature")                                        \
    X(seed, "[NUMBER]", "sets or shows the seed of the choices")                     \
    X(max, "[TOKENS]", "sets or shows how long an answer may be; 0: no limit")       \
    X(clear, "", "forgets the conversation, but for the system message")             \
    X(undo, "", "takes the last question and answer back")                           \
    X(retry, "", "answers the last question again, with the next seed")              \
    X(save, "FILE", "writes the conversation as JSON messages")                      \
    X(load, "FILE", "goes on with a conversation that was saved")                    \
    X(tokens, "", "tells how much of the context is used")                           \
    X(exit, "", "leaves, as Ctrl-D does")

static bool has_role(const json_t *messages, size_t i, const char *role)
{
    const char *have = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    return have && !strcmp(have, role);
}

static int slash_help(struct session *s, const char *arg, struct err *err)
{
    (void)s, (void)arg, (void)err;
#define X(name, args, help) printf("  /%-7s%-9s %s\n", #name, args, help);
    SLASH(X)
#undef X
    printf("  A line that ends with \\ goes on; \"\"\" alone on a line begins and ends a longer message.\n");
    return 0;
}

static int slash_clear(struct session *s, const char *arg, struct err *err)
{
    (void)arg, (void)err;
    const size_t keep = has_role(s->talk.messages, 0, "system");
    while (json_array_size(s->talk.messages) > keep)
        drop_last(s->talk.messages);
    return 0;
}

static int slash_system(struct session *s, const char *arg, struct err *err)
{
    if (!*arg) {
        const char *text = has_role(s->talk.messages, 0, "system") ? json_string_value(json_object_get(json_array_get(s->talk.messages, 0), "content")) : NULL;
        puts(text ? text : "(no system message)");
        return 0;
    }
    json_array_clear(s->talk.messages);
    return talk_add(&s->talk, "system", arg, strlen(arg), err);
}

/* A number within its bounds, by the option of the same name. */
static int set_number(enum opt_type type, const char *name, void *value, double min, double max, const char *arg, struct err *err)
{
    const struct opt o = { type, name, value, NULL, NULL, min, max };
    char where[32];
    snprintf(where, sizeof where, "/%s", name);
    if (*arg)
        return opt_set(&o, where, arg, err);
    if (type == OPT_FLOAT)
        printf("%g\n", *(double *)value);
    else
        printf("%lld\n", (long long)*(int64_t *)value);
    return 0;
}

static int slash_temp(struct session *s, const char *arg, struct err *err)
{
    return set_number(OPT_FLOAT, "temp", &s->talk.sampling.temperature, 0, 100, arg, err);
}

static int slash_seed(struct session *s, const char *arg, struct err *err)
{
    int64_t v = (int64_t)s->talk.sampling.seed;
    TRY(set_number(OPT_INT, "seed", &v, 0, 9e18, arg, err));
    s->talk.sampling.seed = (uint64_t)v;
    return 0;
}

static int slash_max(struct session *s, const char *arg, struct err *err)
{
    int64_t v = s->talk.max_tokens;
    TRY(set_number(OPT_INT, "max", &v, 0, 1e9, arg, err));
    s->talk.max_tokens = (int)v;
    return 0;
}

static int slash_undo(struct session *s, const char *arg, struct err *err)
{
    json_t *m = s->talk.messages;
    (void)arg;
    size_t n = json_array_size(m);
    while (n && !has_role(m, n - 1, "user"))
        n--;
    if (!n)
        return ERR(err, USAGE, "there is nothing to take back");
    while (json_array_size(m) >= n)
        drop_last(m);
    return 0;
}

static int slash_retry(struct session *s, const char *arg, struct err *err)
{
    json_t *m = s->talk.messages;
    struct talk_answer a;
    (void)arg;
    size_t n = json_array_size(m);
    while (n && !has_role(m, n - 1, "user"))
        n--;
    if (!n)
        return ERR(err, USAGE, "there is no question to answer again");
    while (json_array_size(m) > n)
        drop_last(m);
    s->talk.sampling.seed++;
    const int rc = answer(s, &a, err);
    buf_release(&a.text);
    return rc;
}

static int slash_save(struct session *s, const char *arg, struct err *err)
{
    if (!*arg)
        return ERR(err, USAGE, "/save: expected a file");
    char *json = json_dumps(s->talk.messages, JSON_INDENT(2)), *text = json ? mem_printf("%s\n", json) : NULL;
    const int rc = text ? file_write_all(arg, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write the conversation");
    mem_free(text);
    mem_free(json);
    return rc;
}

/* Messages as an array, or as `messages` of an object (a request of the API); tools come along. */
static int load_messages(struct session *s, const char *path, struct err *err)
{
    json_t *o;
    TRY(tree_load(&o, path, FILE_MAX, err));
    json_t *list = json_is_object(o) ? json_object_get(o, "messages") : o, *tools = json_object_get(o, "tools");
    if (!json_is_array(list)) {
        json_decref(o);
        return ERR(err, FORMAT, "%s: expected a list of messages, or an object with `messages`", path);
    }
    json_incref(list);
    json_decref(s->talk.messages);
    s->talk.messages = list;
    if (tools) {
        json_incref(tools);
        json_decref(s->talk.tools);
        s->talk.tools = tools;
    }
    json_decref(o);
    return 0;
}

static int slash_load(struct session *s, const char *arg, struct err *err)
{
    return *arg ? load_messages(s, arg, err) : ERR(err, USAGE, "/load: expected a file");
}

static int slash_tokens(struct session *s, const char *arg, struct err *err)
{
    int n;
    (void)arg;
    TRY(talk_count(&s->talk, &n, err));
    printf("%d of %d positions\n", n, engine_ctx(s->talk.e));
    return 0;
}

static int slash_exit(struct session *s, const char *arg, struct err *err)
{
    (void)arg, (void)err;
    s->done = true;
    return 0;
}

static int run_slash(struct session *s, const char *line, struct err *err)
{
    static const struct { const char *name; int (*run)(struct session *, const char *, struct err *); } table[] = {
#define X(name, args, help) { #name, slash_##name },
        SLASH(X)
#undef X
    };
    const size_t n = strcspn(line + 1, " \t"), count = sizeof table / sizeof *table;
    const char *names[sizeof table / sizeof *table], *arg = line + 1 + n;
    char word[32];
    arg += strspn(arg, " \t");
    for (size_t i = 0; i < count; i++) {
        names[i] = table[i].name;
        if (strlen(names[i]) == n && !strncmp(names[i], line + 1, n))
            return table[i].run(s, arg, err);
    }
    snprintf(word, sizeof word, "%.*s", (int)(n < 30 ? n : 30), line + 1);
    const char *near = word_nearest(word, names, (int)count);
    return ERR(err, USAGE, "unknown command '/%s'%s%s; /help lists them", word, near ? "; did you mean /" : "", near ? near : "");
}

/* ---- conversations ---- */

static int say(struct session *s, const char *text, size_t n, struct err *err)
{
    struct talk_answer a;
    TRY(talk_add(&s->talk, "user", text, n, err));
    const int rc = answer(s, &a, err);
    buf_release(&a.text);
    return rc;
}

/* A mistake of the user, and what the template refuses, do not end the conversation. */
static int complain(const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "%s%s\n", err->msg, err->code == ERR_RANGE ? " (/undo takes the last question back, /clear begins anew)" : "");
    return 0;
}

static int converse(struct session *s, struct err *err)
{
    struct buf text;
    int rc = 0;
    buf_init(&text);
    if (s->tty)
        log_info("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves");
    while (!s->done && !rc && !cmd_stop) {
        buf_clear(&text);
        rc = line_read(s->line, "> ", ". ", &text, err);
        if (rc == LINE_END)
            break;
        if (rc == LINE_INTERRUPT) {
            log_info("(Ctrl-D leaves)");
            rc = 0;
            continue;
        }
        if (rc < 0 || !text.len)
            continue;
        rc = text.data[0] == '/' ? run_slash(s, text.data, err) : say(s, text.data, text.len, err);
        if (rc < 0 && rc != ERR_NOMEM && rc != ERR_NUMERIC)
            rc = complain(err);
    }
    if (rc == LINE_END) {
        if (s->tty)
            putchar('\n');
        rc = 0;
    }
    buf_release(&text);
    return rc;
}

/* Each line is a message: an answer for each, and the first failure ends it. */
static int pipe_through(struct session *s, struct err *err)
{
    struct buf text;
    int rc;
    buf_init(&text);
    while ((rc = line_read(s->line, "", "", &text, err)) == LINE_MESSAGE && !cmd_stop && !stop_answer) {
        if (text.len && (rc = say(s, text.data, text.len, err)) < 0)
            break;
        buf_clear(&text);
    }
    buf_release(&text);
    return rc < 0 ? rc : 0;
}

static int answer_file(struct session *s, struct err *err)
{
    struct talk_answer a;
    TRY(load_messages(s, messages_file, err));
    int rc = answer(s, &a, err);
    if (!rc && cmd_json) {
        const size_t n = a.text.len - tok_utf8_tail(a.text.data, a.text.len);
        rc = cmd_print_json(json_pack("{s:s%, s:s, s:i, s:i, s:f, s:f}", "content", a.text.data, n, "finish_reason", talk_end_name(a.end), "prompt_tokens", a.n_prompt, "generated_tokens",
                                      a.n_token, "prompt_s", a.prompt_s, "generated_s", a.token_s), err);
    }
    buf_release(&a.text);
    return rc;
}

/* ~/.local/state/lathe/chat_history, or NULL where there is no home. */
static char *history_path(void)
{
    struct err ignored;
    char *dir = file_state_dir();
    char *path = dir && file_mkdirs(dir, &ignored) == 0 ? file_join(dir, "chat_history") : NULL;
    mem_free(dir);
    return path;
}

static int open_line(struct session *s, struct err *err)
{
    char *history = s->tty ? history_path() : NULL;
    const int rc = line_open(&s->line, s->tty, history, err);
    mem_free(history);
    return rc;
}

/* A template that the user has in a file, or the model's. */
static int open_chat(struct session *s, const char *model, struct err *err)
{
    if (!template_file)
        return chat_load(&s->chat, model, NULL, err);
    struct buf text;
    buf_init(&text);
    int rc = file_read(template_file, JINJA_TEXT_MAX, &text, err);
    if (!rc)
        rc = chat_load(&s->chat, model, &(struct chat_source){ "default", text.data, text.len }, err);
    buf_release(&text);
    return rc;
}

static int settle(struct session *s, struct err *err)
{
    s->talk.sampling = cmd_sampling();
    s->talk.max_tokens = (int)max_tokens;
    s->talk.stop = &stop_answer;
    if (variables_text) {
        TRY(tree_parse_json(&s->talk.variables, variables_text, strlen(variables_text), "--set", err));
        if (!json_is_object(s->talk.variables))
            return ERR(err, USAGE, "--set: expected a JSON object");
    }
    return system_text ? talk_add(&s->talk, "system", system_text, strlen(system_text), err) : 0;
}

static int talk_with(struct session *s, const struct spec_opts *o, const char *model, struct err *err)
{
    TRY(talk_init(&s->talk, o, s->chat, model, err));
    int rc = settle(s, err);
    if (!rc)
        rc = messages_file ? answer_file(s, err) : s->tty || interactive ? converse(s, err) : pipe_through(s, err);
    talk_release(&s->talk);
    return rc;
}

static int run_chat(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct session s = { .tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !messages_file };
    struct pool *pool;
    struct engine *e = NULL;
    if (cmd_json && !messages_file)
        return ERR(err, USAGE, "--json goes with --messages");
    cmd_catch_signals();
    const struct sigaction a = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
    sigaction(SIGINT, &a, NULL);
    struct engine_opts o = cmd_engine((struct engine_opts){ .n_slot = 1, .ctx = (int)ctx, .step_tokens = 512, .n_logits = cmd_spec_n_logits() });
    int rc = open_chat(&s, args[0], err);
    if (!rc)
        rc = cmd_pool(&pool, err);
    if (!rc)
        rc = cmd_open_device(&o.device, err);
    if (!rc)
        rc = engine_new(&e, args[0], &o, pool, err);
    if (!rc)
        rc = open_line(&s, err);
    if (!rc) {
        const struct spec_opts drafts = cmd_spec_opts(e);
        rc = talk_with(&s, &drafts, args[0], err);
    }
    line_close(s.line);
    engine_free(e);
    chat_free(s.chat);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "system", &system_text, "<text>", "system message at the beginning", 0, 0 },
    { OPT_STR, "messages", &messages_file, "<path>", "answer the messages of a JSON file, once", 0, 0 },
    { OPT_STR, "template", &template_file, "<path>", "a Jinja file in place of the model's chat template", 0, 0 },
    { OPT_STR, "set", &variables_text, "<json>", "variables of the template, as {\"enable_thinking\": false}", 0, 0 },
    { OPT_FLAG, "interactive", &interactive, NULL, "commands also when standard input is no terminal", 0, 0 },
    { OPT_INT, "n", &max_tokens, "<int>", "tokens of an answer at most; 0: as many as there is room for", 0, 1e9 },
    OPT_SAMPLING,
    { OPT_INT, "ctx", &ctx, "<int>", "positions to make room for; 0: the model's", 0, 1e9 },
    OPT_DRAFT,
    OPT_LOOKUP,
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_DEVICE,
    OPT_DEVICE_LAYERS,
    OPT_SIGNATURE,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_chat = {
    "chat", "MODEL", "talk with a model",
    (const char *const[]){      /* as TEXT(), which can hold no directives */
    "MODEL has a chat template: chat_template.jinja or tokenizer_config.json in its folder, or in its GGUF file.  On a terminal,\n"
    "lines can be edited and come back with the arrow keys; Ctrl-C stops an answer and Ctrl-D leaves.  From a pipe each line is a\n"
    "message, and its answer is a line (or more) on standard output; --messages answers a list of messages in a file.\n"
    "\n"
    "What is typed is text: it can never become one of the model's special tokens.  Only what is new in a conversation is\n"
    "computed.  A conversation that does not fit is refused with both sizes; nothing is cut away.\n"
    "\n"
    "Commands on a terminal:\n"
    "\n"
#define X(name, args, help) "    /" #name " " args "  " help "\n"
    SLASH(X)
#undef X
    "\n"
    "A line that ends with \\ goes on in the next; \"\"\" alone on a line begins and ends a message of several lines.", NULL },
    opts, run_chat, 1, 1,
};
