"""The basic flows of Ollama's Python client against a server: python ollama_flows.py URL MODEL [KEY] (PyPI: ollama).

Prints a line for each flow and exits 1 when one went wrong."""
import json
import sys
import ollama

URL, MODEL, KEY = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
client = ollama.Client(host=URL, headers={"Authorization": f"Bearer {KEY}"} if KEY else {})
OPTIONS = {"num_predict": 12, "temperature": 0}
HELLO = [{"role": "user", "content": "hello"}]
n_bad = 0

def flow(name, ok, shown=""):
    global n_bad
    n_bad += not ok
    print("ok    " if ok else "FAILED", name, shown)

def counted(r, n_max=12):
    return r.done and r.done_reason in ("stop", "length") and 0 < r.eval_count <= n_max and r.prompt_eval_count > 0 and r.total_duration >= r.prompt_eval_duration + r.eval_duration - 2 and r.eval_duration >= 0 and r.prompt_eval_duration > 0

def refused(name, status, call, **more):
    try:
        r = call(**dict(dict(model=MODEL), **more))
        r = list(r) if more.get("stream") else r
        flow(name, False, r)
    except ollama.ResponseError as e:
        flow(name, e.status_code == status and bool(e.error), (e.status_code, e.error))

whole = client.chat(model=MODEL, messages=HELLO, options=OPTIONS)
flow("chat", counted(whole) and whole.model == MODEL and whole.message.role == "assistant", repr(whole.message.content))
lines = list(client.chat(model=MODEL, messages=HELLO, options=OPTIONS, stream=True))
flow("chat, streamed", "".join(l.message.content for l in lines) == whole.message.content and [l.done for l in lines] == [False] * (len(lines) - 1) + [True] and counted(lines[-1]) and lines[-1].eval_count == whole.eval_count, len(lines))
text = client.generate(model=MODEL, prompt="hello", options=OPTIONS)
flow("generate", counted(text) and text.response == whole.message.content, repr(text.response))
lines = list(client.generate(model=MODEL, prompt="hello", options=OPTIONS, stream=True))
flow("generate, streamed", "".join(l.response for l in lines) == text.response and counted(lines[-1]))
raw = client.generate(model=MODEL, prompt="hello", raw=True, options=OPTIONS)
flow("generate, raw", counted(raw) and raw.prompt_eval_count < text.prompt_eval_count, repr(raw.response))
flow("generate, system", client.generate(model=MODEL, prompt="hello", system="Be brief. " * 20, options=OPTIONS).prompt_eval_count > text.prompt_eval_count)
once, again = (client.chat(model=MODEL, messages=HELLO, options={"seed": 7, "temperature": 1.5, "top_k": 0, "top_p": 1, "min_p": 0.01, "repeat_penalty": 1.1, "num_predict": 8, "num_ctx": 64}) for _ in range(2))
flow("a seed", once.message.content == again.message.content, repr(once.message.content))
c = next((c for c in whole.message.content[1:] if not c.isspace()), None)
flow("stop", not c or client.chat(model=MODEL, messages=HELLO, options=dict(OPTIONS, stop=[c])).message.content == whole.message.content[:whole.message.content.index(c)], repr(c))
probs = client.chat(model=MODEL, messages=HELLO, options=OPTIONS, logprobs=True, top_logprobs=2)
flow("logprobs", len(probs.logprobs) >= whole.eval_count - 1 and all(len(p.top_logprobs) == 2 and p.logprob <= 0 for p in probs.logprobs))
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
with_tools = client.chat(model=MODEL, messages=[{"role": "user", "content": "The weather in Oslo?"}], tools=[TOOL], options=dict(OPTIONS, num_predict=60))
flow("tools", all(c.function.name == "weather" and "city" in c.function.arguments for c in with_tools.message.tool_calls or []), with_tools.message.tool_calls)
past = [{"role": "user", "content": "The weather in Oslo?"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]}, {"role": "tool", "tool_name": "weather", "content": "rain"}]
flow("a tool's result", counted(client.chat(model=MODEL, messages=past, tools=[TOOL], options=OPTIONS)))
schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["age"]}
made = client.chat(model=MODEL, messages=HELLO, format=schema, options=dict(OPTIONS, num_predict=60)).message.content
flow("format", 0 <= json.loads(made)["age"] <= 99 and json.loads(client.generate(model=MODEL, prompt="hello", format="json", options=dict(OPTIONS, num_predict=200, stop=["}"])).response + "}") is not None, repr(made))
flow("load", client.generate(model=MODEL).done_reason == "load" and client.chat(model=MODEL).done_reason == "load")
listed = client.list().models
flow("list", [m.model for m in listed] == [MODEL] and len(listed[0].digest) == 64 and listed[0].size > 0 and listed[0].modified_at.year > 2000, listed[0].details.parameter_size)
shown = client.show(MODEL)
flow("show", "completion" in shown.capabilities and shown.modelinfo["general.parameter_count"] > 0 and bool(shown.template), shown.details.family)
flow("ps", [m.name for m in client.ps().models] == [MODEL])
e = client.embed(model=MODEL, input=["hello", "bye"])
width = shown.modelinfo[shown.modelinfo["general.architecture"] + ".embedding_length"]
flow("embed", [len(v) for v in e.embeddings] == [width, width] and e.prompt_eval_count > 0 and client.embed(model=MODEL, input="hello").embeddings[0] == e.embeddings[0])
flow("embeddings", list(client.embeddings(model=MODEL, prompt="hello").embedding) == list(e.embeddings[0]))
flow("the tag latest", client.chat(model=MODEL + ":latest", messages=HELLO, options=OPTIONS).message.content == whole.message.content)
refused("another model", 404, client.chat, model="nothing", messages=HELLO)
refused("another model, streamed", 404, client.chat, model="nothing", messages=HELLO, stream=True)
refused("num_ctx", 400, client.generate, prompt="x", options={"num_ctx": 10 ** 7})
refused("an unknown option", 400, client.generate, prompt="x", options={"colour": 1})
refused("a template", 400, client.generate, prompt="x", template="{{ .Prompt }}")
refused("pull", 501, client.pull)
if KEY:
    client = ollama.Client(host=URL)
    refused("no key", 401, client.chat, messages=HELLO)
sys.exit(n_bad > 0)
