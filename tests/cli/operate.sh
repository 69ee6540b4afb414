# A server as its operator has it: TLS, pages of other origins, what it counts, what its service manager is told, and its end.
. "$ROOT/tests/cli/small_models.bash"
train_anything 4096
for n in 1 2; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key$n.pem -out cert$n.pem -days 2 -subj "/CN=n$n" -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>> warnings; done
lathe serve run --tls-cert cert1.pem 2>&1; echo "exit $?"
lathe serve run --quiet --tls-cert cert1.pem --tls-key key2.pem 2>&1; echo "exit $?"
lathe serve run --quiet --tls-cert config.yaml --tls-key key1.pem 2>&1; echo "exit $?"
lathe serve run --quiet --tls-cert cert1.pem --tls-key nothing.pem 2>&1; echo "exit $?"
lathe serve run --cors example.com 2>&1; echo "exit $?"
lathe serve run --cors '*' 2>&1; echo "exit $?"
echo '--- what fits'
sizes() { sed '/warning\|^http/d; s/[0-9.]* [kMG]*B/SIZE/g; s/, [0-9]* pages.*/, N pages/; s/; [0-9]* pages/; N pages/; s/[0-9]* positions a text (what the/N positions a text (what the/; s/^\([a-z]*\): [0-9]* positions/\1: N positions/; s/: the weights .* take/: WEIGHTS AND STEP take/; s/of [0-9]* tokens (smaller/of N tokens (smaller/; s/[0-9]* texts* at once (1,024/N texts at once (1,024/'; }
for o in '--memory 0.001' '--memory 0.002' '--memory 0.064' '--memory 0.064 --parallel 3 --ctx 100 --cache 1 --step-tokens 32' '--memory 0.001 --ctx 4096' '--memory 0.004 --cache 8'; do
    lathe serve run --fit $o --port 0 --port-file fits --threads 1 > fit.log 2>&1 & fit=$!
    while [ ! -s fits ] && kill -0 $fit 2> /dev/null; do sleep 0.02; done
    kill $fit 2> /dev/null; wait $fit; echo "$o: exit $?"; rm -f fits
    grep -v 'ending\|^memory: planned' fit.log | sizes
done
cat > operate.py <<'P'
import atexit, http.client, json, os, re, select, signal, socket, ssl, subprocess, time, warnings

def start(*options, tls=False, **env):
    if os.path.exists("port"): os.remove("port")
    s = subprocess.Popen(["lathe", "serve", "run", "--port", "0", "--port-file", "port", "--threads", "1", "--name", "tiny", *options], stderr=open("log", "a"), env=dict(os.environ, **env))
    atexit.register(s.kill)
    while not (os.path.exists("port") and os.path.getsize("port")): time.sleep(0.02); assert s.poll() is None
    s.at = int(open("port").read())
    s.trust = ssl.create_default_context(cafile="both.pem") if tls else None
    return s

def connect(s): return http.client.HTTPSConnection("localhost", s.at, timeout=60, context=s.trust) if s.trust else http.client.HTTPConnection("127.0.0.1", s.at, timeout=60)

def ask(s, path, body=None, method=None, c=None, **headers):
    c = c or connect(s)
    c.request(method or ("GET" if body is None else "POST"), path, None if body is None else json.dumps(body), {k.replace("_", "-"): v for k, v in headers.items()})
    r = c.getresponse()
    return r.status, r.read(), r.headers

def text(tokens, **more): return dict({"model": "tiny", "prompt": [1, 2, 3, 4], "max_tokens": tokens, "ignore_eos": True}, **more)
def code(reply): return json.loads(reply)["error"]["code"]
def seen(c): return ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True)) == open("cert1.pem").read()

print("--- TLS")
open("both.pem", "w").write(open("cert1.pem").read() + open("cert2.pem").read())
for a, b in (("cert1", "cert"), ("key1", "key")): open(b + ".pem", "w").write(open(a + ".pem").read())
s = start("--tls-cert", "cert.pem", "--tls-key", "key.pem", tls=True)
old = connect(s)
print(ask(s, "/v1/completions", text(5), c=old)[0], seen(old), old.sock.version() in ("TLSv1.2", "TLSv1.3"))
old_fashioned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
old_fashioned.check_hostname, old_fashioned.verify_mode = False, ssl.CERT_NONE
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    old_fashioned.minimum_version, old_fashioned.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
old_fashioned.set_ciphers("ALL:@SECLEVEL=0")
try: old_fashioned.wrap_socket(socket.create_connection(("127.0.0.1", s.at))); print("TLS 1.1 was taken")
except OSError as e: print("TLS 1.1 is refused")
try: print(ask(None, "/health", c=http.client.HTTPConnection("127.0.0.1", s.at, timeout=60)))
except (http.client.HTTPException, OSError): print("nothing without TLS")
for wrong in (True, False):                     # a key without its certificate, then both
    for a, b in (("cert2", "cert"), ("key1" if wrong else "key2", "key")): open(b + ".pem", "w").write(open(a + ".pem").read())
    size = os.path.getsize("log")
    s.send_signal(signal.SIGHUP)
    while os.path.getsize("log") == size: time.sleep(0.02)
    new = connect(s)
    print(ask(s, "/health", c=new)[0], seen(new), ask(s, "/v1/completions", text(5), c=old)[0], seen(old))
parts = [json.loads(e[6:]) for e in ask(s, "/v1/completions", text(40, stream=True))[1].decode().split("\n\n")[:-2]]
print("a stream by TLS:", parts[-1]["choices"][0]["finish_reason"])
s.terminate(); print("exit", s.wait())

print("--- who may ask without a key")
s = start("--cors", "https://a.example,http://b.example:8080", "--allow-host", "model.example")
for h in ({}, {"Host": "localhost:1"}, {"Host": "model.example"}, {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Origin": "http://localhost:3000"}, {"Origin": "https://a.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
    status, raw, r = ask(s, "/v1/completions", text(1), **h)
    print(h, status, code(raw) if status != 200 else "", r["Access-Control-Allow-Origin"], r["Vary"])
print(ask(s, "/health", Host="evil.example")[0])
for origin, method, path in (("https://a.example", "POST", "/v1/completions"), ("https://a.example", "GET", "/v1/completions"), ("https://evil.example", "POST", "/v1/completions"), ("https://a.example", "GET", "/v1/models/x")):
    status, raw, r = ask(s, path, method="OPTIONS", Origin=origin, Access_Control_Request_Method=method, Access_Control_Request_Headers="authorization,x-stainless-os")
    print(origin, method, status, [r[k] for k in ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Allow")])
s.terminate(); print("exit", s.wait())
s = start("--key", "secret", "--cors", "*")
status, raw, r = ask(s, "/v1/completions", text(1), Host="evil.example", Origin="https://evil.example", Authorization="Bearer secret")
print(status, r["Access-Control-Allow-Origin"], r["Vary"], ask(s, "/v1/completions", text(1), Origin="https://evil.example")[0])
s.terminate(); print("exit", s.wait())

print("--- methods, names")
s = start("--answer-time", "1", "--audit", "audit")
for method, path in (("HEAD", "/health"), ("HEAD", "/v1/models"), ("PUT", "/v1/models"), ("GET", "/v1/completions"), ("DELETE", "/nothing"), ("OPTIONS", "/health"), ("TRACE", "/health"), ("BREW", "/health")):
    status, raw, r = ask(s, path, method=method)
    print(method, path, status, r["Allow"], len(raw) > 0, int(r["Content-Length"]) > 0)
status, raw, r = ask(s, "/v1/models", X_Request_Id="mine", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
print(r["X-Request-Id"], re.sub("-[0-9a-f]{16}-", "-SPAN-", r["traceparent"]))
while not os.path.getsize("audit") or "mine" not in open("audit").read(): time.sleep(0.02)
line = next(json.loads(l) for l in open("audit") if '"mine"' in l)
print(line["trace_id"], line["span_id"] == r["traceparent"][36:52], line["parent_span_id"])
status, raw, r = ask(s, "/v1/completions", text(4000, n=128))
print("an answer over its time:", status, json.loads(raw)["error"]["message"] if status != 200 else len(raw))

print("--- what is counted")
def metrics():
    out = {}
    for line in ask(s, "/metrics")[1].decode().splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)+)\})? (\S+)', line)
            assert found, line
            name, labels, value = found.groups()
            out[name, tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or "")))] = float(value)
    return out
def of(m, name, **labels): return sum(v for (n, l), v in m.items() if n == "vllm:" + name and labels.items() <= dict(l).items())
before = metrics()
tokens = [json.loads(ask(s, "/v1/completions", text(n))[1])["usage"]["completion_tokens"] for n in (1, 7, 20)]
m = metrics()
print(tokens, [of(m, "generation_tokens_total") - of(before, "generation_tokens_total"), of(m, "request_generation_tokens_sum") - of(before, "request_generation_tokens_sum"),
      of(m, "request_success_total", finished_reason="length") - of(before, "request_success_total", finished_reason="length"), of(m, "request_prompt_tokens_sum") - of(before, "request_prompt_tokens_sum"),
      of(m, "inter_token_latency_seconds_count") - of(before, "inter_token_latency_seconds_count"), of(m, "request_time_per_output_token_seconds_count") - of(before, "request_time_per_output_token_seconds_count")])
latency, tpot = "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 7680.0", "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0"
sizes = "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0"     # up to the positions of a text
vllm = {"time_to_first_token_seconds": "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0 640.0 2560.0", "inter_token_latency_seconds": tpot, "time_per_output_token_seconds": tpot,
        "request_time_per_output_token_seconds": tpot, **{f"{n}_seconds": latency for n in ("e2e_request_latency", "request_queue_time", "request_inference_time", "request_prefill_time", "request_decode_time")},
        "request_prompt_tokens": sizes, "request_generation_tokens": sizes, "iteration_tokens_total": "1.0 8.0 16.0 32.0 64.0 128.0 256.0 512.0 1024.0 2048.0 4096.0 8192.0 16384.0"}
for name, bounds in vllm.items():
    got = [(dict(l)["le"], v) for (n, l), v in m.items() if n == f"vllm:{name}_bucket"]
    assert [le for le, _ in got] == bounds.split() + ["+Inf"], (name, got)
    assert [v for _, v in got] == sorted(v for _, v in got) and got[-1][1] == of(m, name + "_count"), (name, got)
print("the process:", m["process_resident_memory_bytes", ()] > 1e6, m["process_cpu_seconds_total", ()] > 0, abs(m["process_start_time_seconds", ()] - time.time()) < 600, 5 < m["process_open_fds", ()] < 50)
print("histograms:", len(vllm), "requests:", m["http_requests_total", (("handler", "/v1/completions"), ("method", "POST"), ("status", "2xx"))])
live = json.loads(ask(s, "/lathe/stats")[1])
print(live["models"][0]["id"], live["models"][0]["ttft_s"]["n"] >= 3, 0 < live["models"][0]["tpot_s"]["p50"] <= live["models"][0]["tpot_s"]["p99"] < 60, live["models"][0]["ended"]["length"] >= 3)
s.terminate(); print("exit", s.wait())

print("--- its manager, and its end")
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("manager")
manager.settimeout(60)
s = start(NOTIFY_SOCKET=os.path.abspath("manager"), WATCHDOG_USEC="200000")
print(manager.recv(1000).decode().split("\n"), manager.recv(1000).decode())
def stream(tokens, n=8):
    c = connect(s)
    c.request("POST", "/v1/completions", json.dumps(text(tokens, stream=True, n=n)))
    r = c.getresponse()
    return r, r.read(10)
r, first = stream(4000)
kept = connect(s)
print(ask(s, "/ready", c=kept)[0])
s.terminate()
while b"STOPPING=1" not in manager.recv(1000): pass
while ask(s, "/ready")[0] != 503: time.sleep(0.01)                  # on connections of its own: they are still taken
while True:
    status, raw, h = ask(s, "/v1/completions", text(1))
    if status != 200: break
print(status, code(raw), h["Retry-After"], h["Connection"], ask(s, "/health")[0])
events = (first + r.read()).decode().split("\n\n")
print(events[-2], json.loads(events[-3][6:])["choices"][0]["finish_reason"], len(events) > 100)
print("exit", s.wait())
s = start("--drain", "0")                       # no time at all: the stream is told, not cut
r, first = stream(4000)
s.terminate()
events = (first + r.read()).decode().split("\n\n")
print(events[-2] == "data: [DONE]", [json.loads(e[6:])["error"]["message"] for e in events if '"error"' in e], "exit", s.wait())
s = start("--drain-delay", "1")                 # a balancer is told, and what it sends meanwhile is answered
s.terminate()
while ask(s, "/ready")[0] != 503: time.sleep(0.01)
print(ask(s, "/v1/completions", text(1))[0], "exit", s.wait())

print("--- what takes long to read")
def big(s, text="." * 500000):
    c = connect(s)
    c.request("POST", "/tokenize", json.dumps({"model": "tiny", "prompt": text}))
    return c
def waits(c): return not select.select([c.sock], [], [], 0)[0]
def reading(): return metrics()["lathe:requests_reading", ()]
def while_read(s, look):                        # what is looked at while large requests are being read; again where they were too fast
    while True:
        all = [big(s) for _ in range(4)]
        while reading() < 1 and waits(all[-1]): pass
        seen = reading() > 0 and look(all)
        if waits(all[-1]): return all, seen
        for c in all: c.getresponse().read()
s = start()
r, first = stream(4000, n=16)
all, seen = while_read(s, lambda all: (len(r.read(2000)), ask(s, "/health")[0], ask(s, "/tokenize", {"model": "tiny", "prompt": "ab"})[0]))
print("meanwhile a stream, and small requests:", seen, [int(re.search(b'"count":([0-9]*)', c.getresponse().read())[1]) for c in all])
r.close()
while ("http_requests_total", (("handler", "/tokenize"), ("method", "POST"), ("status", "0xx"))) not in metrics():      # that of a client that has gone is not read
    all, seen = while_read(s, lambda all: all[2].close())
    replies = [c.getresponse().status for c in (all[0], all[1], all[3])]
print("one has gone:", replies)
all, seen = while_read(s, lambda all: s.terminate())
print("an end:", [c.getresponse().status for c in all], s.wait())
s = start("--queue", "2", "--body", "2")
replies = []
while 429 not in [r.status for r, _ in replies]:
    all = [big(s) for _ in range(5)]
    replies = [(r, r.read()) for r in [c.getresponse() for c in all]]
print("too many:", {(r.status, r.headers["Retry-After"], code(raw) if r.status != 200 else "") for r, raw in replies} == {(200, None, ""), (429, "1", "queue_full")}, len({r.status for r, _ in replies}))
status, raw, r = ask(s, "/tokenize", {"model": "tiny", "prompt": "a", "x": [[]] * 200000})
print(status, code(raw), re.sub("[0-9]+", "N", json.loads(raw)["error"]["message"]))
s.terminate(); print("exit", s.wait())
s = start()
r, first = stream(4000, n=64)
s.terminate(); time.sleep(0.1); s.terminate()
print("twice told: exit", s.wait())
P
python3 operate.py
grep -v 'ending: \|^memory: planned' log | sed 's|\(127.0.0.1\):[0-9]*|\1:PORT|; s/[0-9.]* [kM]B$/SIZE/'
