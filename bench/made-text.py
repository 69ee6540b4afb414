#!/usr/bin/env python3
"""A large text made of real ones: pieces of 1 to 4 KB of the files of a folder, again and again, in which every tenth word is another
word of the same files (so that a piece that comes again is no near duplicate).  The same arguments give the same bytes.

Usage: bench/made-text.py FOLDER [--bytes 1e9] [--exchange 0.1] [--seed 1]      JSON lines {"id", "text"} on standard output."""
import argparse, json, os, random, sys

a = argparse.ArgumentParser()
a.add_argument("folder")
a.add_argument("--bytes", type=float, default=1e9)
a.add_argument("--exchange", type=float, default=0.1)
a.add_argument("--seed", type=int, default=1)
a = a.parse_args()

texts = []
for folder, below, names in sorted(os.walk(a.folder, followlinks=True)):
    for name in sorted(names):
        if name.endswith(".txt") and name != "LICENCE.txt":
            with open(os.path.join(folder, name), "rb") as f:
                texts.append(f.read().decode("utf-8", "ignore"))
if not texts:
    sys.exit(f"made-text.py: no .txt file in {a.folder}")
words = [w for t in texts for w in t.split()]
pieces = []
for t in texts:
    at, step = 0, random.Random(a.seed)
    while at < len(t):
        n = step.randint(1000, 4000)
        pieces.append(t[at:at + n])
        at += n
made, r = 0, random.Random(a.seed)
out = sys.stdout.buffer
i = 0
while made < a.bytes:
    part = pieces[i % len(pieces)].split(" ")
    for k in range(int(len(part) * a.exchange)) if i >= len(pieces) else ():
        part[int(r.random() * len(part))] = words[int(r.random() * len(words))]
    line = json.dumps({"id": i, "text": " ".join(part)}, ensure_ascii=False).encode() + b"\n"
    out.write(line)
    made += len(line)
    i += 1
