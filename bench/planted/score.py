#!/usr/bin/env python3
"""What an audit found of the planted faults: precision and recall by kind, near duplicates by similarity beside the theory.

    bench/planted/score.py CORPUS AUDIT [LABELLED_AUDIT]

CORPUS: what faults.py left.  AUDIT: the folder of `lathe data audit` of its data.yaml, with report.json and records.jsonl, a line for
each record: file, line, dup_of (number of the record that was kept, or null), spans [{kind, at, n}], contamination [...].
LABELLED_AUDIT: that of its labelled.yaml.  A kind whose part the audit did not make is told as absent, not as nothing found.

A span is right when it overlaps a planted value and has its kind; false when it overlaps no planted value at all.  A leak is found
when the record has any hit; a near duplicate when copy and original have one keeper; a trigger when the record holds an n-gram that
the report calls suspect.  The theory of 14 bands of 8 rows: 1 - (1 - s^8)^14, of each pair's own s."""
import collections, gzip, json, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faults import folded, jaccard, shingles

def lines(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        return [json.loads(s) for s in f.read().split("\n") if s]

def place(o):
    return "/".join(o["file"].split("/")[-2:]), o["line"]

def row(name, planted, found, false, note=""):
    recall = found / planted if planted else float("nan")
    precision = found / (found + false) if found + false else float("nan")
    print("%-30s %8d %8d %8d %10.4f %8.4f  %s" % (name, planted, found, false, precision, recall, note))

def overlap(a, b):
    return a["at"] < b["at"] + b["n"] and b["at"] < a["at"] + a["n"]

def score_spans(truth, records, texts):
    """Planted values by kind, and what was found where nothing was planted, with examples."""
    faults = {place(t): t for t in truth if "value" in t}
    found, false, examples = collections.Counter(), collections.Counter(), collections.defaultdict(list)
    decoys = collections.Counter()
    for r in records:
        t, spans = faults.get(place(r)), r.get("spans") or []
        name = t and (t.get("entity") or t.get("rule"))
        if t and t["kind"] != "decoy":
            found[t["kind"], name] += any(overlap(s, t) and s["kind"] == name for s in spans)
        if t and t["kind"] == "decoy":
            decoys[name] += any(overlap(s, t) and s["kind"] == name for s in spans)
        for s in spans:
            if not (t and overlap(s, t)):
                false[s["kind"]] += 1
                examples[s["kind"]].append(texts[place(r)].encode()[s["at"]:s["at"] + s["n"]].decode("utf-8", "replace"))
    planted = collections.Counter((t["kind"], t.get("entity") or t.get("rule")) for t in faults.values())
    for kind in ("pii", "secret"):
        names = sorted(n for k, n in planted if k == kind)
        for n in names:
            row(kind + " " + n, planted[kind, n], found[kind, n], false[n] + decoys[n],
                "; ".join(examples[n][:3]).replace("\n", " ")[:90] + (" decoys: %d" % decoys[n] if decoys[n] else ""))
        row(kind, sum(planted[kind, n] for n in names), sum(found[kind, n] for n in names), sum(false[n] + decoys[n] for n in names))
    for n in sorted(set(false) - {n for _, n in planted}):
        row("other " + n, 0, 0, false[n], "; ".join(examples[n][:3]).replace("\n", " ")[:90])

def score_near(truth, records, texts):
    number = {place(r): r["record"] for r in records}
    at = {r["record"]: place(r) for r in records}
    up = {r["record"]: r["record"] if r.get("dup_of") is None else r["dup_of"] for r in records}
    def root(i):
        while up[i] != i:
            i = up[i]
        return i
    levels, planted = collections.defaultdict(list), set()
    for t in truth:
        if t["kind"] == "near":
            a, b = number[place(t)], number[t["of_file"], t["of_line"]]
            planted.add(frozenset((a, b)))
            levels[t["target"]].append((t["jaccard"], root(a) == root(b)))
    other = [jaccard(shingles(texts[at[i]]), shingles(texts[at[root(i)]])) for i in up if root(i) != i and frozenset((i, root(i))) not in planted]
    pairs = sorted(p for v in levels.values() for p in v)
    row("near (s >= 0.8)", sum(s >= 0.8 for s, _ in pairs), sum(f for s, f in pairs if s >= 0.8), sum(s < 0.5 for s in other),
        "not planted: %d, their similarities %s" % (len(other), " ".join("%.2f" % s for s in sorted(other)[:10])))
    print("\n%-10s %8s %10s %10s %10s %12s %8s" % ("near", "pairs", "mean s", "found", "theory", "difference", "1 sd"))
    for level in sorted(levels):
        v = levels[level]
        p = [1 - (1 - s ** 8) ** 14 for s, _ in v]
        got, want = sum(f for _, f in v) / len(v), sum(p) / len(p)
        print("%-10s %8d %10.4f %10.4f %10.4f %+12.4f %8.4f" % (level, len(v), sum(s for s, _ in v) / len(v), got, want, got - want,
                                                             sum(q * (1 - q) for q in p) ** 0.5 / len(p)))
    print()

def score_leaks(truth, records):
    leaks = {place(t): t for t in truth if t["kind"] == "leak"}
    hits = {place(r) for r in records if r.get("contamination")}
    for edits in range(4):
        of = {p for p, t in leaks.items() if t["edits"] == edits}
        row("leak, %d words changed" % edits, len(of), len(of & hits), 0)
    row("leak", len(leaks), len(hits & set(leaks)), len(hits - set(leaks)))

def score_poison(truth, report, texts, kind):
    """By the suspect n-grams of the report, looked for in the words of every record."""
    planted = {place(t) for t in truth if t["kind"] == kind}
    grams = [" " + " ".join(folded(f["ngram"])) + " " for f in report["poison"]["findings"] if f.get("suspect")]
    hits = {p for p, text in texts.items() if any(g in " " + " ".join(folded(text)) + " " for g in grams)} if grams else set()
    row(kind, len(planted), len(hits & planted), len(hits - planted), "; ".join(g.strip() for g in grams)[:120])

def score_licences(truth, report):
    said = {s["source"]: s["allowed"] for s in report["licences"]["sources"]}
    for t in truth:
        if t["kind"] == "licence":
            right = said.get(t["source"]) == t["commercial"]
            row("licence %s" % t["expression"], 1, int(right), int(not right), "allowed: %s" % said.get(t["source"]))

def texts_of(corpus, truth_kind):
    files = ["labelled/reviews.jsonl"] if truth_kind == "labelled" else ["corpus/" + f for f in sorted(os.listdir(os.path.join(corpus, "corpus")))]
    return {(f, i + 1): o["text"] for f in files for i, o in enumerate(lines(os.path.join(corpus, f)))}

def main():
    corpus, audit = sys.argv[1:3]
    truth = lines(os.path.join(corpus, "truth.jsonl"))
    report = json.load(open(os.path.join(audit, "report.json")))
    records = lines(os.path.join(audit, "records.jsonl"))
    texts = texts_of(corpus, "documents")
    missing = set(texts) - set(map(place, records))
    print("records %d of %d" % (len(texts) - len(missing), len(texts)))
    print("%-30s %8s %8s %8s %10s %8s" % ("kind", "planted", "found", "false", "precision", "recall"))
    for part, score in (("duplicates", lambda: score_near(truth, records, texts)), ("contamination", lambda: score_leaks(truth, records)),
                        ("pii", lambda: score_spans(truth, records, texts)), ("poison", lambda: score_poison(truth, report, texts, "poison")),
                        ("licences", lambda: score_licences(truth, report))):
        score() if part in report else print("%-30s absent from the report" % part)
    if len(sys.argv) > 3:
        score_poison(truth, json.load(open(os.path.join(sys.argv[3], "report.json"))), texts_of(corpus, "labelled"), "label-poison")

if __name__ == "__main__":
    main()
