#!/usr/bin/env python3
"""Signatures of texts beside datatrove's and datasketch's, one thread each, in turns.

    bench/minhash.py [--shared ../shared/data] [--rounds 3] [--mb 12]      after `make bench`

Two novels of Project Gutenberg and presidents' addresses, cut at blank lines into texts of about 3,000 characters, again and again with other
beginnings until there are so many MB.  datatrove: MinhashDedupSignature's get_shingles and get_signature, its default settings.  datasketch: a MinHash of
112 permutations updated with the same 5 words, of texts split at white space (less work: no simplified text, no tokenizer).  Ours and datatrove's
values are summed and must be equal.  CPU seconds; medians of rounds and of their ratios.  PyPI: datatrove[processing], spacy, datasketch."""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

a = argparse.ArgumentParser()
a.add_argument("--shared", default="../shared/data")
a.add_argument("--rounds", type=int, default=3)
a.add_argument("--mb", type=float, default=12)
a.add_argument("--python-mb", type=float, default=1)
o = a.parse_args()


def documents(size):
    z = zipfile.ZipFile(f"{o.shared}/text-nltk-public-domain/inaugural.zip")
    books = [open(f"{o.shared}/{p}", encoding="utf-8-sig").read() for p in ("text-gutenberg-moby/2701-0.txt", "text-gutenberg-sherlock/1661.txt")]
    books += [z.read(n).decode("latin-1") for n in sorted(z.namelist()) if n.endswith(".txt")]
    out, n, turn = [], 0, 0
    while True:
        for book in books:
            held, length = [], 0
            for p in book.split("\n\n")[turn:]:
                held.append(p)
                length += len(p)
                if length > 3000:
                    out.append("\n\n".join(held).replace("\0", ""))
                    n += len(out[-1].encode()) + 1
                    held, length = [], 0
                if n > size:
                    return out
        turn += 1


def datatrove(texts):
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    step = MinhashDedupSignature(tempfile.gettempdir(), MinhashConfig())
    step.get_signature(step.get_shingles("one two three four five six"))
    begin, total = time.process_time(), 0
    for t in texts:
        x = step.get_shingles(t)
        if x.size:
            total += sum(v for band in step.get_signature(x) for v in band)
    return time.process_time() - begin, total % 2**64


def datasketch(texts):
    from datasketch import MinHash
    begin = time.process_time()
    for t in texts:
        w, m = t.split(), MinHash(num_perm=112)
        m.update_batch([" ".join(w[i:i + 5]).encode() for i in range(len(w) - 4)])
    return time.process_time() - begin, None


def ours(path):
    out = subprocess.run(["build/bench/minhash", path], check=True, capture_output=True, text=True).stdout
    return out, float(next(l for l in out.splitlines() if l.startswith("end to end")).split()[3]), int(out.split("sum ")[1])


with tempfile.TemporaryDirectory() as d:
    many, few = documents(o.mb * 1e6), documents(o.python_mb * 1e6)
    for name, texts in ("many", many), ("few", few):
        open(f"{d}/{name}", "wb").write(b"".join(t.encode() + b"\0" for t in texts))
    mb = os.path.getsize(f"{d}/few") / 1e6
    rates, ratios = {"datatrove": [], "datasketch": [], "lathe": []}, {"datatrove": [], "datasketch": []}
    for _ in range(o.rounds):
        out, rate, _ = ours(f"{d}/many")
        _, _, total = ours(f"{d}/few")
        rates["lathe"].append(rate)
        for name, f in ("datatrove", datatrove), ("datasketch", datasketch):
            took, theirs = f(few)
            if theirs not in (None, total):
                sys.exit(f"{name}'s values add up to {theirs}, ours to {total}")
            rates[name].append(mb / took)
            ratios[name].append(rate / rates[name][-1])
    print(out, end="")
    for name, r in rates.items():
        print(f"{name:12} {statistics.median(r):8.2f} MB/s" + (f"   lathe is {statistics.median(ratios[name]):.0f} times as fast" if name in ratios else ""))
