#!/usr/bin/env python3
"""Writes tests/golden/licences/paraphrases.tsv: licence strings of data sets as they stand in the wild, what the Data Provenance Initiative
calls them, what we do, and why where that is not the same.

    git clone https://github.com/Data-Provenance-Initiative/Data-Provenance-Collection
    tools/golden/licence_paraphrases.py Data-Provenance-Collection > tests/golden/licences/paraphrases.tsv

The strings are its constants/license_paraphrases.json (Apache-2.0).  Ours is written here by hand, from its class and the exceptions below.
"""
import json
import sys

CLASSES = {
    "Academic Free License v3.0": "AFL-3.0", "Academic Research Purposes Only": "LicenseRef-research-only", "Apache License 2.0": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause", "C-UDA": "C-UDA-1.0", "CC0 1.0": "CC0-1.0", "CDLA Sharing 1.0": "CDLA-Sharing-1.0",
    "GNU General Public License v3.0": "GPL-3.0-only", "MIT License": "MIT", "Non Commercial": "LicenseRef-non-commercial",
    "Custom": "unknown", "Unspecified": "unknown", "Various": "unknown", "All Uses-Attribution": "unknown",
    "Microsoft Data Licensing Agreement": "unknown",
}
VERSION = "the version is not said: the terms of all of them"
OTHER = "another licence than the class's"
CC = "one of Creative Commons' licences, but which is not said"
EXCEPTIONS = {
    "Apache License": ("LicenseRef-Apache", VERSION), "BSD License": ("LicenseRef-BSD", "two, three or four clauses are not said"),
    "bsd": ("LicenseRef-BSD", "two, three or four clauses are not said"), "cc-by-2.0": ("CC-BY-2.0", OTHER), "CC-BY": ("LicenseRef-CC-BY", VERSION),
    "The project is licenced under CC-by-NC": ("LicenseRef-CC-BY-NC", VERSION),
    "CC BY-SA (Creative Commons / Attribution-ShareAlike)": ("LicenseRef-CC-BY-SA", VERSION),
    "Creative Commons Attribution-ShareAlike 3.0 and the GNU Free Documentation License": ("CC-BY-SA-3.0 AND GFDL-1.1-or-later", "both are named"),
    "## creative commons": ("unknown", CC), "Creative Commons": ("unknown", CC), "Creative Commons Legal Code": ("unknown", CC),
    "Creative Commons Public License (CCPL)": ("unknown", CC), "cc": ("unknown", CC), "Public Domain Mark 1.0": ("CC-PDM-1.0", OTHER),
    "Public domain": ("LicenseRef-public-domain", "a statement, not the dedication CC0"),
    "Public domain (CC0)": ("CC0-1.0 AND LicenseRef-public-domain", "both are named"),
    "GNU Affero General Public License v3.0": ("AGPL-3.0-only", OTHER), "agpl-3.0": ("AGPL-3.0-only", OTHER),
    "GNU GENERAL PUBLIC LICENSE": ("GPL-1.0-or-later", "no version is any version, as the licence itself says"),
    "gpl": ("GPL-1.0-or-later", "no version is any version, as the licence itself says"),
    "Modified MIT License": ("unknown", "what was modified is not said"), "ms-pl": ("MS-PL", OTHER),
    "Permission is hereby granted, free of charge, to any person obtaining a copy ...": ("unknown", "several licences begin so"),
    "By accessing the Multilingual Amazon Reviews Corpus (\"Reviews Corpus\"), you agree ...": ("unknown", "the terms are not in the words"),
}


def ours(text, theirs):
    if text in EXCEPTIONS:
        return EXCEPTIONS[text]
    return (CLASSES.get(theirs) or theirs.replace("CC BY", "CC-BY").replace(" ", "-"), "")


paraphrases = json.load(open(f"{sys.argv[1]}/constants/license_paraphrases.json"))
print("# made by tools/golden/licence_paraphrases.py; string, class of the Data Provenance Initiative, ours, why they differ")
for theirs in sorted(paraphrases):
    for text in paraphrases[theirs]:
        print("\t".join((text, theirs) + ours(text, theirs)))
