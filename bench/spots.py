#!/usr/bin/env python3
"""Presidio's pattern recognisers (presidio_analyzer from PyPI, no language model) beside build/bench/spots on the same text, in pairs.

    python3 bench/spots.py FILE [KB]        KB of the file's beginning are enough for Presidio: 500 without it
"""
import re
import statistics
import subprocess
import sys
import tempfile
import time

import presidio_analyzer.predefined_recognizers as known

NAMES = ("CreditCard Iban Phone Email Ip MacAddress Url Crypto UsSsn UsItin UsBank UsPassport UsLicense AbaRouting UsNpi MedicalLicense CaSin Nhs UkNino EsNif EsNie ItFiscalCode "
         "ItVatCode PlPesel FiPersonalIdentityCode SePersonnummer SeOrganisationsnummer DeTaxId InAadhaar InPan InGstin AuAbn AuAcn AuTfn AuMedicare SgFin KrRrn ZaIdNumber "
         "ThTnin TrNationalId NgNin").split()
RECOGNISERS = [getattr(known, name + "Recognizer")() for name in NAMES]

text = open(sys.argv[1], "rb").read((int(sys.argv[2]) if len(sys.argv) > 2 else 500) * 1000).decode("utf-8", "ignore")
n_bytes, ratios = len(text.encode()), []
with tempfile.NamedTemporaryFile() as same:
    same.write(text.encode() * 20)
    same.flush()
    for i in range(3):
        begin = time.process_time()
        found = sum(len(r.analyze(text[at:at + 4096], r.supported_entities, None)) for at in range(0, len(text), 4096) for r in RECOGNISERS)
        theirs = n_bytes / 1e6 / (time.process_time() - begin)
        line = subprocess.run(["build/bench/spots", same.name], check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        ours = float(re.search(r"personal data (\d+) MB/s", line)[1])
        ratios.append(ours / theirs)
        print(f"Presidio, {len(RECOGNISERS)} recognisers: {theirs:.3f} MB/s, {found} found; ours {ours:.0f} MB/s: 1 to {ours / theirs:.0f}")
print(f"median 1 to {statistics.median(ratios):.0f}")
