/* err.h - what went wrong, as a code for the program and a sentence for the user.
 *
 * A function that input, disk, network or device can make fail returns 0 (or a count >= 0) when it worked and a negative
 * ERR_ code when not, and fills the caller's struct err.  No memory is taken and nothing is thread-local, so an error can
 * be made when memory has run out, by any thread.  err may be NULL: the code alone is then returned.
 * The message says what was found and what was expected; it has no final full stop and no newline. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* code, one word for logs, meaning.  ERR_USAGE leads to exit code 2, ERR_GATE to 3, every other to 1. */
#define ERR_CODES(X)                                                                  \
    X(USAGE, "usage", "the caller's options or configuration are wrong")              \
    X(FORMAT, "format", "a file or message does not follow its format")               \
    X(RANGE, "range", "a value or size lies outside what is supported")               \
    X(NOMEM, "nomem", "memory ran out, or what is asked for takes more than there is") \
    X(IO, "io", "the operating system refused a read, write or other call")           \
    X(NOTFOUND, "notfound", "a named thing does not exist")                           \
    X(CORRUPT, "corrupt", "stored data differ from their checksum")                   \
    X(UNSUPPORTED, "unsupported", "valid, but not something this program can do")     \
    X(BUSY, "busy", "no room now, later perhaps")                                     \
    X(NUMERIC, "numeric", "a computation gave values that are not finite")            \
    X(STOPPED, "stopped", "the user or the system asked to stop")                     \
    X(GATE, "gate", "a quality gate said no")                                          \
    X(REFUSED, "refused", "a chat template refused the messages, in its own words")  \
    X(NOFIT, "nofit", "a model fits on none of the devices that a plan is for")

enum {
    ERR_NONE = 0,
#define X(name, word, meaning) ERR_POSITIVE_##name,
    ERR_CODES(X)
#undef X
    ERR_END
};
enum {
#define X(name, word, meaning) ERR_##name = -ERR_POSITIVE_##name,
    ERR_CODES(X)
#undef X
};

struct err {
    int code;            /* one of the negative codes, or 0 */
    char msg[500];       /* UTF-8, always terminated; a message too long is cut */
    const char *file;    /* where it was noticed, for --verbose and bug reports */
    int line;
};

/* return ERR(err, FORMAT, "tensor '%s': rank %d, expected 1 to %d", name, rank, max); */
#define ERR(err, name, ...) err_code(err_set((err), ERR_##name, __FILE__, __LINE__, __VA_ARGS__), ERR_##name)
#define TRY(expr)                 \
    do {                          \
        const int try_rc_ = (expr); \
        if (try_rc_ < 0)          \
            return try_rc_;       \
    } while (0)

/* Tells the compiler that an error is negative, so that it can see what is initialised. */
static inline int err_code(int set, int code) { return (void)set, code; }
int err_set(struct err *err, int code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Adds errno's sentence: "<formatted>: No space left on device". */
int err_errno(struct err *err, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define ERR_ERRNO(err, ...) err_errno((err), __FILE__, __LINE__, __VA_ARGS__)
/* Puts context in front of the message that is there: "<formatted>: <message>".  Returns err->code. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *err_word(int code);      /* "format" for ERR_FORMAT, "ok" for 0, "unknown" for others */
void err_clear(struct err *err);
/* Control characters and bytes that are not UTF-8 become '?': names out of a file may then go to a terminal or a log.
 * Done to every message; for other text that quotes a file. */
void err_tidy(char *text);

#endif
