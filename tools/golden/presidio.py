#!/usr/bin/env python3
"""What Presidio's pattern recognisers (presidio_analyzer 2.2.366, phonenumbers 9.0.43; no language model) find in the sentences of
governance-pii: tests/golden/pii/presidio.tsv, a line each: set, sentence, entity, first character, behind the last, score in hundredths.

    python3 tools/golden/presidio.py ../shared/data/governance-pii >tests/golden/pii/presidio.tsv
"""
import json
import sys

import presidio_analyzer.predefined_recognizers as known

RECOGNISERS = [known.CreditCardRecognizer(), known.IbanRecognizer(), known.PhoneRecognizer(), known.EmailRecognizer(), known.IpRecognizer(),
               known.UsSsnRecognizer(), known.UrlRecognizer(), known.UsLicenseRecognizer()]

for name in ("synth_dataset_v2", "generated_small"):
    for i, record in enumerate(json.load(open(f"{sys.argv[1]}/{name}.json"))):
        found = {}
        for recogniser in RECOGNISERS:
            for x in recogniser.analyze(record["full_text"], recogniser.supported_entities, None):
                key = x.entity_type, x.start, x.end
                found[key] = max(found.get(key, 0), x.score)
        for (entity, start, end), score in sorted(found.items()):
            print(name, i, entity, start, end, round(100 * score), sep="\t")
