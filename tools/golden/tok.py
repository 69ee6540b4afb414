#!/usr/bin/env python3
"""Writes tests/golden/tok: a byte-level BPE tokenizer trained by Hugging Face's `tokenizers`, and ids of many strings.

    tools/golden/tok.py [--out tests/golden/tok]

corpus.txt      made here, from a fixed generator of words of several scripts
tokenizer.json  trained on it: 600 tokens, <|endoftext|> first, all 256 bytes, GPT-2's split
cases.jsonl     {"text", "ids"}; made with tokenizers 0.22 or whatever `pip show tokenizers` says in the commit
"""
import argparse
import json
import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

WORDS = ("the of and to in that he was it his with as had for you not be her on at by which have or from this but all "
         "don't we'll I'm she'd they've can't it's naïve café Straße größer être où señor año дом человек время слово "
         "κόσμος λόγος שלום سلام नमस्ते 世界 日本語 テスト 한국어 ไทย 123 4567 3.14 2024-01-02 (a+b)*c == x[i]; foo_bar "
         "HTTP/1.1 https://example.org/?q=1 🙂 👩‍👩‍👧 — … „quoted“ \u00a0nbsp").split(" ")


def corpus(n):
    rng = random.Random(7)
    out = []
    for i in range(n):
        out.append(rng.choice(WORDS) + (rng.choice(WORDS) if rng.random() < 0.1 else ""))
        out.append("\n" if rng.random() < 0.05 else "  " if rng.random() < 0.05 else " ")
    return "".join(out)


def strings():
    rng = random.Random(8)
    yield from ["", " ", "  ", "\n", " \n ", "\t\t x", "a", "'s", "'S", "I'll  go\n\nnow ", "x'y", "<|endoftext|>", "end   ", "\u3000全角\u2003em", "e\u0301", "½ ² Ⅷ ٣"]
    for _ in range(400):
        k = rng.random()
        if k < 0.6:
            yield "".join(rng.choice(WORDS) + rng.choice([" ", "  ", "\n", "", "\t", " \n"]) for _ in range(rng.randint(1, 12)))
        else:
            yield "".join(chr(rng.choice([rng.randint(32, 126), rng.randint(0xa0, 0x24f), rng.randint(0x370, 0x5ff), rng.randint(0x4e00, 0x4eff), rng.randint(0x1f300, 0x1f5ff)]))
                          for _ in range(rng.randint(1, 20)))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", default="tests/golden/tok")
    out = p.parse_args().out
    text = corpus(6000)
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=600, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    open(f"{out}/corpus.txt", "w", encoding="utf-8", newline="").write(text)
    t.save(f"{out}/tokenizer.json")
    plain = Tokenizer.from_file(f"{out}/tokenizer.json")
    with open(f"{out}/cases.jsonl", "w") as f:
        for s in strings():
            f.write(json.dumps({"text": s, "ids": plain.encode(s).ids}) + "\n")


main()
