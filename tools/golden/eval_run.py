#!/usr/bin/env python3
"""What lm-evaluation-harness makes of requests: golden values for tests/unit/test_eval_run.c.

    tools/golden/eval_run.py

Its own class HFLM runs tests/golden/llama (a Llama of 71 tokens and 64 positions with random weights) in float32, with a byte-level
BPE tokenizer that is trained here on a few words: once as it is, once with one that puts <s> before every text.  Written are
  tests/golden/eval/tokenizer.json, tokenizer_bos.json
  tests/golden/eval/run.json     requests and replies:
    pair      [context, continuation, log-likelihood, greedy, tokens of the context, tokens of the continuation]: as they were scored
    rolling   [text, log-likelihood]
    joined    [context, continuation], which it cannot score: one token spans the end of the one and all of the other
    generate  [context, until, max_gen_toks, text]
Needs PyPI's lm-eval, tokenizers, torch and transformers; made with lm-eval 0.4.13, transformers 5.24."""
import json
import logging
import os
import random
import shutil
import tempfile

import lm_eval.models.huggingface as hf
import tokenizers
from lm_eval.api.instance import Instance
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "../../tests/golden")
WORDS = "the cat sat on a mat and the dog ran to that man in the rain then it ate the ham at the old mill\n".split(" ")


def tokenizer(bos):
    t = tokenizers.Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=71, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    rng = random.Random(1)
    t.train_from_iterator([" ".join(rng.choices(WORDS, k=40)) + ":.?, \n\n" for _ in range(50)], trainer)
    if bos:
        t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return t


def text(rng, n):
    return " ".join(rng.choices(WORDS, k=n))


def pairs(rng, bos):
    fixed = [("", "the cat"), ("", "<s>the cat"), ("the cat ", "sat"), ("the cat\n", "sat"), ("the cat \n\n ", "sat on"), ("<s>the cat", " sat"), ("the dog", " ran</s>"),
             ("the dog", "\n"), ("th", "e cat"), ("the ca", "t sat on"), (text(rng, 90), " the rain"), (text(rng, 64), text(rng, 12)), ("a", " " + text(rng, 26))]
    if bos:
        fixed.append((" \n", "the man"))         # of white space lm-eval leaves nothing, and fails without bos
    for _ in range(12):                          # several choices of one question
        context = text(rng, rng.randint(1, 14))
        choices = [" " + text(rng, rng.choice((1, 1, 2, 5))) for _ in range(4)]
        fixed += [(context, c) for c in choices]
    head = text(rng, 11)
    for _ in range(6):                           # several questions behind one beginning
        context = head + "\n\n" + text(rng, 4)
        fixed += [(context, c) for c in (" a", " the", " on")]
    return fixed


def run(folder, bos):
    rng = random.Random(7)
    lm = hf.HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=3)
    asked = [(text(rng, rng.randint(1, 90)), {"until": until, "max_gen_toks": n, "do_sample": False})
             for until, n in ((["\n"], 20), (["zzz"], 5), (["the", "."], 30), (["at", "in"], 12), ([" "], 16), (["zzz"], 30), (["o"], 9), (["n", "m"], 40))]
    got = []
    for i, q in enumerate(asked):                # one by one: padding would change what stands before a text
        got += lm.generate_until([Instance("generate_until", {}, q, i)], disable_tqdm=True)
    generated = [[c, k["until"], k["max_gen_toks"], t] for (c, k), t in zip(asked, got)]
    scored = []
    inner = lm._loglikelihood_tokens
    lm._loglikelihood_tokens = lambda requests, **k: (scored.extend(requests), inner(requests, **k))[1]
    asked = pairs(rng, bos) + [(c, t) for c, until, _, t in generated if t and until == ["zzz"]]        # what it takes for likeliest
    joined = [q for q in asked if q[0] and not lm._encode_pair(*q)[1]]      # on these it fails: one token spans both
    asked = [q for q in asked if q not in joined]
    got = lm.loglikelihood([Instance("loglikelihood", {}, q, i) for i, q in enumerate(asked)], disable_tqdm=True)
    out = {"generate": generated, "pair": [[*q, ll, greedy, s[1], s[2]] for q, (ll, greedy), s in zip(asked, got, scored)]}
    out["joined"] = joined
    assert len(scored) == len(asked)
    asked = ["the", text(rng, 20), text(rng, 60), text(rng, 120), "<s>" + text(rng, 30), text(rng, 200)]
    got = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (q,), i) for i, q in enumerate(asked)], disable_tqdm=True)
    out["rolling"] = [[q, ll] for q, ll in zip(asked, got)]
    return out


def main():
    logging.disable(logging.WARNING)
    os.makedirs(f"{GOLDEN}/eval", exist_ok=True)
    result = {}
    for name, bos in (("tokenizer", False), ("tokenizer_bos", True)):
        tokenizer(bos).save(f"{GOLDEN}/eval/{name}.json", pretty=False)
        with tempfile.TemporaryDirectory() as folder:
            for f in ("config.json", "model.safetensors"):
                shutil.copy(f"{GOLDEN}/llama/{f}", folder)
            shutil.copy(f"{GOLDEN}/eval/{name}.json", f"{folder}/tokenizer.json")
            with open(f"{folder}/tokenizer_config.json", "w") as f:
                json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}, f)
            result[name] = run(folder, bos)
    with open(f"{GOLDEN}/eval/run.json", "w") as f:
        json.dump(result, f)
        f.write("\n")


if __name__ == "__main__":
    main()
