#!/usr/bin/env python3
"""tests/golden/contam/datatrove.json: what datatrove 0.10.1's n-gram decontamination (spaCy 3.8.18's words) finds of refs.jsonl in texts.jsonl.

Its own code makes the hashes of the items (query: passage and question, label: answer; an item without answer by find_query_ngrams) and
those of the texts.  hits: of each text [item, share of the item's n-grams]; items: [n-grams, share in all texts]; dropped: its filter's verdict.
"""
import json
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.text import ngrams, simplify_text
from datatrove.utils.word_tokenizers import load_word_tokenizer

D = "tests/golden/contam/"
refs = [json.loads(line) for line in open(D + "refs.jsonl")]
texts = [json.loads(line)["text"] for line in open(D + "texts.jsonl")]


def step(cls, **config):
    s = object.__new__(cls)                     # without lighteval, which its constructor asks for and its hashes do not
    s.config = NGramsDecontConfig(**config)
    s.tokenizer = load_word_tokenizer("en")
    s.hash_func = create_hash_func(s.config.hash_config)
    return s


index, alone = step(NGramsDecontIndexer), step(NGramsDecontIndexer, find_query_ngrams=True)
items = []
for r in refs:
    query = "\n".join(x for x in (r.get("passage", ""), r["question"]) if x)
    items.append(set(index.compute_hashes(r["answer"], query) if r.get("answer") else alone.compute_hashes("", query)))
f = step(NGramsDecontFilter)
f._index_hashes = {h: "all" for i in items for h in i}
f.stat_update = lambda *a, **k: None
hits, dropped, seen = [], [], set()
for t in texts:
    tokens = f.tokenizer.word_tokenize(simplify_text(t, f.config.norm_config))
    have = {f.hash_func(" ".join(g)) for g in ngrams(tokens, f.config.n_grams)}
    seen |= have
    hits.append([[k, len(i & have) / len(i)] for k, i in enumerate(items) if i & have])
    dropped.append(f.filter(Document(text=t, id="")) is not True)
json.dump(dict(hits=hits, dropped=dropped, items=[[len(i), len(i & seen) / len(i) if i else 0] for i in items]), open(D + "datatrove.json", "w"), separators=(",", ":"))
print(sum(map(len, hits)), "hits,", sum(dropped), "of", len(texts), "dropped")
