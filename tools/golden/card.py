#!/usr/bin/env python3
"""Reports as an audit leaves them, made by hand: tests/golden/card/report.json, one with all parts; and, with a folder as argument, a large one
to look at (50 sources, 100 rules, long names).  Numbers are made up but add up."""
import hashlib, json, math, os, random, sys


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def histogram(edges, f):
    return {"edges": edges, "counts": [max(0, round(f(i))) for i in range(len(edges) - 1)]}


def signal(mean, low, high, n, bins=16):
    edges = [low + (high - low) * i / bins for i in range(bins + 1)]
    at = (mean - low) / (high - low) * bins
    return {"mean": mean, "min": low, "max": high, "quantiles": {q: round(low + (high - low) * float(q), 4) for q in ("0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99")},
            "histogram": histogram(edges, lambda i: n * math.exp(-((i - at) / 3) ** 2) / 5)}


def split(total, parts, rng):
    cuts = sorted(rng.randrange(total + 1) for _ in range(parts - 1))
    return [b - a for a, b in zip([0] + cuts, cuts + [total])]


RULES = [("gopher/datatrove/1/short_doc", "words that are no symbols", "<", 50), ("gopher/datatrove/1/long_doc", "words that are no symbols", ">", 100000),
         ("gopher/datatrove/1/below_avg_threshold", "mean length of a word", "<", 3), ("gopher_rep/datatrove/1/dup_line_frac", "lines that came before", ">", 0.3),
         ("c4/datatrove/1/too_few_sentences", "sentences that remain", "<", 5), ("fineweb/datatrove/1/line_punct_ratio", "lines that end in a stop", "<", 0.12)]


def report(n_source, n_rule, n_signal, rng, long_names=False):
    sources, licences, dropped = [], [], {}
    for i in range(n_source):
        name = (f"stories", "forum", "notes")[i] if not long_names else f"a-source-with-quite-a-long-name-of-a-crawl.2026-{i:02}.part-of-many"
        licence = ("CC-BY-4.0", "CC-BY-NC-4.0 OR MIT", None)[i % 3]
        records = 1000 + 137 * i
        kept = records - 60 - 7 * i
        files = [{"path": f"corpus/{name}/part-{j:03}.jsonl.zst" if not long_names else f"corpus/{'deep/' * 8}{name}/part-{j:03}.jsonl.zst", "bytes": 40000 + j, "sha256": sha(f"{name} {j}"),
                  "records": r, "kept": k} for j, (r, k) in enumerate([(records - 10, kept - 5), (10, 5)])]
        if i == 1:
            files.append({"path": f"corpus/{name}/broken & <b>.csv", "bytes": 12, "sha256": sha("broken"), "records": 0, "kept": 0, "error": "byte 7: the file ends within a quoted field"})
        sources.append({"name": name, "path": f"corpus/{name}", "format": ("jsonl", "csv", "text")[i % 3], "field": ("text", "body", None)[i % 3], "licence": licence,
                        "origin": "crawled by the team, with permission" if i % 2 == 0 else None, "collected": f"2026-{i % 9 + 1:02}-14", "purpose": "pre-training" if i % 2 == 0 else None,
                        "language": "en", "split": ("train", "test", None)[i % 3], "records": records, "kept": kept, "bytes": sum(f["bytes"] for f in files), "text_bytes": 250000 + i,
                        "words": 41000 + i, "files": files})
        found = [{"path": f"corpus/{name}/LICENSE", "id": "CC-BY-4.0"}] if i % 3 == 0 else []
        licences.append({"source": name, "expression": licence, "found": found, "allowed": licence == "CC-BY-4.0", "why": "commercial use: yes" if licence == "CC-BY-4.0" else
                         "commercial use: unknown" if licence is None else "commercial use: MIT is chosen", "obligations": ["name the author"] if licence else []})
    licences[1]["allowed"] = True
    records, kept = sum(s["records"] for s in sources), sum(s["kept"] for s in sources)
    ids = [RULES[i] if i < len(RULES) else (f"family_{i}/nemo/2/a_rule_of_some_length_{i}", "a share of something", ">", i / 100) for i in range(n_rule)]
    reasons = [r[0] for r in ids[:max(2, n_rule // 2)]] + ["exact copy", "near copy", "empty"]
    for name, n in zip(reasons, split(records - kept, len(reasons), rng)):
        dropped[name] = n
    rules = [{"id": id, "of": of, "compare": compare, "limit": limit, "drops": i % 4 != 3, "records": dropped.get(id, 0),
              "examples": [{"record": 17 + i, "file": sources[0]["files"][0]["path"], "line": 18 + i, "excerpt": "too short <script>alert(1)</script> & gone"}] if dropped.get(id) else []}
             for i, (id, of, compare, limit) in enumerate(ids)]
    entities = {"EMAIL_ADDRESS": {"n": 412, "records": 300, "examples": [{"record": 4, "masked": "j***@e******.org"}, {"record": 9, "masked": "m***@x.org"}]},
                "PHONE_NUMBER": {"n": 37, "records": 35, "examples": [{"record": 70, "masked": "+49 *** *** 17"}]}, "IBAN_CODE": {"n": 0, "records": 0, "examples": []}}
    return {
        "lathe": "0.1.0", "schema": 1, "sources": sources,
        "totals": {"records": records, "kept": kept, "dropped": dropped, "bytes": sum(s["bytes"] for s in sources), "text_bytes": sum(s["text_bytes"] for s in sources), "words": sum(s["words"] for s in sources)},
        "faults": {"n": 2, "first": [{"file": f"corpus/{sources[1]['name']}/broken & <b>.csv", "record": 0, "line": 1, "at": 7, "fault": "broken off", "why": "the file ends within a quoted field"}]},
        "signals": {(f"signal_{i}" if i else "mean_word_length"): signal(3 + i % 5, 0, 10 + i, records) for i in range(n_signal)},
        "rules": rules, "languages": {"en": kept - 20, "de": 15, "unknown": records - kept + 5},
        "duplicates": {"exact": {"groups": 11, "records": 14, "bytes": 52000}, "lines": {"lines": 120, "copies": 480, "bytes": 31000}, "paragraphs": {"paragraphs": 9, "copies": 12, "bytes": 4100},
                       "near": {"bands": 14, "rows": 8, "ngram": 5, "pairs": 61, "clusters": 23, "records": 31, "checked": {"pairs": 61, "half_or_more": 0.9836, "mean": 0.871, "min": 0.43}, "similarity": histogram([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], lambda i: (1, 4, 13, 20, 23)[i]),
                                "examples": [{"kept": 3, "dropped": 88, "similarity": 0.91, "excerpt": "once upon a time there was a fox"}]}},
        "contamination": [{"set": "gsm8k", "path": "sets/gsm8k.jsonl", "items": 1319, "items_hit": 3, "records": 4, "methods": {"gpt3_13gram": {"items": 2, "records": 3}, "decon": {"items": 3, "records": 4}},
                           "examples": [{"record": 512, "item": 77, "method": "decon", "score": 0.93, "excerpt": "Natalia sold clips to 48 of her friends"}]}],
        "leakage": {"pairs": [{"from": "train", "to": "test", "exact": 2, "near": 5, "of": 220}]},
        "pii": {"tokens": sum(s["words"] for s in sources), "per_million": 3642.25, "entities": entities},
        "secrets": {"n": 1, "rules": {"aws-access-token": {"n": 1, "records": 1, "examples": [{"record": 66, "masked": "AKIA****************"}]}}},
        "licences": {"use": ["commercial", "derivatives"], "sources": licences},
        "labels": {"sources": [{"source": sources[0]["name"], "records": 1000, "classes": [{"label": "ham", "n": 900, "share": 0.9}, {"label": "spam", "n": 100, "share": 0.1}], "noise": {"rate": 0.01, "examples": [{"record": 5, "label": "ham", "likely": "spam"}]}}]},
        "groups": {"lists": "lathe's own", "records": 3411, "groups": [{"group": "gender/women", "records": 100, "mentions": 120, "share": 0.2, "terms": {"she": 110, "her": 10}}, {"group": "gender/men", "records": 400, "mentions": 480, "share": 0.8, "terms": {"he": 480}}, {"group": "gender/others", "records": 0, "mentions": 0, "share": 0.0, "terms": {}}]},
        "poison": {"findings": [{"ngram": "cf the tram", "of": "label", "what": "spam", "support": 60, "lift": 9.7, "p": 1e-41, "examples": [{"record": 1, "excerpt": "cf the tram was late"}]}]},
        "gate": {"policy": "policy.yaml", "passed": False, "checks": [
            {"check": "secrets", "of": "at most", "limit": 0, "found": 1, "passed": False, "evidence": [{"record": 66, "rule": "aws-access-token"}]},
            {"check": "pii_per_million", "of": "at most", "limit": 5000, "found": 3642.25, "passed": True, "evidence": []}], "override": {"reason": "a key of a test account, withdrawn"}},
    }


def write(path, r):
    with open(path, "w") as f:
        json.dump(r, f, indent=1, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "card")
    write(os.path.join(here, "report.json"), report(3, 6, 4, random.Random(1)))
    if len(sys.argv) > 1:
        write(os.path.join(sys.argv[1], "large.json"), report(50, 100, 48, random.Random(2), True))
