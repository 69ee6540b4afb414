#!/usr/bin/env python3
"""Writes tests/golden/chat/random.json: random templates and what Python's jinja2 makes of them.

    /usr/bin/python3 tools/golden/chat_random.py [--seed 1] [--cases 1500] [--out tests/golden/chat/random.json]

Left out are templates whose text depends on what we do not follow: addresses and names of objects, complex numbers, numbers of more
than 64 bits, slices of constants, which Python folds to nothing, and generators that are never read (made at once here).
"""
import argparse
import copy
import functools
import itertools
import json
import random
import signal

import chat

FILTERS = """length trim string list lower upper first last int float abs sort unique|list reverse|list join(",") tojson default("q") default("q",true)
items|list title capitalize round sum min max dictsort select|list reject("none")|list map("string")|list selectattr("age")|list
map(attribute="name")|list replace("a","b") indent(2) tojson(indent=2) e safe wordcount batch(2)|list count join
selectattr("name","equalto","Bo")|list rejectattr("x","defined")|list trim("a") map("upper") tojson(sort_keys=true) attr("upper")""".split()
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "boolean", "number", "integer", "float", "odd", "even", "lower", "upper", "callable", "in xs", "eq 1", "lt 3",
         "ge \"a\"", "sameas none", "divisibleby 3", "escaped", "true", "false"]
MEMBERS = ["upper()", "lower()", "strip()", "split()", "split(\",\")", "split(\" \",1)", "items()|list", "keys()|list", "values()|list", "get(\"b\")", "get(\"a\",1)", "startswith(\"H\")", "endswith(\"d\")",
           "replace(\"l\",\"L\")", "title()", "capitalize()", "find(\"o\")", "count(\"a\")", "index(1)", "lstrip(\"H\")", "rstrip()", "splitlines()", "isdigit()", "partition(\" \")", "rsplit(\" \",1)", "b", "a",
           "C", "k", "name", "age", "0", "role", "content", "x", "join([\"a\",\"b\"])", "isalpha()", "rfind(\"l\")", "copy()"]
LITERALS = ["1", "0", "-1", "2.5", "\"a\"", "\"Hello\"", "''", "true", "false", "none", "10", "\"a,b c\"", "3", "\"é\"", "7", "1e20", "0.1"]
NAMES = list(chat.VARS) + ["nosuch"]
SPACES = ["", " ", "\n", "  \n", "\n  ", "\n\n", "x", "\t"]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def atom(self, depth):
        r, pick = self.rng.random(), self.rng.choice
        if r < 0.45:
            return pick(NAMES)
        if r < 0.6:
            return pick(LITERALS)
        if r < 0.7:
            return "[" + ",".join(self.expr(depth - 1) for _ in range(self.rng.randint(0, 3))) + "]"
        if r < 0.75:
            return "(" + ",".join(self.expr(depth - 1) for _ in range(self.rng.randint(1, 2))) + ",)"
        if r < 0.82:
            return "{" + ",".join(pick(["\"a\"", "1", "\"b\"", "none", "(1,)"]) + ":" + self.expr(depth - 1) for _ in range(self.rng.randint(0, 2))) + "}"
        return "(" + self.expr(depth - 1) + ")"

    def expr(self, depth):
        r, pick = self.rng.random(), self.rng.choice
        if depth <= 0:
            return pick(NAMES + ["1", "\"a\""])
        if r < 0.25:
            return self.atom(depth)
        if r < 0.4:
            return self.expr(depth - 1) + pick([" + ", " - ", " * ", " / ", " // ", " ~ ", " ** ", " + ", " ~ "]) + self.expr(depth - 1)
        if r < 0.5:
            return self.expr(depth - 1) + pick([" == ", " != ", " < ", " > ", " <= ", " >= ", " in ", " not in "]) + self.expr(depth - 1)
        if r < 0.56:
            return self.expr(depth - 1) + pick([" and ", " or "]) + self.expr(depth - 1)
        if r < 0.6:
            return pick(["not ", "-", "+"]) + self.expr(depth - 1)
        if r < 0.75:
            return self.expr(depth - 1) + "|" + pick(FILTERS)
        if r < 0.82:
            return self.expr(depth - 1) + " is " + pick(["", "not "]) + pick(TESTS)
        if r < 0.92:
            return self.atom(depth) + "." + pick(MEMBERS)
        if r < 0.96:
            of = self.atom(depth)
            return of + "[" + pick(["0", "-1", "\"a\"", "\"b\"", "none", "5", "true"] + (["1:", "::-1", ":2", "-2:", "1:3:2"] if of in NAMES else [])) + "]"
        return self.expr(depth - 1) + " if " + self.expr(depth - 1) + (" else " + self.expr(depth - 1) if self.rng.random() < 0.7 else "")

    def tag(self, text):
        return self.rng.choice(["{%", "{%-", "{%+"]) + f" {text} " + self.rng.choice(["%}", "-%}", "+%}", "%}"])

    def statement(self, depth):
        r, pick = self.rng.random(), self.rng.choice
        before, inner, after = pick(SPACES), pick(SPACES), pick(SPACES)
        if r < 0.4 or depth <= 0:
            return before + pick(["{{", "{{-"]) + " " + self.expr(2) + " " + pick(["}}", "-}}"]) + after
        body = inner + self.statement(depth - 1) + pick(SPACES)
        if r < 0.55:
            other = self.tag("else") + self.statement(depth - 1) if self.rng.random() < 0.5 else ""
            return before + self.tag("if " + self.expr(2)) + body + other + self.tag("endif") + after
        if r < 0.75:
            head = "for " + pick(["v", "k, v", "v"]) + " in " + self.expr(2) + (" if " + self.expr(1) if self.rng.random() < 0.2 else "")
            tail = pick(["", "{{ loop.index }}", "{{ loop.last }}", "{% if loop.first %}{% continue %}{% endif %}", "{{ v }}", "{{ loop.previtem }}"])
            return before + self.tag(head) + body + tail + (self.tag("else") + "E" if self.rng.random() < 0.3 else "") + self.tag("endfor") + after
        if r < 0.88:
            return before + self.tag("set " + pick(["q", "s", "q, i", "xs"]) + " = " + self.expr(2)) + "{{ q }}" + body
        if r < 0.92:
            return self.tag("set q") + body + self.tag("endset") + "[{{ q }}]"
        if r < 0.96:
            return self.tag("macro m(a, b=" + self.expr(1) + ")") + body + "{{ a }}{{ b }}" + self.tag("endmacro") + "{{ m(" + self.expr(1) + ") }}"
        return before + "{#" + pick(["", "-"]) + " c " + pick(["", "-"]) + "#}" + body


def eager(function):
    @functools.wraps(function)
    def made(*args, **kwargs):
        out = function(*args, **kwargs)
        return itertools.chain(list(out)) if hasattr(out, "__next__") else out
    return made


def outcome(env, template):
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return {"out": env.from_string(template).render(**copy.deepcopy(chat.VARS))}
    except (OverflowError, MemoryError, TimeoutError):
        return None
    except Exception as e:
        return {"err": f"{type(e).__name__}: {e}"[:100]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def alarm(*_):
    raise TimeoutError


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--cases", type=int, default=1500)
    p.add_argument("--out", default="tests/golden/chat/random.json")
    o = p.parse_args()
    signal.signal(signal.SIGALRM, alarm)
    env, strict = chat.environment(), chat.environment()
    strict.filters = {k: eager(f) for k, f in strict.filters.items()}
    make, cases = Maker(o.seed), []
    while len(cases) < o.cases:
        template = "{{ " + make.expr(3) + " }}" if make.rng.random() < 0.5 else make.statement(3)
        want, again = outcome(env, template), outcome(strict, template)
        out = (want or {}).get("out", "")
        if not want or not again or want.get("out") != again.get("out") or len(out) > 2000 or any(w in out for w in (" at 0x", "dict_", "range(", "j)", "<Macro")) or any(len(w) > 18 for w in out.replace("-", " ").split() if w.isdigit()):
            continue
        if "err" in want and make.rng.random() < 0.6:        # more than half of them are refused
            continue
        cases.append({"template": template, "vars": {}, **want})
    with open(o.out, "w", encoding="utf-8") as f:
        json.dump({"vars": chat.VARS, "cases": cases}, f, ensure_ascii=False, indent=0)
        f.write("\n")
    print(len(cases), "cases,", sum("err" in c for c in cases), "refused")


if __name__ == "__main__":
    main()
