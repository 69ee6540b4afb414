# The whole loop, on SQLite and on PostgreSQL: a server with a canary records its answers, lathe watch sees ordinary traffic and does nothing, then shifted traffic and stops the
# canary, then rolls back, and stops a canary whose answers people call worse, and leaves alone what people promoted before a rule fired; a webhook and a mail are received, and the journal says who did it and why.
. "$ROOT/tests/cli/small_models.bash"
train_answers
cp -r run run2 && echo '{"do_sample": true}' > run2/generation_config.json
cp -r run run3 && echo '{"do_sample": false}' > run3/generation_config.json
mkdir bin && printf '#!/bin/sh\ncat >> "%s/mails"\n' "$PWD" > bin/sendmail && chmod +x bin/sendmail
export PATH=$PWD/bin:$PATH LATHE_ACTOR=operator
cat > canary.yaml <<'Y'
- {signal: prompt_tokens, when: alarm, do: [alert, stop_canary], webhook: "http://127.0.0.1:HOOK/canary", mail: ops@example.org}
- {signal: finish, when: effect > 2, do: exit}
Y
echo '- {signal: prompt_tokens, when: alarm, do: [alert, rollback, exit], webhook: "http://127.0.0.1:HOOK/back"}' > back.yaml
cat > late.yaml <<'Y'
- {signal: prompt_tokens, when: alarm, do: alert}
- {signal: prompt_tokens, when: alarm, for: 15, do: rollback}
Y
echo '- {signal: feedback, when: worse, do: [stop_canary, exit]}' > worse.yaml
cat > loop.py <<'P'
import http.client, http.server, json, random, signal, subprocess, sys, threading, time, datetime
r = random.Random(5)
port = int(open("port").read())
hooks, ids = [], []
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        hooks.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(204), self.end_headers()
    def log_message(self, *a): pass
listener = http.server.HTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=listener.serve_forever, daemon=True).start()
for name in "canary.yaml", "back.yaml":
    text = open(name).read().replace("HOOK", str(listener.server_port))
    open("now-" + name, "w").write(text)

def ask(text, user):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("POST", "/v1/completions", json.dumps({"model": "chat", "prompt": text, "max_tokens": 4, "user": user}))
    a = c.getresponse()
    body = json.loads(a.read())
    assert a.status == 200, body
    ids.append(body["id"])
    return a.getheader("X-Lathe-Version")
def ordinary(n): return [ask("Q: %s\nA:" % r.choice(["hello", "name?", "bye", "hello there", "your name?"]), "user %d" % r.randrange(40)) for _ in range(n)]
def shifted(n): return [ask("Q: " + " ".join(r.choice(["hello", "name?", "bye"]) for _ in range(9)) + "\nA:", "user %d" % r.randrange(40)) for _ in range(n)]
def lathe(*args, check=True):
    p = subprocess.run(["lathe", *args], capture_output=True, text=True)
    assert not check or p.returncode == 0, p.stderr
    return p.stdout
def get(path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("GET", path)
    return json.loads(c.getresponse().read())
def versions(): return {v["version"]: v for v in get("/health")["releases"][0]["versions"]}
def until(f):
    while not f(): time.sleep(0.02)
def now(): return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

begun = now()
ordinary(150)
time.sleep(1)                                  # what was handed over is written
print(lathe("watch", "chat", "--since", begun, "--until", now(), "--out", "reference.json").strip())
lathe("registry", "promote", "chat@2", "--canary", "50%", "--reason", "try it")
until(lambda: versions().get(2, {}).get("state") == "serving")
watch = subprocess.Popen(["lathe", "watch", "chat@production", "--reference", "reference.json", "--rules", "now-canary.yaml", "--every", "0.2"], stdout=open("watched", "w"), stderr=subprocess.STDOUT)
time.sleep(0.5)
print("both answer ordinary traffic:", sorted(set(ordinary(150))))
time.sleep(4)                                  # several looks at all of it
print("nothing was done:", versions()[2]["state"], hooks, watch.poll(), open("watched").read())
while versions().get(2, {}).get("state") == "serving":
    shifted(10)
until(lambda: set(ordinary(40)) == {"chat@1"})
print("users of both have the stable version again")
until(lambda: hooks)
print("webhook:", hooks[0][0], {k: hooks[0][1][k] for k in ("name", "signal", "do", "alarmed")}, hooks[0][1]["p"] <= 0.01)
print("the alarm came within 60 answers of the shift:", 150 < hooks[0][1]["alarmed_at"] <= 210)
watch.terminate()
print("the watch ends:", watch.wait())

lathe("registry", "promote", "chat@2", "--green", "--reason", "all of it")        # the server may have closed it, or not yet
until(lambda: ask("Q: hello\nA:", "z") == "chat@2")
watch = subprocess.Popen(["lathe", "watch", "chat@production", "--reference", "reference.json", "--rules", "now-back.yaml", "--every", "0.2"], stdout=open("watched2", "w"), stderr=subprocess.STDOUT)
time.sleep(0.5)
while watch.poll() is None:
    shifted(10)
print("the watch ends:", watch.returncode)
until(lambda: ask("Q: hello\nA:", "z") == "chat@1")
print("webhook:", hooks[-1][0], hooks[-1][1]["do"])
lathe("registry", "promote", "chat@2", "--canary", "30%", "--reason", "again")
until(lambda: versions().get(2, {}).get("state") == "serving")
watch = subprocess.Popen(["lathe", "watch", "chat@production", "--reference", "reference.json", "--rules", "worse.yaml", "--every", "0.2"], stdout=open("watched3", "w"), stderr=subprocess.STDOUT)
time.sleep(0.5)
fan = 0
while watch.poll() is None:
    fan += 1
    bad = ask("Q: hello\nA:", "fan %d" % fan) == "chat@2"
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("POST", "/v1/feedback", json.dumps({"id": ids[-1], "score": r.choice([1, 0] if not bad else [0, -1])}))
    assert c.getresponse().status == 200
print("the watch ends:", watch.returncode)
until(lambda: set(ordinary(40)) == {"chat@1"})

lathe("registry", "promote", "chat@2", "--reason", "once more")
until(lambda: ask("Q: hello\nA:", "z") == "chat@2")
watch = subprocess.Popen(["lathe", "watch", "chat@production", "--reference", "reference.json", "--rules", "late.yaml", "--every", "0.2"], stdout=open("watched4", "w"), stderr=subprocess.STDOUT)
time.sleep(0.5)
while not open("watched4").read():
    shifted(10)
watch.send_signal(signal.SIGSTOP)              # before it has looked 15 times
lathe("registry", "promote", "chat@3", "--reason", "mended")
until(lambda: ask("Q: hello\nA:", "z") == "chat@3")
watch.send_signal(signal.SIGCONT)
ordinary(40)
time.sleep(5)                                  # more than 15 looks
print("what people promoted meanwhile stays:", ask("Q: hello\nA:", "z"), "rollback" in open("watched4").read())
watch.terminate()
print("the watch ends:", watch.wait())
for h in json.loads(lathe("registry", "history", "chat", "--json"))["records"][:15]:
    print("SERVER" if ":process-" in h["actor"] else h["actor"], h["action"], h["number"], [(e["file"], e["kind"]) for e in h.get("evidence", [])])
P
masked() { sed -E 's/[^ ]+:process-[0-9]+ +/SERVER /; s/after [0-9]+ answers/after N answers/; s/: [0-9.-]+ in [0-9]+ scores against [0-9.-]+ in [0-9]+/: X in N scores against Y in N/; s/answer [0-9]+ of [0-9]+/answer N of N/; s/p [0-9.e+-]+ of [0-9.]+/p P of ALPHA/; s/effect [0-9.]+/effect E/; s/20[0-9-]+T[0-9:]+Z/TIME/; s/^ *[0-9]+  //; s/of [0-9.]+ [kM]?B/of BYTES/'; }
the_loop() {
    export LATHE_REGISTRY=$1 LATHE_HOME=$PWD/home-$2
    rm -f port mails
    lathe registry add chat run --quiet > /dev/null && lathe registry add chat run2 --quiet > /dev/null && lathe registry add chat run3 --quiet > /dev/null
    lathe registry promote chat@1 --reason first > /dev/null
    lathe serve chat@production --port 0 --port-file port --threads 1 --record registry --quiet > log 2>&1 &
    wait_for_server
    timeout 300 python3 loop.py
    kill $server && wait $server
    lathe registry history chat | masked
    cat watched watched3 | masked
    grep -E '^(To|Subject)' mails | masked
    lathe registry verify | head -1 | masked | sed 's/[0-9a-f]\{64\}.*/HASH/'
}
the_loop "$PWD/registry" sqlite > on-sqlite
cat on-sqlite
mkdir pg && chmod 755 . pg
rc=0
where=$("$ROOT/tools/test-postgres" start "$PWD/pg" $$) || rc=$?
if [ $rc = 0 ]; then
    the_loop "$where" postgres > on-postgres
    "$ROOT/tools/test-postgres" stop "$PWD/pg"
    diff on-sqlite on-postgres && echo '# the same on PostgreSQL'
elif [ $rc = 77 ]; then
    echo "PostgreSQL's server is not installed: SKIPPED" >&2
    echo '# the same on PostgreSQL'
fi
