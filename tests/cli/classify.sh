# From labelled images to an answer: dark and bright ones, as idx files and as a folder of files.
. "$ROOT/tests/cli/small_models.bash"
make_images
lathe train images.yaml --out run --quiet --json --threads 1 > result.json && echo trained
grep -o '"valid_accuracy": [0-9.]*' result.json
ls run/config.json run/model.safetensors run/preprocessor_config.json run/data/train.img
tail -n 1 run/metrics.jsonl | grep -o '"valid_accuracy":[0-9.]*,"valid_images":[0-9]*'
grep -o '"id2label".*' run/config.json
lathe classify run images --quiet | head -n 3 | sed 's/ [01][.][0-9]*$//'
lathe classify run images --labels labels --quiet
lathe classify run images --labels labels --quiet --json | tr -d ' \n'; echo
lathe info run | grep 'images\|classes\|memory' | sed 's/[0-9.]* [kM]B/some/g'
echo '--- a file that is no image, a model that is no classifier, a text for a classifier'
echo text > note.png
lathe classify run note.png 2>&1; echo "exit $?"
lathe generate run -p x > said 2>&1; echo "exit $?"
lathe classify run images --labels note.png 2>&1; echo "exit $?"
lathe classify run images images --labels labels 2>&1; echo "exit $?"
mkdir -p folder/one; cp note.png folder/one/a.png
sed 's/train: .images, labels., labels: .dark, bright./train: folder/' images.yaml > folder.yaml
lathe train folder.yaml --out other --quiet 2>&1; echo "exit $?"
echo '--- held out: how often it is right, what it takes for what, and what it is surest of and wrong'
python3 - <<'P'
import json, os, struct, zlib
def png(value):
    def chunk(name, data): return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress((b"\0" + bytes([value] * 8)) * 8)) + chunk(b"IEND", b"")
for kind, values in (("dark", (3, 9, 240)), ("bright", (235, 250, 245, 255, 1))):
    os.makedirs("held/" + kind)
    for v in values: open("held/%s/%d.png" % (kind, v), "wb").write(png(v))
with open("train.jsonl", "w") as f, open("held.csv", "w") as g:
    g.write("says,kind\n")
    for i in range(200):
        text, kind = (("a good day %d" % i, "glad"), ("a bad night %d" % i, "sad"))[i % 2]
        f.write(json.dumps({"text": text, "label": kind}) + "\n")
        if i < 20: g.write("%s,%s\n" % (text, kind))
    g.write("a good day again,sad\n%s,glad\n" % ("a good day " * 60))
P
lathe classify run --judge held --quiet | sed 's/([01][.][0-9]*)/(#)/'
cp -r held $'held \xff' && mv $'held \xff/dark/240.png' $'held \xff/dark/\xff.png'
lathe classify run --judge $'held \xff' --quiet --json | grep -E '"(data|file)": .*held' | sort -u          # names of files may be any bytes
cat > texts.yaml <<'Y'
model: {model_type: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 48, initializer_range: 0.1, hidden_act: gelu}
data: {train: train.jsonl, form: label, valid_share: 0.2, vocab_size: 280}
train: {steps: 60, batch: 8, ctx: 32, lr: 5e-3, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train texts.yaml --out texts --quiet --threads 1 > result
lathe classify texts --judge held.csv --fields text=says,label=kind --quiet --json | python3 -c '
import json, sys; e = json.load(sys.stdin); f = e["figures"][0]
print(e["kind"], e["n"], e["right"], e["cut"], e["classes"], e["confusions"], [(w["is"], w["said"], w["text"], w["p"] > 0.5 > w["p_is"]) for w in e["wrong"]], f["name"], f["low"] < f["value"] < f["high"], f["n"])'
lathe classify texts --judge held.csv 2>&1; echo "exit $?"
lathe classify run --judge folder --fields x=y 2>&1; echo "exit $?"
lathe classify run images --judge held 2>&1; echo "exit $?"
lathe classify run --judge folder 2>&1; echo "exit $?"
