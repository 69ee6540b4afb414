# Servers of models that make no texts: classes of texts, classes of images, vectors of an encoder; and what they refuse.
. "$ROOT/tests/cli/small_models.bash"
make_images
for i in $(seq 200); do
    [ $((i % 2)) = 0 ] && echo "{\"text\": \"a good day $i\", \"label\": \"glad\"}" || echo "{\"text\": \"a bad night $i\", \"label\": \"sad\"}"
done > texts.jsonl
cat > texts.yaml <<'Y'
model: {model_type: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 48, initializer_range: 0.1, hidden_act: gelu}
data: {train: texts.jsonl, form: label, valid_share: 0.2, vocab_size: 280}
train: {steps: 40, batch: 8, ctx: 32, lr: 5e-3, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
for what in images texts; do lathe train $what.yaml --out $what-model --quiet --json --threads 1 > result.json 2> warnings && echo "$what trained"; done
mkdir encoder; cp texts-model/*.* encoder/
python3 - <<'P'
import json
c = json.load(open("encoder/config.json"))
print(c["architectures"], c["id2label"])
c["architectures"] = ["BertModel"]
for k in ("id2label", "label2id", "num_labels", "problem_type"): c.pop(k, None)
c["matryoshka_dimensions"] = [8, 16]
json.dump(c, open("encoder/config.json", "w"))
P
cat > ask.py <<'P'
import base64, http.client, json, os, struct, sys, threading, zlib
PORT, KEY = int(open("port").read()), {}

def ask(path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("GET" if body is None else "POST", path, None if body is None else body if isinstance(body, str) else json.dumps(body), KEY)
    r = c.getresponse()
    return r.status, r.read()

def error(path, body):
    status, raw = ask(path, body)
    e = json.loads(raw)["error"]
    print(status, e["type"], e["param"], e["code"], "|", e["message"])

def png(value, side=8):
    def chunk(name, data): return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes([value] * side) for _ in range(side))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")).decode()

def classify(input, **more): return json.loads(ask("/classify", dict({"model": "it", "input": input}, **more))[1])

def together(f, inputs):
    """Each of them at once, and all of them in one request as often, give what each gives alone."""
    alone, got = [f([i])[0] for i in inputs], [None] * (len(inputs) + 4)
    def one(k): got[k] = f(inputs if k >= len(inputs) else [inputs[k]])
    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(got))]
    [t.start() for t in threads]; [t.join() for t in threads]
    return all(g == [a] for g, a in zip(got, alone)) and all(g == alone for g in got[len(inputs):])

if sys.argv[1] != "limits":
    m = json.loads(ask("/v1/models")[1])["data"][0]
    print(m["id"], m["task"], m["input"], ask("/health")[0], ask("/ready")[0], ask("/metrics")[0], ask("/lathe/stats")[0])
    error("/v1/chat/completions", {"model": "it", "messages": [{"role": "user", "content": "hello"}]})
    error("/tokenize", {"prompt": "x"})
if sys.argv[1] == "images":
    r = classify([png(5), "data:image/png;base64," + png(250), png(3, 20)])
    print([(d["index"], d["label"], d["num_classes"], len(d["probs"]), abs(sum(d["probs"]) - 1) < 1e-5) for d in r["data"]], sorted(r), r["usage"])
    print(classify(png(5))["data"][0]["probs"] == r["data"][0]["probs"], together(lambda i: [d["probs"] for d in classify(i)["data"]], [png(v) for v in range(0, 250, 19)]))
    for more in ({"input": "no image!"}, {"input": png(5)[:60]}, {"input": ["data:image/png," + png(5)]}, {"input": [png(5), base64.b64encode(b"text").decode()]}, {"input": png(5, 20), "fit": "refuse"},
                 {"fit": "none"}, {"input": [[1, 2]]}, {"input": []}, {"input": ""}, {"model": "other"}, {"messages": []}):
        error("/classify", dict({"model": "it", "input": png(5)}, **more))
    error("/v1/embeddings", {"model": "it", "input": "x"})
elif sys.argv[1] == "texts":
    r = classify(["a good day 7", "a bad night 8"])
    print([(d["index"], d["label"], d["num_classes"], abs(sum(d["probs"]) - 1) < 1e-5) for d in r["data"]], r["usage"]["prompt_tokens"] > 4)
    print(together(lambda i: [d["probs"] for d in classify(i)["data"]], ["a good day", "night", "x"] * 5))
    for more in ({"input": "good " * 60}, {"input": "x" * 20000}, {"input": 3}, {"input": ["x", None]}, {"input": ["x"] * 2049}, {"fit": "crop"}):
        error("/classify", dict({"model": "it", "input": "x"}, **more))
    error("/classify", '{"model": "it", "input": "\\ud800"}')
elif sys.argv[1] == "limits":
    KEY = {"Authorization": "Bearer " + open("key").read().strip()}
    for n in (10, 25, 10):
        print(ask("/classify", {"model": "it", "input": "x" * n})[0])
else:
    def embed(input, **more): return json.loads(ask("/v1/embeddings", dict({"model": "it", "input": input}, **more))[1])
    v = embed("a good day")["data"][0]["embedding"]
    print(len(v), abs(sum(x * x for x in v) - 1) < 1e-5, together(lambda i: [d["embedding"] for d in embed(i)["data"]], ["a good day", "night", "x"] * 5))
    short = embed("a good day", dimensions=8)["data"][0]["embedding"]
    length = sum(x * x for x in v[:8]) ** 0.5
    print(len(short), max(abs(a - b / length) for a, b in zip(short, v)) < 1e-6)
    print(json.loads(os.popen("lathe embed encoder -p 'a good day' --quiet --json").read())["embeddings"][0] == [float("%.8g" % struct.unpack("f", struct.pack("f", x))) for x in v])
    for more in ({"dimensions": 12}, {"dimensions": 33}, {"input": "good " * 60}, {"input": "x" * 20000}, {"input": [[1], [280000]]}):
        error("/v1/embeddings", dict({"model": "it", "input": "x"}, **more))
    error("/classify", {"model": "it", "input": "x"})
P
serve() {
    echo "--- $1"
    rm -f port
    lathe serve $2 $3 --port 0 --port-file port --threads 2 --name it --audit $1.audit > log 2>&1 &
    wait_for_server
    python3 ask.py $1
    kill $server
    wait $server; echo "exit $?"
    grep -m 1 -o '"finish":{"stop":[0-9]*}' $1.audit
    sed 's|127.0.0.1:[0-9]*|127.0.0.1:PORT|; s/^memory: planned .*/memory: N/; s/[0-9.]* [kM]B$/SIZE/' log
}
serve images images-model
serve texts texts-model
serve encoder encoder
lathe key keys.yaml a --quiet > key; echo '  tokens_per_minute: 40' >> keys.yaml; chmod 600 keys.yaml
serve limits texts-model "--keys keys.yaml"
