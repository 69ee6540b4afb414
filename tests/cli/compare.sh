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
# what cannot be compared
lathe compare old run 2>&1; echo "exit $?"
lathe compare old new --metric f1 2>&1; echo "exit $?"
lathe compare old new --tasks odd 2>&1; echo "exit $?"
lathe compare old new --alpha 0 2>&1; echo "exit $?"
lathe compare run nowhere 2>&1; echo "exit $?"
