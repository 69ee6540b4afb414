# Stages of one file: what runs, why, and what does not; gates, a server that stays, kills, bad files.
mkdir texts
for i in 1 2 3 4 5 6 7 8; do
    for j in $(seq 60); do echo "the $i small dogs ran $j times round the house and said nothing of it"; done > texts/$i.txt
done
cat > config.yaml <<'YAML'
model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2, norm: rmsnorm, act: swiglu, pos: rope, tie_word_embeddings: true, intermediate_size: 32}
data: {train: texts, valid_share: 0.2, tokenizer: bytes}
train: {steps: 4, batch: 2, ctx: 32, lr: 1e-3, save_every: 1}
YAML
cat > lathe.yaml <<'YAML'
name: dogs
stages:
  serve: {run: serve $(train), stays: true, options: {port: 0}}
  ppl: {run: "perplexity $(train) texts/1.txt", options: {ctx: 32}}
  audit: {run: data audit texts, options: {policy: default}, gate: warn}
  train: {run: train config.yaml, needs: [audit]}
YAML
tidy() { sed -E 's/(took|expected|in) [0-9.]+ (ms|us|s)/\1 TIME/'; }
run() { lathe run --quiet "$@" 2> talk | tidy; local rc=${PIPESTATUS[0]}; sed -E 's/(took|expected|in) [0-9.]+ (ms|us|s)/\1 TIME/' talk; echo "exit $rc"; }
echo '--- what would run'
run --dry-run | sed 's/; .*//'
echo '--- all of it'
run
ls dogs.run dogs.run/train | grep -v digests.json      # which are kept only of files that are older than a moment
curl -s "$(sed -E 's/.*"url": "([^"]*)".*/\1/' dogs.run/serve/result.json)/health"; echo
echo '--- nothing changed'
before=$(cat dogs.run/serve/result.json)
run
[ "$before" = "$(cat dogs.run/serve/result.json)" ] && echo 'the server is the same'
echo '--- a text changed'
echo 'the last dog slept' >> texts/3.txt
run --dry-run | sed 's/; .*//'
run
echo '--- only what the perplexity reads'
run --from ppl
echo '--- the server is ended'
run --stop
run --dry-run | sed 's/; .*//'
run --until train
echo '--- killed while it trains: no other run meanwhile, and the same goes on from its checkpoint'
sed -i 's/steps: 4/steps: 12000/; s/save_every: 1/save_every: 2000, eval_every: 0/' config.yaml
rm -r dogs.run/train/out
lathe run --quiet --until train 2> /dev/null & pid=$!
until [ -e dogs.run/train/out/checkpoints/latest ]; do sleep 0.02; done
run | sed 's/ is in use.*/ is in use/'
run --dry-run --until train | sed 's/; .*//'
kill -9 $pid; wait $pid 2> /dev/null
run --until train
grep -E -o 'going on from step|step 12000: held-out loss' dogs.run/train/log
echo '--- a signal of the terminal, which comes to all of its group: the training saves, and the same goes on'
sed -i 's/seed: 1//; s/lr: 1e-3/lr: 2e-3/' config.yaml
setsid sh -c 'trap "" TERM; exec lathe run --quiet --until train' 2> /dev/null & pid=$!
until grep -q running dogs.run/train/stage.json && [ -e dogs.run/train/out/metrics.jsonl ]; do sleep 0.02; done
kill -INT -- -$pid; wait $pid; echo "exit $?"
ls dogs.run/train/out/checkpoints/latest
run --until train
grep -c 'going on from step' dogs.run/train/log
echo '--- --stop ends a run that is at work, and the same goes on'
sed -i 's/lr: 2e-3/lr: 3e-3/' config.yaml
lathe run --quiet --until train 2> /dev/null & pid=$!
until grep -q running dogs.run/train/stage.json && [ -e dogs.run/train/out/metrics.jsonl ]; do sleep 0.02; done
run --stop
wait $pid; echo "exit $?"
run --until train
grep -c 'going on from step' dogs.run/train/log
echo '--- killed while a server begins: the next run has it'
printf 'stages:\n  s: {run: serve dogs.run/train/out, stays: true, options: {port: 0}}\n' > one.yaml
lathe run one.yaml --quiet 2> /dev/null & pid=$!
until grep -q '"pid"' one.run/s/stage.json 2> /dev/null; do :; done
kill -9 $pid; wait $pid 2> /dev/null
run one.yaml --stop
pgrep -f one.run/s/port > /dev/null || echo 'it does not run'
echo '--- a server with a port file of its own'
printf 'stages:\n  s: {run: serve dogs.run/train/out, stays: true, options: {port: 0, port-file: $(this)/own}}\n' > own.yaml
timeout 60 lathe run own.yaml --quiet | tidy
[ "$(cat own.run/s/out/own)" = "$(sed -E 's/.*"port": ([0-9]*).*/\1/' own.run/s/result.json)" ] && echo 'its port is known'
run own.yaml --stop
echo '--- where a server answers is told to the stages after it'
echo '{"prompt": "the 1 small dogs"}' > asked.jsonl
printf 'stages:\n  s: {run: serve dogs.run/train/out, stays: true, options: {port: 0, host: 127.0.0.2}}\n  q: {run: bench serve $(s.url), options: {prompts: asked.jsonl, requests: 2, output: 2, warmup: 0}}\n' > two.yaml
run two.yaml
grep -o 'http://[^"]*' two.run/q/stage.json | sed 's/:[0-9]*$/:PORT/'
run two.yaml --stop
echo '--- folders of others are not removed; a stage may write files of its own'
mkdir -p mine.run/a/out; echo mine > mine.run/a/out/file
printf 'stages:\n  a: {run: data audit texts}\n' > mine.yaml
run mine.yaml
cat mine.run/a/out/file
printf 'stages:\n  q: {run: report dogs.run/train/out, options: {out: $(this)/page.html}}\n' > q.yaml
run q.yaml
run q.yaml
ls q.run/q/out
echo '--- a stage that fails, and one that is refused'
printf 'stages:\n  a: {run: perplexity nowhere texts/1.txt}\n' > bad.yaml
run bad.yaml
run bad.yaml --dry-run
printf 'stages:\n  a: {run: data audit texts, options: {policy: default}}\n' > gate.yaml
run gate.yaml
echo '--- files that are wrong'
printf 'stages: {a: {run: train x, options: {treads: 3}}}' > bad.yaml; run bad.yaml
printf 'stages: {a: {run: trian x}}' > bad.yaml; run bad.yaml
printf 'stages: {a: {run: version, needs: [b]}, b: {run: version, needs: [a]}}' > bad.yaml; run bad.yaml
printf 'stages: {a: {run: version, wants: [b]}}' > bad.yaml; run bad.yaml
printf 'stages: {a: {run: version, stays: true}}' > bad.yaml; run bad.yaml
for c in report sign 'data gate'; do printf "stages: {a: {run: data audit texts}, b: {run: $c \$(a)}}" > bad.yaml; run bad.yaml; done
run nowhere.yaml
run --from nothing
run --from train --until audit
echo '--- the example: its commands, options and references are there, its text is not'
run "$ROOT/examples/life.yaml" --dry-run | sed "s|$ROOT/||"
