# Calibration of the answers in an .npz file: the table, the diagram, JSON, and what is refused.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
cat > make.py <<'P'
import random, struct, sys, zipfile

def npy(shape, kind, values):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(values)}{kind[1:].replace('f4', 'f').replace('i8', 'q')}", *values)

r = random.Random(7)
rows, labels = [], []
for i in range(400):
    z = [r.gauss(0, 1) for _ in range(3)]
    z[r.randrange(3)] += 3
    labels.append(z.index(max(z)) if r.random() < 0.7 else r.randrange(3))
    rows += [round(4 * x, 3) for x in z]
with zipfile.ZipFile("answers.npz", "w", zipfile.ZIP_DEFLATED) as f:
    f.writestr("logits.npy", npy((400, 3), "<f4", rows))
    f.writestr("labels.npy", npy((400,), "<i8", labels))
labels[17] = 3
with zipfile.ZipFile("wrong.npz", "w") as f:
    f.writestr("logits.npy", npy((400, 3), "<f4", rows))
    f.writestr("labels.npy", npy((400,), "<i8", labels))
P
python3 make.py
say lathe eval --logits answers.npz --diagram d.svg --threads 1
head -c 4 d.svg; echo
lathe eval --logits answers.npz --json --threads 2 > r.json
python3 -c 'import json; r = json.load(open("r.json")); print(r["n"], r["classes"], r["input"], round(r["temperature"]["T"], 4), r["miscalibrated"])'
echo '--- refused'
say lathe eval --logits wrong.npz
say lathe eval --logits make.py
say lathe eval --logits missing.npz
say lathe eval m --logits answers.npz
say lathe eval --diagram d.svg
