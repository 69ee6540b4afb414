#!/usr/bin/env python3
"""Writes src/audit/licence_ids.h: the ids of the SPDX licence list, of its exceptions, and what stands for a deprecated one.

    tools/spdx_ids.py ../shared/data > src/audit/licence_ids.h

Ids are read from governance-spdx-ids (licences) and from CycloneDX's copy of the list in governance-schemas, whose further ids are exceptions.
What a deprecated id became is said on each licence's page of the list; where the page says no more than that an expression is to be
written, an id without "or later" is taken to mean its version only.
"""
import json
import sys

BECAME = {
    "AGPL-1.0": "AGPL-1.0-only", "AGPL-3.0": "AGPL-3.0-only", "BSD-2-Clause-FreeBSD": "BSD-2-Clause-Views", "BSD-2-Clause-NetBSD": "BSD-2-Clause",
    "GFDL-1.1": "GFDL-1.1-only", "GFDL-1.2": "GFDL-1.2-only", "GFDL-1.3": "GFDL-1.3-only", "GPL-1.0": "GPL-1.0-only", "GPL-2.0": "GPL-2.0-only",
    "GPL-2.0-with-GCC-exception": "GPL-2.0-only WITH GCC-exception-2.0", "GPL-2.0-with-autoconf-exception": "GPL-2.0-only WITH Autoconf-exception-2.0",
    "GPL-2.0-with-bison-exception": "GPL-2.0-only WITH Bison-exception-2.2", "GPL-2.0-with-classpath-exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "GPL-2.0-with-font-exception": "GPL-2.0-only WITH Font-exception-2.0", "GPL-3.0": "GPL-3.0-only",
    "GPL-3.0-with-GCC-exception": "GPL-3.0-only WITH GCC-exception-3.1", "GPL-3.0-with-autoconf-exception": "GPL-3.0-only WITH Autoconf-exception-3.0",
    "LGPL-2.0": "LGPL-2.0-only", "LGPL-2.1": "LGPL-2.1-only", "LGPL-3.0": "LGPL-3.0-only", "Nunit": "zlib-acknowledgement", "StandardML-NJ": "SMLNJ",
    "bzip2-1.0.5": "bzip2-1.0.6", "eCos-2.0": "GPL-2.0-or-later WITH eCos-exception-2.0", "wxWindows": "GPL-2.0-or-later WITH WxWindows-exception-3.1",
    "Net-SNMP": "Net-SNMP",                                  # several licences at once: no one expression stands for it
    "Nokia-Qt-exception-1.1": "Qt-LGPL-exception-1.1",
}
BECAME.update({f"{x}+": f"{x}-or-later" for x in ("GPL-1.0", "GPL-2.0", "GPL-3.0", "LGPL-2.0", "LGPL-2.1", "LGPL-3.0")})

data = sys.argv[1]
current = json.load(open(f"{data}/governance-spdx-ids/index.json"))
deprecated = json.load(open(f"{data}/governance-spdx-ids/deprecated.json"))
listed = json.load(open(f"{data}/governance-schemas/spdx.schema.json"))
exceptions = [x for x in listed["enum"] if x not in current and x not in deprecated and not x.endswith("+")]
plus = [x for x in listed["enum"] if x.endswith("+")]
for x in deprecated + plus:
    assert x in BECAME, x
for x, to in BECAME.items():
    assert x in deprecated + plus + exceptions, x
    assert x == to or all(part in current + exceptions for part in to.split(" WITH ")), to


def table(name, ids):
    rows = [f'{{ "{x}", {json.dumps(BECAME[x]) if x in BECAME else "NULL"} }},' for x in sorted(ids, key=str.lower)]
    print(f"static const struct licence_id {name}[] = {{")
    for i in range(0, len(rows), 5):
        print("    " + " ".join(rows[i:i + 5]))
    print("};\n")


print(f"""/* licence_ids.h - made by tools/spdx_ids.py from the SPDX licence list ({listed["$comment"]}); do not edit.
 * Sorted without regard to case; `became` is what stands for a deprecated id. */
#include <stddef.h>

struct licence_id {{ const char *id, *became; }};
""")
table("licence_ids", current + deprecated + plus)
table("licence_exceptions", exceptions)
