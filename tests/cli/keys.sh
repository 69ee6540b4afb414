# Keys with limits and rights: who may ask, how much, what those who ask too much are told, and a file that changes under way; the log of all that.
. "$ROOT/tests/cli/small_models.bash"
train_anything 128
for name in a b c d e; do
    lathe key keys.yaml $name --quiet > $name.key; echo "key $? $(grep -c '^lathe-[0-9a-f]\{64\}$' $name.key)"
    case $name in
    a) printf '  requests_per_minute: 3\n  tokens_per_minute: 2000\n';;
    b) printf '  tokens_per_day: 60\n  parallel: 2\n  requests_per_day: 50\n';;
    c) printf '  priority: -2\n  models: [tiny]\n  keep_texts: true\n';;
    d) printf '  models: [other]\n  priority: 5\n';;
    e) printf '  expires: 2024-01-01\n';;
    esac >> keys.yaml
done
stat -c %a keys.yaml; grep -c "$(cut -c7- a.key)" keys.yaml
lathe key keys.yaml a 2>&1; echo "exit $?"
lathe key keys.json a 2>&1; echo "exit $?"
lathe serve run --keys nothing.yaml 2>&1; echo "exit $?"
sed 's/parallel/paralel/' keys.yaml > bad.yaml; chmod 600 bad.yaml
lathe serve run --keys bad.yaml 2>&1; echo "exit $?"
chmod 644 bad.yaml
lathe serve run --keys bad.yaml 2>&1; echo "exit $?"
lathe serve run --port 0 --port-file port --threads 1 --name tiny --keys keys.yaml --audit audit.jsonl --audit-text > log 2>&1 &
wait_for_server
cat > ask.py <<'P'
import http.client, json, os, signal, sys, time
PORT, SERVER = int(open("port").read()), int(sys.argv[1])
secret = {n: open(n + ".key").read().strip() for n in "abcde"}

def ask(who, path="/v1/completions", body=None, headers=None, **more):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = headers if headers is not None else {"Authorization": "Bearer " + secret[who]}
    data = dict({"model": "tiny", "prompt": [1, 2, 3, 4], "max_tokens": 6, "ignore_eos": True}, **more) if body is None else body
    c.request("GET" if body == "" else "POST", path, json.dumps(data) if data else None, headers)
    r = c.getresponse()
    raw = r.read()
    return r.status, json.loads(raw), r.headers

def show(*args, **more):
    status, reply, h = ask(*args, **more)
    e = reply.get("error")
    print(status, *([e["type"], e["code"], e["param"], "|", e["message"]] if e else ["made", reply["usage"].get("completion_tokens", 0)] if "usage" in reply else [json.dumps(reply)[:60]]))
    return h

def left(h): return [h[f"x-ratelimit-{a}-{b}"] for b in ("requests", "tokens") for a in ("limit", "remaining", "reset")]

print("--- who")
show("a", headers={})
show("a", headers={"Authorization": "Bearer " + secret["a"][:-1]})
show("a", "/v1/models", "", headers={"x-api-key": secret["a"]})
show("d", "/v1/models", "")
print(*[len(ask(k, "/lathe/stats", "")[1]["models"]) for k in "cd"])
show("d", "/api/tags", "")
show("a", "/api/tags", "")
show("e")
print("--- limits a minute")
h = left(show("a"))
print(h[:2], h[3], 1900 < int(h[4]) <= 1995)
h = show("a", max_tokens=None)
print(h["x-ratelimit-remaining-requests"], "retry-after" in h)
show("a", "/tokenize", {"prompt": "x"})
status, reply, h = ask("a")
ms = int(h["retry-after-ms"])
print(status, reply["error"]["code"], 0 < ms <= 20000, int(h["retry-after"]) == (ms + 999) // 1000, h["x-ratelimit-remaining-requests"], reply["error"]["message"].split(":")[0])
print(ask("a", "/api/pull", {"model": "x"})[0])
print("--- limits a day and at once")
show("b", "/v1/embeddings", {"model": "tiny", "input": [[1, 2], [3, 4, 5, 6]]})
show("b", "/v1/embeddings", {"model": "tiny", "input": [[1]] * 3})        # not all at once
show("b", max_tokens=57)
h = show("b", n=3)
print(h["x-should-retry"], h["x-ratelimit-remaining-requests"])       # what is refused does not count
print(show("b", n=2)["x-ratelimit-remaining-tokens"])
status, reply, h = ask("b", max_tokens=40)
print(status, reply["error"]["message"].split(":")[0])
print(0 < int(h["retry-after"]) <= 86400, "s" in h["x-ratelimit-reset-tokens"])
print("--- rights")
show("c", priority=-2)
show("c", priority=-3)
show("c", priority=7)
show("d")
show("d", "/tokenize", {"prompt": "x"})
show("d", "/v1/embeddings", {"model": "tiny", "input": "x"})
show("c", "/v1/embeddings", {"model": "tiny", "input": "x", "priority": -3})
print("--- texts that are too large")
show("c", structured_outputs={"choice": ["x" * (1 << 20)]})
show("c", "/detokenize", {"tokens": [65] * ((4 << 20) + 1)})
def cached(who, **more): return ask(who, prompt=list(range(1, 41)), **more)[1]["usage"]["prompt_tokens_details"]["cached_tokens"]
print("cached", cached("c"), cached("c"), end=" ")
text = open("keys.yaml").read()
os.rename("audit.jsonl", "audit.jsonl.1")
new = text.replace("models: [other]", "tenant: c\n  models: [tiny]").replace("tokens_per_day: 60", "tokens_per_day: 1000\n  tenant: shared")

def reload(text, sign):
    open("keys.yaml", "w").write(text)
    n = open("log").read().count(sign)
    os.kill(SERVER, signal.SIGHUP)
    while open("log").read().count(sign) == n: time.sleep(0.02)

reload(new, "keys.yaml: ")
while not os.path.exists("audit.jsonl"): time.sleep(0.02)
open("keys.yaml.before", "w").write(new)
print(cached("b"), cached("d"), cached("b", cache_salt="c"))        # a salt is no way to another tenant's texts
print("--- a file that changes")
show("d", priority=4)
print(show("b")["x-ratelimit-remaining-tokens"])
c = http.client.HTTPConnection("127.0.0.1", PORT)
c.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": [1], "max_tokens": 100, "ignore_eos": True, "stream": True}), {"Authorization": "Bearer " + secret["b"]})
under_way = c.getresponse()
reload(new.replace("name: \"a\"", "nam: a"), "keys.yaml")
show("c")
reload("[]", "keys.yaml: ")
show("b")
raw = under_way.read()
print(raw.endswith(b"data: [DONE]\n\n"), raw.count(b"finish_reason\":\"length"))
os.kill(SERVER, signal.SIGTERM)
P
python3 ask.py $server || kill $server
wait $server; echo "exit $?"
sed -n "/^    cat audit.jsonl.1/,/prev)'/s/^    //p" "$ROOT/doc/operating.md" | sed '1s/.*| //' > check.sh
echo "--- the log"
stat -c %a audit.jsonl.1 audit.jsonl
cat audit.jsonl.1 audit.jsonl | sh check.sh | sed 's/.*lines.*/lines/'
cat audit.jsonl | sh check.sh | sed 's/.*lines.*/lines/'
cat audit.jsonl.1 audit.jsonl | sed 20d | sh check.sh 2>&1; echo "exit $?"
cat audit.jsonl.1 audit.jsonl | sed 1,3d | sh check.sh | sed 's/ to .*//'
cat > lines.py <<'P'
import json
lines = [json.loads(l) for f in ("audit.jsonl.1", "audit.jsonl") for l in open(f)]
for l in sorted(lines, key=lambda l: l["time"]):
    print(l["key"], l["method"], l["path"], l["status"], l["prompt_tokens"], l["cached_tokens"], l["completion_tokens"], l["charged_requests"], l["charged_tokens"], json.dumps(l["finish"]), "request" in l, "texts" in l, l.get("lost"))
print({l["model"] for l in lines}, {len(l["digest"]) for l in lines}, all(0 < l["all_s"] < 600 for l in lines), all((l["first_s"] is not None) == (sum(l["finish"].values()) > 0) for l in lines))
c = next(l for l in lines if "texts" in l)
print(json.loads(c["request"])["prompt"], len(c["texts"]), c["params"]["max_tokens"], c["params"]["ignore_eos"], isinstance(c["seed"], int), c["id"][:5], c["from"])
P
python3 lines.py
echo "--- a server that starts again, and a full disk"
cp keys.yaml.before keys.yaml
rm port
prlimit --fsize=$(($(stat -c %s audit.jsonl) + 1000)): lathe serve run --port 0 --port-file port --threads 1 --name tiny --keys keys.yaml --audit audit.jsonl --audit-strict > log2 2>&1 &
wait_for_server
cat > again.py <<'P'
import subprocess
exec(open("ask.py").read().split('print("--- who")')[0])
print(750 < int(show("b")["x-ratelimit-remaining-tokens"]) < 900)      # a client that goes has what was made until that was seen
while (now := ask("b", "/tokenize", {"prompt": "x"}))[0] == 200: time.sleep(0.02)
print(now[0], now[1]["error"]["code"], ask("b", "/health", "")[0])
subprocess.run(["prlimit", f"--pid={SERVER}", "--fsize=unlimited:"], check=True)
os.kill(SERVER, signal.SIGHUP)
while ask("b", "/v1/models", "")[0] != 200: time.sleep(0.02)
show("b")
os.kill(SERVER, signal.SIGTERM)
P
python3 again.py $server || kill $server
wait $server; echo "exit $?"
cat audit.jsonl.1 audit.jsonl | sh check.sh | sed 's/.*lines.*/lines/'
grep -h '^warning' log2 | grep -v template
lathe serve run --audit keys.yaml 2>&1; echo "exit $?"
echo "--- what the first one said"
sed 's|127.0.0.1:[0-9]*|127.0.0.1:PORT|; s/^memory: planned .*/memory: N/; s/[0-9.]* [kM]B$/SIZE/; s/[0-9]* texts under way, [0-9]* waiting/N texts under way, N waiting/' log
