/* zips.h - zip files for tests, with what a reader looks at. */
#ifndef TESTS_ZIPS_H
#define TESTS_ZIPS_H
#include <zlib.h>
#include "test.h"

SHARED_BY_TESTS void add_u(struct buf *b, uint32_t v, int n)
{
    struct err err;
    for (int i = 0; i < n; i++)
        OK(buf_add_char(b, (char)(v >> 8 * i), &err));
}

/* Members are name and text, stored. */
SHARED_BY_TESTS void put_zip(const char *path, const char *const (*members)[2], int n)
{
    struct err err;
    struct buf all, directory;
    buf_init(&all), buf_init(&directory);
    for (int i = 0; i < n; i++) {
        const char *name = members[i][0], *text = members[i][1];
        const uint32_t size = (uint32_t)strlen(text), crc = (uint32_t)crc32(0, (const unsigned char *)text, size), at = (uint32_t)all.len;
        OK(buf_add(&all, "PK\3\4", 4, &err));
        add_u(&all, 20, 2), add_u(&all, 0, 2), add_u(&all, 0, 2), add_u(&all, 0, 4), add_u(&all, crc, 4), add_u(&all, size, 4), add_u(&all, size, 4), add_u(&all, (uint32_t)strlen(name), 2), add_u(&all, 0, 2);
        OK(buf_add_str(&all, name, &err));
        OK(buf_add_str(&all, text, &err));
        OK(buf_add(&directory, "PK\1\2", 4, &err));
        add_u(&directory, 20, 2), add_u(&directory, 20, 2), add_u(&directory, 0, 2), add_u(&directory, 0, 2), add_u(&directory, 0, 4), add_u(&directory, crc, 4), add_u(&directory, size, 4), add_u(&directory, size, 4);
        add_u(&directory, (uint32_t)strlen(name), 2), add_u(&directory, 0, 2), add_u(&directory, 0, 2), add_u(&directory, 0, 2), add_u(&directory, 0, 2), add_u(&directory, 0, 4), add_u(&directory, at, 4);
        OK(buf_add_str(&directory, name, &err));
    }
    const uint32_t at = (uint32_t)all.len;
    OK(buf_add(&all, directory.data, directory.len, &err));
    OK(buf_add(&all, "PK\5\6", 4, &err));
    add_u(&all, 0, 2), add_u(&all, 0, 2), add_u(&all, (uint32_t)n, 2), add_u(&all, (uint32_t)n, 2), add_u(&all, (uint32_t)directory.len, 4), add_u(&all, at, 4), add_u(&all, 0, 2);
    OK(file_write_all(path, all.data, all.len, &err));
    buf_release(&all), buf_release(&directory);
}
#endif
