#!/usr/bin/env python3
"""lathe's tokenizer beside Hugging Face's, one thread each, in one run.

    bench/tok.py [--shared ../shared/data] [--rounds 5]      after `make bench`

Texts: Moby-Dick; this repository's C; lines of many scripts (the translations in /var/lib/dpkg/info/*.templates, shuffled, else the
golden strings).  In each round both encode each text; CPU seconds; the table has the medians and the median of the rounds' ratios.
tokenizers is given each text in pieces of 20,000 characters, which is faster for it than the whole.  PyPI: tokenizers."""
import argparse
import base64
import glob
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Regex, Tokenizer, models, pre_tokenizers  # noqa: E402

FOLD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDS = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {
    "r50k": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": FOLD + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + ENDS,
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{UP}*{LOW}+{FOLD}?|[^\r\n\p{{L}}\p{{N}}]?{UP}+{LOW}*{FOLD}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + ENDS,
}


def characters():
    """GPT-2's map of bytes to characters."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printing else chr(next(others)) for b in range(256)]


def from_ranks(path, split):
    """The ranks as a tokenizer.json's model, with the merges of every pair that makes a token."""
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb") if line.strip())}
    table = characters()
    name = lambda token: "".join(table[b] for b in token)
    pairs = [(rank, ranks[t[:i]], ranks[t[i:]], t[:i], t[i:]) for t, rank in ranks.items() for i in range(1, len(t)) if t[:i] in ranks and t[i:] in ranks]
    t = Tokenizer(models.BPE({name(k): v for k, v in ranks.items()}, [(name(p[3]), name(p[4])) for p in sorted(pairs)], ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return t


def texts(shared):
    yield "English", open(f"{shared}/text-gutenberg-moby/2701-0.txt", encoding="utf-8").read()
    yield "code", "".join(open(f, encoding="utf-8").read() for f in sorted(glob.glob("src/*/*.[ch]") + glob.glob("tests/*/*.c")) if "unicode_tables" not in f)
    lines = [line for f in sorted(glob.glob("/var/lib/dpkg/info/*.templates")) for line in open(f, encoding="utf-8", errors="replace") if not line.isascii()]
    if sum(map(len, lines)) < 100000:
        lines = [s for s in json.load(open("tests/golden/tokenizers/strings.json")) if isinstance(s, str)] * 5
    random.Random(1).shuffle(lines)
    yield "many scripts", "".join(lines)


def theirs(t, text):
    parts = [text[i:i + 20000] for i in range(0, len(text), 20000)]
    begin = time.process_time()
    for p in parts:
        t.encode(p, add_special_tokens=False)
    return len(text.encode()) / 1e6 / (time.process_time() - begin)


def ours(path, file):
    return float(subprocess.run(["build/bench/tok", path, file], capture_output=True, text=True, check=True).stdout.split("encode ")[1].split()[0])


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--shared", default="../shared/data")
    a.add_argument("--rounds", type=int, default=5)
    a = a.parse_args()
    cases = [(k, f"{a.shared}/tiktoken-ranks/{k}_base.tiktoken", from_ranks(f"{a.shared}/tiktoken-ranks/{k}_base.tiktoken", s)) for k, s in SPLITS.items()]
    cases += [(k, f"{a.shared}/hf-tokenizers/{k}.tokenizer.json", Tokenizer.from_file(f"{a.shared}/hf-tokenizers/{k}.tokenizer.json")) for k in ("phi-3-mini", "t5-small")]
    print(f"{'':12}{'':14}{'lathe':>8}{'tokenizers':>12}{'ratio':>8}   MB/s of one core, load {os.getloadavg()[0]:.0f}")
    for name, path, t in cases:
        for kind, text in texts(a.shared):
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as f:
                f.write(text)
                f.flush()
                rounds = [(ours(path, f.name), theirs(t, text)) for _ in range(a.rounds)]
            print(f"{name:12}{kind:14}{statistics.median(r[0] for r in rounds):8.1f}{statistics.median(r[1] for r in rounds):12.2f}{statistics.median(r[0] / r[1] for r in rounds):8.1f}", flush=True)


main()
