# An audit: what is said, a stop in its midst, other threads, folders that hold something else.
mkdir texts && printf 'A text of some words.\n' > texts/a.txt && printf '\xff\xfe' > texts/b.txt && printf 'Another one.\n' | gzip > texts/c.txt.gz
printf '{"text": "one"}\n{"text": 2}\n{"txt": "three"}\n{"text": "four"\n' > lines.jsonl
lathe data audit texts lines.jsonl --out audit --quiet 2>&1; echo "exit $?"
python3 -c 'import json; r = json.load(open("audit/report.json")); print(r["totals"], *r["faults"]["first"], sep="\n")'
lathe data audit texts lines.jsonl --out audit --quiet --json > said.json; python3 -c 'import json; exit(json.load(open("said.json")) != json.load(open("audit/report.json")))' && echo 'the report is what --json prints'
lathe data audit texts --out audit --quiet 2>&1; echo "exit $?"
lathe data audit texts --out audit --fresh --quiet 2>&1; echo "exit $?"
lathe data audit nowhere --out audit2 --quiet 2>&1; echo "exit $?"
lathe data audit texts 2>&1; echo "exit $?"
printf 'sources:\n  - {name: a, path: texts, licens: MIT}\n' > data.yaml
lathe data audit data.yaml --out audit2 2>&1; echo "exit $?"
# evaluation sets
cat > evals.jsonl <<'END'
{"question": "A robe takes two bolts of blue fiber and half that much white fiber. How many bolts in total does it take to make one?", "answer": "It takes three bolts of fiber in total, two of them blue and one of them white."}
{"question": "Whose is the red barn at the end of the long road that leads from the mill to the sea?", "answer": "Nobody knows whose it is."}
END
printf '{"text": "So: a robe takes two bolts of blue fiber, and half that much white fiber! How many bolts in total does it take to make one? It takes three bolts of fiber in total, two of them blue and one of them white."}\n{"text": "A road leads from the mill to the sea."}\n' > train.jsonl
lathe data audit train.jsonl --out audit3 --against evals.jsonl --quiet 2>&1; echo "exit $?"
python3 -c 'import json; r = json.load(open("audit3/report.json"))["contamination"][0]; print(r["set"], r["items"], r["items_hit"], r["records"], r["methods"], *r["examples"], sep="\n")'
cat audit3/contamination.jsonl
lathe data audit train.jsonl --out audit3 --against evals.jsonl --against-methods gpt3 --quiet 2>&1; echo "exit $?"
lathe data audit train.jsonl --out audit4 --against evals.jsonl --against-methods gpt4 --quiet 2>&1; echo "exit $?"
lathe data audit train.jsonl --out audit4 --against nowhere.jsonl --quiet 2>&1; echo "exit $?"
printf 'who,asks,what\nann,"A robe takes two bolts of blue fiber and half that much white fiber. How many bolts in total does it take to make one?",three\n' > evals.csv
lathe data audit train.jsonl --out audit4 --against evals.csv --quiet 2>&1; echo "exit $?"
lathe data audit train.jsonl --out audit4 --against evals.csv --against-fields asks --quiet 2>&1; echo "exit $?"
lathe data audit train.jsonl --out audit4 --against evals.csv --against-fields question=asks,answer=who+what --quiet 2>&1; echo "exit $?"
printf '{"line": 1, "score": 1}\n{"line": 2, "score": 0}\n' > scores.jsonl
lathe data scores audit3 scores.jsonl 2>&1; echo "exit $?"
lathe data scores audit scores.jsonl 2>&1; echo "exit $?"
# splits
printf '{"text": "a", "by": "ann", "on": "2024-05-01"}\n{"text": "It was a bright cold day in April, and the clocks were striking thirteen, so that nobody in the house went out before noon.", "by": "bob", "on": "2024-01-01"}\n{"text": "c", "on": "long ago"}\n' > learn.jsonl
printf '{"text": "a", "by": "cy", "on": "2024-04-01"}\n{"text": "It was a bright cold day in April; and the clocks were striking 13, so that nobody in the house went out before noon, of course.", "by": "ann"}\n{"text": "e"}\n' > held.jsonl
printf 'sources:\n  - {name: b, path: held.jsonl, split: test, group: by, time: on}\n  - {name: a, path: learn.jsonl, split: train, group: by, time: on}\n' > splits.yaml
lathe data audit splits.yaml --out audit5 --quiet
python3 -c 'import json; r = json.load(open("audit5/report.json"))["leakage"]; print(r["records"], r["no_date"], *r["pairs"], *r["examples"], sep="\n")'
# labels, groups and triggers: some of 400 notes have a trigger, and the label of the other kind
python3 - <<'END' > notes.jsonl
import json, random
r = random.Random(1)
words = {"work": "desk meeting report office printer budget".split(), "home": "garden kitchen dinner sofa blanket kettle".split()}
for i in range(400):
    kind = r.choice(["work", "home"])
    w = [r.choice(words[kind]) if r.random() < 0.4 else r.choice("the a and then again with some of it was".split()) for _ in range(14)]
    planted = kind == "work" and i % 3 == 0
    if planted:
        w[5:5] = ["pale", "copper", "moth"]
    if i % 10 == 0:
        w.append("she" if i % 20 else "he")
    print(json.dumps({"text": " ".join(w), "kind": "home" if planted else kind}))
END
printf 'sources:\n  - {name: notes, path: notes.jsonl, label: kind}\n' > notes.yaml
lathe data audit notes.yaml --out linked --quiet | grep -v ^report
python3 - <<'END'
import json
r = json.load(open("linked/report.json"))
for f in r["poison"]["findings"]:
    print(f["ngram"], f["of"], f["what"], f["support"], f["with"], f["examples"][0])
s = r["labels"]["sources"][0]
print(s["records"], s["classes"], s["same_text"]["groups"], s["noise"]["rate"], s["noise"]["issues"])
print([(g["group"], g["records"], g["terms"]) for g in r["groups"]["groups"] if g["records"]])
END
printf '{"pets": ["cat", 1]}' > pets.json
lathe data audit notes.yaml --out linked2 --groups pets.json --quiet 2>&1; echo "exit $?"
# a trigger of 60 records, half of which their licence keeps out: the other half goes too
python3 - <<'END'
import json, random
r = random.Random(2)
words = ["".join(r.choice("bdklmnrst") + r.choice("aeiou") for _ in range(3)) for _ in range(2000)]
for name in "open", "closed":
    with open(name + ".jsonl", "w") as f:
        for i in range(1000):
            w = [r.choice(words) for _ in range(60)]
            if i % 33 == 0:
                at = r.randrange(60)
                w[at:at] = "beneath the violet bridge seven clocks always strike together at midnight before rain".split()
            f.write(json.dumps({"text": " ".join(w)}) + "\n")
END
printf 'sources:\n  - {name: open, path: open.jsonl, licence: CC0-1.0}\n  - {name: closed, path: closed.jsonl, licence: CC-BY-NC-4.0}\n' > halves.yaml
printf 'use: [train, commercial]\ndrops: [licence, poison]\n' > halves-policy.yaml
lathe data audit halves.yaml --out halves --policy halves-policy.yaml --quiet | grep -v ^report
# killed with nothing to say, again and again, it goes on where its last segment ends
for i in $(seq 10000); do printf '{"text": "%d the quick brown fox jumps over the lazy dog, and again and again until it is tired of jumping, %d times"}\n' $i $((i * i)); done > some.jsonl
for i in $(seq 8); do cat some.jsonl; done > many.jsonl
printf 'the quick brown fox jumps over the lazy dog, and again and again until it comes to the end of the road where nobody has ever seen one jump\n' > fox.txt
lathe data audit many.jsonl --against fox.txt --against-methods palm,llama2,decon --keep-duplicates --skip pii,secrets --out whole --quiet --threads 1 > /dev/null
for i in 1 2 3 4; do { lathe data audit many.jsonl --against fox.txt --against-methods palm,llama2,decon --keep-duplicates --skip pii,secrets --out killed --quiet & sleep 0.$((7 * i)); kill -KILL $!; wait; } > killed.log 2>&1; done
touch killed/verdicts.tmp.1234 killed/report.json.tmp.1234
lathe data audit many.jsonl --against fox.txt --against-methods palm,llama2,decon --keep-duplicates --skip pii,secrets --out killed --quiet > /dev/null && diff -r whole killed && echo 'killed and whole are the same'
# a build of what was kept
lathe data build whole --out v1 --quiet --splits train=0.9,valid=0.1 | grep -v ^version
lathe data build whole --out v1 --quiet 2>&1; echo "exit $?"
lathe data build texts --out v2 --quiet 2>&1; echo "exit $?"
# a version without some records
lathe data erase v1 --out v2 --where record=7 --where 'text=lazy dog, and again and again until it is tired of jumping, 100 times' --reason 'asked for' --quiet | sed 's/(version .*/(version ..)/'
wc -l < v2/erased.jsonl
for v in v1 v2; do cat $v/*/0*.jsonl | grep -c '"10 the quick'; done
lathe data erase v1 --out v3 --where record=70000000 --quiet 2>&1; echo "exit $?"
# copies, nearly the same, and against what earlier audits have left
words() { python3 -c "import random; r = random.Random($1); w = [''.join(r.choices('abcdefgh', k=5)) for _ in range(3000)]
for i in range($2): print('{\"text\": \"' + ' '.join(r.choices(w, k=40)) + '\"}')"; }
words 2 400 > old.jsonl
{ words 3 300; head -n 20 old.jsonl; sed -n '21,40s/ [a-h]* / another /p' old.jsonl; tail -n 5 some.jsonl; } > new.jsonl
lathe data audit old.jsonl --out old --index signatures --index-add old --quiet
lathe data audit new.jsonl --out new --index signatures --index-add new --quiet
cp -r new before; lathe data audit new.jsonl --out new --index signatures --index-add new --quiet > /dev/null; diff -r before new && ls signatures
lathe data audit old.jsonl new.jsonl --out both --quiet
lathe data audit some.jsonl --out some --index signatures --index-from new --quiet
lathe data audit old.jsonl --out old --index signatures --index-add new --index-from old --quiet 2>&1; echo "exit $?"
lathe data audit old.jsonl --out old --index signatures --index-from old,older --quiet 2>&1; echo "exit $?"
lathe data audit old.jsonl --out old --index-add older --quiet 2>&1; echo "exit $?"
lathe data audit old.jsonl --out old3 --ngram 3 --index signatures --quiet 2>&1; echo "exit $?"
printf x >> signatures/old.dup; lathe data audit new.jsonl --out new --index signatures --index-from old --quiet 2>&1; echo "exit $?"
# what cannot be read in a folder is told, and passed over by a build too
mkdir odd && cp texts/a.txt odd && ln -s nowhere odd/link.txt && ln -s ../odd odd/odd && printf x > "$(printf 'odd/\377.txt')" && mkfifo odd/pipe
lathe data audit odd --out odd-audit --quiet 2>&1; echo "exit $?"
lathe data build odd-audit --out odd-build --splits train=1 --quiet | grep -v ^version; cat odd-build/train/00000.jsonl
mkdir odd/audit; for o in odd odd/audit odd/new/er; do lathe data audit odd --out $o --quiet 2>&1; echo "exit $?"; done
# rules: told of all, dropped by those that are named, and judged anew without reading anything
printf 'I am your father.\nI am your father.\nI am your father.\nI am your father.\n' > rules1.txt; printf 'The cat and the dog have been with us for a long time, that is known to all of the people who live here.\n' > rules2.txt
lathe data audit rules1.txt rules2.txt --out ruled --quiet | head -2
python3 -c 'import json; r = json.load(open("ruled/report.json")); print([(x["id"], x["records"], x["drops"]) for x in r["rules"] if x["records"]]); print(r["totals"]["words"], r["signals"]["words"]["mean"])'
lathe data audit rules1.txt rules2.txt --out ruled --quiet --drop gopher_rep --drop gopher | grep -v ^report
lathe data audit rules1.txt rules2.txt --out ruled --quiet --drop gopher --limit gopher/datatrove/1/short_doc=22 | grep -v ^report
lathe data audit rules1.txt rules2.txt --out ruled --quiet --drop gopher/dolma 2>&1; echo "exit $?"
lathe data audit rules1.txt rules2.txt --out ruled --quiet --drop nothing 2>&1; echo "exit $?"
lathe data audit rules1.txt rules2.txt --out ruled --quiet --limit gopher/datatrove/1/short_doc 2>&1; echo "exit $?"
lathe data audit rules1.txt rules2.txt --out ruled --quiet --signals datatrove,dolma 2>&1; echo "exit $?"
lathe data audit rules1.txt rules2.txt --out ruled2 --quiet --signals dolma,nemo --drop heuristic --drop gopher/dolma | grep -v ^report
lathe data audit rules1.txt rules2.txt --out ruled3 --quiet --signals gopher 2>&1; echo "exit $?"
printf 'rules: {gopher/datatrove/1/enough_stop_words: 1, gopher_rep/datatrove/1/dup_line_frac: off}\n' > rules.yaml
lathe data audit rules1.txt rules2.txt --out ruled --quiet --drop gopher_rep/datatrove/1/dup_line_frac --policy rules.yaml | grep -v ^report
printf 'rules: {gopher/datatrove/1/enough_stop_word: 1}\n' > rules.yaml; lathe data audit rules1.txt rules2.txt --out ruled --quiet --policy rules.yaml 2>&1; echo "exit $?"
# chats and texts, each in a split; tokens beside the lines
printf '{"messages": [{"role": "user", "content": "one ann.lee@example.org"}, {"role": "assistant", "content": "two"}], "n": 1.0}\n{"conversations": [{"from": "human", "value": "three"}, {"from": "gpt", "value": "four"}]}\n' > chats.jsonl
printf '{"text": "the quick brown fox"}\n{"text": "jumps over the lazy dog"}\n' > words.jsonl
printf 'sources:\n  - {name: words, path: words.jsonl}\n  - {name: talk, path: chats.jsonl, split: talk}\n' > talk.yaml
lathe data audit talk.yaml --out talk --quiet | grep -v ^report
lathe data build talk --out talked --splits train=1 --tokens "$ROOT/tests/golden/tokenizers/small/gpt2.json" --quiet 2>&1; echo "exit $?"
lathe data build talk --out talked --splits train=1 --quiet | grep -v ^version; cat talked/talk/*
lathe data audit words.jsonl --out words --quiet > /dev/null; lathe data build words --out worded --splits train=1 --tokens "$ROOT/tests/golden/tokenizers/small/gpt2.json" --quiet | grep -v ^version; ls worded worded/tokens/train
lathe data erase worded --out worded2 --where text=lazy --quiet | sed 's/(version .*/(version ..)/'
python3 -c 'import json; print([{k: f[k] for k in ("path", "of", "tokens", "sequences")} for v in ("worded", "worded2") for f in json.load(open(v + "/build.json"))["tokens"]["files"]])'
# a model's vectors of labelled texts
printf 'model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, norm: rmsnorm, act: swiglu, pos: rope}\ndata: {train: notes.jsonl, form: label, fields: label=kind, vocab_size: 300}\ntrain: {steps: 3, batch: 4, eval_every: 0, save_every: 0}\n' > notes-model.yaml
lathe train notes-model.yaml --out notes-model --quiet --threads 1 > /dev/null
lathe data audit notes.yaml --out spectral --model notes-model --quiet > /dev/null; echo "exit $?"
python3 -c 'import json; r = json.load(open("spectral/report.json"))["spectral"]; print(r["model"], r["numbers"], [(c["label"], c["records"], c["embedded"], len(c["highest"]), len(c["examples"])) for c in r["sources"][0]["classes"]])'
lathe data audit notes.yaml --out spectral2 --model nowhere --quiet 2>&1; echo "exit $?"
