# Two replicas behind HAProxy, as doc/replicas.md has it: who begins alike shares a replica and what it knows; one after the other is ended and
# started again while requests go on, and none is lost.
PATH=$PATH:/usr/sbin
command -v haproxy > /dev/null || { echo 'SKIPPED: haproxy is missing (Debian package haproxy)' >&2; exit 77; }
. "$ROOT/tests/cli/small_models.bash"
train_anything 2048
sed -n '/^```haproxy/,/^```$/p' $ROOT/doc/replicas.md | grep -v '^```' > doc.cfg
cat > replicas.py <<'P'
import atexit, http.client, json, os, signal, socket, subprocess, threading, time

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def replica(name, port=0):
    if os.path.exists(name + ".port"): os.remove(name + ".port")
    r = subprocess.Popen(["lathe", "serve", "run", "--port", str(port), "--port-file", name + ".port", "--threads", "1", "--name", "tiny", "--key", "secret", "--drain-delay", "1" if name == "b" else "0"], stderr=open(name + ".log", "a"))
    atexit.register(r.kill)
    while not (os.path.exists(name + ".port") and os.path.getsize(name + ".port")): time.sleep(0.02); assert r.poll() is None
    r.port = int(open(name + ".port").read())
    return r

def ask(path, body=None, port=None, **headers):
    c = http.client.HTTPConnection("127.0.0.1", port or front, timeout=60)
    c.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), dict(headers, Authorization="Bearer secret"))
    r = c.getresponse()
    return r.status, r.read().decode(), r.getheader("X-Replica")

def up():                                       # which replicas HAProxy asks
    s = socket.socket(socket.AF_UNIX)
    s.connect("haproxy.sock")
    s.sendall(b"show stat\n")
    lines = [line.split(",") for line in s.makefile().read().splitlines()]
    return "".join(l[1] for l in lines if len(l) > 17 and l[0] == "replicas" and l[1] in ("a", "b") and l[17] == "UP")

def wait_for(which):
    while up() != which: time.sleep(0.02)

def prompt(group, i): return [1 + (group * 7 + k) % 200 for k in range(400)] + [i % 250, 3]
def text(group, i, **more): return dict({"model": "tiny", "prompt": prompt(group, i), "max_tokens": 20, "ignore_eos": True, "temperature": 0}, **more)

replicas = {n: replica(n) for n in "ab"}
front = free_port()
config = open("doc.cfg").read()
for old, new in ((":8000", f":{front}"), (":8081", f":{replicas['a'].port}"), (":8082", f":{replicas['b'].port}"), ("/run/haproxy/lathe.sock", "unix@haproxy.sock")):
    assert config.count(old) == 1
    config = config.replace(old, new)
open("haproxy.cfg", "w").write(config)
proxy = subprocess.Popen(["haproxy", "-db", "-f", "haproxy.cfg"], stderr=open("haproxy.log", "w"))
atexit.register(proxy.kill)
while not os.path.exists("haproxy.sock"): time.sleep(0.02); assert proxy.poll() is None, open("haproxy.log").read()
wait_for("ab")

print("--- prefixes keep to their replica")
GROUPS = 12
home, hits = {}, []
for group in range(GROUPS):
    seen = set()
    for i in range(4):
        status, raw, at = ask("/v1/completions", text(group, i))
        seen.add(at)
        if i: hits.append(json.loads(raw)["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert status == 200 and len(seen) == 1, (group, seen)
    home[group] = at
print("both have some:", sorted(set(home.values())), "known of 402 tokens:", set(hits))
print("by a header:", {ask("/v1/completions", text(i, i), **{"X-Prefix": "somebody"})[2] for i in range(8)} < {"a", "b"})
alone = {group: json.loads(ask("/v1/completions", text(group, 0))[1])["choices"][0]["text"] for group in range(GROUPS)}
print("the same from each:", all(json.loads(ask("/v1/completions", text(g, 0), port=r.port)[1])["choices"][0]["text"] == alone[g] for g in range(4) for r in replicas.values()))

print("--- replaced under load")
stop, lost, n_done, moved, lock = threading.Event(), [], [0], set(), threading.Lock()
def load(thread):
    i = thread
    while not stop.is_set():
        group, stream = i % GROUPS, i % 3 > 0
        i += 5
        try:
            status, raw, at = ask("/v1/completions", text(group, 0, stream=stream, max_tokens=60 if stream else 20))
            good = status == 200 and (raw.endswith("data: [DONE]\n\n") and '"error"' not in raw and raw.count('"finish_reason":"length"') == 1 if stream else json.loads(raw)["choices"][0]["text"] == alone[group])
        except Exception as e:
            good, status, raw, at = False, 0, repr(e), None
        with lock:
            n_done[0] += 1
            if not good: lost.append((group, status, raw[-300:]))
            elif at != home[group]: moved.add(group)
def wait_done(n):
    with lock: until = n_done[0] + n
    while n_done[0] < until: time.sleep(0.01)
threads = [threading.Thread(target=load, args=(t,)) for t in range(6)]
[t.start() for t in threads]
wait_done(20)
for name in "ab":
    other = "b" if name == "a" else "a"
    replicas[name].terminate()
    print(name, "ends: exit", replicas[name].wait())
    wait_for(other)
    wait_done(20)
    replicas[name] = replica(name, replicas[name].port)
    wait_for("ab")
    wait_done(10)
stop.set()
[t.join() for t in threads]
print("lost:", lost[:3], "asked enough:", n_done[0] >= 80, "some went elsewhere:", len(moved) > 0)
print("each is at home again:", [g for g in range(GROUPS) if ask("/v1/completions", text(g, 1))[2] != home[g]])
for r in replicas.values(): r.terminate(); r.wait()
P
python3 replicas.py
