#!/usr/bin/env python3
"""Writes src/audit/licence_texts.h: by which words the texts of the SPDX licence list are known again.

    git clone https://github.com/spdx/license-list-XML; tools/licence_texts.py license-list-XML/test/simpleTestForGenerator > src/audit/licence_texts.h

Of each text the first eight bytes of the SHA-256 of its words, with the first paragraph (often a title) and without: small letters and
digits, one space between, "license" for "licence"; notices of copyright and lines "all rights reserved" are left out.
"""
import hashlib
import json
import pathlib
import re
import sys

SENTENCE = ("holder", "holders", "owner", "owners", "notice", "notices", "law", "laws", "license", "licence", "and", "or", "in", "is")      # a line of a sentence


def words(lines):
    kept = []
    for line in lines:
        w = re.findall(r"[a-z0-9]+", line.lower())
        first = w[1:] if w[:1] == ["c"] else w
        notice = first[:1] == ["copyright"] and first[1:2] not in [[x] for x in SENTENCE]
        if not notice and w != ["all", "rights", "reserved"]:
            kept += ["license" if x == "licence" else x for x in w]
    return " ".join(kept)


def digest(s):
    return int.from_bytes(hashlib.sha256(s.encode()).digest()[:8], "big")


def without_first(lines):
    i = 0
    while i < len(lines) and not lines[i].strip():
        i += 1
    while i < len(lines) and lines[i].strip():
        i += 1
    return lines[i:]


data = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "../shared/data")
ids = json.load(open(data / "governance-spdx-ids/index.json"))
rows = {}
for id in sorted(ids, key=lambda s: (s.endswith("-or-later"), len(s), s.lower())):        # of ids with one text the plainest
    path = pathlib.Path(sys.argv[1]) / f"{id}.txt"
    if not path.exists():
        continue
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for part in (lines, without_first(lines)):
        if len(words(part).split()) >= 20:
            rows.setdefault(digest(words(part)), id)
print("""/* licence_texts.h - made by tools/licence_texts.py; do not edit.  Sorted by digest. */
#include <stdint.h>

static const struct licence_digest { uint64_t digest; const char *id; } licence_digests[] = {""")
out = [f'{{ 0x{h:016x}, "{rows[h]}" }},' for h in sorted(rows)]
for i in range(0, len(out), 3):
    print("    " + " ".join(out[i:i + 3]))
print("};")
