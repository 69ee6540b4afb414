#!/usr/bin/env python3
"""The look for evaluation sets beside datatrove's n-gram decontamination (PyPI datatrove, spacy), on the same records and items, in pairs.

usage: bench/contam.py TEXT SET.jsonl [pairs]      from the project's folder, build/bench/contam made; one thread each.  datatrove gets as much of
the text as takes it some seconds.  Prints MB/s of both, medians of the pairs' ratios.
"""
import json, re, statistics, subprocess, sys, time
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.word_tokenizers import load_word_tokenizer

BYTES = 1 << 20


def step(cls):
    s = object.__new__(cls)                     # without lighteval, which its constructor asks for and its hashes do not
    s.config = NGramsDecontConfig()
    s.tokenizer = load_word_tokenizer("en")
    s.hash_func = create_hash_func(s.config.hash_config)
    return s


def records(text):
    at = 0
    while at < len(text):
        end = text.find(b"\n", at + 4096) + 1 or len(text)
        yield text[at:end].decode("utf-8", "replace")
        at = end


text, index, f = open(sys.argv[1], "rb").read(BYTES), step(NGramsDecontIndexer), step(NGramsDecontFilter)
f._index_hashes, f.stat_update = {}, lambda *a, **k: None
for line in open(sys.argv[2]):
    r = json.loads(line)
    f._index_hashes.update((h, "set") for h in index.compute_hashes(r.get("answer", ""), r["question"]))
docs = [Document(text=t, id="") for t in records(text)]
ratios = {}
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 3):
    t = time.process_time()
    dropped = sum(f.filter(d) is not True for d in docs)
    theirs = len(text) / 1e6 / (time.process_time() - t)
    for line in subprocess.run(["build/bench/contam", sys.argv[1], sys.argv[2]], check=True, capture_output=True, text=True).stdout.splitlines():
        name, ours = line.split()[0], float(re.search(r"([\d.]+) MB/s", line)[1])
        ratios.setdefault(name, []).append((ours, theirs))
print(f"datatrove {statistics.median(b for _, b in ratios['gpt3']):.2f} MB/s, {dropped} of {len(docs)} records dropped")
for name, pairs in ratios.items():
    print(f"{name:10} {statistics.median(a for a, _ in pairs):7.1f} MB/s   {statistics.median(a / b for a, b in pairs):6.0f} x datatrove")
