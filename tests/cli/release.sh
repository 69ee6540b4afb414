# A server that follows an alias: versions come beside each other, get their share, are compared, and go back; every reply names its own.
. "$ROOT/tests/cli/small_models.bash"
train_answers
export LATHE_REGISTRY=$PWD/registry LATHE_ACTOR=someone
cp -r run run2 && echo '{"do_sample": true}' > run2/generation_config.json
lathe registry add chat run --quiet > /dev/null && lathe registry add chat run2 --quiet > /dev/null
lathe serve chat@production --port 0 2>&1 | sed "s|$PWD|.|"; lathe registry promote chat@1 --reason first
lathe serve chat@production --port 0 --port-file port --threads 1 --audit audit > log 2>&1 &
wait_for_server
cat > ask.py <<'P'
import http.client, json, subprocess, sys, threading, time
PORT = int(open("port").read())

def get(path): 
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("GET", path)
    return c.getresponse().read().decode()

def ask(user, **more):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("POST", "/v1/completions", json.dumps(dict({"model": "chat", "prompt": "Q: hello\nA:", "max_tokens": 8, "temperature": 0, "user": user}, **more)))
    r = c.getresponse()
    body = r.read().decode()
    assert r.status == 200 and (not more.get("stream") or body.endswith("data: [DONE]\n\n")), (r.status, body)
    return r.getheader("X-Lathe-Version")

def versions(): return {v["version"]: v for v in json.loads(get("/health"))["releases"][0]["versions"]}
def until(f):
    while not f():
        time.sleep(0.01)
def lathe(*args): print(subprocess.run(["lathe", "registry", *args, "--reason", "x"], capture_output=True, text=True).stdout.strip())

users = ["user %d" % i for i in range(64)]
print("one", {ask(u) for u in users})
lathe("promote", "chat@2", "--shadow")
until(lambda: 2 in versions() and versions()[2]["state"] == "ready")
print("shadow", {ask(u) for u in users[:8]})
until(lambda: versions()[2].get("shadow", {}).get("texts", 0) >= 1)
s = versions()[2]["shadow"]
print("compared", s["greedy_texts"] == s["texts"], s["same"], abs(s["log_ratio"]) < 1e-3)
lathe("promote", "chat@2", "--canary", "50%")
until(lambda: versions()[2]["state"] == "serving")
first = [ask(u) for u in users]
print("canary", sorted(set(first)), "the same again:", first == [ask(u) for u in users], versions()[1]["share"], versions()[2]["share"])
stop, seen = False, []
def streams(u):
    while not stop:
        seen.append(ask(u, stream=True, max_tokens=20, ignore_eos=True))
threads = [threading.Thread(target=streams, args=(u,)) for u in users[:8]]
for t in threads: t.start()
lathe("promote", "chat@2")
until(lambda: ask("z") == "chat@2" and "chat@2" in seen)
lathe("rollback", "chat")
until(lambda: ask("z") == "chat@1")
stop = True
for t in threads: t.join()
print("streams of both", sorted(set(seen)))
m = json.loads(get("/v1/models"))["data"]
print(len(m), m[0]["id"], m[0]["release"]["mode"])
until(lambda: 2 not in versions())
print([l for l in get("/metrics").split("\n") if l.startswith("lathe:release_share") or l.startswith("lathe:release_source_up")])
P
python3 ask.py
kill %% && wait %%
python3 - <<'P'
import json
lines = [json.loads(l) for l in open("audit")]
answers = [l for l in lines if l["path"] == "/v1/completions"]
print("every answer has its version:", all(l["version"] in ("chat@1", "chat@2") and len(l["version_root"]) == 64 and l["arm"] in ("stable", "candidate") for l in answers))
P
grep -o 'chat@2: [a-z]*' log | sort | uniq -c | sed 's/^ *[0-9]* //'
