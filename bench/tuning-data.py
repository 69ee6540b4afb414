#!/usr/bin/env python3
"""Makes small data for fine-tuning from GSM8K and CLINC150: chats, and pairs of answers to compare.

    bench/tuning-data.py FOLDER [--shared ../shared/data]

    FOLDER/chat.jsonl         500 chats: 250 problems with their solutions, 250 requests with their intents
           chat-valid.jsonl   100 others
           pairs.jsonl        200 pairs: the right solution or intent, and one with another number or of the same domain
           pairs-valid.jsonl   50 others

The same files on every machine: which entries are taken, and in which order, is by the SHA-256 of their text.  Entries are short
enough for 256 tokens in the chat form of SmolLM2 (the longest has 224; lathe train counts, and refuses longer ones).
"""
import argparse
import hashlib
import json
import os
import re

BYTES_MAX = 480            # of a problem and its solution
SOLVE = "Solve the problem step by step, then give the answer after ####."
NAME = "Name the intent of the request, and nothing else."


def order(text):
    return hashlib.sha256(text.encode()).digest()


def problems(folder):
    with open(os.path.join(folder, "eval-gsm8k/test.jsonl")) as f:
        for line in f:
            r = json.loads(line)
            answer = re.sub(r"<<[^>]*>>", "", r["answer"])
            if len((r["question"] + answer).encode()) <= BYTES_MAX and re.search(r"#### -?[\d,]+$", answer):
                yield r["question"], answer


def another_number(answer):
    steps, number = answer.rsplit("#### ", 1)
    value = int(number.replace(",", ""))
    wrong = value + 1 + order(answer)[0] % 9
    at = steps.rfind(number)
    if at >= 0:
        steps = steps[:at] + str(wrong) + steps[at + len(number):]
    return steps + "#### " + str(wrong)


def requests(folder):
    with open(os.path.join(folder, "intents-clinc-oos/data_full.json")) as f:
        for text, intent in json.load(f)["train"]:
            yield text, intent


def another_intent(domains, text, intent):
    others = sorted(i for d in domains.values() if intent in d for i in d if i != intent)
    return others[order(text)[1] % len(others)]


def words(intent):
    return intent.replace("_", " ")


def chat(system, user, *answer):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return messages + [{"role": "assistant", "content": a} for a in answer]


def write(path, records):
    with open(path, "w") as f:
        for r in sorted(records, key=lambda r: order(json.dumps(r, sort_keys=True))):
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    print(f"{path}: {len(records)} records")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("folder")
    args.add_argument("--shared", default=os.environ.get("LATHE_SHARED", "../shared/data"))
    args = args.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    with open(os.path.join(args.shared, "intents-clinc-oos/domains.json")) as f:
        domains = json.load(f)
    math = sorted(set(problems(args.shared)), key=lambda r: order(r[0]))
    intents = sorted(set(requests(args.shared)), key=lambda r: order(r[0]))
    assert len(math) >= 425 and len(intents) >= 425, (len(math), len(intents))

    def chats(a, b):
        return [{"messages": chat(SOLVE, q, s)} for q, s in math[a:b]] + [{"messages": chat(NAME, q, words(i))} for q, i in intents[a:b]]

    def pairs(a, b):
        solved = [(SOLVE, q, s, another_number(s)) for q, s in math[a:b]]
        named = [(NAME, q, words(i), words(another_intent(domains, q, i))) for q, i in intents[a:b]]
        return [{"prompt": chat(system, q), "chosen": chat("", "", good)[2:], "rejected": chat("", "", bad)[2:]} for system, q, good, bad in solved + named]

    write(os.path.join(args.folder, "chat.jsonl"), chats(0, 250))
    write(os.path.join(args.folder, "chat-valid.jsonl"), chats(250, 300))
    write(os.path.join(args.folder, "pairs.jsonl"), pairs(300, 400))
    write(os.path.join(args.folder, "pairs-valid.jsonl"), pairs(400, 425))


if __name__ == "__main__":
    main()
