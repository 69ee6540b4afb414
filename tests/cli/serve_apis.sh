# A server asked in the words of other APIs: Anthropic's messages, Ollama's chats and texts.
. "$ROOT/tests/cli/small_models.bash"
train_answers
cat > run/chat_template.jinja <<'J'
{{ '<|endoftext|>' }}{% for m in messages %}{{ ({'user': 'Q: ', 'system': 'S: '}[m.role] or 'A: ') + m.content + '\n' }}{% endfor %}{{ 'A:' }}
J
mkdir run/additional_chat_templates
cat > run/additional_chat_templates/tool_use.jinja <<'J'
{{ '<|endoftext|>' }}{% for t in tools %}{{ t.function.name + ' ' }}{% endfor %}{% for m in messages %}{{ ({'user': 'Q: ', 'tool': 'T: '}[m.role] or 'A: ') + m.content }}{% for c in m.tool_calls %}{{ '<tool_call>{"name": "' + c.function.name + '", "arguments": ' + c.function.arguments | tojson + '}</tool_call>' }}{% endfor %}{{ '\n' }}{% endfor %}{{ 'A:' + ('<think>' if enable_thinking else '<think></think>') }}
J
lathe serve run --port 0 --port-file port --threads 2 --name tiny --key secret --audit audit > log 2>&1 &
wait_for_server
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
print(bool(re.fullmatch("msg_[0-9a-f]{16}", m["id"])), r.getheader("request-id") == r.getheader("x-request-id") != None, whole(container=None, context_management=None, metadata=None)["content"] == m["content"])
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
print(repr(text(whole(messages=user("hello") + [{"role": "assistant", "content": " hi"}]))), repr(text(whole(messages=user("hello") + [{"role": "assistant", "content": [{"type": "text", "text": " hi"}]}], metadata={"user_id": "x"}, top_k=1, top_p=0.5))))
big = "hello " * 10
print([whole(messages=user(big))["usage"]["cache_read_input_tokens"] > 0 for _ in range(2)])

schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False}
said = json.loads(text(whole(max_tokens=60, temperature=1, output_config={"format": {"type": "json_schema", "schema": schema}})))
print(list(said), type(said["name"]), 0 <= said["age"] <= 99)

print("--- Anthropic: tools, thoughts")
tool = lambda name, **p: {"name": name, "description": "does it", "input_schema": dict({"type": "object"}, **p)}
tools = [tool("f", properties={"x": {"type": "integer", "minimum": 0, "maximum": 99}, "ok": {"type": "boolean"}}, required=["x"], additionalProperties=False), tool("now", properties={}, additionalProperties=False)]
def blocks(**more):
    """Whole and streamed, which must say the same."""
    w = whole(tools=tools, temperature=1, max_tokens=100, **more) if "max_tokens" not in more else whole(tools=tools, temperature=1, **more)
    return w["content"], w["stop_reason"]
def streamed(**more):
    out, types = [], []
    for l in ask("/v1/messages", message(**dict(dict(tools=tools, temperature=1, max_tokens=100, stream=True), **more)))[1].split("\n"):
        d = json.loads(l[6:]) if l.startswith("data: ") else {"type": ""}
        if d["type"] == "content_block_start":
            assert d["index"] == len(out)
            out.append(dict(d["content_block"]))
            said = ""
        elif d["type"] == "content_block_delta":
            assert d["index"] == len(out) - 1
            kind = d["delta"]["type"]
            said += d["delta"][{"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}[kind]]
        elif d["type"] == "content_block_stop":
            b = out[-1]
            b.update({"text": said} if b["type"] == "text" else {"thinking": said} if b["type"] == "thinking" else {"input": json.loads(said)})
        elif d["type"] == "message_delta":
            return out, d["delta"]["stop_reason"]
for choice in ({"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "now", "disable_parallel_tool_use": True}):
    content, why = blocks(tool_choice=choice)
    calls = [b for b in content if b["type"] == "tool_use"]
    print(why, [(b["name"] in ("f", "now"), type(b["input"]), b["id"][:6]) for b in calls], calls[0]["name"] == "now" if choice["type"] == "tool" else 0 <= calls[0]["input"].get("x", 0) <= 99)
    again, why_again = streamed(tool_choice=choice)
    print([(b["type"], b.get("name")) for b in again if b["type"] == "tool_use"][-1][1] in ("f", "now"), why_again)
content, why = blocks(tool_choice={"type": "any", "disable_parallel_tool_use": True}, output_config={"format": {"type": "json_schema", "schema": schema}})
print(why, [b["type"] for b in content][-1])
content, why = blocks(thinking={"type": "enabled", "budget_tokens": 1024}, tool_choice={"type": "any"}, max_tokens=10)
print([b["type"] for b in content], why, sorted(content[0]))
content, why = streamed(thinking={"type": "adaptive"}, max_tokens=10)
print([b["type"] for b in content], why)
past = user("hello") + [{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "so"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}]},
                        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "2"}], "is_error": False}, {"type": "text", "text": "so?"}]}]
print(whole(messages=past, tools=tools, tool_choice={"type": "none"})["stop_reason"] in ("end_turn", "max_tokens"), count(messages=past, tools=tools) > count(messages=past[:1], tools=tools) > count())

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
error("x" * (33 << 20))
image = {"type": "image", "source": {"type": "url", "url": "http://x"}}
for more in ({"model": "other"}, {"max_tokens": None}, {"max_tokens": -1}, {"max_tokens": 4000}, {"temperature": 1.5}, {"messages": []}, {"messages": "hello"}, {"messages": [{"role": "tool", "content": "x"}]}, {"messages": [{"role": "user"}]},
             {"messages": user([])}, {"messages": user([{"text": "x"}])}, {"messages": user([{"type": "text"}])}, {"messages": user([image])}, {"messages": user([{"type": "sound"}])}, {"messages": user([{"type": "text", "text": 1}])}, {"messages": user(["x"])},
             {"messages": user(7)}, {"system": 7}, {"system": [image]}, {"messages": [{"role": "user", "content": "x", "name": "y"}]}, {"stop_sequences": "x"}, {"stop_sequences": [""]}, {"metadata": {"colour": 1}}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"thinking": {"type": "enabled", "budget_tokens": 10}}, {"thinking": {}},
             {"tools": [{"name": "f"}]}, {"tools": [dict(tools[0], type="bash_20250124")]}, {"tools": [tools[0], tools[0]]}, {"tools": [dict(tools[0], name="a b")]}, {"tools": [dict(tools[0], colour=1)]},
             {"tools": [dict(tools[0], strict=True, input_schema={"properties": {"b": {"if": {}}}})]}, {"tools": tools, "tool_choice": {"type": "tool", "name": "g"}}, {"tools": tools, "tool_choice": {"type": "tool"}}, {"tool_choice": {"type": "any"}},
             {"messages": past[:2]}, {"messages": user([{"type": "tool_result"}])}, {"messages": user([{"type": "tool_use", "id": "a", "name": "f", "input": {}}])},
             {"messages": user("x") + [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "{}"}]}]},
             {"output_config": {"effort": "low"}}, {"output_config": {"format": {"type": "json_schema"}}}, {"output_config": {"format": {"type": "json_schema", "schema": {"type": "colour"}}}},
             {"mcp_servers": []}, {"messages": user("hello " * 125)}, {"messages": [{"role": "assistant", "content": "x"}]}):
    error(message(**more))
error({"model": "tiny", "messages": user("x"), "max_tokens": 5}, path="/v1/messages/count_tokens")
error({"model": "tiny"}, path="/v1/messages/count_tokens")
error(None, path="/v1/models/other")

print("--- Ollama: answers, whole and as lines")
KEY = {"Authorization": "Bearer secret"}
def api(path, headers=None, **more): return ask("/api/" + path, dict({"model": "tiny", "options": {"temperature": 0, "num_predict": 12}}, **more), headers or KEY)
def whole(path, **more): return json.loads(api(path, stream=False, **more)[1])
def lines(raw): return [json.loads(l) for l in raw.split("\n")[:-1]]
def counts(a): return a["done"], a["done_reason"], a["prompt_eval_count"], a["eval_count"], 0 < a["prompt_eval_duration"] <= a["total_duration"], 0 <= a["eval_duration"] <= a["total_duration"], a["load_duration"]
status, raw, r = api("chat", messages=user("hello"), stream=False)
a = json.loads(raw)
print(status, r.getheader("Content-Type"), a["model"], a["message"], counts(a), bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", a["created_at"])))
status, raw, r = api("chat", messages=user("hello"))
l = lines(raw)
print(status, r.getheader("Content-Type"), "".join(x["message"]["content"] for x in l) == a["message"]["content"], [x["done"] for x in l], counts(l[-1])[1:4])
g = whole("generate", prompt="hello")
l = lines(api("generate", prompt="hello")[1])
print(repr(g["response"]), counts(g), "message" in g, "".join(x["response"] for x in l) == g["response"], counts(l[-1])[1:4])
print(repr(whole("generate", prompt="Q: bye\nA:", raw=True)["response"]), whole("generate", prompt="hello", system="S")["prompt_eval_count"] > g["prompt_eval_count"], whole("chat", messages=[{"role": "system", "content": "S"}] + user("hello"))["prompt_eval_count"])
print([whole("chat", messages=user("hello"), options=o)["message"]["content"] for o in ({"temperature": 0, "stop": ["th"]}, {"temperature": 0, "num_predict": 1}, {"top_k": 1, "num_ctx": 128, "num_thread": 4}, {"temperature": 0, "num_predict": -1, "repeat_penalty": 1.0, "repeat_last_n": 64})])
hot = [whole("chat", messages=user("xyz"), options={"temperature": 3, "seed": seed, "top_k": 0, "top_p": 1, "num_predict": 20})["message"] for seed in (5, 5, 6)]
print(hot[0] == hot[1], hot[0] == hot[2])
p = whole("chat", messages=user("hello"), logprobs=True, top_logprobs=2)
print("".join(t["token"] for t in p["logprobs"]) == p["message"]["content"], [len(t["top_logprobs"]) for t in p["logprobs"]], "logprobs" in a)
print(sum(len(x.get("logprobs", [])) for x in lines(api("generate", prompt="hello", logprobs=True)[1])))
said = json.loads(whole("chat", messages=user("hello"), format=schema, options={"num_predict": 60, "temperature": 1})["message"]["content"])
print(list(said), type(said["name"]), 0 <= said["age"] <= 99, whole("generate", prompt="hello", format="json", options={"num_predict": 1})["response"][:1])
print(whole("chat")["done_reason"], whole("generate", keep_alive="5m")["done_reason"], lines(api("generate", prompt="")[1])[0]["response"] == "")


print("--- Ollama: tools, thoughts")
tools = [{"type": "function", "function": {"name": t["name"], "description": t["description"], "parameters": t["input_schema"]}} for t in tools]
call = {"function": {"name": "f", "arguments": {"x": 1}}}
past = user("hello") + [{"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]}, {"role": "tool", "tool_name": "f", "content": "2"}]
print(whole("chat", messages=past, tools=tools)["prompt_eval_count"] > whole("chat", messages=past[:1], tools=tools)["prompt_eval_count"] > 7)
def said(more):
    """What a chat says, whole and line by line: text, thoughts, calls."""
    w = whole("chat", messages=user("hello"), **more)["message"]
    l = [x["message"] for x in lines(api("chat", messages=user("hello"), **more)[1])]
    calls = lambda m: [(c["function"]["name"], c["function"]["arguments"]) for c in m.get("tool_calls", [])]
    parts = w["content"], w.get("thinking", ""), calls(w)
    return parts, parts == ("".join(x["content"] for x in l), "".join(x.get("thinking", "") for x in l), sum((calls(x) for x in l), []))
for seed in range(40):               # some call tools by themselves: each is a call of one that is there
    (content, thinking, calls), same = said({"tools": tools, "options": {"temperature": 3, "seed": seed, "num_predict": 40, "top_k": 0, "top_p": 1}})
    assert same and not thinking and all(n in ("f", "now") for n, _ in calls), (seed, content, calls)
parts, same = said({"tools": tools, "think": True, "options": {"temperature": 0, "num_predict": 10}})
print(same, parts[0] == "", parts[1] != "", parts[2])
parts, same = said({"tools": tools, "tool_choice": "required", "parallel_tool_calls": False, "options": {"temperature": 1, "seed": 4, "num_predict": 100}})
print(same, len(parts[2]), parts[2][0][0] in ("f", "now"), type(parts[2][0][1]))

print("--- Ollama: vectors, models")
e, one = json.loads(ask("/api/embed", {"model": "tiny", "input": ["hello", "bye"]}, KEY)[1]), json.loads(ask("/api/embeddings", {"model": "tiny:latest", "prompt": "hello", "keep_alive": -1}, KEY)[1])
print([len(v) for v in e["embeddings"]], e["prompt_eval_count"], one["embedding"] == e["embeddings"][0], e["total_duration"] > 0)
m = json.loads(ask("/api/tags", None, KEY)[1])["models"]
show = json.loads(ask("/api/show", {"model": "tiny"}, KEY)[1])
print([x["name"] for x in m], m[0]["details"]["family"], len(m[0]["digest"]), json.loads(ask("/api/ps", None, KEY)[1])["models"][0]["context_length"], list(json.loads(ask("/api/version", None, KEY)[1])))
print(show["details"]["format"], show["details"]["quantization_level"], show["details"] == m[0]["details"])
print(show["template"] == open("run/chat_template.jinja").read(), show["capabilities"], show["model_info"]["lathe_gpt.embedding_length"], show["model_info"]["general.parameter_count"] > 0)

print("--- Ollama: errors")
def error(path, body=None, headers=KEY):
    status, raw, _ = ask("/api/" + path, body, headers)
    print(status, list(json.loads(raw)) == ["error"], "|", json.loads(raw)["error"])
error("chat", {"model": "tiny", "messages": user("x")}, headers={})
error("copy", {"source": "tiny", "destination": "other"})
error("chat")
error("pull", {"model": "llama3"})
error("chat", "{")
error("chat", "x" * (33 << 20))
for more in ({"model": "other"}, {"model": None}, {"messages": "hello"}, {"messages": [{"role": "user"}]}, {"messages": [{"role": "god", "content": "x"}]}, {"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, {"tools": [{"type": "function"}]}, {"format": "xml"}, {"format": "json\0"}, {"format": {"type": 1}}, {"think": True}, {"think": "maximal"}, {"think": 1}, {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}, {"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]},
             {"colour": 1}, {"top_logprobs": 2}, {"keep_alive": []}, {"messages": user("hello " * 125)}):
    error("chat", dict({"model": "tiny", "messages": user("hello")}, **more))
for o in ({"num_ctx": 4096}, {"num_predict": 4000}, {"num_predict": -3}, {"temperature": "hot"}, {"mirostat": 1}, {"typical_p": 0.5}, {"repeat_last_n": 64, "repeat_penalty": 1.2}, {"stop": [7]}, {"colour": 1}):
    error("chat", {"model": "tiny", "messages": user("hello"), "options": o})
for more in ({"system": "S", "raw": True}, {"template": "x"}, {"context": [1]}, {"suffix": "x"}, {"images": ["aGk="]}, {"tools": tools}, {"think": True, "raw": True}, {"prompt": 7}, {"prompt": "", "keep_alive": 0}):
    error("generate", dict({"model": "tiny", "prompt": "hello"}, **more))
for path, more in (("embed", {"input": [1.5]}), ("embed", {}), ("embed", {"input": "x", "dimensions": 1000}), ("embeddings", {"prompt": ["x"]}), ("show", {"model": "other"}), ("show", {"model": "tiny", "colour": 1})):
    error(path, dict({"model": "tiny"}, **more))
P
python3 ask.py || echo failed
kill $server
wait $server; echo "exit $?"
grep -c '"id":"msg_[0-9a-f]\{16\}".*"path":"/v1/messages".*"finish":{"' audit > n_named; grep -c '"path":"/v1/messages".*"finish":{"' audit | diff - n_named && echo "answers are in the log by their names"
