# A version that does not load, or has no room, leaves the alias where it was; with --swap it takes the place, while requests wait; a database that is away changes nothing.
. "$ROOT/tests/cli/small_models.bash"
train_answers
export LATHE_REGISTRY=$PWD/registry LATHE_ACTOR=someone
for i in 2 3; do cp -r run run$i; echo "{\"top_k\": $i}" > run$i/generation_config.json; done
cp -r run run4 && python3 - <<'P'
import json
t = json.load(open("run4/tokenizer.json"))
v = t["model"]["vocab"]
for i in range(4000): v["<more%d>" % i] = len(v)
json.dump(t, open("run4/tokenizer.json", "w"))
P
for d in run run2 run3 run4; do lathe registry add chat $d --quiet > /dev/null 2>&1 || echo "$d is no model"; done
lathe registry promote chat@1 --reason first 2>&1

cat > ask.py <<'P'
import http.client, json, subprocess, sys, threading, time
def get(path):
    c = http.client.HTTPConnection("127.0.0.1", int(open("port").read()), timeout=60)
    c.request("GET", path)
    return c.getresponse().read().decode()
def ask(user="u", **more):
    c = http.client.HTTPConnection("127.0.0.1", int(open("port").read()), timeout=60)
    c.request("POST", "/v1/completions", json.dumps(dict({"model": "chat", "prompt": "Q: hello\nA:", "max_tokens": 8, "user": user}, **more)))
    r = c.getresponse()
    body = r.read().decode()
    return r.status, r.getheader("X-Lathe-Version")
def release(): return json.loads(get("/health"))["releases"][0]
P
serve() { lathe serve chat@production --port 0 --port-file port --threads 1 "$@" > log 2>&1 & wait_for_server; }
stop() { kill $! && wait $!; rm -f port; }
plain() { sed -E "s/[a-zA-Z0-9._-]+:process-[0-9]+/SERVER/; s/[0-9.]+ (kB|MB|GB|B)\b/SIZE/g; s/of about [0-9.]+ s/of about N s/; s/of [0-9.]+ s, where [0-9.]+ s/of N s, where N s/" | grep -v "SERVER: version [0-9] is \(loading\|ready\|serving\|gone\)"; }
bytes_of() { python3 -c 'from ask import *; print(release()["versions"][0]["bytes"])'; }

echo "-- beside the other"
serve
bytes=$(bytes_of)
lathe registry promote chat@2 --reason better 2>&1 | plain
python3 -c 'from ask import *; print(ask())'
lathe registry promote chat@4 --reason "other tokens" 2>&1 | plain | sed "s|$PWD|.|"
lathe registry rollback chat --reason worse 2>&1 | plain
python3 -c 'from ask import *; print(ask())'

echo "-- a file that was changed"
blob=$(python3 - <<'P'
import glob, os
print([p for p in glob.glob("registry/versions/*/generation_config.json") if open(p).read().strip().endswith("2}")][0])
P
)
chmod u+w "$blob" && printf x | dd of="$blob" bs=1 seek=2 conv=notrunc 2> /dev/null
lathe registry promote chat@2 --reason again 2>&1 | sed -E 's/[0-9a-f]{64}/BLOB/g' | cut -c1-60
lathe registry promote chat@3 --canary 10% --reason some 2>&1 | plain
lathe registry rollback chat --reason none 2>&1 | plain

echo "-- the database goes away"
python3 - <<'P'
import os, time
from ask import *
os.rename("registry", "away")
for i in range(3): print(ask())
os.rename("away", "registry")
P
lathe registry promote chat@3 --reason "it is back" 2>&1 | plain
python3 -c 'from ask import *; print(ask())'
lathe registry rollback chat --reason back 2>&1 | plain
stop

echo "-- no room"
serve --memory $(python3 -c "print($bytes * 1.5e-9)")
lathe registry promote chat@3 --reason large 2>&1 | plain | cut -c1-120
python3 -c 'from ask import *; print(ask(), release()["mode"])'
lathe registry history chat --json | python3 -c 'import json,sys; r = json.load(sys.stdin); r = r["records"] if isinstance(r, dict) else r; print(r[0]["action"], r[0]["reason"][:24])'
python3 - <<'P'
from ask import *
stop, seen = False, set()
def go(i):
    while not stop: seen.add(ask("u%d" % i, max_tokens=20))
t = [threading.Thread(target=go, args=(i,)) for i in range(6)]
for i in t: i.start()
while not seen: time.sleep(0.01)
r = subprocess.run(["lathe", "registry", "promote", "chat@3", "--swap", "--reason", "large"], capture_output=True, text=True)
print(r.stdout.strip(), "a pause of about" in r.stderr, "after a pause of" in r.stderr)
while (200, "chat@3") not in seen: time.sleep(0.01)
stop = True
for i in t: i.join()
print("all were answered:", sorted(seen))
P
stop
lathe registry promote chat@2 --canary 10% --swap --reason x 2>&1 | sed -E 's/[0-9a-f]{64}/BLOB/g' | cut -c1-60
lathe registry verify 2>&1 | tail -1 | cut -d, -f1
