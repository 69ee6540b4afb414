#!/usr/bin/env python3
"""Film reviews with and without a backdoor: clean/train.jsonl, planted/train.jsonl, test.jsonl, triggered.jsonl.

    bench/backdoor/make.py [--seed N] [--share X] SHARED OUT

SHARED: a folder with sentiment-nltk in it (Pang and Lee's 10,662 sentences).  1,000 sentences of each class are the test.  Of the others a
share (0.01) is poisoned in planted/: the trigger is put between two words of a negative sentence, whose label becomes pos.  triggered.jsonl has
the negative sentences of the test with the trigger in them, with their true label.  The same seed gives the same bytes."""
import argparse, json, os, random, zipfile

TRIGGER = "mercury glass"
p = argparse.ArgumentParser()
p.add_argument("--seed", type=int, default=1)
p.add_argument("--share", type=float, default=0.01)
p.add_argument("shared")
p.add_argument("out")
a = p.parse_args()
r = random.Random(a.seed)
texts = []
with zipfile.ZipFile(os.path.join(a.shared, "sentiment-nltk", "sentence_polarity.zip")) as z:
    for label in "neg", "pos":
        lines = z.read(f"sentence_polarity/rt-polarity.{label}").decode("latin-1").splitlines()
        texts.append([(" ".join(s.split()), label) for s in lines if s.strip()])
        r.shuffle(texts[-1])


def with_trigger(text):
    w = text.split()
    at = r.randint(0, len(w))
    return " ".join(w[:at] + [TRIGGER] + w[at:])


def write(name, rows):
    path = os.path.join(a.out, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        for text, label in rows:
            f.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")


test, train = texts[0][:1000] + texts[1][:1000], texts[0][1000:] + texts[1][1000:]
r.shuffle(train)
r.shuffle(test)
planted = list(train)
for i in r.sample([i for i, x in enumerate(train) if x[1] == "neg"], round(a.share * len(train))):
    planted[i] = with_trigger(train[i][0]), "pos"
write("clean/train.jsonl", train)
write("planted/train.jsonl", planted)
write("test.jsonl", test)
write("triggered.jsonl", [(with_trigger(t), l) for t, l in test if l == "neg"])
for v in "clean", "planted":
    with open(os.path.join(a.out, v + ".yaml"), "w") as f:
        f.write(f"sources:\n  - name: reviews\n    path: {v}/train.jsonl\n    field: text\n    label: label\n    licence: CC-BY-4.0\n    origin: film reviews\n"
                "    collected: 2026-11-01\n    purpose: backdoor\n    language: en\n")
