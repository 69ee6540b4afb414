# A server on an emulated MI300X (tests/emu/hip_mock.c): the texts of lathe generate on it, alone, beside others and from the cache; what is refused; a device that is lost.
. "$ROOT/tests/cli/small_models.bash"
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd
mkdir -p kfd/0
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\n' > kfd/0/properties
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 400 > text.txt
cat > config.yaml <<'Y'
model: {model_type: llama, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 48, max_position_embeddings: 128}
data: {train: text.txt, valid_share: 0.1, vocab_size: 264}
train: {steps: 40, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --threads 1 > /dev/null
prompt='the quick brown fox jumps over the lazy dog and then'
for device in cpu hip:0; do
    lathe generate run -p "$prompt" -n 8 --temp 0 --quiet --device $device > greedy-$device
    lathe generate run -p "$prompt" -n 8 --temp 0.8 --top-k 3 --seed 5 --quiet --device $device > drawn-$device
done
cat > ask.py <<'P'
import http.client, json, sys, threading
PORT, PROMPT = int(open("port").read()), "the quick brown fox jumps over the lazy dog and then"
def get(path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=300)
    c.request("POST" if body else "GET", path, json.dumps(body) if body else None)
    r = c.getresponse()
    return r.status, r.read().decode()
def text(device, kind): return open(f"{kind}-{device}").read().removesuffix("\n")
def wish(kind, **more): return dict({"model": "run", "prompt": PROMPT, "max_tokens": 8, **({"temperature": 0} if kind == "greedy" else {"temperature": 0.8, "top_k": 3, "seed": 5})}, **more)
def one(kind, **more): return json.loads(get("/v1/completions", wish(kind, **more))[1])
def gauges(*names): return [l for l in get("/metrics")[1].split("\n") if l.startswith(tuple(names))]
P
serve() { rm -f port; lathe serve "$@" --port 0 --port-file port --threads 1 --parallel 4 --step-tokens 16 > log 2>&1 & wait_for_server; }
stop() { kill $server; wait $server; }

echo '--- the texts of generate'
serve run --device hip:0
grep -o 'run is on hip:0 (AMD Instinct MI300X, emulated, gfx942)' log
cat > test.py <<'P'
from ask import *
for kind in "greedy", "drawn":
    for i in range(2):
        r = one(kind)
        print(kind, r["choices"][0]["text"] == text("hip:0", kind) or (r["choices"][0]["text"], text("hip:0", kind)), "cached", r["usage"]["prompt_tokens_details"]["cached_tokens"] > 0, r["system_fingerprint"][:13])
got = [None] * 8
def go(i): got[i] = one(["greedy", "drawn"][i % 2], **({"prompt": "a fox and " * i} if i > 3 else {}))["choices"][0]["text"]
threads = [threading.Thread(target=go, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print("beside others", got[:4] == [text("hip:0", k) for k in ("greedy", "drawn", "greedy", "drawn")])
print("each as alone", all(got[i] == one(["greedy", "drawn"][i % 2], prompt="a fox and " * i)["choices"][0]["text"] for i in range(4, 8)))
print("drawn there as here", all(one("drawn", seed=i)["choices"][0]["text"] == one("drawn", seed=i, logprobs=1)["choices"][0]["text"] for i in range(4)))
print(*gauges("lathe:device_info", "lathe:device_lost"), sep="\n")
P
python3 test.py
stop

echo '--- one of two'
serve a=run b=run --device hip:0 --device b=cpu
cat > test.py <<'P'
from ask import *
for m in "a", "b":
    r = one("greedy", model=m)
    print(m, r["choices"][0]["text"] == text({"a": "hip:0", "b": "cpu"}[m], "greedy"), "gfx942" in r["system_fingerprint"])
print(*gauges("lathe:device_info"), sep="\n")
P
python3 test.py | sed 's/arch="avx[^"]*"/arch="..."/; s/arch="ref"/arch="..."/'
stop

echo '--- refused'
say() { lathe serve "$@" --port 0 2>&1 | sed -E 's/[0-9.]+ [kM]?B/N kB/g'; echo "exit ${PIPESTATUS[0]}"; }
say run --device gpu:0
say run --device hip:7
say run --device other=hip:0
say run --device hip:0 --device cpu
say run --device hip:0 --adapter a=run
say run --device hip:0 --foretell
say run --device hip:0 --kv int8
HIP_MOCK_BYTES=500000 say run --device hip:0
HIP_MOCK_BYTES=500000 say run --device hip:0 --fit
lathe generate run -p 'the' -n 1 --temp 0 --quiet --device hip:0 > /dev/null
HIP_MOCK_BYTES=90000000 serve run --device hip:0 --fit
sed -E 's/[0-9.]+ [kM]?B/N kB/g' log | grep 'weights and steps' | sed -E 's/[0-9]+ pages/N pages/'
stop

echo '--- lost in the middle'
HIP_MOCK_FAIL=1000 serve run --device hip:0
cat > test.py <<'P'
from ask import *
import time
print(one("greedy")["choices"][0]["text"] == text("hip:0", "greedy"))
status, raw = 200, ""
for i in range(100):
    status, raw = get("/v1/completions", wish("greedy", prompt=f"{i} {PROMPT}"))
    if status != 200: break
print(status, json.loads(raw)["error"]["message"].split(":")[0], json.loads(raw)["error"]["message"].split(": ")[-1])
while get("/ready")[0] != 200: time.sleep(0.05)
for kind in "greedy", "drawn":
    r = one(kind)
    print(kind, r["choices"][0]["text"] == text("cpu", kind), r["usage"]["prompt_tokens_details"]["cached_tokens"], "gfx942" in r["system_fingerprint"])
print(*gauges("lathe:device_lost", "lathe:device_bytes"), sep="\n")
P
python3 test.py
grep -o 'warning: .*' log | sed -E 's/after [0-9.]+ [mu]?s/after .../'
stop

echo '--- lost, and no room here'
HIP_MOCK_FAIL=200 serve run --device hip:0 --memory 0.0015
cat > test.py <<'P'
from ask import *
for i in range(100):
    status, raw = get("/v1/completions", wish("greedy", prompt=f"{i} {PROMPT}"))
    if status != 200: break
print(status)
P
python3 test.py || kill $server
wait $server; echo "exit $?"
grep -o -e 'warning: .*' -e 'lathe serve: .*' log | sed -E 's/[0-9.]+ [kM]?B/N kB/g'
