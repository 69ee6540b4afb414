# Benchmark tasks that are due: never run, changed, and run; what is known of each, and what the data hold of it.
say() { "$@" > said 2> talk; local rc=$?; cat said; sed "s|$PWD/||g" talk; echo "exit $rc"; }
cat > task.py <<'END'
import json, random, sys
name, version, n = sys.argv[1:4]
with open(f"tasks/{name}.yaml", "w") as f:
    f.write(f"""task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}"
doc_to_target: y
doc_to_choice: [number, text]
metric_list: [{{metric: acc}}]
metadata:
  version: {version}
  saturation: {{added: 2026-11-0{len(name)}, chance: 0.5, human: 0.9, human_source: "by hand", best: 0.{len(name)}7, best_source: "a list", best_date: 2026-10-01}}
""")
with open(f"tasks/{name}.jsonl", "w") as f:
    r = random.Random(name)
    for i in range(int(n)):
        print(json.dumps({"q": " ".join("".join(r.choices("abdeiklmnorstu", k=4)) for _ in range(16)) + "?", "y": i % 2}), file=f)
END
mkdir tasks
python3 task.py even 1.0 6
python3 task.py oddities 1.0 4
. "$ROOT/tests/cli/small_models.bash"
train_anything 256
due() { say lathe eval run --due --include-path tasks --out results --quiet "$@" | sed -E 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}$/DAY/; s/^[0-9]+ more tasks.*/more tasks have no data/; s/ +$//'; }
grep_due() { grep -E '^(task|even|oddities|more|[0-9]+ of|exit|lathe)'; }
echo '--- never run'
due --list | grep_due
ls results 2> /dev/null
echo '--- one of them is run'
due --tasks even | grep -E '^(even|[0-9]+ of|exit)|acc' | sed -E 's/(acc +).*/\1 ../'
ls results | sed -E 's/_20.*\./_DATE./'
echo '--- the other'
due | grep -E '^(even|oddities|[0-9]+ of|exit)' | grep -v acc | sed -E 's/ \|.*//'
echo '--- nothing'
due | grep_due
echo '--- changed'
python3 task.py even 1.1 6
python3 task.py oddities 1.0 5
due --list | grep_due
echo '--- what the data hold'
cat tasks/even.jsonl | python3 -c 'import json, sys
for i, l in enumerate(sys.stdin):
    print(json.dumps({"text": json.loads(l)["q"] if i < 3 else f"another text of number {i}, about something else that nobody asks for"}))' > data.jsonl
cp tasks/even.jsonl even.jsonl
lathe data audit data.jsonl --out audit --against even.jsonl --against-fields question=q,answer=y --quiet > /dev/null 2>&1; echo "audit $?"
due --list --contamination audit | grep_due
due --list --json --contamination audit | head -n -1 | python3 -c 'import json, sys
t = json.load(sys.stdin)["tasks"]
for name in ("even", "oddities"):
    print(name, t[name]["due"], t[name]["state"], t[name]["leaked"] and (t[name]["leaked"]["by"], t[name]["leaked"]["items_hit"], t[name]["leaked"]["items"]))'
echo '--- the list'
lathe eval --tasks list --include-path tasks | grep -E '^(task|hellaswag|even|blimp|mmlu|lambada)' | cut -c 1-96 | sed 's/ *$//'
lathe eval --tasks list --include-path tasks --json | python3 -c 'import json, sys; t = json.load(sys.stdin); print(t["hellaswag"]["best_source"], t["even"]["state"], t["oddities"]["added"])'
echo '--- what nobody named and cannot be asked is counted'
sed 's/^task: even/task: beams/; s/^output_type: .*/output_type: generate_until\ngeneration_kwargs: {num_beams: 4}/; s/{metric: acc}/{metric: exact_match}/; /^doc_to_choice/d' tasks/even.yaml > tasks/beams.yaml
due --list | grep_due
due --list --json | head -n -1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["cannot_be_asked"])'
say lathe eval run --due --tasks beams --list --include-path tasks --out results --quiet
rm tasks/beams.yaml
echo '--- refused'
say lathe eval run --due
say lathe eval --due --out results
say lathe eval run --list --tasks even
say lathe eval run --due --list --out results --contamination results --include-path tasks --quiet
sed -i 's/best: 0.47/best: 47/' tasks/even.yaml
say lathe eval run --due --list --out results --include-path tasks --quiet
