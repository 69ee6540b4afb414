#!/usr/bin/env python3
"""trace_lengths.py FILE: rows of src/plan/workload.def from a public trace of requests (Azure's CSV, Mooncake's JSONL).

Prints the values at the shares of POINTS, of prompts and of answers, with means of the file and of the line through the points."""
import csv
import json
import sys

POINTS = [0, .01, .05, .1, .15, .2, .25, .3, .35, .4, .45, .5, .55, .6, .65, .7, .75, .8, .85, .9, .95, .98, .99, .995, .999, 1]


def rows(path):
    with open(path) as f:
        if path.endswith(".jsonl"):
            for line in f:
                o = json.loads(line)
                yield o["input_length"], o["output_length"]
        else:
            for o in csv.DictReader(f):
                yield int(o["ContextTokens"]), int(o["GeneratedTokens"])


data = list(rows(sys.argv[1]))
for which, name in enumerate(("PROMPT", "OUTPUT")):
    v = sorted(r[which] for r in data)
    q = [v[round(p * (len(v) - 1))] for p in POINTS]
    mean = sum((POINTS[i + 1] - POINTS[i]) * (q[i] + q[i + 1]) / 2 for i in range(len(q) - 1))
    print(f"{name}({', '.join(map(str, q))})  # mean {sum(v) / len(v):.1f}, of the line {mean:.1f}, n {len(v)}")
