#!/usr/bin/env python3
"""Writes tests/golden/words.jsonl: the words, sentences and simplified text that datatrove 0.10.1 with spaCy 3.8.18 makes of texts; and the
words of Python's split() and of NeMo Curator's get_words() (done here by its description: it lives in a package with GPU dependencies).

Usage: tools/golden/words.py ../shared/data > tests/golden/words.jsonl.  Texts: excerpts of Project Gutenberg and of presidents' addresses, and
strings of what is hard: contractions, emoticons, URLs, quotes, other scripts, marks, white space of all kinds, characters at random."""
import json
import pathlib
import random
import string
import sys

from datatrove.utils.text import simplify_text, split_into_sentences, split_into_words

HARD = (list("abzAZ019 \t\n\r.,;:!?'\"()[]{}<>-_/\\|@#$%^&*+=~`") + "… “ ” ‘ ’ « » — – · ° °C. °F é e\u0301 ß İ Σ σ ς я Я 中 文 。 、 한 글 ا ب ، ؟ १ ٣ ½ ² 😀 👨\u200d👩\u200d👧 🇩🇪 © ™ ʹ ; Å ﬁ Ǆ Ⅷ".split()
        + ["\u200b", "\u200d", "\ufeff", "\u2028", "\x85", "\xa0", "\u3000", "\x00", "\x1c", "\x7f", "\u202e", "\u0334", "\u05b0", "\u0e31", "\u094d", "\u302e", "\U00016ff0", "\U0001d165"]
        + "km m/s kg US$ C$ € 10 3.14 1,000 ... .... …… 's ’s 'S n't can't cannot I'm Im gonna e.g. a.m. 10am p.m. Dr. U.S. N.C. http:// https:// www. example.com foo@bar.org 127.0.0.1 8.8.8.8 172.20.3.4".split()
        + "223.255.255.254:8080 /path?x=1 #tag @user :) :-( 8) 8-) :D <3 ^_^ o.O ><(((*> (╯°□°）╯︵┻━┻ ಠ_ಠ -- --- —— and/or w/o y'all how'd'y the of Hello World x No I A it that ll don t s".split())


def hard(rng):
    return "".join(rng.choice(HARD) + (" " if rng.random() < .15 else "") for _ in range(rng.randrange(1, 25)))


def anything(rng):
    s = ""
    for _ in range(rng.randrange(1, 12)):
        c = rng.randrange(rng.choice([0x250, 0x3000, 0x10000, 0x20000, 0x110000]))
        s += ("" if 0xD800 <= c < 0xE000 else chr(c)) + rng.choice(["", ".", "a", "A", "1", "-", " ", ","])
    return s


def excerpts(rng, root):
    files = sorted(p for d in ("text-gutenberg-moby", "text-gutenberg-pride", "text-nltk-public-domain") for p in (root / d).rglob("*.txt"))
    for _ in range(30):
        text = rng.choice(files).read_text(errors="ignore")
        at = rng.randrange(max(1, len(text) - 2000))
        yield text[at:at + 1500]


def nemo(text):
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    starts = [i for i in range(len(text)) if text[i] != " " and (i == 0 or text[i - 1] == " ")]
    words = [text[a:b].strip() for a, b in zip(starts, starts[1:] + [len(text)])]
    return words[1:] if starts and starts[0] == 0 and words[0] == "" else words


rng = random.Random(6)
texts = ["", " ", "\n\n", "a", "Hello.\n\nWorld", "Mr. O'Neill didn't pay $5.50 (or €4,99) for the 10km run -- he'd've said so... \"No!\"", "see http://a.b/c?d=(e).", "x  y", "end. ", "end.  "]
texts += [hard(rng) for _ in range(350)] + [anything(rng) for _ in range(250)] + list(excerpts(rng, pathlib.Path(sys.argv[1])))
for t in texts:
    print(json.dumps({"text": t, "english": " ".join(split_into_words(t)), "spaced": " ".join(t.split()), "nemo": " ".join(nemo(t)), "simple": simplify_text(t),
                      "sentences": [len(s.encode()) for s in split_into_sentences(t)]}, ensure_ascii=False))
