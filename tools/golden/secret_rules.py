#!/usr/bin/env python3
"""tests/golden/pii/secrets.jsonl: for each rule of src/audit/secret.def and of gitleaks' configuration a text that it finds a secret in, made from its own
expression, and one where a character is not as it must be; with what gitleaks' method, written anew here over Python's re, finds in them by
all rules: expression, words, entropy, allow-lists; of what overlaps what the header span.h says.  Texts are written backwards, so that nobody
takes them for secrets.

    python3 tools/golden/secret_rules.py ../shared/data/governance-secrets/gitleaks.toml >tests/golden/pii/secrets.jsonl
"""
import ast
import json
import math
import random
import re
import subprocess
import sys
import tomllib

parser = re._parser


def for_python(expr):
    """Go's and PCRE2's flags in the middle of a group hold up to its end, in its other branches too: Python wants groups of their own."""
    out, flags, i, in_class = [], [[]], 0, False
    expr = expr.replace("[:alnum:]", "0-9A-Za-z")
    while i < len(expr):
        c = expr[i]
        if c == "\\":
            out.append({"\\z": "\\Z"}.get(expr[i:i + 2], expr[i:i + 2]))
            i += 2
            continue
        if in_class:
            in_class = c != "]"
        elif c == "[":
            in_class = True
            if expr[i + 1] == "]":
                out.append("[\\]")
                i += 2
                continue
        elif c == "$":
            c = "\\Z"
        elif c == "(":
            flag = re.match(r"\(\?([a-z]+)\)", expr[i:])
            if flag:
                flags[-1].append(f"(?{flag[1]}:")
                out.append(flags[-1][-1])
                i += flag.end()
                continue
            flags.append([])
        elif c == ")":
            out.append(")" * len(flags.pop()))
        elif c == "|":
            c = ")" * len(flags[-1]) + "|" + "".join(flags[-1])
        out.append(c)
        i += 1
    return "".join(out) + ")" * len(flags.pop())


class Rule:
    def __init__(self, name, expr, words, entropy, group, path, allows):
        self.name, self.words, self.entropy, self.group, self.allows = name, words, entropy, group, allows
        self.path = path and re.compile(for_python(path))
        self.expr = re.compile(for_python(expr), re.ASCII)


class Allow:
    def __init__(self, a):
        self.exprs = [re.compile(for_python(e), re.ASCII) for e in a.get("regexes", [])]
        self.paths = [re.compile(for_python(e)) for e in a.get("paths", [])]
        self.stop, self.target, self.all = a.get("stopwords", []), a.get("regexTarget", "secret"), a.get("condition", "OR") == "AND"

    def says(self, secret, match, line, path):
        target = {"secret": secret, "match": match, "line": line}[self.target]
        parts = []
        if self.paths:
            parts.append(path is not None and any(e.search(path) for e in self.paths))
        if self.exprs:
            parts.append(any(e.search(target) for e in self.exprs))
        if self.stop:
            parts.append(any(w in secret.lower() for w in self.stop))
        return bool(parts) and (all(parts) if self.all else any(parts))


def entropy(s):
    return -sum(s.count(c) / len(s) * math.log2(s.count(c) / len(s)) for c in set(s))


def find(rules, common, text, path):
    found = []
    for i, r in enumerate(rules):
        if r.path and not (path and r.path.search(path)) or r.words and not any(w in text.lower() for w in r.words):
            continue
        for m in r.expr.finditer(text):
            k = r.group or next((g for g in range(1, m.re.groups + 1) if m[g]), 0)
            secret = m[k] or ""
            at = m.start(k) + len(secret) - len(secret.lstrip("\n"))
            secret = secret.strip("\n")
            line = text[text.rfind("\n", 0, m.start()) + 1:(text + "\n").index("\n", m.end())]
            if not secret or r.entropy and entropy(secret) <= r.entropy or any(a.says(secret, m[0], line, path) for a in r.allows + common):
                continue
            found.append((60 if r.name.startswith("generic") else 90, at, len(secret), i))
    return found


def resolve(rules, found):
    kept = []
    for x in sorted(found, key=lambda x: (-x[0], -x[2], x[1], x[3])):
        if all(x[1] + x[2] <= y[1] or y[1] + y[2] <= x[1] for y in kept):
            kept.append(x)
    return [[rules[i].name, at, n] for _, at, n, i in sorted(kept, key=lambda x: x[1])]


PRINTED = [c for c in range(33, 127)]


def members(items, rng):
    chars, negate = set(), False
    for op, v in items:
        if op == parser.NEGATE:
            negate = True
        elif op == parser.LITERAL:
            chars.add(v)
        elif op == parser.RANGE:
            chars.update(range(v[0], v[1] + 1))
        else:
            chars.update(category(v))
    return rng.choice(sorted(set(PRINTED) - chars if negate else {c for c in chars if c < 127}))


def category(v):
    return {parser.CATEGORY_DIGIT: range(48, 58), parser.CATEGORY_SPACE: [32], parser.CATEGORY_NOT_SPACE: PRINTED,
            parser.CATEGORY_WORD: [c for c in PRINTED if chr(c).isalnum() or c == 95]}[v]


def sample(tree, rng):
    out = []
    for op, v in tree:
        if op == parser.LITERAL:
            out.append(chr(v))
        elif op == parser.NOT_LITERAL:
            out.append(chr(rng.choice([c for c in PRINTED if c != v])))
        elif op == parser.ANY:
            out.append(chr(rng.choice(PRINTED)))
        elif op == parser.IN:
            out.append(chr(members(v, rng)))
        elif op in (parser.MAX_REPEAT, parser.MIN_REPEAT):
            n = min(v[1], v[0] + rng.choice((0, 0, 1, 2, 5)))
            out.append("".join(sample(v[2], rng) for _ in range(n)))
        elif op == parser.SUBPATTERN:
            out.append(sample(v[3], rng))
        elif op == parser.BRANCH:
            out.append(sample(rng.choice(v[1]), rng))
        elif op in (parser.AT, parser.ASSERT, parser.ASSERT_NOT):
            pass
        else:
            sys.exit(f"not known: {op}")
    return "".join(out)


def cases(which, rules, common):
    for i, r in enumerate(rules):
        tree, path = parser.parse(r.expr.pattern, re.ASCII), "a/nuget.config" if r.path and r.path.search("a/nuget.config") else None
        path = path or next((p for p in ("a/b.php", "a/b.tf", "a/b.yaml") if r.path and r.path.search(p)), None)
        for seed in range(4000):
            rng = random.Random(f"{which} {r.name} {seed}")
            text = f"x {sample(tree, rng)} \nlast line"
            text = ("First line.\n" if not r.words or any(w in text.lower() for w in r.words) else f"First, {r.words[0]}.\n") + text
            got = find(rules, common, text, path)
            mine = [x for x in got if x[3] == i]
            if mine:
                break
        else:
            sys.exit(f"{which} {r.name}: no text found")
        yield r, path, text, resolve(rules, got)
        _, at, n, _ = mine[0]
        for seed in range(4000):
            rng = random.Random(f"{which} not {r.name} {seed}")
            k, c = at + rng.randrange(n), rng.choice("!\n,")
            wrong = text[:k] + c + text[k + 1:] if seed < 400 else text[:at] + c + text[at + n:]
            wrong = wrong if seed < 800 else text[:at] + c * 3
            got = find(rules, common, wrong, path)
            if not any(x[3] == i for x in got):
                break
        else:
            sys.exit(f"{which} {r.name}: no text without it found")
        yield r, path, wrong, resolve(rules, got)


def ours():
    """The rows of secret.def, and the allow-lists of secret.c, by the C preprocessor."""
    rows = subprocess.run(["gcc", "-E", "-P", "-DSECRET(a,b,c,d,e)=@((a,),(c,),(d,),e)", "-x", "c", "src/audit/secret.def"], check=True, text=True, capture_output=True).stdout
    source = open("src/audit/secret.c").read()

    def strings(name):
        body = re.search(r"const " + name + r"\[\] = \{(.*?)\};", source, re.S)[1]
        return list(ast.literal_eval("(" + body.strip().rstrip(",") + ",)"))
    generic = [Allow({"stopwords": strings("stop"), "regexes": strings("names")}), Allow({"regexes": strings("not_keys"), "regexTarget": "match"})]
    rules = []
    for row in rows.split("@")[1:]:
        (name,), (expr,), (words,), e = ast.literal_eval(" ".join(row.split()))
        rules.append(Rule(name, expr, words.split("|"), e / 10, 0, None, generic if name.startswith("generic") else []))
    return rules, [Allow({"regexes": strings("allowed")})]


def theirs(path):
    t = tomllib.load(open(path, "rb"))
    rules = [Rule(r["id"], r["regex"], r.get("keywords", []), r.get("entropy", 0), r.get("secretGroup", 0), r.get("path"), [Allow(a) for a in r.get("allowlists", [])])
             for r in t["rules"] if "regex" in r]
    return rules, [Allow(t["allowlist"])]


for which, (rules, common) in (("lathe", ours()), ("gitleaks", theirs(sys.argv[1]))):
    for r, path, text, got in cases(which, rules, common):
        print(json.dumps({"rules": which, "rule": r.name, "path": path, "text": text[::-1], "spans": got}))
