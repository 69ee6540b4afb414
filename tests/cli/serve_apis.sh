# A server asked in the words of other APIs: Anthropic's messages, Ollama's chats and texts.
mkdir texts
q=('hello' 'name?' 'bye') a=('hi there' 'small model' 'see you')
for i in $(seq 400); do printf 'Q: %s\nA: %s' "${q[i % 3]}" "${a[i % 3]}" > texts/$i; done
cat > config.yaml <<'Y'
model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 128}
data: {train: texts, valid_share: 0.1, vocab_size: 290}
train: {steps: 120, batch: 16, ctx: 48, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --json --threads 1 > result.json 2> warnings && echo trained
cat > run/chat_template.jinja <<'J'
{{ '<|endoftext|>' }}{% for m in messages %}{{ ({'user': 'Q: ', 'system': 'S: '}[m.role] or 'A: ') + m.content + '\n' }}{% endfor %}{{ 'A:' }}
J
lathe serve run --port 0 --port-file port --threads 2 --name tiny --key secret > log 2>&1 & server=$!
trap 'kill -9 $server 2>/dev/null' EXIT
for _ in $(seq 300); do [ -s port ] && break; sleep 0.1; done
cat > ask.py <<'P'
import http.client, json, re
PORT = int(open("port").read())
KEY = {"x-api-key": "secret", "anthropic-version": "2023-06-01"}

def ask(path, body=None, headers=KEY, method=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
    c.request(method or ("GET" if body is None else "POST"), path, data, headers)
    r = c.getresponse()
    return r.status, r.read().decode(), r

def user(text): return [{"role": "user", "content": text}]

print("--- Anthropic: a message, whole and as events")
def message(**more): return dict({"model": "tiny", "max_tokens": 12, "temperature": 0, "messages": user("hello")}, **more)
def whole(**more): return json.loads(ask("/v1/messages", message(**more))[1])
def text(m): return "".join(b["text"] for b in m["content"])
def n_prompt(u): return u["input_tokens"] + u["cache_read_input_tokens"] + u["cache_creation_input_tokens"]
status, raw, r = ask("/v1/messages", message())
m = json.loads(raw)
print(status, r.getheader("Content-Type"), m["type"], m["role"], m["model"], m["content"], m["stop_reason"], m["stop_sequence"], n_prompt(m["usage"]) > 0, m["usage"]["output_tokens"])
print(bool(re.fullmatch("msg_[0-9a-f]{16}", m["id"])), r.getheader("request-id")[4:] == m["id"][4:])
status, raw, r = ask("/v1/messages", message(stream=True))
events = [re.fullmatch("event: ([a-z_]+)\ndata: (.*)", e).groups() for e in raw.split("\n\n")[:-1]]
data = [json.loads(d) for _, d in events]
print(status, r.getheader("Content-Type"), raw.endswith("\n\n"), all(e == d["type"] for (e, _), d in zip(events, data)))
print([e for i, (e, _) in enumerate(events) if not i or events[i - 1][0] != e])
print("".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta") == text(m), data[0]["message"]["content"], n_prompt(data[0]["message"]["usage"]) == n_prompt(m["usage"]), data[-2]["delta"], data[-2]["usage"]["output_tokens"])
w = whole(stop_sequences=["x", "th"])
print(repr(text(w)), w["stop_reason"], w["stop_sequence"])
print(whole(max_tokens=1)["stop_reason"], whole(max_tokens=0)["content"], whole(max_tokens=0)["usage"]["output_tokens"])
data = [json.loads(l[6:]) for l in ask("/v1/messages", message(stream=True, stop_sequences=[" "]))[1].split("\n") if l.startswith("data: ")]
print([d["type"] for d in data], data[-2]["delta"])

print("--- Anthropic: what messages are")
def count(**more): return json.loads(ask("/v1/messages/count_tokens", dict({"model": "tiny", "messages": user("hello")}, **more))[1])["input_tokens"]
parts = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief", "cache_control": {"type": "ephemeral"}}]
print(count() == n_prompt(m["usage"]), count(system="Be\nbrief") == count(system=parts) > count(), count(messages=user("hello") + user("you")) == count(messages=user("hello\nyou")))
print(count(messages=user([{"type": "text", "text": "hello"}])) == count(), count(system="S", messages=user("a") + [{"role": "assistant", "content": "b"}] + user("c")))
print(repr(text(whole(messages=user("hello") + [{"role": "assistant", "content": " hi th"}]))), repr(text(whole(messages=user("hello") + [{"role": "assistant", "content": [{"type": "text", "text": " hi"}]}], metadata={"user_id": "x"}, top_k=1, top_p=0.5))))
big = "hello " * 10
print([whole(messages=user(big))["usage"]["cache_read_input_tokens"] > 0 for _ in range(2)])

print("--- Anthropic: models, errors")
status, raw, _ = ask("/v1/models")
m = json.loads(raw)
print(status, [(x["id"], x["type"], x["display_name"]) for x in m["data"]], m["has_more"], json.loads(ask("/v1/models/tiny")[1])["id"])
def error(body, path="/v1/messages", **more):
    status, raw, r = ask(path, body, **more)
    e = json.loads(raw)
    print(status, e["type"], e["error"]["type"], e["request_id"] == r.getheader("request-id"), "|", e["error"]["message"])
error(message(), headers={})
error(message(), headers={"x-api-key": "secre"})
error(message(), path="/v1/messages/batches")
error(None)
error("{")
error([])
image = {"type": "image", "source": {"type": "url", "url": "http://x"}}
for more in ({"model": "other"}, {"max_tokens": None}, {"max_tokens": -1}, {"max_tokens": 4000}, {"temperature": 1.5}, {"messages": []}, {"messages": "hello"}, {"messages": [{"role": "tool", "content": "x"}]}, {"messages": [{"role": "user"}]},
             {"messages": user([])}, {"messages": user([{"text": "x"}])}, {"messages": user([{"type": "text"}])}, {"messages": user([image])}, {"messages": user([{"type": "sound"}])}, {"messages": user([{"type": "text", "text": 1}])}, {"messages": user(["x"])},
             {"messages": user(7)}, {"system": 7}, {"system": [image]}, {"messages": [{"role": "user", "content": "x", "name": "y"}]}, {"stop_sequences": "x"}, {"stop_sequences": [""]}, {"metadata": {"colour": 1}}, {"thinking": {"type": "enabled", "budget_tokens": 1024}},
             {"mcp_servers": []}, {"messages": user("hello " * 125)}, {"messages": [{"role": "assistant", "content": "x"}]}):
    error(message(**more))
error({"model": "tiny", "messages": user("x"), "max_tokens": 5}, path="/v1/messages/count_tokens")
error({"model": "tiny"}, path="/v1/messages/count_tokens")
error(None, path="/v1/models/other")
P
python3 ask.py || echo failed
kill $server
wait $server; echo "exit $?"
