# A server asked by several clients at once: answers, streams, errors, limits, and its end.
. "$ROOT/tests/cli/small_models.bash"
train_answers
cat > run/chat_template.jinja <<'J'
{{ '<|endoftext|>' }}{% for m in messages %}{{ ('Q: ' if m.role == 'user' else 'A: ') + m.content + '\n' }}{% endfor %}{{ 'A:' }}
J
mkdir run/additional_chat_templates
cat > run/additional_chat_templates/tool_use.jinja <<'J'
{{ '<|endoftext|>' }}{% for t in tools %}{{ t.function.name + ' ' }}{% endfor %}{% for m in messages %}{{ ('Q: ' if m.role == 'user' else 'A: ') + m.content }}{% for c in m.tool_calls %}{{ '<tool_call>{"name": "' + c.function.name + '", "arguments": ' + c.function.arguments | tojson + '}</tool_call>' }}{% endfor %}{{ '\n' }}{% endfor %}{{ 'A:' + ('<think>' if thinking else '<think></think>') }}
J
mkdir more && for i in $(seq 100); do printf 'Q: %s\nA: %s' "${q[i % 3]}" "so what" > more/$i; done
cat > lora.yaml <<'Y'
model: {from: run}
data: {train: more, valid_share: 0.1}
lora: {rank: 4}
train: {steps: 60, batch: 8, ctx: 48, lr: 8e-3, warmup: 5, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train lora.yaml --out rude --quiet --threads 1 && lathe merge run rude --out merged
for m in "run" "run --adapter rude" "merged"; do lathe generate $m -p $'Q: hello\nA:' -n 12 --temp 0 --quiet --threads 1 > "text of $m"; done
cmp -s "text of run --adapter rude" "text of merged" && ! cmp -s "text of run" "text of merged" && echo "as merged"
lathe generate run --adapter run -p x --quiet 2>&1; echo "exit $?"
for a in rude =rude rude= "rude=rude --adapter rude=rude" rude=nothing; do lathe serve run --adapter $a 2>&1; echo "exit $?"; done
lathe serve run --host 0.0.0.0 2>&1; echo "exit $?"
for bad in "--host nowhere" "--host localhost" --audit-text "--audit-strict --audit-text" "--cache 999999999"; do lathe serve run $bad 2>&1; echo "exit $?"; done
lathe serve run --key "" 2>&1; echo "exit $?"
lathe serve run --port 0 --port-file port --threads 2 --parallel 4 --queue 128 --body 1 --name tiny --adapter rude=rude --key secret > log 2>&1 &
wait_for_server
cat > ask.py <<'P'
import http.client, json, os, signal, sys, threading, time
PORT, SERVER = int(open("port").read()), int(sys.argv[1])
KEY = {"Authorization": "Bearer secret"}

def ask(path, body=None, headers=KEY, method=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
    c.request(method or ("GET" if body is None else "POST"), path, data, headers)
    r = c.getresponse()
    return r.status, r.read(), r

def chat(**more): return dict({"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12}, **more)

def events(raw):
    assert raw.endswith(b"data: [DONE]\n\n"), raw[-80:]
    return [json.loads(e[6:]) for e in raw.decode().split("\n\n")[:-2]]

def error(path, body, **more):
    status, raw, r = ask(path, body, **more)
    e = json.loads(raw)["error"]
    print(status, e["type"], e["param"], e["code"], "|", e["message"])

print("--- one answer, whole and streamed")
status, raw, _ = ask("/v1/chat/completions", chat())
whole = json.loads(raw)
text = whole["choices"][0]["message"]["content"]
print(status, repr(text), whole["choices"][0]["finish_reason"], whole["usage"]["prompt_tokens"] > 0, whole["usage"]["completion_tokens"])
status, raw, r = ask("/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True}))
ev = events(raw)
print(status, r.getheader("Content-Type"), "".join(e["choices"][0]["delta"].get("content", "") for e in ev[:-1]) == text, ev[-1]["usage"]["completion_tokens"], ev[-2]["choices"][0]["finish_reason"])
print({e["id"] for e in ev} == {ev[0]["id"]}, ev[0]["choices"][0]["delta"]["role"], all(e.get("usage") is None for e in ev[:-1]))

print("--- many at once, each as alone")
def wishes():
    for i in range(24):
        yield chat(temperature=i % 4 * 0.5, seed=i, n=1 + i % 3, top_p=1 - 0.2 * (i % 2), logprobs=i % 2 == 0, **({"top_logprobs": 2} if i % 2 == 0 else {}),
                   messages=[{"role": "user", "content": ["hello", "name?", "bye", "hello hello"][i % 4]}], **({"stop": ["e", "th"]} if i % 5 == 1 else {}), **({"frequency_penalty": 1} if i % 7 == 2 else {}))
def choices(w):
    got = json.loads(ask("/v1/chat/completions", w)[1])
    assert "choices" in got, got
    return got["choices"]
alone, together = [choices(w) for w in wishes()], [None] * 24
def one(i, w): together[i] = choices(w)
threads = [threading.Thread(target=one, args=x) for x in enumerate(wishes())]
[t.start() for t in threads]; [t.join() for t in threads]
print([i for i in range(24) if alone[i] != together[i]], sum(len(c) for c in alone))

print("--- what may be said")
g = 'root ::= "[" [1-9] [0-9] ("," [1-9] [0-9])* "]"'
said = json.loads(ask("/v1/chat/completions", chat(grammar=g, temperature=1.5, seed=3, n=4, max_tokens=40))[1])["choices"]
print(all(isinstance(json.loads(c["message"]["content"]), list) for c in said if c["finish_reason"] == "stop"), len(said))
schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer", "minimum": 3, "maximum": 12}, "of": {"enum": ["a", "b"]}}, "required": ["ok", "n"], "additionalProperties": False}
def follow(**more):
    c = json.loads(ask("/v1/chat/completions", chat(temperature=1.5, n=6, max_tokens=60, seed=5, **more))[1])["choices"]
    return [x["message"]["content"] for x in c if x["finish_reason"] == "stop"]
said = [json.loads(t) for t in follow(response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}})]
print(len(said), all(type(x["ok"]) is bool and 3 <= x["n"] <= 12 and x.get("of") in ("a", "b", None) and len(x) <= 3 for x in said))
print(follow(structured_outputs={"json": json.dumps(schema)}) == follow(structured_outputs={"json": schema}) == follow(response_format={"type": "json_schema", "json_schema": {"name": "y", "schema": schema}}))
print(set(follow(structured_outputs={"choice": ["yes", "no", "maybe"]})) <= {"yes", "no", "maybe"}, all(len(t) == 7 and t.startswith("k-") for t in follow(structured_outputs={"regex": "k-[0-9a-f]{5}"})),
      all(isinstance(json.loads(t), dict) for t in follow(response_format={"type": "json_object"}, logit_bias={}, presence_penalty=2)))
c = json.loads(ask("/v1/completions", {"model": "tiny", "prompt": ["Q: hello\nA:", [257 % 256, 10]], "max_tokens": 5, "temperature": 0, "logprobs": 1, "logit_bias": {"10": -100}})[1])
print([len(x["logprobs"]["tokens"]) for x in c["choices"]], "\n" in c["choices"][0]["text"], [c["choices"][0]["text"] == "".join(c["choices"][0]["logprobs"]["tokens"][:2]), c["choices"][0]["finish_reason"], c["choices"][0]["logprobs"]["tokens"][2:]])
t = json.loads(ask("/tokenize", {"prompt": "hello", "add_special_tokens": False})[1])
print(t["count"] == len(t["tokens"]), json.loads(ask("/detokenize", {"tokens": t["tokens"]})[1])["prompt"])
print([m["id"] for m in json.loads(ask("/v1/models")[1])["data"]], ask("/health", headers={})[0], ask("/ready", headers={})[0], ask("/metrics")[1].count(b"\nvllm:num_requests_waiting{model_name=\"tiny\""))

print("--- a model with adapters")
rude = json.loads(ask("/v1/chat/completions", chat(model="rude"))[1])
print(rude["model"], rude["choices"][0]["message"]["content"] in open("text of merged").read(), rude["choices"][0]["message"]["content"] != text, rude["system_fingerprint"] != whole["system_fingerprint"])
for m in json.loads(ask("/v1/models")[1])["data"]: print(m["id"], m["root"], m["parent"], m["system_fingerprint"] in (rude["system_fingerprint"], whole["system_fingerprint"]))
print(json.loads(ask("/v1/models/rude")[1])["id"], choices(chat())[0]["message"]["content"] == text)      # what one has computed is not the other's
api = json.loads(ask("/api/chat", {"model": "rude:latest", "messages": [{"role": "user", "content": "hello"}], "stream": False, "options": {"temperature": 0, "num_predict": 12}})[1])
m = json.loads(ask("/v1/messages", {"model": "rude", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12})[1])
print(api["model"], m["model"], api["message"]["content"] == m["content"][0]["text"] == rude["choices"][0]["message"]["content"], [x["name"] for x in json.loads(ask("/api/tags")[1])["models"]])
names = ["tiny", "rude"]
both = [chat(model=names[i % 2], temperature=i % 3 * 0.5, seed=i, logprobs=True) for i in range(16)]
alone, together = [choices(w) for w in both], [None] * 16
threads = [threading.Thread(target=one, args=x) for x in enumerate(both)]
[t.start() for t in threads]; [t.join() for t in threads]
print([i for i in range(16) if alone[i] != together[i]])

print("--- the page")
import base64, hashlib, re
status, page, r = ask("/", headers={})
policy, text = r.getheader("Content-Security-Policy"), page.decode()
print(status, r.getheader("Content-Type"), len(page) < 200000, r.getheader("Cache-Control"), r.getheader("X-Content-Type-Options"), r.getheader("Referrer-Policy"))
sums = {tag: "'sha256-" + base64.b64encode(hashlib.sha256(re.search(f"<{tag}>(.*)</{tag}>", text, re.S)[1].encode()).digest()).decode() + "'" for tag in ("style", "script")}
print(re.sub("sha256-[^']*", "SHA", policy))
print("script-src " + sums["script"] + ";" in policy, "style-src " + sums["style"] + ";" in policy, len(re.findall("<script|<style", text)))
print(re.findall(r"https?:|//[a-z0-9-]+\.[a-z]|url\(|@import|\son[a-z]+=|\sstyle=|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text))
tag = r.getheader("ETag")
for h in (tag, '"another"'):
    status, raw, r = ask("/", headers={"If-None-Match": h})
    print(status, len(raw) == (0 if h == tag else len(page)), r.getheader("ETag") == tag)
print(*[(s, len(raw)) for s, raw, _ in [ask("/", headers={}, method="HEAD")]], ask("/", "{}", headers={})[0])

print("--- the prompt again, and the best of several")
def completion(prompt, **more): return json.loads(ask("/v1/completions", dict({"model": "tiny", "prompt": prompt, "max_tokens": 6, "temperature": 0}, **more))[1])
p = "Q: h\u00e9llo\nA:"
plain, again = completion(p)["choices"][0], completion(p, echo=True)["choices"][0]
print(again["text"] == p + plain["text"], again["logprobs"], completion(p, max_tokens=0)["choices"][0]["text"] == "")
told = completion(p, echo=True, logprobs=2)
l, n = told["choices"][0]["logprobs"], told["usage"]["prompt_tokens"]
print({k: len(l[k]) == n + told["usage"]["completion_tokens"] for k in l}, l["token_logprobs"][0], l["top_logprobs"][0], max(len(t) for t in l["top_logprobs"][1:]))
print([a for a, b in zip(l["text_offset"], l["text_offset"][1:]) if a > b], told["choices"][0]["text"][l["text_offset"][n]:] == plain["text"])
ids = json.loads(ask("/tokenize", {"prompt": p})[1])["tokens"]
step = [completion(ids[:i], logprobs=5, max_tokens=1)["choices"][0]["logprobs"]["top_logprobs"][0] for i in range(1, n)]
known = [(s[t], x) for s, t, x in zip(step, l["tokens"][1:], l["token_logprobs"][1:]) if t in s]
print(len(known) > 1, [k for k in known if k[0] != k[1]])
alone = completion(ids, echo=True, logprobs=2, max_tokens=0)["choices"][0]
print(alone["logprobs"]["token_logprobs"] == l["token_logprobs"][:n], alone["text"] == p, alone["finish_reason"])
both = completion([ids, ids[:3]], echo=True, logprobs=2, max_tokens=0, n=2)["choices"]
print([c["logprobs"] == alone["logprobs"] for c in both], both[2]["logprobs"]["token_logprobs"] == alone["logprobs"]["token_logprobs"][:3])
ev = events(ask("/v1/completions", {"model": "tiny", "prompt": p, "max_tokens": 6, "temperature": 0, "echo": True, "logprobs": 2, "stream": True})[1])
print("".join(e["choices"][0]["text"] for e in ev) == again["text"], sum([e["choices"][0]["logprobs"]["token_logprobs"] for e in ev if e["choices"][0]["logprobs"]], []) == l["token_logprobs"])
w = dict(temperature=1.3, seed=5, max_tokens=9)
made = completion([p, "Q: bye\nA:"], n=7, logprobs=0, **w)
best = completion([p, "Q: bye\nA:"], n=2, best_of=7, logprobs=0, **w)
mean = lambda c: sum(c["logprobs"]["token_logprobs"]) / len(c["logprobs"]["token_logprobs"])
want = [c["text"] for k in range(2) for c in sorted(made["choices"][7 * k:7 * k + 7], key=lambda c: -mean(c))[:2]]
print([c["text"] for c in best["choices"]] == want, [c["index"] for c in best["choices"]], best["usage"] == made["usage"], completion([p, "Q: bye\nA:"], n=2, best_of=7, **w)["choices"][0]["logprobs"])

print("--- vectors")
import base64, struct
def embed(input, **more): return json.loads(ask("/v1/embeddings", dict({"model": "tiny", "input": input}, **more))[1])
texts = ["hello", "name?", "bye bye", "Q: hello\nA: hi there " * 4] + ["hello %d" % i for i in range(40)]
alone = [embed(t)["data"][0]["embedding"] for t in texts]
both = [None] * 3
def all_at_once(i): both[i] = embed(texts)
threads = [threading.Thread(target=all_at_once, args=(i,)) for i in range(3)] + [threading.Thread(target=one, args=(i, w)) for i, w in enumerate(wishes()) if i < 8]
[x.start() for x in threads]; [x.join() for x in threads]
print([d["index"] for d in both[0]["data"]] == list(range(44)), all([d["embedding"] for d in b["data"]] == alone for b in both), both[0]["usage"]["prompt_tokens"] > 44)
ids = json.loads(ask("/tokenize", {"prompt": "hello", "add_special_tokens": False})[1])["tokens"]
print(embed(ids)["data"] == embed([ids])["data"] == embed("hello")["data"], abs(sum(x * x for x in alone[0]) - 1) < 1e-5, len(alone[0]))
v = base64.b64decode(embed("hello", encoding_format="base64", user="me", dimensions=48)["data"][0]["embedding"])
print(list(struct.unpack("<48f", v)) == [struct.unpack("f", struct.pack("f", x))[0] for x in alone[0]])
print(embed([float(i) for i in ids])["data"] == embed(ids)["data"], len(completion(ids, max_tokens=2.0, user=None, metadata={"a": "b"})["choices"]))
def found(): return sum(float(l.split()[-1]) for l in ask("/metrics")[1].decode().split("\n") if l.startswith("vllm:prefix_cache_hits_total"))
long = "Q: hello\nA: hi there " * 3
salted = [embed(long, cache_salt="s")["data"]]
before = found()
salted += [embed(long, cache_salt=s)["data"] for s in "st"]
print(salted[0] == salted[1] == salted[2], found() - before)
for more in ({"user": {}}, {"dimensions": 47.5}, {"input": [1.5]}, {"input": []}, {"input": ""}, {"input": ["x", 3]}, {"input": [[1], []]}, {"input": [1, 99999]}, {"input": {"x": 1}}, {"input": ["x"] * 2049}, {"input": "hello " * 300}, {"input": "h" * 100000},
             {"dimensions": 8}, {"dimensions": 0}, {"encoding_format": "binary"}, {"colour": "red"}, {"model": "other"}, {"input": None}):
    error("/v1/embeddings", dict({"model": "tiny", "input": "x"}, **more))

print("--- tools and thoughts")
tool = lambda name, **p: {"type": "function", "function": {"name": name, **({"parameters": p} if p else {})}}
tools = [tool("f", type="object", properties={"x": {"type": "integer", "minimum": 0, "maximum": 99}, "ok": {"type": "boolean"}}, required=["x"], additionalProperties=False), tool("now")]
def told(stream, **more):
    status, raw, _ = ask("/v1/chat/completions", chat(tools=tools, temperature=1.3, seed=6, max_tokens=80, n=3, stream=stream, **more))
    if not stream:
        return [(c["message"]["content"] or "", c["message"].get("reasoning_content", ""), [(t["function"]["name"], t["function"]["arguments"]) for t in c["message"].get("tool_calls", [])], c["finish_reason"]) for c in json.loads(raw)["choices"]]
    out = [["", "", [], None] for _ in range(3)]
    for e in events(raw):
        for c in e["choices"]:
            o, d = out[c["index"]], c["delta"]
            o[0] += d.get("content") or ""; o[1] += d.get("reasoning_content", ""); o[3] = c["finish_reason"] or o[3]
            for t in d.get("tool_calls", []):
                if "id" in t: assert t["index"] == len(o[2]) and len(t["id"]) == 9 and t["type"] == "function"; o[2].append([t["function"]["name"], ""])
                o[2][t["index"]][1] += t["function"]["arguments"]
    return [(a, b, [tuple(x) for x in c], d) for a, b, c, d in out]
for choice in ("required", {"type": "function", "function": {"name": "f"}}, {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "now"}}]}}):
    said = told(False, tool_choice=choice, parallel_tool_calls=False)
    print([(a, [(n, sorted(json.loads(x)) [-1:]) for n, x in c] if type(choice) is dict else len(c), d) for a, _, c, d in said], said == told(True, tool_choice=choice, parallel_tool_calls=False))
said = told(False)
print(said == told(True), all(not c and d in ("stop", "length") for _, _, c, d in said) or said)
def is_json(t):
    try: return type(json.loads(t)) is dict
    except ValueError: return False
beside = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}}}}
said = told(False, **beside)
print(said == told(True, **beside), all(d == "length" or is_json(a) != bool(c) for a, _, c, d in said) or said, any(d != "length" for _, _, _, d in said))
said = told(False, chat_template_kwargs={"thinking": True}, tool_choice="required")
print(said == told(True, chat_template_kwargs={"thinking": True}, tool_choice="required"), all(not a and b and not c and d == "length" for a, b, c, d in said))
cut = [json.loads(ask("/v1/chat/completions", chat(tools=tools[:1], tool_choice="required", max_tokens=n))[1])["choices"][0] for n in range(1, 60)]
for c in cut: c["calls"] = c["message"].get("tool_calls", [])
print("calls that are cut:", {c["finish_reason"] for c in cut if c["calls"] and not c["calls"][0]["function"]["arguments"].endswith("}")}, any('arguments":' in (c["message"]["content"] or "") for c in cut))
u = json.loads(ask("/v1/chat/completions", chat(tools=tools, chat_template_kwargs={"thinking": True}))[1])["usage"]
print(u["completion_tokens"] == u["completion_tokens_details"]["reasoning_tokens"] > 0)
past = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]}, {"role": "tool", "tool_call_id": "a", "content": "2"}]
print([ask("/v1/chat/completions", chat(messages=past, **more))[0] for more in ({"tools": tools}, {}, {"tools": tools, "tool_choice": "none"})])

unset = dict.fromkeys("audio function_call functions moderation prediction prompt_cache_options prompt_cache_retention verbosity web_search_options".split())
again = {"role": "assistant", "content": [{"type": "text", "text": "h\0i"}], "refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None}
print(ask("/v1/chat/completions", chat(messages=[past[0], again, past[0]], **unset))[0])

print("--- errors")
error("/v1/chat/completions", chat(), headers={})
error("/v1/chat/completions", chat(), headers={"Authorization": "Bearer secre"})
error("/v1/chat/completions", chat(), headers=dict(KEY, **{"Content-Encoding": "gzip"}))
print(*(ask("/v1/models", headers=h)[2].getheader("WWW-Authenticate") for h in ({}, {"x-api-key": "secre"}, {"x-api-key": "secret"})))
error("/v1/nothing", None)
error("/v1/models", "{}")
error("/v1/chat/completions", '{"model": "tiny", "messages": [}')
error("/v1/chat/completions", '{"model": "tiny", "model": "tiny"}')
error("/v1/chat/completions", "[" * 60000)
error("/v1/chat/completions", b'{"model": "\xff"}')
error("/v1/chat/completions", "[]")
error("/v1/chat/completions", "x" * (1 << 20) + "x")
for more in ({"model": "other"}, {"messages": []}, {"messages": "hello"}, {"messages": [{"role": "user"}]}, {"messages": [{"role": "user", "content": "x", "colour": 1}]}, {"temperature": 3}, {"temperature": "hot"},
             {"n": 10 ** 9}, {"top_logprobs": 1}, {"stop": [""]}, {"logit_bias": {"x": 1}}, {"logit_bias": {"99999": 1}}, {"tools": [{"type": "function"}]}, {"tools": [tool("a b")]}, {"tools": [tool("a"), tool("a")]}, {"tools": [tool("a")] * 129},
             {"tools": tools, "tool_choice": {"type": "function", "function": {"name": "g"}}}, {"tools": tools, "tool_choice": "f"}, {"tools": tools, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}}, {"tools": tools, "tool_choice": "auto\0f"}, {"tool_choice": "required"}, {"tools": tools, "grammar": "root ::= \"a\""}, {"reasoning_effort": "high"},
             {"tools": [{"type": "function", "function": {"name": "a", "strict": True, "parameters": {"properties": {"b": {"if": {}}}}}}]}, {"messages": [{"role": "tool", "content": "x"}]},
             {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]}]}, {"response_format": {"type": "xml"}},
             {"response_format": {"type": "json_schema"}}, {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": {"a": {"not": {}}}}}}}, {"structured_outputs": {}},
             {"structured_outputs": {"regex": "("}}, {"structured_outputs": {"choice": []}}, {"structured_outputs": {"json": "{"}}, {"structured_outputs": {"xml": 1}}, {"guided_json": {}},
             {"response_format": {"type": "json_object"}, "grammar": "root ::= \"a\""}, {"structured_outputs": {"json": {"minLength": 10 ** 9}}},
             {"grammar": "root ::= x"}, {"max_tokens": 4000}, {"min_tokens": 13}, {"stream_options": {"include_usage": True}}, {"colour": "red"}, {"audio": {"voice": "ash"}}, {"verbosity": "low"},
             *({"messages": [{"role": "user", "content": [part]}]} for part in ("x", {"text": "x"}, {"type": "text"}, {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "x", "colour": 1}))):
    error("/v1/chat/completions", chat(**more))
error("/v1/chat/completions", chat(messages=[{"role": "user", "content": "hello " * 125}]))
error("/v1/completions", {"model": "tiny", "prompt": [1, -1]})
error("/v1/completions", {"model": "tiny", "prompt": "x", "best_of": 2, "n": 3})
error("/v1/completions", {"model": "tiny", "prompt": "x", "best_of": 2, "stream": True})
error("/v1/completions", {"model": "tiny", "prompt": "x", "best_of": 10 ** 9})

print("--- clients that go, and the end")
for i in range(8):
    c = http.client.HTTPConnection("127.0.0.1", PORT)
    c.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": "Q:", "max_tokens": 120, "ignore_eos": True, "stream": i % 2 == 0}), KEY)
    c.sock.close()
busy = lambda: [l for l in ask("/metrics")[1].decode().split("\n") if l.startswith("vllm:num_requests_")]
for _ in range(200):
    if all(l.endswith(" 0") for l in busy()): break
    time.sleep(0.05)
print(busy())
c = http.client.HTTPConnection("127.0.0.1", PORT)
c.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": "Q:", "max_tokens": 110, "ignore_eos": True, "stream": True}), KEY)
r = c.getresponse()
first = r.read(10)
os.kill(SERVER, signal.SIGTERM)
ev = events(first + r.read())
print(ev[-1]["choices"][0]["finish_reason"], len(ev) > 1)
P
echo "--- under load"
url=http://127.0.0.1:$(cat port)
facts='import json, sys; r = json.load(open(sys.argv[1])); print(r["completed"], r["failed"], r["total_input_tokens"], r["total_output_tokens"], r["max_concurrency"], r["usage_told"], [f["kind"] for f in r["failures"]])'
load() { lathe bench serve "$url" --key secret --quiet --save result.json "$@" > table; echo "exit $?"; python3 -c "$facts" result.json; }
load --users 4 --requests 12 --input 20 --output 10 --shared 16
sed '/^energy: /d; s/[0-9][0-9.]*[0-9]\|[0-9]/N/g; s/  *N/ N/g; s/ to -/ to N/g' table
load --rate 200 --requests 20 --input 5 --output 8 --spread 0.2 --slo ttft:60000,tpot:60000
load --users 2 --requests 4 --api chat --turns 2 --input 4 --output 6
printf '0,9,4\n0.01,8,3\n0.02,7,2\n' > trace
load --trace trace
echo '{"prompt": "hello", "max_tokens": 5}' > prompts
load --prompts prompts --requests 3
load --users 1 --requests 2 --input 4000 --warmup 0 2>&1 | sed 's/:.*/: .../'
scenario() { lathe bench serve "$url" --key secret --quiet --input 5 --output 4 --save result.json --scenario "$@" > table 2> said; echo "exit $?"; }
echo "--- scenarios"
scenario single-stream --min-duration 0.1 --out found
grep -o '^single-stream: .*\|^.*asked for at least.*' table; grep 'Result is\|Scenario\|Early\|at least' found/mlperf_log_summary.txt | sed 's/([0-9]*)/(N)/; s/estimate: .*/estimate: N/'; tail -1 found/mlperf_log_detail.txt | cut -c1-65
scenario server --rate 100 --slo ttft:60000,tpot:60000 --requests 20 --min-duration 0.01 --price-per-hour 3 --watts 50 --out found
grep 'VALID\|- .*need' table; sed 's/^lathe bench: //' said; grep -o '^cost at .*tokens within the limits' table
scenario offline --requests 30 --min-queries 30 --min-duration 0.001 --max-concurrency 3; grep '^offline\|way' table
lathe bench run -p 8 -n 4 -r 3 --out found --quiet > table
python3 - <<'P'
import glob, json
for f in sorted(glob.glob("found/speed_*.json")):
    e = json.load(open(f))
    print(e["kind"], e["model"], e["model_sha256"] is not None, *["%s%s" % (g["name"], "" if g["value"] is not None else "?") for g in e["figures"] if "energy" not in g["name"]])
    assert all(g["low"] is None or g["low"] <= g["value"] for g in e["figures"])
P
for bad in "--scenario fast" "--scenario server" "--scenario server --rate 2" "--scenario offline --rate 2" "--scenario interactive --rate 2 --slo mixtral-8x7b" "--price-per-hour 1" "--tdp 5" "--min-queries 5" "--max-concurrency 2"; do
    lathe bench serve "$url" --key secret --quiet $bad 2>&1
done
lathe bench serve "$url" --quiet 2>&1 | sed "s/1:[0-9]*/1:PORT/"; lathe bench serve "$url" --key secret --rate 1 --users 2 2>&1; lathe bench run --rate 2 2>&1; lathe bench serve https://x --quiet 2>&1; lathe bench serve "$url" --slo fast 2>&1
python3 ask.py $server || kill $server
wait $server; echo "exit $?"
sed 's|127.0.0.1:[0-9]*|127.0.0.1:PORT|; s/^memory: planned .*/memory: N/; s/[0-9.]* [kM]B$/SIZE/; s/[0-9]* texts under way, [0-9]* waiting/N texts under way, N waiting/' log
echo "--- several models"
lathe serve run run 2>&1 | tail -1
lathe serve a=run b=run --name c 2>&1
lathe serve a=run b=run --memory 0.02 2>&1 | sed 's/[0-9.]* [kM]B/SIZE/g'
rm -f port
lathe serve a=run b=run --port 0 --port-file port --threads 2 --parallel 4 --memory 1 > log 2>&1 &
wait_for_server
cat > two.py <<'P'
import http.client, json, threading
PORT = int(open("port").read())
def ask(path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("POST" if body else "GET", path, json.dumps(body) if body else None)
    r = c.getresponse()
    return r.status, json.loads(r.read())
def chat(model, seed): return ask("/v1/completions", {"model": model, "prompt": "Q: hello\nA:", "seed": seed, "max_tokens": 20, "ignore_eos": True})[1]
print([m["id"] for m in ask("/v1/models")[1]["data"]], ask("/v1/models/b")[1]["id"], ask("/v1/models/c")[0])
for body in ({"prompt": "x"}, {"model": None, "prompt": "x"}, {"model": "c", "prompt": "x"}): print(*(lambda s, r: (s, r["error"]["code"], r["error"]["message"]))(*ask("/v1/completions", body)))
alone, both = {m: [chat(m, i)["choices"] for i in range(6)] for m in "ab"}, {m: [None] * 6 for m in "ab"}
def one(m, i): both[m][i] = chat(m, i)["choices"]
threads = [threading.Thread(target=one, args=(m, i)) for i in range(6) for m in "ab"]
[t.start() for t in threads]; [t.join() for t in threads]
print(both == alone, alone["a"] == alone["b"], {chat(m, 0)["model"] for m in "ab"} == set("ab"))
print([len(ask("/tokenize", {"model": m, "prompt": "hello"})[1]["tokens"]) for m in "ab"], len(ask("/lathe/stats")[1]["models"]))
print(ask("/api/generate", {"model": None, "name": "b"})[1].get("model"))
P
python3 two.py
kill $server; wait $server; echo "exit $?"
sed 's|127.0.0.1:[0-9]*|127.0.0.1:PORT|; s/^memory: planned .*/memory: N/; s/[0-9.]* [kM]B$/SIZE/; s/[0-9]* texts under way, [0-9]* waiting/N texts under way, N waiting/' log
