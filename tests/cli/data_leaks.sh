# Personal data and secrets in an audit: counted, masked also where an example shows them, dropped; rules of one's own.
printf '{"text": "Write to jane.doe@example.org or call +1-212-555-0147, she has the vault=abcd1234efgh of the house"}\n{"text": "nothing here"}\n{"text": "jane.doe@example.org again"}\n' > leaks.jsonl
printf '[[rules]]\nid = "vault"\nregex = "vault=([a-z0-9]{12})"\n' > rules.toml
printf '{"text": "Write to jane.doe@example.org or call +1-212-555-0147, she has the vault=abcd1234efgh of the house"}\n' > leaked.jsonl
lathe data audit leaks.jsonl --out audit --secret-rules rules.toml --against leaked.jsonl --quiet
python3 -c 'import json; r = json.load(open("audit/report.json")); print(r["pii"], r["secrets"], r["contamination"][0]["examples"][0]["excerpt"], sep="\n")'
# a build without them
lathe data build audit --out v1 --splits train=1 --quiet | grep -v ^version; cat v1/train/00000.jsonl
printf 'pii: {default: keep, EMAIL_ADDRESS: pseudonym}\n' > names.yaml && printf '0123456789abcdef0123456789abcdef\n' > key
lathe data build audit --out v2 --splits train=1 --policy names.yaml --quiet 2>&1; echo "exit $?"
lathe data build audit --out v2 --splits train=1 --policy names.yaml --redact-key key --quiet | grep -v ^version; cat v2/train/00000.jsonl
python3 -c 'import hmac; print(hmac.new(b"0123456789abcdef0123456789abcdef", b"jane.doe@example.org", "sha256").hexdigest()[:16])'
# records dropped for them
printf 'pii: {default: keep, EMAIL_ADDRESS: drop}\nsecrets: drop\n' > drops.yaml
lathe data audit leaks.jsonl --out dropped --secret-rules rules.toml --policy drops.yaml --quiet
printf 'secrets: {volt: drop}\n' > drops.yaml
lathe data audit leaks.jsonl --out dropped --secret-rules rules.toml --policy drops.yaml --quiet 2>&1; echo "exit $?"
lathe data audit leaks.jsonl --out dropped --quiet 2>&1; echo "exit $?"
lathe data audit leaks.jsonl --out none --skip names 2>&1; echo "exit $?"
lathe data audit leaks.jsonl --out none --skip secrets --secret-rules rules.toml 2>&1; echo "exit $?"
printf '[[rules]]\nid = "vault"\nregex = "vault=("\n' > rules.toml
lathe data audit leaks.jsonl --out none --secret-rules rules.toml 2>&1; echo "exit $?"
