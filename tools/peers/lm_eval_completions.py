"""lm-evaluation-harness scores texts through lathe serve as it does with transformers.

usage: lm_eval_completions.py MODEL     a folder in Hugging Face's form; lathe is the one of this tree; needs lm-eval[api], transformers, torch
Prints the largest difference of log-likelihoods; exits with 1 where it is above 0.001, or where a greedy answer or a text differ."""
import os
import subprocess
import sys
import tempfile
import time

os.environ["OPENAI_API_KEY"] = "none"
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalCompletionsAPI

MODEL, LATHE = os.path.abspath(sys.argv[1]), os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lathe")
PAIRS = [("The capital of France is", " Paris"), ("The capital of France is", " Rome, and"), ("1 2 3 4", " 5 6 7"), ("Once upon a time", ", there was a little girl named Lily."),
         ("", "Hello world"), ("Water boils at", " 100 degrees Celsius"), ("\u00e9 \u00e8", " \u00fc \u4e2d\u6587")]
ROLLING = ["The quick brown fox jumps over the lazy dog. " * 5]


def requests(kind, args): return [Instance(kind, {}, a if isinstance(a, tuple) else (a,), i) for i, a in enumerate(args)]


def ask(lm, **generation):
    until = [("The capital of France is", {"until": ["."], "max_gen_toks": 12, **generation})]
    return lm.loglikelihood(requests("loglikelihood", PAIRS)), lm.loglikelihood_rolling(requests("loglikelihood_rolling", ROLLING)), lm.generate_until(requests("generate_until", until))


port = os.path.join(tempfile.mkdtemp(), "port")
server = subprocess.Popen([LATHE, "serve", MODEL, "--precision", "fp32", "--ctx", "1024", "--name", "m", "--port", "0", "--port-file", port, "--quiet"])
try:
    while not os.path.exists(port) and server.poll() is None:
        time.sleep(0.1)
    url = f"http://127.0.0.1:{int(open(port).read())}/v1/completions"
    ours = ask(LocalCompletionsAPI(base_url=url, model="m", tokenizer_backend="huggingface", tokenizer=MODEL, batch_size=4, num_concurrent=1, max_length=1024), temperature=0)
finally:
    server.terminate()
    server.wait()
theirs = ask(HFLM(pretrained=MODEL, device="cpu", dtype="float32", batch_size=1, max_length=1024), do_sample=False)
worst = max(abs(a[0] - b[0]) for a, b in zip(ours[0], theirs[0]))
worst = max(worst, *(abs(a - b) for a, b in zip(ours[1], theirs[1])))
same = [a[1] for a in ours[0]] == [b[1] for b in theirs[0]] and ours[2] == theirs[2]
print(f"log-likelihoods within {worst:.2g} of transformers'; greedy and texts: {'the same' if same else 'different'}")
sys.exit(worst > 1e-3 or not same)
