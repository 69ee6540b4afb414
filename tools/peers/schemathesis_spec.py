"""OpenAI's description of its API, cut down to what lathe serve answers, for schemathesis.

usage: schemathesis_spec.py OPENAPI.json MODEL positive|negative > OUT.json

Other paths are left out, the model's name is the one that is served, and refusals, which the description leaves out, are answered by
its own ErrorResponse.  What the description allows and the server refuses by name is taken out of requests (REFUSED), fields that are
not known are refused, and null stands for a field that is not there.  positive: what the description does not say is said, too, so
that each request it allows must be answered: numbers of tokens, their range and lengths of texts are this model's; some fields have a
meaning only beside others.

Of the replies it is said that the first token of an echoed prompt has null for a probability, as OpenAI's own answers do.  What
events look like is left out, as schemathesis holds the event, and not its data, against it; and vectors in base64, which the
description does not know of."""
import json
import sys

PATHS = {"/chat/completions": ["post"], "/completions": ["post"], "/embeddings": ["post"], "/models": ["get"], "/models/{model}": ["get"]}
REFUSED = {
    "/chat/completions": "audio function_call functions moderation prediction prompt_cache_options prompt_cache_retention reasoning_effort verbosity web_search_options "
                         "tools tool_choice response_format stream_options",
    "/completions": "suffix stream_options",
    "/embeddings": "",
}
REFUSALS = {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}}

spec, model = json.load(open(sys.argv[1])), sys.argv[2]
schemas = spec["components"]["schemas"]
schemas["Embedding"]["properties"]["embedding"] = {"anyOf": [schemas["Embedding"]["properties"]["embedding"], {"type": "string", "contentEncoding": "base64"}]}


def flat(schema):
    """Properties and required fields of a schema made of others."""
    if "$ref" in schema:
        return flat(schemas[schema["$ref"].split("/")[-1]])
    fields, required = {}, list(schema.get("required", []))
    for part in schema.get("allOf", []):
        f, r = flat(part)
        fields, required = {**fields, **f}, required + r
    return {**fields, **schema.get("properties", {})}, required


def text(most, least=0): return {"type": "string", "minLength": least, "maxLength": most}
def texts(most): return {"type": "array", "items": text(10, 1), "minItems": 1, "maxItems": most}


ids = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 1, "maxItems": 20}
inputs = {"oneOf": [text(20, 1), texts(4), ids, {"type": "array", "items": ids, "minItems": 1, "maxItems": 4}]}
seed = {"type": "integer", "minimum": -(1 << 62), "maximum": 1 << 62}
bias = {"type": "object", "propertyNames": {"pattern": "^[1-9][0-9]?$"}, "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}, "maxProperties": 5}
stop = {"oneOf": [text(10, 1), texts(4)]}
notes = {"type": "object", "propertyNames": {"pattern": "^[^\\x00]{1,8}$"}, "additionalProperties": text(10), "maxProperties": 3}         # a name with NUL is refused
messages = {"type": "array", "minItems": 1, "maxItems": 2, "items": {
    "type": "object", "required": ["role", "content"], "additionalProperties": False,
    "properties": {"role": {"type": "string", "enum": ["developer", "system", "user", "assistant"]}, "content": text(10), "name": text(10)}}}
few = {"type": "integer", "minimum": 1, "maximum": 8}
SAID = {
    "/chat/completions": {"messages": messages, "max_tokens": few, "max_completion_tokens": few, "logit_bias": bias, "stop": stop, "seed": seed, "metadata": notes, "logprobs": {"type": "boolean", "enum": [True]},
                          "n": {"type": "integer", "minimum": 1, "maximum": 4}, "store": {"type": "boolean", "enum": [False]}, "modalities": {"type": "array", "enum": [["text"]]}},
    "/completions": {"prompt": inputs, "max_tokens": {"type": "integer", "minimum": 0, "maximum": 8}, "logit_bias": bias, "stop": stop, "seed": seed, "n": {"type": "integer", "minimum": 1, "maximum": 2},
                     "best_of": {"type": "integer", "minimum": 2, "maximum": 4}, "stream": {"type": "boolean", "enum": [False]}},
    "/embeddings": {"input": inputs, "dimensions": {"type": "integer", "minimum": 1, "maximum": 48}},
}

NEEDED = {"/chat/completions": ["messages"], "/completions": ["prompt"], "/embeddings": ["input"]}
if sys.argv[3] == "positive":
    NEEDED["/chat/completions"].append("logprobs")                       # top_logprobs needs it

probs = schemas["CreateCompletionResponse"]["properties"]["choices"]["items"]["properties"]["logprobs"]["anyOf"][0]["properties"]
for k in ("token_logprobs", "top_logprobs"):
    probs[k]["items"] = {"anyOf": [probs[k]["items"], {"type": "null"}]}

spec["paths"] = {p: {m: spec["paths"][p][m] for m in methods} for p, methods in PATHS.items()}
for path, operations in spec["paths"].items():
    for o in operations.values():
        o["responses"]["4XX"] = REFUSALS
        if path in SAID:
            body = o["requestBody"]["content"]["application/json"]
            fields, required = flat(body["schema"])
            fields = {k: v for k, v in fields.items() if k not in REFUSED[path].split()}
            if sys.argv[3] == "positive":
                fields.update(SAID[path])
            fields = {k: v if k in NEEDED[path] else {"anyOf": [v, {"type": "null"}]} for k, v in fields.items()}
            fields["model"] = {"type": "string", "enum": [model]}
            body["schema"] = {"type": "object", "properties": fields, "required": sorted({*required, *NEEDED[path]}), "additionalProperties": False}
            if path != "/embeddings":
                o["responses"]["200"]["content"]["text/event-stream"] = {"schema": {}}
            body.pop("examples", None)
        o.pop("x-oaiMeta", None)
for o in spec["paths"]["/models/{model}"].values():
    o["parameters"][0]["schema"] = {"type": "string", "enum": [model]}
json.dump(spec, sys.stdout)
