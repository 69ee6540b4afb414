#!/usr/bin/env python3
"""Writes src/model/unicode_tables.h.  Usage: tools/unicode.py > src/model/unicode_tables.h

Needs PyPI's unicodedata2 16.0.0 (the version of Unicode in Hugging Face's tokenizers 0.23 and tiktoken 0.14) and regex (for
grapheme break properties, cut to the characters that 16.0 assigns)."""
import regex
import unicodedata2 as u

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
SPACE_CONTROL = 30                     # what \s holds besides Z: tab to carriage return, and U+0085
END = 0x110000


def two_stage(name, comment, values):
    blocks, pages = {}, []
    for at in range(0, END, 256):
        pages.append(blocks.setdefault(tuple(values[at:at + 256]), len(blocks)))
    assert len(blocks) <= 256
    print(f"/* {comment} */\nstatic const uint8_t {name}_page[{len(pages)}] = {{")
    rows([str(p) for p in pages])
    print(f"}};\nstatic const uint8_t {name}_block[{len(blocks)}][256] = {{")
    for b in blocks:
        print("    {")
        rows([str(v) for v in b])
        print("    },")
    print("};\n")


def rows(words):
    line = "   "
    for w in words:
        if len(line) + len(w) > 130:
            print(line)
            line = "   "
        line += " " + w + ","
    print(line)


def surrogate(c):
    return 0xD800 <= c < 0xE000


def categories():
    out = [CATEGORIES.index(u.category(chr(c))) for c in range(END)]
    for c in [*range(9, 14), 0x85]:
        out[c] = SPACE_CONTROL
    return out


def grapheme(value):
    r = regex.compile(rf"\p{{Grapheme_Cluster_Break={value}}}")
    return {c for c in range(END) if not surrogate(c) and u.category(chr(c)) != "Cn" and r.match(chr(c))}


def properties():
    forms = ["NFC", "NFKC", "NFD", "NFKD"]
    joins = grapheme("Extend") | grapheme("SpacingMark") | grapheme("ZWJ")
    prepends = grapheme("Prepend")
    # a character that may combine with what stands before it, and so is no place to begin: the second of a pair, or a mark
    second = {ord(d[-1]) for c in range(END) if not surrogate(c) for d in [u.normalize("NFD", chr(c))] if len(d) > 1}
    second |= {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    out = []
    for c in range(END):
        ch, v = chr(c), 0
        if not surrogate(c):
            for i, f in enumerate(forms):
                if u.normalize(f, ch) != ch or u.combining(ch) or (i < 2 and c in second):
                    v |= 1 << i
            v |= 16 if ch.lower() != ch else 0
            v |= 32 if c in joins else 0
            v |= 64 if c in prepends else 0
        out.append(v)
    return out


def mapping(name, comment, f):
    pool, index = [], []
    for c in range(END):
        if surrogate(c) or 0xAC00 <= c < 0xD7A4:
            continue
        to = f(chr(c))
        if to != chr(c):
            index.append((c, len(pool), len(to)))
            pool += [ord(x) for x in to]
    print(f"/* {comment} */\nstatic const struct unicode_map {name}[] = {{")
    rows([f"{{{c},{at},{n}}}" for c, at, n in index])
    print(f"}};\nstatic const uint32_t {name}_pool[] = {{")
    rows([str(c) for c in pool])
    print("};\n")


def pairs():
    out = []
    for c in range(END):
        if surrogate(c) or 0xAC00 <= c < 0xD7A4:
            continue
        d = u.decomposition(chr(c))
        if d and not d.startswith("<") and len(d.split()) == 2 and u.normalize("NFC", chr(c)) == chr(c):
            a, b = (int(x, 16) for x in d.split())
            out.append((a, b, c))
    print("/* Canonical compositions, sorted. */\nstatic const struct unicode_pair unicode_pairs[] = {")
    rows([f"{{{a},{b},{c}}}" for a, b, c in sorted(out)])
    print("};\n")


def classes():
    out = [(c, u.combining(chr(c))) for c in range(END) if u.combining(chr(c))]
    runs = []
    for c, k in out:
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == k:
            runs[-1][1] = c
        else:
            runs.append([c, c, k])
    print("/* Canonical combining classes that are not 0: first, last, class. */\nstatic const struct unicode_class unicode_classes[] = {")
    rows([f"{{{a},{b},{k}}}" for a, b, k in runs])
    print("};\n")


print(f"""/* unicode_tables.h - made by tools/unicode.py from Unicode {u.unidata_version}; do not edit. */
#include <stdint.h>

struct unicode_map {{ uint32_t cp; uint16_t at, n; }};
struct unicode_pair {{ uint32_t first, second, both; }};
struct unicode_class {{ uint32_t first, last; uint8_t ccc; }};
""")
two_stage("category", "enum unicode_category of every character.", categories())
two_stage("property", "enum unicode_property of every character.", properties())
mapping("unicode_canonical", "Full canonical decompositions (Hangul apart).", lambda c: u.normalize("NFD", c))
mapping("unicode_compatible", "Full compatibility decompositions (Hangul apart).", lambda c: u.normalize("NFKD", c))
mapping("unicode_lower_map", "Lower case, character by character.", str.lower)
pairs()
classes()
