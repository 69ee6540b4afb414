#!/usr/bin/env python3
"""Writes src/audit/chars_tables.h.  Usage: tools/chars_tables.py > src/audit/chars_tables.h

What spaCy 3.8.18's blank English tokenizer and datatrove 0.10.1 ask of a character, by asking them: their own expressions and sets are
tried on every character (Python 3.11: Unicode 14; \\p{Nd} by PyPI's regex).  And spaCy's special cases with the tokens that they become."""
import re
import sys
import unicodedata as u

import regex
import spacy
from datatrove.utils.text import PUNCTUATION, TERMINAL_PUNCTUATION
from spacy.lang import char_classes as cc, punctuation as p
from spacy.lang.en import EnglishDefaults
from spacy.pipeline.sentencizer import Sentencizer

assert spacy.__version__ == "3.8.18" and u.unidata_version == "14.0.0"
POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
nlp = spacy.blank("en")
tok = nlp.tokenizer


def matches(expression, flags=0):
    r = re.compile(expression, flags)
    return {c for c in POINTS if r.fullmatch(c)}


def single(pieces):
    """Characters that one of these expressions matches whatever stands beside them."""
    out = set()
    for piece in pieces:
        if piece.strip() and "(?" not in piece:
            out |= matches(piece)
    return out


def last_sigma(before):
    return (before + "Σ").lower()[-1] == "ς"


q, al, au, a = cc.CONCAT_QUOTES, cc.ALPHA_LOWER, cc.ALPHA_UPPER, cc.ALPHA
# U+00AD, U+200C and U+200D have their uses; a number sign and the like (Cf of scripts) is seen.
INVISIBLE = {c for c in POINTS if u.category(c) == "Cf" and ord(c) not in (0xAD, 0x61C, 0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
             and not u.name(c, "").startswith(("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"))} | set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\uffa0")
icons = matches(f"[{cc.CONCAT_ICONS}]")
cased = {c for c in POINTS if last_sigma(c)}
before_dot = r"[0-9{al}{e}{p}(?:{q})]".format(al=al, e=r"%²\-\+", q=q, p=cc.PUNCT)
assert any(before_dot in piece for piece in p.TOKENIZER_SUFFIXES)
SETS = [
    ("SPACE", "str.isspace", {c for c in POINTS if c.isspace()}),
    ("LINE_END", "str.splitlines", {c for c in POINTS if len(("a" + c + "a").splitlines()) > 1}),
    ("ALPHA", "str.isalpha", {c for c in POINTS if c.isalpha()}),
    ("ALNUM", "str.isalnum", {c for c in POINTS if c.isalnum()}),
    ("WORD", r"\w of re", matches(r"\w")),
    ("DIGIT", r"\d of re", matches(r"\d")),
    ("ND", r"\p{Nd} of regex", {c for c in POINTS if regex.fullmatch(r"\p{Nd}", c)}),
    ("P", "category P*", {c for c in POINTS if u.category(c)[0] == "P"}),
    ("MN", "category Mn", {c for c in POINTS if u.category(c) == "Mn"}),
    ("NONSTARTER", "combining class not 0", {c for c in POINTS if u.combining(c)}),
    ("CASED", "str.lower of a final sigma: cased, not ignorable", cased),
    ("IGNORABLE", "the same: case-ignorable", {c for c in POINTS if c not in cased and last_sigma("A" + c)}),
    ("PUNCTUATION", "datatrove PUNCTUATION", set(PUNCTUATION)),
    ("TERMINAL", "datatrove TERMINAL_PUNCTUATION", set(TERMINAL_PUNCTUATION)),
    ("SENTENCE_END", "spaCy sentencizer", set(Sentencizer.default_punct_chars)),
    ("SPACY_ALPHA", "spaCy ALPHA", matches(f"[{a}]")),
    ("SPACY_LOWER", "spaCy ALPHA_LOWER", matches(f"[{al}]")),
    ("SPACY_UPPER", "spaCy ALPHA_UPPER", matches(f"[{au}]")),
    ("QUOTE", "spaCy CONCAT_QUOTES", matches(f"[{q}]")),
    ("ICON", "spaCy CONCAT_ICONS", icons),
    ("PREFIX", "a prefix by itself", single(p.TOKENIZER_PREFIXES)),
    ("SUFFIX", "a suffix by itself", single(p.TOKENIZER_SUFFIXES)),
    ("BEFORE_DOT", "a full stop after it is a suffix", matches(before_dot)),
    ("INFIX", "may begin an infix", icons | set(".…+-*^,–—~:<>=/")),
    ("REGEX_ALPHA", "[[:alpha:]] of regex", {c for c in POINTS if regex.fullmatch("[[:alpha:]]", c)}),
    ("CONTROL", "category Cc but tab, line feed and carriage return", {c for c in POINTS if u.category(c) == "Cc" and c not in "\t\n\r"}),
    ("BIDI", "marks, embeddings, overrides and isolates of direction", set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")),
    ("INVISIBLE", "of no width and no use in most texts: format characters but soft hyphens, joiners and directions, fillers, tags", INVISIBLE),
    ("HOST", "host names in URLs", matches("[A-Za-z0-9\u00a1-\uffff]")),
]
# What the code of words_english.c knows by name must be all there is.
assert sorted({c for h in cc.LIST_HYPHENS for c in h}) == sorted("-–—~") and set(cc.LIST_HYPHENS) == set("- – — -- --- —— ~".split())
assert [x for x in p.TOKENIZER_PREFIXES if x.strip() and "(?" not in x and not matches(x)] == ["……", r"\.\.+", r"US\$", r"C\$", r"A\$"], p.TOKENIZER_PREFIXES
assert [x for x in p.TOKENIZER_SUFFIXES if x.strip() and "(?" not in x and not matches(x)] == ["……", r"\.\.+", "'s", "'S", "’s", "’S"], p.TOKENIZER_SUFFIXES
assert [x for x in p.TOKENIZER_PREFIXES if "(?" in x] == [r"\+(?![0-9])"] and sum("(?" in x for x in p.TOKENIZER_SUFFIXES) == 6
assert len(EnglishDefaults.infixes) == 2 + 1 + 5 and EnglishDefaults.token_match is None
# Combining characters that stay (no Mn): the only ones whose order NFD may change.
KEPT = sorted((ord(c), u.combining(c)) for c in POINTS if u.combining(c) and u.category(c) != "Mn")


def lower(c):
    return c.lower()


def simplified(c):
    return "".join(x for x in u.normalize("NFD", c.lower()) if u.category(x) != "Mn")


def strings(words, width=126):
    line = "   "
    for w in words:
        if len(line) + len(w) > width:
            print(line)
            line = "   "
        line += " " + w
    print(line)


def classes():
    bits = [0] * 0x110000
    for i, (_, _, chars) in enumerate(SETS):
        for c in chars:
            bits[ord(c)] |= 1 << i
    for c in POINTS:
        if simplified(c) != c:
            bits[ord(c)] |= 1 << len(SETS)
    kinds = sorted(set(bits))
    index = {b: i for i, b in enumerate(kinds)}
    assert len(kinds) <= 256
    print("/* Of every character: pages of 256, then a kind, then what that kind is. */")
    blocks, pages = {}, []
    for at in range(0, 0x110000, 256):
        pages.append(blocks.setdefault(tuple(index[b] for b in bits[at:at + 256]), len(blocks)))
    assert len(blocks) <= 256
    print(f"static const uint8_t char_page[{len(pages)}] = {{")
    strings([f"{x}," for x in pages])
    print(f"}};\nstatic const uint8_t char_kind[{len(blocks)}][256] = {{")
    for b in blocks:
        print("    {")
        strings([f"{x}," for x in b])
        print("    },")
    print(f"}};\nstatic const uint32_t char_class[{len(kinds)}] = {{")
    strings([f"0x{x:x}," for x in kinds])
    print("};\n/* The same of ASCII, in one step. */\nconst uint32_t chars_ascii[128] = {")
    strings([f"0x{x:x}," for x in bits[:128]])
    print("};\n")


def mapping(name, doc, to):
    pool, index = "", []
    for c in POINTS:
        s = to(c)
        if s != c and not 0xAC00 <= ord(c) < 0xD7A4:
            at = pool.find(s)
            if at < 0:
                at, pool = len(pool), pool + s
            index.append((ord(c), at, len(s)))
    assert max(n for _, _, n in index) <= 4
    print(f"/* {doc}: character, place in the pool, characters. */\nstatic const struct char_map {name}[] = {{")
    strings([f"{{{c},{at},{n}}}," for c, at, n in index])
    print(f"}};\nstatic const uint32_t {name}_pool[] = {{")
    strings([f"{ord(c)}," for c in pool])
    print("};\n")


def maps():
    print("struct char_map { uint32_t cp; uint16_t at, n; };\n")
    mapping("char_simple", "NFD of the lower case without Mn, where that is not the character itself (Hangul apart)", simplified)
    mapping("char_lower", "Lower case, where that is not the character itself", lower)
    print("/* Combining characters that are no Mn, and their class. */\nstatic const struct { uint32_t cp; uint8_t ccc; } char_kept[] = {")
    strings([f"{{{c},{k}}}," for c, k in KEPT])
    print("};\n")


M = (1 << 64) - 1


def hashed(b):
    """special_hash() of words_english.c."""
    first, last = int.from_bytes(b[:8], "little"), int.from_bytes(b[-8:], "little")
    h = (first * 0x9E3779B97F4A7C15 ^ (last + len(b)) * 0xC2B2AE3D27D4EB4F) & M
    return (h ^ h >> 32) * 0xD6E8FEB86659FD93 & M


def kind(b):
    """special_kind() of words_english.c."""
    return ((b[0] | b[len(b) // 2] << 8 | b[-1] << 16 | len(b) << 24) * 0x9E3779B1 & 0xFFFFFFFF) >> 17


def c_string(b):
    return '"' + "".join(chr(x) if 32 <= x < 127 and chr(x) not in '"\\?' else f"\\{x:03o}" for x in b) + '"'


def cuts(tokens):
    return c_string(bytes(len(t.encode()) for t in tokens))


def specials():
    plain = spacy.blank("en").tokenizer            # without special cases: what the text of one is cut into before they are looked for
    plain.rules = {}
    rows = []
    for text, tokens in sorted(tok.rules.items()):
        orths = [t[spacy.symbols.ORTH] if spacy.symbols.ORTH in t else t["ORTH"] for t in tokens]
        assert "".join(orths) == text
        affixed = bool(tok.find_prefix(text) or tok.find_infix(text) or tok.find_suffix(text) or " " in text)
        pattern = [t.text for t in plain(text)] if affixed else []
        assert "".join(pattern) in (text, "")
        if len(pattern) == 1:                      # such a token stays what it is
            assert orths == pattern
            pattern = []
        rows.append((text.encode(), orths, pattern))
    longest, tokens = max(len(r[0]) for r in rows), max(len(r[2]) for r in rows)
    print(f"""/* spaCy's special cases: the text, bytes of each token that it becomes, and of each that it is cut into otherwise, where that is looked
 * for among the tokens of a text (none: ""). */
enum {{ SPECIAL_BYTES = {longest}, SPECIAL_PATTERN = {tokens}, SPECIAL_SLOTS = 4096 }};
struct special {{ const char *text; uint8_t n, n_cut, n_pattern; const char *cut, *pattern; }};
static const struct special special_cases[] = {{""")
    strings([f"{{{c_string(t)},{len(t)},{len(o)},{len(x)},{cuts(o)},{cuts(x)}}}," for t, o, x in rows])
    slots = [0] * 4096
    for i, (t, _, _) in enumerate(rows):
        at = hashed(t) >> 52
        while slots[at]:
            at = (at + 1) % 4096
        slots[at] = i + 1
    print("};\n/* By hash, the next one where it is taken: index + 1. */\nstatic const uint16_t special_slot[SPECIAL_SLOTS] = {")
    strings([f"{s}," for s in slots])
    print("};\n/* A bit for what special_kind() makes of each. */\nstatic const uint64_t special_seen[512] = {")
    seen = [0] * 512
    for t, _, _ in rows:
        k = kind(t)
        seen[k >> 6] |= 1 << (k & 63)
    strings([f"0x{x:x}," for x in seen])
    print("};")
    print()


def units():
    out = sorted({re.sub(r"\\(.)", r"\1", x) for x in (cc.UNITS + "|" + cc.CURRENCY).split("|")})
    assert not any(ch in "0123456789" for x in out for ch in x)
    print("/* Suffixes after a digit: units and currencies. */\nstatic const char *const unit_suffix[] = {")
    strings([c_string(x.encode()) + "," for x in out])
    print("};\nenum { UNIT_BYTES = %d };" % max(len(x.encode()) for x in out))


print(f"""/* chars_tables.h - made by tools/chars_tables.py from spaCy {spacy.__version__}, datatrove 0.10.1 and Unicode {u.unidata_version}; do not edit. */
#ifndef AUDIT_CHARS_TABLES_H
#define AUDIT_CHARS_TABLES_H

#define CHAR_CLASSES(X) \\""")
for name, doc, _ in SETS:
    print(f'    X({name}, "{doc}") \\'.replace("\\w", "\\\\w").replace("\\d", "\\\\d").replace("\\p", "\\\\p"))
print('    X(MAPPED, "simplify makes something else of it")\n')
print("#ifdef CHARS_TABLES_CLASSES")
classes()
maps()
print("#endif\n#ifdef CHARS_TABLES_SPECIALS")
specials()
units()
print("#endif\n#endif")
