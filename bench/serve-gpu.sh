#!/bin/bash
# serve-gpu.sh: serves a model of random weights on a GPU, checks its texts, and measures it at 1, 16 and 64 users.  Usage: serve-gpu.sh [device, default cuda:0] [MODEL]
# Needs lathe (LATHE names it, else ../lathe) and Python.  Without MODEL one is made on the spot, of Llama-3.2-1B's shape, in /dev/shm.  Writes $OUT/serve-*.txt and serve.log.
set -u
cd "$(dirname "$0")" || exit 1
device=${1:-cuda:0} out=${OUT:-.} lathe=${LATHE:-../lathe} work=$(mktemp -d /dev/shm/serve-gpu.XXXXXX)
trap 'kill $server 2> /dev/null; rm -rf "$work"' EXIT
model=${2:-$work/model} server=
[ $# -gt 1 ] || { echo "== a model"; time python3 random_llama.py "$model" || exit 1; }
prompt='The same request with the same seed gives the same bytes, whatever else is being answered;'
echo "== generate"; time $lathe generate "$model" -p "$prompt" -n 32 --temp 0 --quiet --device "$device" --ctx 512 > "$work/text" || exit 1
echo "== serve"
$lathe serve "$model" --name m --device "$device" --parallel 64 --cache 4096 --ctx 2048 --port 0 --port-file "$work/port" > "$out/serve.log" 2>&1 &
server=$!
for _ in $(seq 600); do [ -s "$work/port" ] && break; kill -0 $server 2> /dev/null || { cat "$out/serve.log"; exit 1; }; sleep 0.1; done
cat "$out/serve.log"
cat > "$work/ask.py" <<'P'
import json, sys, threading, urllib.request
port, prompt, text = open(sys.argv[1] + "/port").read().strip(), sys.argv[2], open(sys.argv[1] + "/text", errors="replace").read().removesuffix("\n")
def ask(prompt, **more):
    r = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps({"model": "m", "prompt": prompt, "max_tokens": 32, "temperature": 0, **more}).encode())
    return json.loads(urllib.request.urlopen(r, timeout=120).read())
def say(prompt, **more): return ask(prompt, **more)["choices"][0]["text"]
first = ask(prompt)
print("the text of generate:", first["choices"][0]["text"] == text, "| from the cache:", say(prompt) == text, "|", first["system_fingerprint"])
wishes = [(f"{i} {prompt}" if i % 3 else prompt, {"temperature": i % 2, "seed": i, **({"logprobs": 1} if i % 4 == 3 else {})}) for i in range(24)]
alone, together = [say(p, **m) for p, m in wishes], [None] * 24
def one(i): together[i] = say(wishes[i][0], **wishes[i][1])
threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
[t.start() for t in threads]; [t.join() for t in threads]
print("24 beside each other as alone:", alone == together)
plain, scored = (say(prompt, temperature=1, seed=3, **m) for m in ({}, {"logprobs": 1}))
print("the same drawn here and there:", plain == scored)
print(*[l for l in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode().split("\n") if l.startswith("lathe:device")], sep="\n")
P
python3 "$work/ask.py" "$work" "$prompt"
for users in 1 16 64; do
    echo "== $users users"
    $lathe bench serve "http://127.0.0.1:$(cat "$work/port")" --users $users --requests $((users == 1 ? 4 : users * 3)) --input 128 --output 64 --ignore-eos 2>&1 | tee "$out/serve-$users.txt"
done
