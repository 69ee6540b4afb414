"""The basic flows of Anthropic's Python client against a server: python anthropic_flows.py URL MODEL [KEY] (PyPI: anthropic).

Prints a line for each flow and exits 1 when one went wrong."""
import json
import sys
import anthropic

URL, MODEL, KEY = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "none"
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
ask = dict(model=MODEL, max_tokens=12, extra_body={"temperature": 0}, messages=[{"role": "user", "content": "hello"}])
n_bad = 0

def flow(name, ok, shown=""):
    global n_bad
    n_bad += not ok
    print("ok    " if ok else "FAILED", name, shown)

def text_of(m): return "".join(b.text for b in m.content)

def refused(name, kind, **more):
    try:
        r = client.messages.create(**dict(ask, **more))
        flow(name, False, r)
    except kind as e:
        flow(name, e.body["type"] == "error" and e.body["request_id"] == e.request_id and bool(e.body["error"]["message"]), e.body["error"])

whole = client.messages.create(**ask)
u = whole.usage
flow("whole", whole.id.startswith("msg_") and whole.role == "assistant" and whole.type == "message" and whole.stop_reason in ("end_turn", "max_tokens") and 0 < u.output_tokens <= 12 and u.input_tokens + u.cache_read_input_tokens > 0, repr(text_of(whole)))
flow("request id", bool(whole._request_id))

with client.messages.stream(**ask) as s:
    pieces = list(s.text_stream)
    final = s.get_final_message()
flow("streamed by the helper", "".join(pieces) == text_of(final) == text_of(whole) and final.stop_reason == whole.stop_reason and final.usage.output_tokens == u.output_tokens, len(pieces))
kinds = [e.type for e in client.messages.create(**ask, stream=True)]
flow("streamed events", kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"] and (not text_of(whole) or (kinds.index("content_block_start") < kinds.index("content_block_delta") < kinds.index("content_block_stop"))), sorted(set(kinds)))

n = client.messages.count_tokens(model=MODEL, messages=ask["messages"]).input_tokens
flow("count_tokens", n == u.input_tokens + u.cache_read_input_tokens, n)
blocks = client.messages.create(**dict(ask, system=[{"type": "text", "text": "Be brief. " * 20, "cache_control": {"type": "ephemeral"}}], messages=[
    {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "again"}]}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "name?"}]), metadata={"user_id": "7"})
flow("system and blocks", blocks.usage.input_tokens + blocks.usage.cache_read_input_tokens > n)
flow("system as a text", client.messages.count_tokens(model=MODEL, system="Be brief. " * 20, messages=ask["messages"]).input_tokens > n)

c = next((c for c in text_of(whole)[1:] if not c.isspace()), None)
stopped = client.messages.create(**ask, stop_sequences=[c, "\0none"]) if c else None
flow("stop_sequences", not c or (stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == c and text_of(stopped) == text_of(whole)[:text_of(whole).index(c)]), repr(c))
begun = client.messages.create(**dict(ask, messages=ask["messages"] + [{"role": "assistant", "content": text_of(whole)[:2]}]))
flow("an answer that was begun", begun.stop_reason in ("end_turn", "max_tokens"), repr(text_of(begun)))
short = client.messages.create(**dict(ask, max_tokens=1))
flow("max_tokens", short.stop_reason == "max_tokens" and short.usage.output_tokens == 1)
seen = client.messages.create(**ask).usage
flow("the cache is told", seen.input_tokens + seen.cache_read_input_tokens == n, seen.cache_read_input_tokens)

TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False}}
WEATHER = dict(model=MODEL, max_tokens=100, extra_body={"temperature": 0}, tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True}, messages=[{"role": "user", "content": "The weather in Oslo?"}])
called = client.messages.create(**WEATHER)
use = next(b for b in called.content if b.type == "tool_use")
flow("a tool is called", called.stop_reason == "tool_use" and use.name == "weather" and isinstance(use.input["city"], str) and use.id.startswith("toolu_"), use.input)
with client.messages.stream(**WEATHER) as s:
    final = s.get_final_message()
flow("a tool is called, streamed", [(b.type, b.input if b.type == "tool_use" else b.text) for b in final.content] == [(b.type, b.input if b.type == "tool_use" else b.text) for b in called.content] and final.stop_reason == "tool_use")
back = client.messages.create(**dict(WEATHER, tool_choice={"type": "auto"}, max_tokens=12, messages=WEATHER["messages"] + [{"role": "assistant", "content": called.content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"}]}]))
flow("a tool's result", back.stop_reason in ("end_turn", "max_tokens", "tool_use"))
schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["age"], "additionalProperties": False}
made = client.messages.create(**dict(ask, max_tokens=60, output_config={"format": {"type": "json_schema", "schema": schema}}))
flow("output by a schema", 0 <= json.loads(text_of(made))["age"] <= 99, repr(text_of(made)))

listed = client.models.list().data
flow("models", [m.id for m in listed] == [MODEL] and client.models.retrieve(MODEL).created_at.year > 2000, listed[0].display_name)
refused("another model", anthropic.NotFoundError, model="nothing")
refused("no messages", anthropic.BadRequestError, messages=[])
refused("too many tokens", anthropic.BadRequestError, max_tokens=9000)
refused("temperature", anthropic.BadRequestError, extra_body={"temperature": 1.5})
refused("an image", anthropic.BadRequestError, messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}]}])
refused("an unknown field", anthropic.BadRequestError, extra_body={"colour": "red"})
if KEY != "none":
    client = anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0)
    refused("a wrong key", anthropic.AuthenticationError)
sys.exit(n_bad > 0)
