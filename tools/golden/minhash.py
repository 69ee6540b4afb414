#!/usr/bin/env python3
"""tests/golden/minhash.json: permutations, shingles and signatures as datatrove makes them.

    python3 -m venv V; V/bin/pip install 'datatrove[processing]==0.10.1' spacy; V/bin/python tools/golden/minhash.py ../shared/data

Texts: two novels of Project Gutenberg and presidents' addresses (all in the public domain), and strings of our own with what is rare in them.
"""
import json, os, sys, zipfile
import numpy as np
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

DATA = sys.argv[1]
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/minhash.json")

def signed(x):
    x = int(x)
    return x - (1 << 64) if x >= 1 << 63 else x

def read(name):
    return open(os.path.join(DATA, name), encoding="utf-8-sig", newline="").read()

def texts():
    for name in ("text-gutenberg-sherlock/1661.txt", "text-gutenberg-moby/2701-0.txt"):
        t = read(name)
        for at, n in ((20000, 3000), (100000, 700), (200001, 60), (250000, 1500)):
            yield t[at:at + n]
    z = zipfile.ZipFile(os.path.join(DATA, "text-nltk-public-domain/inaugural.zip"))
    for name in ("inaugural/1789-Washington.txt", "inaugural/1961-Kennedy.txt"):
        yield z.read(name).decode("latin-1")[500:3500]
    yield ""
    yield "one two three four"
    yield "one two three four five"
    yield "I can't, won't and don't; you're gonna cannot it's o'clock $3.50 10km 5pm U.S.A. e.g. Ph.D. ... well-known ALL_CAPS a.b@c.org"
    yield "Über die Brücke führt ein schmaler Weg für 1.234,56 Euro – naïve Café-Besucher zahlen ３４５ und ١٢٣ dazu, ſo heißt's."
    yield "Ελληνικά ΣΊΣΥΦΟΣ ΟΔΥΣΣΕΥΣ Русский текст ещё один İstanbul'da ﬁne ﬂow ½ x² \u0301a combining zero\u200bwidth \u00a0nbsp\u2003em"
    yield "नमस्ते दुनिया यह एक वाक्य है। 日本語のテキスト、 中文文本。 한국어 문장 하나 둘 셋 넷 다섯 emoji 😀👍🏽 :-) :D <3"
    yield "line one\r\nline two\ttabbed\x0b\x0c\x1c\x85separators\u2028and\u2029more \"quotes\" 'single' (brackets) [x] {y} a/b a\\b #tag @user 50% & co"

def signatures(config, text):
    step = MinhashDedupSignature("/tmp", config)
    x = step.get_shingles(text)
    return x, [v for band in step.get_signature(x) for v in band] if x.size else []

def permutations(config):
    a, b = MinhashDedupSignature("/tmp", config).parameters
    return {"a": [int(v) for v in a[0]], "b": [int(v) for v in b[0]]}

default, other = MinhashConfig(), MinhashConfig(n_grams=3, num_buckets=20, hashes_per_bucket=13, seed=20261126)
cases = []
for i, t in enumerate(texts()):
    x, sig = signatures(default, t)
    c = {"text": t, "shingles": [signed(v) for v in x[:, 0]], "sig": sig}
    if i % 4 == 0:
        c["other_sig"] = signatures(other, t)[1]
    cases.append(c)
edges = [0, 1, 2**63 - 25, 2**64 - 1, 2**61 - 1, 2**61 - 2, 2**61]
with np.errstate(over="ignore"):
    step = MinhashDedupSignature("/tmp", default)
    alone = [{"x": signed(v), "sig": [w for band in step.get_signature(np.array([[v]], dtype=np.uint64)) for w in band]} for v in edges]
json.dump({"opts": [5, 14, 8, 1], "permutations": permutations(default), "other_opts": [3, 20, 13, 20261126],
           "other_permutations": permutations(other), "alone": alone, "cases": cases}, open(OUT, "w"), ensure_ascii=False, separators=(",", ":"))
