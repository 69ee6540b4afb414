#!/usr/bin/env python3
"""Writes tests/golden/licences/expressions.tsv: licence expressions and their normal forms by license-expression (PyPI, 30.4.4), tab
separated; `error` where it refuses one.

    pip install license-expression; tools/golden/licences.py > tests/golden/licences/expressions.tsv

It reads and simplifies; the form is written out here: ids as SPDX lists them, operands in the order of their letters whatever the case,
ids before AND before OR, parentheses only where they are needed.
"""
import random
from boolean import ParseError
from license_expression import ExpressionError, get_spdx_licensing

spdx = get_spdx_licensing()
EDGES = """MIT|mit|Apache-2.0|GPL-2.0|GPL-2.0+|gpl-2.0+|GPL-2.0-only|GPL-2.0-or-later|LGPL-2.1+|AGPL-3.0|GFDL-1.2|StandardML-NJ|bzip2-1.0.5|BSD-2-Clause-FreeBSD
BSD-2-Clause-NetBSD|Nunit|(MIT)|((MIT))|( MIT )|MIT OR MIT|MIT AND MIT|ISC OR MIT|MIT OR ISC|MIT or ISC|MIT and ISC|LGPL-2.1-only OR BSD-3-Clause AND MIT
(LGPL-2.1-or-later OR BSD-3-Clause) AND MIT|MIT OR (MIT AND ISC)|MIT AND (MIT OR ISC)|(MIT OR ISC) AND (ISC OR MIT)|(MIT AND ISC) OR (ISC AND MIT)
MIT AND (ISC OR (MIT AND Zlib))|MIT OR ISC OR Zlib OR MIT|MIT AND (ISC AND (Zlib AND X11))|(MIT OR ISC) OR (Zlib OR X11)|MIT AND ISC OR ISC AND MIT
GPL-2.0-or-later WITH Bison-exception-2.2|GPL-2.0-only WITH Classpath-exception-2.0 OR MIT|gpl-2.0-only with classpath-exception-2.0
GPL-2.0-only WITH Classpath-exception-2.0 AND GPL-2.0-only|GPL-3.0-only WITH GCC-exception-3.1 OR GPL-3.0-only WITH GCC-exception-3.1
|MIT OR|OR MIT|AND|MIT ISC|(MIT|MIT)|()|MIT AND OR ISC|MIT WITH|WITH MIT|MIT WITH ISC|Classpath-exception-2.0|MIT WITH Classpath-exception-2.0 WITH Classpath-exception-2.0
Nonsense-1.0|MIT OR Nonsense-1.0|MIT WITH Nonsense-exception|MIT/ISC|MIT,ISC|MIT (OR ISC)|(MIT OR) ISC|MIT && ISC|MIT; ISC""".replace("\n", "|").split("|")
LEAVES = ["MIT", "ISC", "Zlib", "X11", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-3.0", "GPL-2.0-only", "GPL-2.0-or-later", "gpl-3.0",
          "LGPL-2.1+", "ODbL-1.0", "0BSD", "mpl-2.0", "GPL-2.0-or-later WITH Bison-exception-2.2", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-scancode-public-domain"]


def kind(e):
    return {"AND": 1, "OR": 2}[e.operator.strip()] if getattr(e, "operator", None) else 0


def key(e):
    return (kind(e),) + ((e.render().lower(),) if kind(e) == 0 else (tuple(sorted(key(a) for a in e.args)),))


def text(e, around=0):
    if kind(e) == 0:
        return e.render()
    inner = (" AND ", " OR ")[kind(e) - 1].join(text(a, kind(e)) for a in sorted(e.args, key=key))
    return f"({inner})" if around and around != kind(e) else inner


def normal(expression):
    try:
        parsed = spdx.parse(expression, validate=True, strict=True)
        return text(parsed.simplify()) if parsed is not None else "error"
    except (ExpressionError, ParseError, IndexError):        # the last for "()"
        return "error"


def grow(rng, n):
    if n == 1:
        return rng.choice(LEAVES)
    left = rng.randint(1, n - 1)
    a, b = grow(rng, left), grow(rng, n - left)
    op = rng.choice(["AND", "OR", "and", "or"])
    wrap = lambda x: f"({x})" if rng.random() < 0.6 else x
    return f"{wrap(a)} {op} {wrap(b)}"


rng = random.Random(6)
print("# made by tools/golden/licences.py; expression, its normal form")
for e in EDGES + [grow(rng, rng.randint(2, 9)) for _ in range(250)]:
    print(f"{e}\t{normal(e)}")
