/* test_view.c - the lines of a run on a terminal: what they say at any width, and that the terminal shows them once, below all else. */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "../test.h"
#include "base/log.h"
#include "train/view.h"

static struct err err;

static int width_of(const char *s, size_t n)
{
    int w = 0;
    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)s[i] & 0xc0) != 0x80;
    return w;
}

static struct html_point points[600];
static const struct series falling = { points, 600, 1, 1, 0 };
static const struct view_layer layers[] = { { 0.8, 1.2, 2 }, { 0.35, 1.5, 1.9 }, { 0.9, 1.62, 2.1 } };
static struct view a_view(void)
{
    for (int i = 0; i < 600; i++)
        points[i] = (struct html_point){ i, 10 - i / 100.0, 0, 0 };
    return (struct view){ .step = 600, .steps = 2000, .seconds_left = 750, .loss = 2.34561, .valid_loss = 2.51, .lr = 1e-3, .norm = 0.52, .per_second = 12345, .unit = "tokens", .share = 0.62,
                          .more = "", .peak_bytes = 1.2e9, .planned_bytes = 1.31e9, .history = &falling, .layer = layers, .n_layer = 3 };
}

static const char *text_of(const struct view *v, int columns, bool utf8)
{
    static struct buf b;
    static bool used;
    if (used)
        buf_release(&b);
    used = true;
    buf_init(&b);
    OK(view_text(v, columns, utf8, &b, &err));
    return b.data;
}

static void lines_say_where_a_run_is(void **state)
{
    (void)state;
    const struct view v = a_view();
    assert_string_equal(text_of(&v, 80, true), "step 600/2000  30 %  ━━━━━━━━━━━━────────────────────────────  12 min 30 s left\n"
                                               "loss 2.3456  held out 2.5100  ██████▇▇▇▇▇▇▆▆▆▆▆▆▅▅▅▅▅▅▅▄▄▄▄▄▄▃▃▃▃▃▃▂▂▂▂▂▂▁▁▁▁▁▁\n"
                                               "lr 1.0e-03  norm 0.52  12345 tokens/s  62 % of peak  memory 1.20 GB/1.31 GB\n"
                                               "experts  busiest ▂▅▅ 1.62 (layer 2)  least ▇▃█ 0.35 (layer 1)  entropy 2.00");
}

static void no_line_reaches_the_border_of_any_terminal(void **state)
{
    (void)state;
    struct view v = a_view();
    for (int many = 0; many < 2; many++)
        for (int columns = 2; columns < 260; columns++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                const char *text = text_of(&v, columns, utf8);
                int n = 0;
                for (const char *p = text;; p += strcspn(p, "\n") + 1, n++) {
                    assert_true(width_of(p, strcspn(p, "\n")) < columns);
                    if (!p[strcspn(p, "\n")])
                        break;
                }
                assert_int_equal(n, v.n_layer ? 3 : 2);
                for (const char *p = text; *p && !utf8; p++)
                    assert_true(*p == '\n' || (*p >= ' ' && *p < 127));
                if (many)
                    v.n_layer = 0, v.step = v.steps = 1LL << 62, v.n_skipped = 99, v.more = "epsilon 3.1", v.valid_loss = NAN, v.loss = NAN, v.seconds_left = 1e9;
            }
}

/* ---- a terminal, as far as it is used ---- */

#define ROWS 40
static struct { char cell[ROWS][300]; int n[ROWS], row, columns; } screen;

static void newline(void)
{
    assert_true(++screen.row < ROWS);
}

/* A row's characters are kept one byte each: what is no ASCII as '@'. */
static void show(const char *s, size_t n)
{
    static int column;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == 033) {
            const int up = atoi(s + i + 2);
            i += 2 + strspn(s + i + 2, "0123456789");
            if (s[i] == 'A')
                screen.row = screen.row > up ? screen.row - up : 0;
            else if (s[i] == 'J')
                for (int r = screen.row; r < ROWS; r++)
                    memset(screen.cell[r] + (r == screen.row ? column : 0), 0, sizeof screen.cell[r] - (size_t)(r == screen.row ? column : 0));
            else
                assert_int_equal(s[i], 'K');
        } else if (c == '\r') {
            column = 0;
        } else if (c == '\n') {
            newline();
            column = 0;
        } else if ((c & 0xc0) != 0x80) {
            if (column == screen.columns)
                newline(), column = 0;
            screen.cell[screen.row][column++] = c < 128 ? (char)c : '@';
        }
    }
}

/* stderr is a terminal of this width. */
static int terminal[2], kept_stderr;
static void open_terminal(int columns)
{
    struct winsize w = { .ws_row = 30, .ws_col = (unsigned short)columns };
    memset(&screen, 0, sizeof screen);
    screen.columns = columns;
    assert_int_equal(openpty(&terminal[0], &terminal[1], NULL, NULL, &w), 0);
    kept_stderr = dup(2);
    dup2(terminal[1], 2);
    fcntl(terminal[0], F_SETFL, O_NONBLOCK);
}

/* The kernel hands it over in its own time. */
static size_t take(char *out, size_t size)
{
    struct pollfd p = { .fd = terminal[0], .events = POLLIN };
    size_t n = 0;
    fflush(stderr);
    while (n + 1 < size && poll(&p, 1, 100) > 0) {
        const ssize_t got = read(terminal[0], out + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    out[n] = 0;
    return n;
}

static void close_terminal(void)
{
    dup2(kept_stderr, 2);
    close(kept_stderr), close(terminal[0]), close(terminal[1]);
}

static void live_lines_are_drawn_over_and_others_come_above(void **state)
{
    (void)state;
    char out[8000];
    open_terminal(60);
    log_live("one\ntwo ▁▂\nthree");
    show(out, take(out, sizeof out));
    log_info("a line");
    show(out, take(out, sizeof out));
    log_live("four\nfive");
    log_live("six\nseven\neight");
    log_progress_end();
    log_info("the end");
    show(out, take(out, sizeof out));
    close_terminal();
    static const char *const want[] = { "a line", "six", "seven", "eight", "the end", "" };
    for (int i = 0; i < 6; i++)
        assert_string_equal(screen.cell[i], want[i]);
}

/* Three lines of 19, 5 and 30 characters on a terminal that shrank to 10 columns stand in 2, 1 and 3 rows. */
static void a_terminal_that_became_narrower_is_cleared_as_far_as_lines_broke(void **state)
{
    (void)state;
    char out[8000];
    open_terminal(60);
    log_live("1234567890123456789\n12345\n123456789012345678901234567890");
    take(out, sizeof out);
    struct winsize w = { .ws_row = 30, .ws_col = 10 };
    assert_int_equal(ioctl(terminal[0], TIOCSWINSZ, &w), 0);
    log_live("x");
    take(out, sizeof out);
    log_progress_end();
    close_terminal();
    assert_string_equal(out, "\r\033[5A\033[Jx");
}

static void a_low_terminal_gets_fewer_lines(void **state)
{
    (void)state;
    char out[8000];
    open_terminal(60);
    struct winsize w = { .ws_row = 3, .ws_col = 60 };
    assert_int_equal(ioctl(terminal[0], TIOCSWINSZ, &w), 0);
    log_live("a\nb\nc\nd");
    take(out, sizeof out);
    log_progress_end();
    close_terminal();
    assert_string_equal(out, "a\r\nb");
}

static void silence_and_pipes_get_nothing(void **state)
{
    (void)state;
    char out[800];
    open_terminal(60);
    assert_int_equal(log_live_columns(), 60);
    log_level_set(LOG_WARN);
    assert_int_equal(log_live_columns(), 0);
    log_live("x");
    assert_int_equal(take(out, sizeof out), 0);
    log_level_set(LOG_INFO);
    setenv("TERM", "dumb", 1);
    assert_int_equal(log_live_columns(), 0);
    setenv("TERM", "xterm", 1);
    int p[2];
    assert_int_equal(pipe(p), 0);
    dup2(p[1], 2);
    assert_int_equal(log_live_columns(), 0);
    log_live("x");
    fflush(stderr);
    close_terminal();
    close(p[1]);
    assert_int_equal(read(p[0], out, sizeof out), 0);
    close(p[0]);
}

static void blocks_are_for_locales_that_have_them(void **state)
{
    (void)state;
    setenv("LC_ALL", "C", 1);
    assert_false(log_live_utf8());
    setenv("LC_ALL", "", 1), setenv("LC_CTYPE", "de_DE.UTF-8", 1), setenv("LANG", "C", 1);
    assert_true(log_live_utf8());
    unsetenv("LC_ALL"), unsetenv("LC_CTYPE"), setenv("LANG", "C.utf8", 1);
    assert_true(log_live_utf8());
    unsetenv("LANG");
    assert_false(log_live_utf8());
}

int main(void)
{
    setenv("TERM", "xterm", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_where_a_run_is),
        cmocka_unit_test(no_line_reaches_the_border_of_any_terminal),
        cmocka_unit_test(live_lines_are_drawn_over_and_others_come_above),
        cmocka_unit_test(a_terminal_that_became_narrower_is_cleared_as_far_as_lines_broke),
        cmocka_unit_test(a_low_terminal_gets_fewer_lines),
        cmocka_unit_test(silence_and_pipes_get_nothing),
        cmocka_unit_test(blocks_are_for_locales_that_have_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
