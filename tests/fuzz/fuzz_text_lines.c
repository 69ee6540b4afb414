/* fuzz_text_lines.c - any bytes as a file of texts: refused with a message, or texts that lie within what was kept, each line counted once. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "eval/text_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char path[60];
    struct err err = { 0 };
    struct text_lines s;
    if (!*path)
        snprintf(path, sizeof path, "/tmp/lathe-fuzz-lines-%d", (int)getpid());
    if (file_write_all(path, data, n, &err) < 0)
        return 0;
    const int rc = text_lines_read(&s, path, n % 3 ? 0 : 2, &err);
    unlink(path);
    if (rc < 0) {
        if (rc != err.code || !*err.msg)
            abort();
        return 0;
    }
    for (int64_t i = 0; i < s.n; i++) {
        size_t len;
        const char *text = text_lines_get(&s, i, &len);
        if (!len || text < s.bytes.data || text + len > s.bytes.data + s.bytes.len || (s.item[i].label && !*s.item[i].label && !s.n_label))
            abort();
    }
    if (!s.n || (s.n_bad && !*s.bad.msg))
        abort();
    text_lines_release(&s);
    return 0;
}
