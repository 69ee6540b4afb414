#!/usr/bin/env python3
"""Writes tests/golden/signals.jsonl: signals of texts (src/audit/signals.def) and the verdicts of datatrove 0.10.1's own filters.

Usage: tools/golden/signals.py ../shared/data > tests/golden/signals.jsonl.  What datatrove counts is counted by datatrove's functions; Dolma's
tagger and NeMo Curator's filters are done here by their descriptions (their packages need Rust and GPUs).  Texts: those of datatrove's
tests/pipeline/test_filters.py, excerpts of Project Gutenberg, and texts put together from what the rules look for."""
import heapq
import json
import pathlib
import random
import re
import sys
from collections import Counter
from statistics import median

import regex
from datatrove.data import Document
from datatrove.pipeline.filters import C4ParagraphFilter, C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.filters.gopher_repetition_filter import find_all_duplicate, find_duplicates, find_top_duplicate, get_n_grams
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words

FILTERS = {"gopher_rep": GopherRepetitionFilter(), "gopher": GopherQualityFilter(), "c4": C4QualityFilter(), "c4_any": C4QualityFilter(filter_no_terminal_punct=False),
           "c4_para": C4ParagraphFilter(), "fineweb": FineWebQualityFilter(), "gopher 10 to 1000 words": GopherQualityFilter(min_doc_words=10, max_doc_words=1000)}
STOP = {"the", "be", "to", "of", "and", "that", "have", "with"}
ELLIPSES = ["...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more"]
POLICIES = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview", "use of cookies", "use cookies", "privacy & cookies policy", "privacy and cookies policy"]
URL = regex.compile("http[s]?://(?:[a-zA-Z]|[0-9]|[$-_@.&+]|[!*\\(\\),]|(?:%[0-9a-fA-F][0-9a-fA-F]))+")


def verdicts(text):
    out = {}
    for name, f in FILTERS.items():
        try:
            r = f.filter(Document(text=text, id="0"))
            out[name] = "" if r is True else r[1]
        except ZeroDivisionError:
            out[name] = "divides by zero"
    return out


def quality(t, w, s):
    like = [x for x in w if any(c not in PUNCTUATION_SET for c in x)]
    lines = t.splitlines()
    s.update(chars=len(t), newlines=t.count("\n"), words=len(w), word_like=len(like), word_like_chars=sum(map(len, like)), alpha_words=sum(any(c.isalpha() for c in x) for x in w),
             stop_words=len(STOP & set(w)), hashes=t.count("#"), ellipses=t.count("...") + t.count("…"), lines=len(lines),
             bullet_lines=sum(x.lstrip().startswith("•") or x.lstrip().startswith("-") for x in lines),
             ellipsis_lines=sum(x.rstrip().endswith("...") or x.rstrip().endswith("…") for x in lines))


def repetition(t, w, s):
    paragraphs, parts = re.split(r"\n{2,}", t.strip()), re.split(r"\n+", t)
    s["paragraphs"], s["parts"] = len(paragraphs), len(parts)
    s["dup_paragraphs"], s["dup_paragraph_chars"] = find_duplicates(paragraphs)
    s["dup_parts"], s["dup_part_chars"] = find_duplicates(parts)
    for n in (2, 3, 4):
        grams = get_n_grams(w, n)
        s[f"top_{n}_gram_chars"] = find_top_duplicate(grams) if grams else 0
    for n in range(5, 11):
        s[f"dup_{n}_gram_chars"] = find_all_duplicate(w, n)


def full_lines(t, s):
    lines = [x for x in t.split("\n") if x.strip() != ""]
    s.update(full_lines=len(lines), stop_lines=sum(x.endswith(tuple(TERMINAL_PUNCTUATION)) for x in lines), short_lines=sum(len(x) <= 30 for x in lines), full_line_chars=sum(map(len, lines)))
    s["dup_lines"], s["dup_line_chars"] = find_duplicates(lines)
    longest = heapq.nlargest(3, [len(x) for x in t.split("\n")])
    s["third_line_chars"] = longest[2] if len(longest) > 2 else 0
    return lines


def dolma(t, w, s):
    lines = t.split("\n")
    copied = {k: v for k, v in Counter(lines).items() if v > 1}
    s.update(spaced_words=len(w), spaced_chars=sum(map(len, w)), spaced_longest=max(map(len, w), default=0), spaced_stop_words=sum(x in STOP for x in w),
             dolma_twice_median=int(2 * median(map(len, w))) if w else 0, dolma_symbol_words=sum(any(c in x for c in "#…") for x in w),
             dolma_alpha_words=sum(any(c.isalpha() for c in x) for x in w), dolma_bullet_lines=sum(x.startswith(("*", "-")) for x in lines),
             dolma_ellipsis_lines=sum(x.endswith("…") for x in lines), dolma_copied_lines=sum(copied.values()), dolma_copied_line_chars=sum(len(k) * v for k, v in copied.items()))
    for n in range(2, 11):
        grams = Counter(zip(*[w[i:] for i in range(n)]))
        size = {g: v * sum(map(len, g)) for g, v in grams.items()}
        if n < 5:
            s[f"dolma_top_{n}_gram_chars"] = size[grams.most_common(1)[0][0]] if grams else 0
        else:
            s[f"dolma_dup_{n}_gram_chars"] = sum(v for g, v in size.items() if grams[g] > 1)
            s[f"dolma_all_{n}_gram_chars"] = sum(size.values())


def nemo_grams(t, w, n):
    if len(w) < n:
        return len(t)
    grams = list(zip(*[w[i:] for i in range(n)]))
    if n < 5:
        return len(t) - len(t.replace(" ".join(Counter(grams).most_common(1)[0][0]), ""))
    seen, chars, over = set(), 0, 0
    for g in grams:
        if g in seen:
            chars += sum(map(len, g[over:])) + min(n - over, n - 1)
            over = n
        seen.add(g)
        over = max(over - 1, 0)
    return chars


def nemo(t, w, lines, s):
    paragraphs = t.split("\n\n")
    low = [x.strip().lower() for x in paragraphs]
    s.update(nemo_other_chars=len(t) - len(re.findall("[a-zA-Z0-9\n?!,.]", t)), nemo_symbol_words=sum(x in ELLIPSES or len(regex.findall("#+", x)) / len(x) > 0.5 for x in w),
             nemo_digits=len(regex.findall("[[:digit:]]", t)), nemo_url_chars=sum(map(len, URL.findall(t))), nemo_white_chars=sum(c in "\t\n\r\b " for c in t),
             nemo_paren_chars=len(regex.findall(r"{|}|⟨|⟩|\[|\]|\(|\)", t)), nemo_paragraphs=len(paragraphs), nemo_paragraph_chars=len("".join(paragraphs)),
             nemo_dup_paragraphs=len(paragraphs) - len(set(paragraphs)), nemo_dup_paragraph_chars=len("".join(paragraphs)) - len("".join(set(paragraphs))),
             nemo_boilerplate=len(paragraphs) if any("lorem ipsum" in x for x in low) else sum(any(p in x for p in POLICIES) for x in low),
             nemo_open_lines=sum(not x.strip().endswith((".", "?", "!", '"', "'")) for x in lines), nemo_alpha_words=sum(bool(regex.search("[[:alpha:]]", x)) for x in w),
             nemo_ellipsis_lines=sum(any(x.strip().lower().endswith(e) for e in ELLIPSES) for x in lines),
             nemo_bullet_lines=sum(x.strip().startswith(tuple("•‣⁃⁌⁍∙○●◘◦⦾⦿")) for x in lines))
    for n in range(2, 11):
        s[f"nemo_{'top' if n < 5 else 'dup'}_{n}_gram_chars"] = nemo_grams(t, w, n)


def signals(t):
    s = {}
    w = split_into_words(t)
    quality(t, w, s)
    repetition(t, w, s)
    lines = full_lines(t, s)
    dolma(t, t.split(), s)
    nemo(t, t.split(), lines, s)
    return s


FRODO = ("I wish it need not have happened in my time,' said Frodo. 'So do I,' said Gandalf, 'and so do all who live to see such times. But that is not for them to decide. "
         "All we have to decide is what to do with the time that is given us.'")
DATATROVE = ["I am your father.\n" * 4, "I am your father.\n\n" * 4, "I am groot.\n\n" + "You are a wizard.\n\n" + "I am your father.\n\n" * 2 + f"{'x' * 30}.\n\n" * 2,
             "I am groot.\n" + "You are a wizard.\n" + "I am your father.\n" + f"{'x' * 40}.\n" * 2, "I am Frank, I am Frank, I am Frank",
             "I am Frank, you are Jhon. I am Frank. I am Frank you are Jhon", "I am a solo traveller " * 4 + FRODO, "I am too small...", "I am " * 20, "interconnection " * 20,
             "# comment " * 20, "... comment " * 20, "./!*?<><> apple orange interconnection " * 20]
PARTS = ["- item", "• bullet", "‣ other", "lorem ipsum dolor sit amet.", "We use cookies here now.", "Enable JavaScript in it.", "a { b } c d.", "wait for it...", "so it goes…", "Read more",
         "x y z [1]. [edit]", "we use [12]cookies.", "the privacy policy is this.", "lorem [٣]ipsum is it.", " ", "\r", "\x0b", "\u2028", "\x85", "see http://a.b/c(d)~e or https://x", "cooKies: we use cooKies yes.",
         "Is it so? It is! Very well.", "# head ## two #", "e mail email", "can not cannot", "email e mail", "12,345 % (x) [y] {z} ⟨w⟩", "１２３ 五 ⅷ ² ٣", "x" * 1001 + " is a word.", "Das ist das Haus, das Haus ist groß.",
         "the quick brown fox jumps over the lazy dog near the river bank", "...", "#", "a\tb\bc", "ünï cödé wörds ünd sö"]


def put_together(rng):
    pool = rng.sample(PARTS, rng.randrange(2, 8))
    return "".join(rng.choice(pool) + rng.choice(["\n", "\n\n", " ", "\n\n\n", ". ", "\r\n"]) for _ in range(rng.randrange(1, 40)))


def excerpts(rng, root):
    files = sorted(p for d in ("text-gutenberg-moby", "text-gutenberg-pride", "text-gutenberg-sherlock") for p in (root / d).rglob("*.txt"))
    for i in range(12):
        text = rng.choice(files).read_text(errors="ignore")
        at = rng.randrange(max(1, len(text) - 5000))
        yield text[at:at + 600 * (1 + i % 4)].replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")


LINES = [f"the {a} and the {b} have been seen by the {c} of the town" for a, b, c in zip("fox hare deer crow owl bee".split(), "smith cook judge clerk nurse miller".split(), "mayor friend guard guest king queen".split())]
rng = random.Random(7)
texts = ["".join(f"- {x}\n" for x in LINES), "".join(f"{x}...\n" for x in LINES), "".join(f"\t• {x}…  \r\n" for x in LINES), "\n".join(LINES[:3] * 2), " ".join(LINES + LINES[:1]), " ".join(LINES * 2 + LINES[:2]),
         "", " \n ", "\n", "\n\n", "a", "\nx\n", *DATATROVE, *(put_together(rng) for _ in range(100)), *excerpts(rng, pathlib.Path(sys.argv[1]))]
for t in texts:
    print(json.dumps({"text": t, "signals": {k: v for k, v in signals(t).items() if v}, "verdicts": verdicts(t)}, ensure_ascii=False))
