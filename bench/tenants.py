#!/usr/bin/env python3
"""Does the time to the first token tell one tenant what another has asked?

    bench/tenants.py MODEL [--trials 1000] [--tokens 64] [--threads 2]

Starts a server with three keys: a victim, one of a tenant of its own, and one of the victim's tenant.  In each trial the victim asks a prompt
of random tokens, the prompt or another one by a toss, and then somebody else asks the prompt and takes the time.  AUC is the chance that
a time after the prompt was asked is shorter than one after another was: 0.5 tells nothing, 1 everything.  The victim's tenant must be able to tell,
or the test has no eyes; who has a tenant of its own must not.  Trials of both kinds and of both askers are mixed, so that what else
the machine does falls on all alike.  Exit 1 where either is not so."""
import argparse, http.client, json, math, os, random, subprocess, sys, tempfile, time

a = argparse.ArgumentParser()
a.add_argument("model")
a.add_argument("--trials", type=int, default=1000, help="of each class and asker")
a.add_argument("--tokens", type=int, default=64)
a.add_argument("--threads", type=int, default=2)
a.add_argument("--lathe", default="./lathe")
a = a.parse_args()

def auc(hit, miss):
    """Of the ranks, ties half; and its standard error (Hanley and McNeil 1982)."""
    order = sorted([(t, 0) for t in hit] + [(t, 1) for t in miss])
    wins = seen = 0
    for _, is_miss in order:
        wins += seen if is_miss else 0
        seen += not is_miss
    n, m = len(hit), len(miss)
    A = wins / (n * m)
    q1, q2 = A / (2 - A), 2 * A * A / (1 + A)
    return A, math.sqrt(max(0, A * (1 - A) + (n - 1) * (q1 - A * A) + (m - 1) * (q2 - A * A)) / (n * m))

with tempfile.TemporaryDirectory() as folder:
    keys, port = folder + "/keys.yaml", folder + "/port"
    secret = {}
    for name in ("victim", "stranger", "friend"):
        secret[name] = subprocess.run([a.lathe, "key", keys, name, "--quiet"], check=True, capture_output=True, text=True).stdout.strip()
    with open(keys, "a") as f:
        f.write("  tenant: victim\n")
    server = subprocess.Popen([a.lathe, "serve", a.model, "--name", "m", "--port", "0", "--port-file", port, "--keys", keys, "--threads", str(a.threads), "--quiet"])
    try:
        while not os.path.exists(port):
            time.sleep(0.05)
            if server.poll() is not None: sys.exit("the server did not start")
        c = http.client.HTTPConnection("127.0.0.1", int(open(port).read()))

        def ask(who, prompt, method="POST", path="/v1/completions"):
            begun = time.perf_counter()
            c.request(method, path, json.dumps({"model": "m", "prompt": prompt, "max_tokens": 1, "temperature": 0}) if prompt else None, {"Authorization": "Bearer " + secret[who]})
            r = c.getresponse()
            text = r.read()
            if r.status != 200: sys.exit(f"{r.status} {text[:300]}")
            return time.perf_counter() - begun, json.loads(text)

        vocab = ask("victim", None, "GET", "/v1/models")[1]["data"][0]["meta"]["n_vocab"]
        trials = [(asker, same) for asker in ("stranger", "friend") for same in (True, False)] * a.trials
        random.seed(1)
        random.shuffle(trials)
        times = {(asker, same): [] for asker in ("stranger", "friend") for same in (True, False)}
        for i, (asker, same) in enumerate(trials):
            prompt, other = ([random.randrange(vocab) for _ in range(a.tokens)] for _ in range(2))
            ask("victim", prompt if same else other)
            times[asker, same].append(ask(asker, prompt)[0])
            if i % 100 == 99: print(f"{i + 1} of {len(trials)}", file=sys.stderr)
    finally:
        server.terminate()
        server.wait()

good = True
for asker in ("stranger", "friend"):
    hit, miss = times[asker, True], times[asker, False]
    A, error = auc(hit, miss)
    median = [sorted(x)[len(x) // 2] * 1000 for x in (hit, miss)]
    good = good and (A < 0.55 if asker == "stranger" else A > 0.9)
    print(f"{asker}: AUC {A:.3f} +- {1.96 * error:.3f}; median {median[0]:.2f} ms after the same prompt, {median[1]:.2f} ms after another; {len(hit)} and {len(miss)} trials of {a.tokens} tokens")
sys.exit(not good)
