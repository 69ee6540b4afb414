#!/usr/bin/env python3
"""Makes tests/golden/contam: a small evaluation set, texts that hold parts of it, and what each method must find there.

usage: contam.py SHARED [cl100k_base.tiktoken]      (needs tiktoken, numpy)

Written from the formulas (GPT-3 app. C and lm-evaluation-harness' janitor, PaLM 8, Llama 2 A.6, allenai/decon's doc/simple-details.md and
its behaviour at e1bcb80), by dictionaries and sets and all pairs of places: nothing is shared with the program, neither hashes nor
indices nor shortcuts.  The items are GSM8K's (MIT), the text between them TinyStories'.
decon(refs, texts, ...) also gives what its fixtures must: `contam.py SHARED RANKS --fixtures` prints them.
"""
import base64, gzip, json, math, random, re, string, sys
from collections import defaultdict
import numpy as np

F = np.float32
ASCII_PUNCT = set(string.punctuation)
DECON_PUNCT = set("!'\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u201c\u201d\u2018\u2019\u2014")

# ---- words with their bytes in the text ----

def spans(text, keep):
    """keep(c) -> None for a divider, '' for nothing, else what it counts as.  [(word, first byte, end byte)]"""
    out, word, first, end, at = [], "", None, 0, 0
    for c in text:
        n = len(c.encode())
        k = keep(c)
        if k is None:
            if word:
                out.append((word, first, end))
            word, first = "", None
        elif k:
            word += k
            first = at if first is None else first
            end = at + n
        at += n
    if word:
        out.append((word, first, end))
    return out

def janitor(text):
    return spans(text, lambda c: None if c.isspace() else "" if c in ASCII_PUNCT else c.lower() if c in string.ascii_letters else c)

def clean_words(text):
    return spans(text, lambda c: None if c in DECON_PUNCT or (c.isspace() and c not in "\x1c\x1d\x1e\x1f") else c.lower())

# ---- gpt3, palm, llama2 ----

def item_text(r):
    return "\n".join([r.get("passage", ""), r["question"], r.get("answer", "")])

def grams(words, n):
    return [tuple(w[0] for w in words[i:i + n]) for i in range(len(words) - n + 1)]

def run_lengths(flags):
    best = now = 0
    for f in flags:
        now = now + 1 if f else 0
        best = max(best, now)
    return best

def ngram_method(refs, texts, name, n, least):
    items = [grams(janitor(item_text(r)), n) for r in refs]
    hits, seen = [], set()
    for t in texts:
        w = janitor(t)
        g = grams(w, n)
        own = []
        for i, it in enumerate(items):
            common = set(it) & set(g)
            seen |= common
            if common and len(common) / len(set(it)) >= least:
                at = [k for k in range(len(g)) if g[k] in common]
                a, b = w[at[0]][1], w[at[-1] + n - 1][2]
                own.append([name, i, len(common) / len(set(it)), a, b - a])
        hits.append(own)
    per_item = []
    for it in items:
        covered = len(set(it) & seen)
        run = run_lengths([g in seen for g in it])
        share = covered / len(set(it)) if it else 0
        per_item.append([len(set(it)), share, run + n - 1 if run else 0, (covered > 0 if name == "gpt3" else bool(it) and share >= least)])
    return hits, per_item

def llama2_method(refs, texts, least=0.8, seed=10, skips=4):
    items = [[w[0] for w in janitor(item_text(r))] for r in refs]
    total = [set() for _ in items]
    hits = []
    for t in texts:
        spans_ = janitor(t)
        w = [x[0] for x in spans_]
        own = []
        for i, it in enumerate(items):
            here, places = set(), []
            for p in range(len(w) - seed + 1):
                for q in range(len(it) - seed + 1):
                    if w[p:p + seed] != it[q:q + seed]:
                        continue
                    last, bad, k = seed, 0, seed
                    while p + k < len(w) and q + k < len(it):
                        if w[p + k] == it[q + k]:
                            last = k + 1
                        else:
                            bad += 1
                            if bad > skips:
                                break
                        k += 1
                    if last > seed:
                        eq = [k for k in range(last) if w[p + k] == it[q + k]]
                        here |= {q + k for k in eq}
                        places += [p + k for k in eq]
            total[i] |= here
            if it and len(here) / len(it) >= least:
                a, b = spans_[min(places)][1], spans_[max(places)][2]
                own.append(["llama2", i, len(here) / len(it), a, b - a])
        hits.append(own)
    per_item = []
    for it, c in zip(items, total):
        share = len(c) / len(it) if it else 0
        per_item.append([len(it) if len(it) > seed else 0, share, run_lengths([k in c for k in range(len(it))]), len(it) > seed and share >= least])
    return hits, per_item

# ---- decon ----

def cl100k(path):
    import tiktoken
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb"))}
    pat = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
    return tiktoken.Encoding("cl100k", pat_str=pat, mergeable_ranks=ranks, special_tokens={})

class Units:
    """A text as decon's units, and the bytes of the text that each stands for."""
    def __init__(self, text, enc):
        words = clean_words(text)
        if enc is None:
            self.u = [w[0] for w in words]
            self.at = [(w[1], w[2]) for w in words]
            self.blank = 0
            return
        clean = "".join(" " + w[0] for w in words)
        self.u = enc.encode_ordinary(clean) if words else []
        begins, pos = [], 0
        for w in words:
            begins.append(pos + 1)
            pos += 1 + len(w[0].encode())
        self.at, pos, k = [], 0, 0
        for t in self.u:
            b = enc.decode_single_token_bytes(t)
            while k + 1 < len(words) and begins[k + 1] <= pos + (b[:1] == b" "):
                k += 1
            self.at.append((words[k][1], words[k][2]))
            pos += len(b)
        self.blank = sum(not enc.decode_single_token_bytes(t).strip() for t in self.u)

DEFAULTS = dict(ngram=5, sample=10, misses=11, limit=0.8, exact_to=20, relaxed_from=50, short_answer=3, short_window=50, answer_ngram=3,
                answer_window=100, passage_ngram=4, passage_window=100, passage_misses=2, min_units=20, min_words=4)
FOR_WORDS = dict(DEFAULTS, exact_to=15, relaxed_from=38, min_units=15)

def required(n, o, target):
    a, b = o["exact_to"], o["relaxed_from"]
    return F(1) if n <= a else F(target) if n >= b else F(1) - (F(1) - F(target)) * (F(n - a) / F(b - a))

def ngrams(u, n):
    return [tuple(u[i:i + n]) for i in range(len(u) - n + 1)]

class Decon:
    def __init__(self, refs, enc, o):
        self.enc, self.o, self.docs = enc, o, []
        for i, r in enumerate(refs):
            parts = [r.get("passage", ""), r["question"], r.get("answer", "")]
            joined = Units(" ".join(parts), enc)
            if len(joined.u) - joined.blank < o["min_units"] or len({w[0] for w in clean_words(" ".join(parts))}) < o["min_words"]:
                continue
            q = Units(r["question"], enc).u
            if q:
                self.docs.append(dict(item=i, q=q, a=Units(r.get("answer", ""), enc).u, p=Units(r.get("passage", ""), enc).u))
        N = len(self.docs)
        self.ids, self.df_q, self.df_a, self.df_p, df_t = {}, defaultdict(set), defaultdict(set), defaultdict(set), defaultdict(int)
        for k, d in enumerate(self.docs):
            for g in ngrams(d["q"], o["ngram"]):
                self.df_q[g].add(k)
                self.ids.setdefault(g, len(self.ids))
            if len(d["a"]) > o["short_answer"]:
                for g in ngrams(d["a"], o["answer_ngram"]):
                    self.df_a[g].add(k)
                    self.ids.setdefault(g, len(self.ids))
            for g in ngrams(d["p"], o["passage_ngram"]):
                self.df_p[g].add(k)
                self.ids.setdefault(g, len(self.ids))
            for part in "qap":
                for t in set(d[part]):
                    df_t[t] += 1
        idf = lambda n: F(1) if N == 1 else F(np.log(F(N) / F(n)))
        self.idf_q = {g: idf(len(s)) for g, s in self.df_q.items()}
        self.idf_a = {g: idf(len(s)) for g, s in self.df_a.items()}
        self.idf_p = {g: idf(len(s)) for g, s in self.df_p.items()}
        for d in self.docs:
            d["gq"] = set(ngrams(d["q"], o["ngram"]))
            d["ga"] = set(ngrams(d["a"], o["answer_ngram"])) if len(d["a"]) > o["short_answer"] else set()
            d["gp"] = set(ngrams(d["p"], o["passage_ngram"]))
            d["tells"] = sum(idf(df_t[t]) for t in set(d["a"])) > 0 if d["a"] else False
        self.hot = max(2000, 2 * int(math.sqrt(N)))

    def total(self, table, some):
        s = F(0)
        for g in sorted(some, key=self.ids.__getitem__):
            s += table[g]
        return s

    def overlap(self, table, met, all_):
        t = self.total(table, all_)
        return self.total(table, met) / t if t > 0 else F(0)

    def walk(self, g, d, i, step, met):
        """The last of the question's n-grams on that side, and where the walk ended."""
        last, misses = i, 0
        while misses < self.o["misses"] and 0 <= i + step < len(g):
            i += step
            if g[i] in d["gq"]:
                if g[i] not in met:
                    met.add(g[i])
                    misses = 0
                last = i
            else:
                misses += 1
        return last, i

    def score(self, d, u, first, last, met):
        o = self.o
        oq = self.overlap(self.idf_q, met, d["gq"])
        least = max(F(0), (F(o["limit"]) - (F(0.2) + F(0.1))) / F(0.7))
        if oq < least or oq < required(len(d["q"]), o, least):
            return None
        end = last + o["ngram"]
        excess = max(0, end - first - len(d["q"]))
        begin = max(0, end - 1 - excess) + 1
        frm, to = first, end
        op = F(0)
        if d["gp"]:
            wend = max(0, first - 1)
            wbegin = max(0, wend - max(2 * len(d["p"]), o["passage_window"]))
            n, got, misses = o["passage_ngram"], set(), 0
            if wend - wbegin >= n:
                for i in range(wend - n, wbegin - 1, -1):
                    if tuple(u[i:i + n]) in d["gp"]:
                        got.add(tuple(u[i:i + n]))
                        frm, misses = i, 0
                    elif got:
                        misses += 1
                        if misses > o["passage_misses"]:
                            break
            op = self.overlap(self.idf_p, got, d["gp"])
        oa = F(0)
        if len(d["a"]) > o["short_answer"]:
            wend = min(begin + max(2 * len(d["a"]), o["answer_window"]), len(u))
            n, got = o["answer_ngram"], set()
            for i in range(begin, wend - n + 1):
                if tuple(u[i:i + n]) in d["ga"]:
                    got.add(tuple(u[i:i + n]))
                    to = max(to, i + n)
            oa = self.overlap(self.idf_a, got, d["ga"])
        elif d["a"]:
            for i in range(begin, min(begin + o["short_window"], len(u))):
                if u[i:i + len(d["a"])] == d["a"]:
                    to = max(to, i + len(d["a"]))
                    oa = F(d["tells"])
                    break
        n = len(d["gq"])
        c = F(0.5) + F(n) / F(20) * F(0.5) if n < 20 else F(1)
        na = len(set(d["a"]))
        if d["a"] and d["p"]:
            ca = F(0.5) + F(na) / F(4) * F(0.5) if na < 4 else F(1)
            given = F(0.7) * (F(1) - c)
            wa, wp = F(0.2) + given * F(0.5), F(0.1) + given * F(0.5)
            s = oq * F(0.7) * c + oa * wa * ca + op * (wp + wa * (F(1) - ca))
        elif d["a"]:
            s = oq * F(0.75) * c + oa * (F(0.25) + F(0.75) * (F(1) - c))
        elif d["p"]:
            s = oq * F(0.85) * c + op * (F(0.15) + F(0.85) * (F(1) - c))
        else:
            s = oq
        s = min(s, F(1))
        need = required(len(d["q"]) + na + len(d["p"]), o, o["limit"])
        if need > F(o["limit"]) and s < 1:
            s = s * (F(o["limit"]) / need)
        return (float(s), frm, to) if s >= F(o["limit"]) else None

    def find(self, text):
        t = Units(text, self.enc)
        u, o = t.u, self.o
        best, i = {}, 0
        g = ngrams(u, o["ngram"])
        while len(u) >= 2 * o["ngram"] and i < len(g):
            docs = self.df_q.get(g[i])
            if docs is None:
                i += o["sample"]
                continue
            if len(docs) > self.hot:
                i += 1
                continue
            reached = i
            for k in sorted(docs):
                met = {g[i]}
                first, _ = self.walk(g, self.docs[k], i, -1, met)
                last, r = self.walk(g, self.docs[k], i, 1, met)
                reached = max(reached, r)
                s = self.score(self.docs[k], u, first, last, met)
                item = self.docs[k]["item"]
                if s and (item not in best or s[0] > best[item][0]):
                    best[item] = s
            i = reached + 1
        return [["decon", item, s, t.at[f][0], t.at[e - 1][1] - t.at[f][0]] for item, (s, f, e) in sorted(best.items())]

def decon_method(refs, texts, enc, o):
    d = Decon(refs, enc, o)
    hits = [d.find(t) for t in texts]
    top = defaultdict(float)
    for own in hits:
        for h in own:
            top[h[1]] = max(top[h[1]], h[2])
    known = {x["item"] for x in d.docs}
    return hits, [[int(i in known), top[i], 0, top[i] > 0] for i in range(len(refs))]

# ---- a set and texts that hold it ----

def edit(rng, text, n):
    w = text.split(" ")
    for _ in range(n):
        i, how = rng.randrange(len(w)), rng.randrange(3)
        if how == 0:
            w[i] = "something"
        elif how == 1 and len(w) > 1:
            del w[i]
        else:
            w.insert(i, "indeed")
    return " ".join(w)

def make(shared, ranks):
    rng = random.Random(7)
    refs = [json.loads(line) for line in open(shared + "/eval-gsm8k/test.jsonl")][:24]
    refs = [dict(question=r["question"], answer=r["answer"]) for r in refs]
    for i in range(8):                                        # with passages, long and short answers
        q = refs[i]["question"].rsplit(". ", 1)
        if len(q) == 2:
            refs[i] = dict(passage=q[0] + ".", question=q[1], answer=refs[i]["answer"].split("#### ")[-1] if i % 2 else refs[i]["answer"])
    refs += [dict(question=r["question"]) for r in refs[10:14]]      # questions alone, of items that are there too
    refs += [dict(question="Which element is most abundant in the Earth's crust?", answer="Oxygen"), dict(question="?!", answer="nothing of use in a question here")]
    refs += [dict(question="\u00c9l\u00e8ve, o\u00f9 est la \u00abbiblioth\u00e8que\u00bb du coll\u00e8ge\u2014et pourquoi la porte est-elle ferm\u00e9e aujourd\u2019hui \u00e0 midi ?", answer="Elle est en travaux jusqu\u2019au mois de mai.")]
    import os
    story = ""
    for root, _, names in sorted(os.walk(shared + "/text-tinystories-sample")):
        for n in sorted(names):
            if n.endswith((".txt", ".jsonl")) and "LICEN" not in n and len(story) < 60000:
                story += open(root + "/" + n, encoding="utf-8").read(60000)
    assert len(story) > 20000
    def noise(n):
        at = rng.randrange(len(story) - n)
        return story[at:at + n]
    def whole(r):
        return " ".join(x for x in [r.get("passage", ""), r["question"], "Answer:", r.get("answer", "")] if x)
    texts = []
    for i, r in enumerate(refs):
        k = i % 6
        if k == 0:
            texts.append(noise(300) + " " + whole(r) + " " + noise(300))
        elif k == 1:
            texts.append(noise(200) + "\n\n" + edit(rng, whole(r), 3) + "\n\n" + noise(100))
        elif k == 2:
            texts.append(whole(r).upper().replace(",", " ;") + noise(250))
        elif k == 3:
            texts.append(noise(500) + " " + r["question"])
        elif k == 4:
            texts.append(noise(100) + edit(rng, whole(r), 9) + noise(100))
        else:
            texts.append(noise(400))
    texts.append("  ".join(whole(r) for r in refs[3:8]))                # several in one
    texts.append(refs[12]["question"] + " " + refs[12]["question"] + " " + refs[12].get("answer", ""))
    texts.append(refs[20]["question"][:len(refs[20]["question"]) // 2])
    texts += ["", "...", "one word two words", "\u2028\u00a0 \x1d"]
    enc = cl100k(ranks) if ranks else None
    out = dict(methods={})
    for name, (hits, items) in dict(gpt3=ngram_method(refs, texts, "gpt3", 13, 0), palm=ngram_method(refs, texts, "palm", 8, 0.7), llama2=llama2_method(refs, texts),
                                    decon=decon_method(refs, texts, None, FOR_WORDS)).items():
        out["methods"][name] = dict(hits=hits, items=items)
    if enc:
        hits, items = decon_method(refs, texts, enc, DEFAULTS)
        out["methods"]["decon cl100k"] = dict(hits=hits, items=items)
    with open("tests/golden/contam/refs.jsonl", "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in refs)
    with open("tests/golden/contam/texts.jsonl", "w") as f:
        f.writelines(json.dumps(dict(text=t)) + "\n" for t in texts)
    with open("tests/golden/contam/want.json", "w") as f:
        json.dump(out, f, separators=(",", ":"))
    for name, m in out["methods"].items():
        print(name, sum(len(h) for h in m["hits"]), "hits", sum(i[3] for i in m["items"]), "of", len(refs), "items dirty")

def fixtures(shared, ranks):
    """What decon's fixtures hold, by its test configurations, its tests' min_units 0 and min_words 0: training file, config, [record, item, score]."""
    root, enc, out = shared + "/contamination-decon/", cl100k(ranks), []
    import glob, os
    configs = dict(default=dict(sample=1), lenient={}, strict={}, low_threshold=dict(limit=0.1))
    for ref in sorted(glob.glob(root + "reference/*.jsonl")):
        refs = [json.loads(line) for line in open(ref)]
        for train in sorted(glob.glob(root + "training/*.jsonl")):
            texts = [json.loads(line)["text"] for line in open(train)]
            for c, more in configs.items():
                d = Decon(refs, enc, dict(DEFAULTS, min_units=0, min_words=0, **more))
                got = [[k, h[1], round(h[2], 6)] for k, t in enumerate(texts) for h in d.find(t)]
                out.append([os.path.basename(ref), os.path.basename(train), c, got])
    return out

if __name__ == "__main__":
    if "--fixtures" in sys.argv:
        for row in fixtures(sys.argv[1], sys.argv[2]):
            print(json.dumps(row))
    else:
        make(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
