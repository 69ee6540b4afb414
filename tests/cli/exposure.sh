# An erasure shown by canaries: a model that has learned them, and one that was trained anew without them.
lathe data exposure canaries.jsonl --make 6 --seed 5 && head -n 2 canaries.jsonl
lathe data exposure canaries.jsonl --make 6 2>&1; echo "exit $?"
python3 - <<'END' > notes.jsonl
import json, random
r = random.Random(1)
words = ["".join(r.choice("bdklmnrst") + r.choice("aeiou") for _ in range(3)) for _ in range(300)]
for i in range(200):
    print(json.dumps({"text": " ".join(r.choices(words, k=12)) + ".", "author": f"user-{i % 20}"}))
END
printf 'sources:\n  - {name: notes, path: notes.jsonl, group: author, split: train}\n  - {name: canaries, path: canaries.jsonl, group: canary, split: train}\n' > data.yaml
lathe data audit data.yaml --out audit --quiet | grep -v ^report
lathe data build audit --out data-v1 --splits train=1 --weights canaries=30 --quiet | grep -v ^version
for v in 1 2; do cat > v$v.yaml <<END
model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 128}
data: {train: data-v$v/train, valid_share: 0, tokenizer: bpe, vocab_size: 300}
train: {steps: 200, batch: 8, ctx: 64, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32, on_spike: none}
END
done
lathe train v1.yaml --out run-v1 --quiet --threads 1 > /dev/null
lathe data erase data-v1 --out data-v2 --where author=user-17 --where source=canaries --reason 'request of 3 May' --runs . --quiet | sed 's/(version .*/(version ..)/; s/take about .*/take about ../'
lathe train v2.yaml --out run-v2 --quiet --threads 1 > /dev/null
lathe data exposure canaries.jsonl run-v1 run-v2 --samples 63 --quiet | sed 's/exposure .*)/exposure/; s/p = .*:/p:/; s/, p = .*//'
lathe data exposure canaries.jsonl run-v1 run-v2 --samples 63 --quiet --json | python3 -c 'import json, sys; a, b = json.load(sys.stdin)["models"]; print([c["rank"] for c in a["canaries"]], a["p"] < 1e-4, b["p"] > 0.01)'
lathe data exposure notes.jsonl run-v1 2>&1; echo "exit $?"
lathe data exposure canaries.jsonl 2>&1; echo "exit $?"
