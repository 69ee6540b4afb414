# A classifier of images as it is, corrupted, attacked, and before other images: what is told, the same again by other threads, refusals.
cat > make.py <<'P'
import gzip, random, struct

def write(name, n, seed, letters):
    r = random.Random(seed)
    images, labels = b"", b""
    for _ in range(n):
        k = r.randrange(3)
        if letters:      # nothing that the classes have: a frame of one grey
            images += bytes(120 if 0 in (x % 8, x // 8) else 0 for x in range(64))
        else:
            images += bytes(r.randrange(60) + (180 if x // 16 == k else 0) for x in range(64))
        labels += bytes([k])
    gzip.open(name + ".images.gz", "wb").write(struct.pack(">HBBIII", 0, 8, 3, n, 8, 8) + images)
    gzip.open(name + ".labels.gz", "wb").write(struct.pack(">HBBI", 0, 8, 1, n) + labels)

write("train", 400, 1, False)
write("test", 60, 2, False)
write("other", 40, 3, True)
P
python3 make.py
cat > t.yaml <<'Y'
model: {model_type: vit, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48, patch_size: 2, layer_norm_eps: 1e-6, initializer_range: 0.1}
data: {train: [train.images.gz, train.labels.gz], valid: [test.images.gz, test.labels.gz]}
train: {steps: 60, batch: 16, lr: 3e-3, warmup: 5, precision: fp32}
Y
lathe train t.yaml --out m --quiet > /dev/null
all() { lathe eval m --images test.images.gz,test.labels.gz --corruptions --attack fgsm,pgd,square --eps 0.35 --ood other.images.gz,other.labels.gz --ood-fit train.images.gz,train.labels.gz --json --quiet "$@"; }
all --threads 1 --features-out rows.npz --out kept > one.json
all --threads 3 > three.json
grep -v '"date"' one.json > a; grep -v '"date"' three.json | cmp - a && echo "the same by 3 threads"
python3 - <<'P'
import json
r = json.load(open("one.json"))
c, a, o = r["corruptions"], r["attacks"], r["ood"]["other.images.gz,other.labels.gz"]
print(*r, r["n"], r["calibration"]["accuracy"]["value"] == c["accuracy"] > 0.9)
print(len(c["families"]), all(len(x) == 5 and all(0 <= v <= 1 for v in x) for x in c["families"].values()), c["worst"]["accuracy"] == min(min(x) for x in c["families"].values()))
print(*a["attacks"], a["robust_accuracy"] <= min(x["accuracy"] for x in a["attacks"].values()), a["attacks"]["pgd"]["fooled"] >= a["attacks"]["fgsm"]["fooled"] > 0, a["accuracy"] == c["accuracy"])
print(o["n"], *o["scores"], all(0 <= s["auroc"] <= 1 for s in o["scores"].values() if "auroc" in s), r["fit"])
for f in r["figures"]:
    print(f["name"], "|", f["of"], f["n"], f["better"], f["low"] is None or f["low"] <= f["value"] <= f["high"])
import glob, zipfile
print(json.load(open(glob.glob("kept/images_*.json")[0]))["figures"][0]["name"], zipfile.ZipFile("rows.npz").testzip(), *sorted(zipfile.ZipFile("rows.npz").namelist()))
P
lathe eval m --images test.images.gz,test.labels.gz --limit 20 --quiet | sed -n '1p;3p' | cut -c 1-50
lathe eval m --images test.images.gz,test.labels.gz --ood other.images.gz,other.labels.gz --ood-fit train.images.gz,train.labels.gz --quiet | grep -A4 'are fitted to' | sed 's/[0-9][.][0-9]*/#/g'
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
say lathe eval m --images test.images.gz,test.labels.gz --attack fab
say lathe eval m --images test.images.gz,test.labels.gz --attack pgd,pgd
say lathe eval m --images test.images.gz,other.labels.gz
say lathe eval m --images missing
say lathe eval --images test.images.gz,test.labels.gz
say lathe eval m --images test.images.gz,test.labels.gz --ood-fit train.images.gz,train.labels.gz
say lathe eval m --images test.images.gz,test.labels.gz --eps 0.1
say lathe eval m --images test.images.gz,test.labels.gz --ood missing,other.labels.gz
lathe eval m --images test.images.gz,test.labels.gz --limit 20 --json --quiet > few.json; python3 -c '
import json; r = json.load(open("few.json")); t = r["calibration"]["temperature"]
print(r["complete"], r["calibration"]["accuracy"]["value"] < 1 or (t["T"], t["beta"], t["nll_after"], t["cross_fit"].get("metrics")))'
lathe eval m --images test.images.gz,test.labels.gz --limit 20 --quiet | grep ^temperature
say lathe eval m --corruptions
say lathe eval m --ood other.images.gz,other.labels.gz
say lathe eval m --images test.images.gz,test.labels.gz --ood other.images.gz,other.labels.gz --ood-fit missing
