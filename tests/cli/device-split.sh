# Models that do not fit on an emulated MI300X (tests/emu/hip_mock.c): the last layers there, the first on the CPU, experts on the CPU: the host's tokens, what is told, what is refused.
. "$ROOT/tests/cli/small_models.bash"
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd HIP_MOCK_COUNT=$PWD/count
mkdir -p kfd/0 kfd/1
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\n' | tee kfd/1/properties > kfd/0/properties
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 400 > text.txt
cat > dense.yaml <<'Y'
model: {model_type: llama, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 48, max_position_embeddings: 64}
data: {train: text.txt, valid_share: 0.1, vocab_size: 264}
train: {steps: 40, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
sed 's/num_hidden_layers: 4/num_hidden_layers: 2/; s/intermediate_size: 48/norm: rmsnorm, act: swiglu, pos: rope, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 32/; s/model_type: llama, //' dense.yaml > moe.yaml
for m in dense moe; do lathe train $m.yaml --out $m --quiet --threads 1 > /dev/null; done
prompt='the quick brown fox jumps'
say() { lathe "$@" 2>&1 | sed -E 's/[0-9.]+ [kM]?B/N kB/g'; echo "exit ${PIPESTATUS[0]}"; }
tokens() { lathe generate "$@" -p "$prompt" -n 10 --temp 0 --quiet 2> told | cmp cpu - && echo "$* ${HIP_MOCK_BYTES:+fitted }: the same text, $(sed 's/[0-9]* launches, //' count)"; sed -E 's/[0-9.]+ [kM]?B/N kB/g' told; }

echo '--- layers'
lathe generate dense -p "$prompt" -n 10 --temp 0 --quiet > cpu
for n in 1 3 4; do tokens dense --device hip:0 --device-layers $n; done
HIP_MOCK_LATE=1 tokens dense --device hip:0 --device-layers 2 --lookup 4
HIP_MOCK_BYTES=170000 tokens dense --device hip:0
lathe generate dense -p "$prompt" -n 2 --device hip:0 --device-layers 3 2>&1 > /dev/null | grep layers | sed -E 's/[0-9.]+ [kM]?B/N kB/g'

echo '--- experts'
lathe generate moe -p "$prompt" -n 10 --temp 0 --quiet > cpu
for n in 1 2; do tokens moe --device hip:0 --cpu-experts $n; done
tokens moe --device hip:0 --cpu-experts 2 --device-layers 1

echo '--- a limit is not known'
lathe bench dense -p 8 -n 2 -r 1 --device hip:0 --device-layers 2 2> /dev/null | sed -E 's/[0-9.]+ \+- [0-9.]+/N +- N/; s/ +/ /g'

echo '--- refused'
HIP_MOCK_BYTES=20000 say generate dense -p the -n 2 --quiet --device hip:0
HIP_MOCK_BYTES=170000 say generate dense -p the -n 2 --quiet --device hip:0 --device-layers 4
say generate dense -p the -n 2 --quiet --device hip:0 --device-layers 5
say generate dense -p the -n 2 --quiet --device hip:0 --cpu-experts 1
say generate dense -p the -n 2 --quiet --device-layers 2
HIP_MOCK_DEVICES=2 say generate dense -p the -n 2 --quiet --device hip:0,1 --device-layers 2
say serve dense --port 0 --device-layers 2
say bench --limits --device-layers 2
say bench serve http://127.0.0.1:9 --cpu-experts 1
say serve moe --port 0 --device hip:0 --cpu-experts 2 --fit --memory 0.00005

echo '--- served'
cat > ask.py <<'P'
import http.client, json, sys, time
def one(**more):
    c = http.client.HTTPConnection("127.0.0.1", int(open("port").read()), timeout=300)
    c.request("POST", "/v1/completions", json.dumps(dict({"model": "dense", "prompt": "the quick brown fox jumps", "max_tokens": 10, "temperature": 0}, **more)))
    return json.loads(c.getresponse().read())
if sys.argv[1:]:                         # until the device is lost, and the model is here
    while "gfx942" in one(prompt=str(time.time())).get("system_fingerprint", "gfx942"): time.sleep(0.05)
    print(one()["choices"][0]["text"] == open("cpu").read().removesuffix("\n"))
    sys.exit()
a, b = one(), one()
before = open("whole").read()
print(a["choices"][0]["text"] == open("cpu").read().removesuffix("\n"), b["choices"][0]["text"] == a["choices"][0]["text"], not before or a["system_fingerprint"] != before)
open("whole", "w").write(a["system_fingerprint"])
P
lathe generate dense -p "$prompt" -n 10 --temp 0 --quiet > cpu
: > whole
for more in "" "--device-layers 1" "--fit"; do
    rm -f port
    HIP_MOCK_BYTES=$([ "$more" = --fit ] && echo 67438864 || echo 1000000000) lathe serve dense --device hip:0 --port 0 --port-file port --threads 1 --parallel 4 --step-tokens 16 $more > log 2>&1 & wait_for_server
    python3 ask.py
    grep -o -e '[0-9] of 4 layers on hip:0.*' -e 'warning: dense does not fit.*' log | sed -E 's/[0-9.]+ [kM]?B/N kB/g; s/[0-9]+ pages/N pages/'
    kill $server; wait $server
done

echo '--- fitted: steps keep their tokens where fewer do not make it whole'
rm -f port
HIP_MOCK_BYTES=85108864 lathe serve dense --device hip:0 --port 0 --port-file port --threads 1 --parallel 4 --fit --cache 20 > log 2>&1 & wait_for_server
grep -o 'dense: [0-9] of 4 layers on hip:0.*steps of [0-9]* tokens[^;]*' log | sed -E 's/[0-9.]+ [kM]?B/N kB/g'
kill $server; wait $server

echo '--- fitted: experts here are told'
rm -f port
lathe serve moe --device hip:0 --port 0 --port-file port --threads 1 --parallel 4 --fit --cpu-experts 2 > log 2>&1 & wait_for_server
grep -o '[0-9] of 2 layers on hip:0.*a page; of' log | sed -E 's/[0-9.]+ [kM]?B/N kB/g'
kill $server; wait $server

echo '--- beside another version: whole or not at all'
export LATHE_REGISTRY=$PWD/registry LATHE_ACTOR=someone
cp -r dense dense2; echo '{"top_k": 2}' > dense2/generation_config.json
for m in dense dense2; do lathe registry add dense $m --no-facts --quiet > /dev/null 2>&1; done
lathe registry promote dense@1 --reason first --quiet > /dev/null 2>&1
rm -f port
HIP_MOCK_BYTES=12000000 lathe serve dense@production --device hip:0 --port 0 --port-file port --threads 1 --parallel 4 --step-tokens 16 > log 2>&1 & wait_for_server
for more in '' --swap; do lathe registry promote dense@2 --reason better $more 2>&1 | tail -n 1 | sed -E 's/[0-9.]+ [kM]?B/N kB/g; s/[^ ]*:process-[0-9]+/SERVER/'; done
grep -o -e '[0-9] of 4 layers on hip:0.*' -e 'dense@2: [fsi].*' log | sed -E 's/[0-9.]+ [kM]?B/N kB/g; s/of [0-9.]+ m?s, where [0-9.]+/of N s, where N/; s/about [0-9.]+ /about N /'
kill $server; wait $server
echo '--- lost'
rm -f port
HIP_MOCK_FAIL=700 lathe serve dense --device hip:0 --port 0 --port-file port --threads 1 --parallel 4 --step-tokens 16 --device-layers 2 > log 2>&1 & wait_for_server
python3 ask.py lost
grep -o 'warning: dense: hip:0 is lost.*' log
kill $server; wait $server
