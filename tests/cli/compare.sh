# Is a new model worse: models by their predictions, a file of predictions, evaluations that were kept.
. "$ROOT/tests/cli/small_models.bash"
train_answers
for i in $(seq 40); do printf 'Q: hello\nA: hi there\n\nQ: bye\nA: see you\n\n'; done > t.txt
verdict() { python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["verdict"], "by", r["decided_by"], "in", r["unit"]); print(*sorted(r))'; }
# a model is as good as itself, exactly
lathe compare run run --text t.txt --ctx 32 --json --bisect --quiet > same.json; echo "exit $?"
verdict < same.json
python3 - <<'P'
import json
r = json.load(open("same.json")); t = r["texts"][0]
print(t["kl"], t["same_top"], t["perplexity"]["ln_ratio"], t["clusters"], t["n_token"] == t["n_target"] + t["n_cluster"], t["worst"])
print(r["layers"]["first_result"], r["layers"]["kl"], [s["kl"] for s in r["layers"]["stages"]])
P
# one that learned less is worse, and which weights cost most is told
sed 's/steps: 120/steps: 20/' config.yaml > early.yaml
lathe train early.yaml --out early --quiet --threads 1 > said 2>&1
lathe compare run early --text texts --ctx 32 --bisect --bisect-layers 1 --quiet > worse 2> said; echo "exit $?"
cat said; tail -n 1 worse | cut -d: -f1,2
grep -c 'first result that differs: embed.taken (embed)' worse; grep -c '^  layer [01] ' worse; grep -c 'gate_up.w' worse; grep -c '    KL .* | then ' worse
# a file of predictions, as of llama-perplexity's --kl-divergence-base
lathe perplexity run t.txt --ctx 32 --save-logits base.kld --quiet > said
lathe compare base.kld run --json --quiet > kld.json; echo "exit $?"
python3 -c 'import json; t = json.load(open("kld.json"))["texts"][0]; print(abs(t["kl"]["mean"]) < 1e-5, t["same_top"], t["convention"], t["ctx"])'
lathe compare base.kld run --text t.txt 2>&1; echo "exit $?"
# evaluations that were kept
mkdir -p old/m new/m
python3 - <<'P'
import json
def write(path, metric, values, filters=("none",)):
    with open(path, "w") as f:
        for i, v in enumerate(values):
            for x in filters:
                f.write(json.dumps({"doc_id": i, "doc": {"question": f"What is {i} and {i}?"}, "target": str(2 * i), "filtered_resps": [str(2 * i if v else 2 * i + 1)], "filter": x,
                                    "metrics": [metric], "doc_hash": f"{i:04x}", metric: v}) + "\n")
old, new = [i % 4 != 0 for i in range(400)], [i % 4 != 0 for i in range(400)]
for i in range(1, 81, 4): new[i] = False
for i in range(4, 21, 4): new[i] = True
date = "2026-01-31T10-00-00.000001"
write(f"old/m/samples_sums_{date}.jsonl", "exact_match", old, ("strict", "loose"))
write(f"new/m/samples_sums_{date}.jsonl", "exact_match", new, ("strict", "loose"))
write(f"old/m/samples_even_{date}.jsonl", "acc", [1.0] * 50)
write(f"new/m/samples_even_{date}.jsonl", "acc", [1.0] * 40)
P
lathe compare old new --worst 2 --quiet; echo "exit $?"
lathe compare old new --tasks even --quiet; echo "exit $?"
lathe compare old new --tasks even --quiet --gate > said; echo "exit $?"
lathe compare old new --tasks even --margin 0.1 --gate --quiet | tail -n 1; echo "exit $?"
lathe compare new old --json --quiet --correction bh | verdict; echo "exit $?"
# tasks: live and kept are the same, and a loss is shown before all items are done
mkdir m other
cp "$ROOT"/tests/golden/llama/{config.json,model.safetensors} "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
cp m/* other
python3 - <<'P'
import json
b = bytearray(open("other/model.safetensors", "rb").read())
for i in range(8 + int.from_bytes(b[:8], "little"), len(b) - 3, 16): b[i + 3] ^= 128          # every fourth number has the other sign
open("other/model.safetensors", "wb").write(b)
words = ["the cat sat", "the dog ran", "a man ate", "rain on the mat", "the old mill", "it ran to the man"]
with open("choice.jsonl", "w") as f:
    for i in range(216):
        f.write(json.dumps({"q": f"{words[i % 6]} and {words[i // 6 % 6]} {words[i // 36]}", "c": [words[(i + 1) % 6], "a ham", words[(i + 3) % 6]], "y": i % 3}) + "\n")
P
task() {
    printf 'task: %s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s.jsonl}}\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_choice: c\n' $1 $1
    printf 'doc_to_target: y\nmetric_list: [{metric: acc}, {metric: acc_norm}]\nmetadata: {version: 1.0}\n'
}
task choice > choice.yaml; task right > right.yaml
for x in m other; do lathe eval $x --tasks choice.yaml --out kept-$x --log-samples --quiet > said 2>&1; done
lathe compare m other --tasks choice.yaml --metric acc_norm --json --quiet > live.json 2> said
lathe compare kept-m kept-other --metric acc_norm --json --quiet > kept.json 2> said
python3 - <<'P'
import glob, json
live, kept = (json.load(open(f + ".json")) for f in ("live", "kept"))
same = [[r["model_sha256"], r["old_sha256"]] for r in (live, kept)]
print(same[0] == same[1], len(set(same[0])), *(len(s) for s in same[0]))
print(live["tests"] == kept["tests"], live["tests"][0]["n"])
right = [json.loads(l) for l in open(glob.glob("kept-m/samples_choice_*.jsonl")[0])]
items = open("choice.jsonl").readlines()
open("right.jsonl", "w").writelines(items[s["doc_id"]] for s in right if s["acc_norm"] == 1)
P
lathe compare m other --tasks right.yaml --metric acc_norm --quiet > said 2> talk; echo "exit $?"
cat talk; grep -c 'item .*: 1 -> 0' said
lathe compare m other --tasks right.yaml --metric acc_norm --sequential --json --quiet > soon.json 2> talk; echo "exit $?"
python3 -c 'import json; t = json.load(open("soon.json"))["tests"][0]; print(t["verdict"], t["stopped_at"] == t["n"] < sum(1 for l in open("right.jsonl")) / 2, t["p"] <= 0.05, t["counts"]["new_alone"])'
lathe compare m m --tasks right.yaml --sequential --quiet --margin 0.2 | tail -n 1
# what cannot be compared
lathe compare old run 2>&1; echo "exit $?"
lathe compare old new --metric f1 2>&1; echo "exit $?"
lathe compare old new --tasks odd 2>&1; echo "exit $?"
lathe compare old new --alpha 0 2>&1; echo "exit $?"
lathe compare run nowhere 2>&1; echo "exit $?"
echo '--- a task whose first filter one of them has not is compared by the next'
mkdir a b
line() { for i in 0 1 2 3; do echo "{\"doc_id\": $i, \"filter\": \"$1\", \"metrics\": [\"acc\"], \"acc\": $2, \"doc_hash\": \"$i\"}"; done; }
{ line strict 1.0; line loose 1.0; line last 1.0; } > a/samples_t_2026-01-31T10-00-00.1.jsonl
{ line loose 1.0; line last 1.0; } > b/samples_t_2026-01-31T10-00-00.1.jsonl
lathe compare a b 2>&1 | grep '^t \|alone\|not tested\|error'
