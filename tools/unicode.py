#!/usr/bin/env python3
"""Writes src/model/unicode_tables.h: ranges of letters, numbers and white space, from this Python's unicodedata."""
import sys
import unicodedata

WHITE_SPACE = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]


def ranges(belongs):
    out = []
    for cp in range(0x110000):
        if belongs(cp):
            if out and out[-1][1] == cp - 1:
                out[-1][1] = cp
            else:
                out.append([cp, cp])
    return out


def table(name, what, rows):
    print(f"/* {what} */\nstatic const struct unicode_range {name}[] = {{")
    for i in range(0, len(rows), 8):
        print("    " + " ".join(f"{{ 0x{a:x}, 0x{b:x} }}," for a, b in rows[i:i + 8]))
    print("};\n")


print(f"/* unicode_tables.h - made by tools/unicode.py from Unicode {unicodedata.unidata_version}; do not edit. */\n"
      "#include <stdint.h>\n\nstruct unicode_range { uint32_t first, last; };\n")
table("unicode_letters", r"\p{L}", ranges(lambda c: unicodedata.category(chr(c))[0] == "L"))
table("unicode_numbers", r"\p{N}", ranges(lambda c: unicodedata.category(chr(c))[0] == "N"))
table("unicode_spaces", r"\s: the property White_Space", ranges(lambda c: c in WHITE_SPACE))
