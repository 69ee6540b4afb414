#!/usr/bin/env python3
"""Writes tests/golden/masks/masks.json: conversations as ids, and which of these are an assistant's.

    pip install transformers jinja2
    python3 tools/golden/masks.py [--out tests/golden/masks/masks.json]

The ids and masks are those of transformers (5.x here): apply_chat_template(..., return_assistant_tokens_mask=True) with templates
that say by {% generation %} what an assistant writes.  The tokenizers are those of tests/golden/tokenizers/small with the tokens
added that the templates are made of.
"""
import argparse
import json
import logging
import tempfile

logging.disable(logging.WARNING)
from transformers import PreTrainedTokenizerFast

SMALL = "tests/golden/tokenizers/small/%s.json"

CHATML = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
          "{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
LLAMA3 = ("{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}"
          "{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim + '<|eot_id|>' }}{% endgeneration %}{% else %}{{ m.content | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
LLAMA2 = ("{% for m in messages %}{% if m.role == 'user' %}{{ '<s>[INST] ' + m.content + ' [/INST]' }}{% elif m.role == 'system' %}{{ '<s><<SYS>>' + m.content + '<</SYS>>' }}"
          "{% else %}{% generation %}{{ ' ' + m.content + ' </s>' }}{% endgeneration %}{% endif %}{% endfor %}")
GEMMA = ("{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}{{ '<start_of_turn>' + role + '\\n' }}"
         "{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim + '<end_of_turn>' }}{% endgeneration %}{{ '\\n' }}{% else %}{{ m.content | trim + '<end_of_turn>\\n' }}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}")
THINK = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}{% if loop.last %}{{ '<think>\\n' + (m.reasoning_content or '') + '\\n</think>\\n\\n' }}{% endif %}"
         "{{ m.content }}{% for c in m.tool_calls or [] %}{{ '\\n<tool_call>{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments | tojson + '}</tool_call>' }}{% endfor %}"
         "{{ '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
TEMPLATES = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"]),
    "llama3": (LLAMA3, ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
    "llama2": (LLAMA2, []),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"]),
    "think": (THINK, ["<|im_start|>", "<|im_end|>"]),
}
TOKENIZERS = {"chatml": ["smollm2", "qwen2", "gpt-neox"], "llama3": ["llama3", "tekken"], "llama2": ["llama2", "mistral"], "gemma": ["gemma"], "think": ["qwen2"]}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Berlin", "days": 2}}}
CONVERSATIONS = [
    [say("user", "What is 2+2?"), say("assistant", "It is 4.")],
    [say("system", "Be brief."), say("user", "Hi there"), say("assistant", "Hello!"), say("user", "And 3 + 3?\nPlease."), say("assistant", "  6, of course. ")],
    [say("user", "Größe, naïve, 日本語"), say("assistant", "Ein Café — für 5 €, 日本 🙂"), say("user", "🙂🙂"), say("assistant", "🙂")],
    [say("user", "one"), say("assistant", "a"), say("assistant", "b"), say("user", "two"), say("assistant", "c")],
    [say("user", "last word"), say("assistant", "yes"), say("user", "is mine")],
    [say("user", "assistant\n"), say("assistant", "assistant\n\nuser\nI am one")],
    [say("user", "Cafe\u0301 und u\u0308ber"), say("assistant", "U\u0308ber den Cafe\u0301s"), say("user", "o\u0308k"), say("assistant", "ja")],
]
CALLS = [
    [say("user", "Weather?"), say("assistant", "", tool_calls=[CALL]), say("tool", "rain"), say("assistant", "It rains.", reasoning_content="The tool says so.")],
    [say("user", "x"), say("assistant", "I look.", tool_calls=[CALL, CALL]), say("tool", "sun"), say("assistant", "Sun.")],
]


def tokenizer(name, specials):
    with open(SMALL % name) as f:
        tree = json.load(f)
    start = max(max(tree["model"]["vocab"].values()), max(a["id"] for a in tree["added_tokens"])) + 1
    for i, s in enumerate(specials):
        tree["added_tokens"].append({"id": start + i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(tree, f)
        f.flush()
        return PreTrainedTokenizerFast(tokenizer_file=f.name)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", default="tests/golden/masks/masks.json")
    out = args.parse_args().out
    cases = []
    for name, (text, specials) in TEMPLATES.items():
        for tok_name in TOKENIZERS[name]:
            tok = tokenizer(tok_name, specials)
            for messages in CONVERSATIONS + (CALLS if name == "think" else []):
                r = tok.apply_chat_template(messages, chat_template=text, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
                cases.append({"template": name, "tokenizer": tok_name, "messages": messages, "ids": list(r["input_ids"]), "mask": "".join(map(str, r["assistant_masks"]))})
    with open(out, "w") as f:
        f.write('{"templates": %s,\n "cases": [\n' % json.dumps({k: {"text": t, "specials": s} for k, (t, s) in TEMPLATES.items()}))
        f.write(",\n".join("  " + json.dumps(c, ensure_ascii=False) for c in cases))
        f.write("\n ]}\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
