# A run that is killed at any stage, and at any moment, ends with what one has that nobody disturbed, when it is given again.
mkdir texts
awk 'BEGIN { srand(7); n = split("the a small old red dog house man river ran said saw took left under over with and of to again never", w)
    for (i = 1; i <= 8; i++) for (j = 0; j < 60; j++) { s = ""; for (k = 0; k < 12; k++) s = s w[int(rand() * n) + 1] " "; print s "." > "texts/" i ".txt" } }'
cat > config.yaml <<'YAML'
model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2, norm: rmsnorm, act: swiglu, pos: rope, tie_word_embeddings: true, intermediate_size: 32}
data: {train: life.run/build/out/train, valid_share: 0.2, tokenizer: bytes}
train: {steps: 40, batch: 2, ctx: 32, lr: 1e-3, save_every: 5, eval_every: 0}
YAML
cat > life.yaml <<'YAML'
stages:
  audit: {run: data audit texts, gate: warn}
  card: {run: data card $(audit)}
  build: {run: data build $(audit)}
  train: {run: train config.yaml}
  ppl: {run: perplexity $(train) texts/1.txt, options: {ctx: 32}}
  data: {run: registry add texts texts, options: {registry: registry, kind: data}}
  add: {run: registry add dogs $(train), options: {registry: registry, from: [texts@$(data.number)]}}
  promote: {run: registry promote dogs@$(add.number), options: {registry: registry, reason: it is there}}
  docs: {run: registry documents dogs@$(add.number), options: {registry: registry}}
YAML
stages='audit card build train ppl data add promote docs'
# What does not tell of times: the data, and the weights that came of them.
digests() { (cd life.run && find audit/out card/out build/out train/out/model.safetensors train/out/tokenizer.json train/out/config.json docs/out -type f -exec sha256sum {} + | sort -k 2 | grep -v ' docs/out' ; find docs/out -type f | sort); }
lathe run life.yaml --quiet 2> /dev/null | sed 's/, in .*//'
digests > undisturbed
echo '--- what a kill leaves: a record that says it runs, parts of files, no result'
for stage in $stages; do
    sed -i 's/"state": "done"/"state": "running"/' life.run/$stage/stage.json
    rm life.run/$stage/result.json
    [ ! -d life.run/$stage/out ] || echo part > life.run/$stage/out/README.md.tmp.4711
    lathe run life.yaml --quiet 2> talk | sed 's/: [0-9]* of.*/ went on/' || cat talk
    digests | grep -v 'train/out/README.md.tmp\|audit/out/README.md.tmp' | diff undisturbed - || echo "$stage: other digests"
done
echo '--- killed at random moments, itself and the stage that it runs'
cat > kills.py <<'P'
import os, random, signal, subprocess, time
random.seed(3)
n = 0
subprocess.run(["rm", "-rf", "life.run", "registry"])
while True:
    p = subprocess.Popen(["lathe", "run", "life.yaml", "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        p.wait(random.random() ** 2 * 0.3 if n < 60 else None)
    except subprocess.TimeoutExpired:
        try:
            own = [int(x) for x in open(f"/proc/{p.pid}/task/{p.pid}/children").read().split()]
        except OSError:
            own = []
        for pid in random.choice([[p.pid], own, [p.pid] + own]):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        said = p.communicate()[1]
        n += 1
        continue
    said = p.communicate()[1]
    if p.returncode == 0:
        break
    if "signal 9" not in said:
        print("it does not go on:", said)
        break
P
python3 kills.py
digests | diff undisturbed - && echo 'the same digests'
lathe registry verify --registry registry > verified || cat verified
lathe registry list --registry registry | sed 's/,[^,]* [kM]*B//'
