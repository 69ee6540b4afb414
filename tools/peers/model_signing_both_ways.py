#!/usr/bin/env python3
"""lathe sign and lathe verify beside model_signing (OpenSSF Model Signing): each verifies what the other signed, and both refuse what was changed.

    python tools/peers/model_signing_both_ways.py LATHE [--fixtures shared/data/governance-signed-models] [--time FILE]

With keys of P-256, P-384 and P-521, whole files and shards, folders and single files, and with certificates (a root, one between, a signing one).  Statements of evaluations and training are read by in-toto's classes.
--fixtures: the nine models that model_signing signed by keys and certificates.  --time: seconds to sign and verify that file, by both.
Needs PyPI's model-signing (with in-toto-attestation) and pyOpenSSL; checked with model-signing 1.1.1."""
import argparse
import datetime
import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("lathe")
p.add_argument("--fixtures", type=pathlib.Path)
p.add_argument("--time", type=pathlib.Path)
a = p.parse_args()
work = pathlib.Path(tempfile.mkdtemp())
good = bad = 0


def check(what, found, expected=True):
    global good, bad
    good, bad = good + (found == expected), bad + (found != expected)
    if found != expected:
        print(f"DIFFERS {what}: {found}, expected {expected}")


def lathe(*args):
    return subprocess.run([a.lathe, *map(str, args), "--quiet"], capture_output=True, text=True)


def theirs(path, sig, ignore=(), key=None, ca=None):
    v = verifying.Config()
    v = v.use_elliptic_key_verifier(public_key=key) if key else v.use_certificate_verifier(certificate_chain=[ca])
    guess = json.loads(__import__("base64").b64decode(json.loads(sig.read_text())["dsseEnvelope"]["payload"]))
    how = guess.get("predicate", {}).get("serialization", {"method": "files"})
    h = hashing.Config().set_ignored_paths(paths=[sig, *ignore])
    h = h.use_shard_serialization(shard_size=int(how["shard_size"])) if how["method"] == "shards" else h
    try:
        v.set_hashing_config(h).verify(path, sig)
        return True
    except Exception as e:
        return False if "mismatch" in str(e).lower() or type(e).__name__ in ("InvalidSignature", "X509StoreContextError", "ValueError") else repr(e)


def ours(path, sig, *more):
    return {0: True, 3: False}.get((r := lathe("verify", path, "--signature", sig, *more)).returncode, r.stderr)


def folder(name):
    m = work / name
    shutil.rmtree(m, ignore_errors=True)
    for f, text in {"config.json": "{}", "a/b": "0123456789" * 30, "a.txt": "xy", "a-b": "1", "a b/\u00e4.bin": "2" * 99, "z/y/x": "3", "weights": "w" * 5000}.items():
        (m / f).parent.mkdir(parents=True, exist_ok=True)
        (m / f).write_text(text)
    return m


def certificate(name, key, issuer=None, issuer_key=None, ca=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    flags = dict(digital_signature=not ca, key_cert_sign=ca, crl_sign=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)
    b = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    b = b.not_valid_before(now - datetime.timedelta(days=1 + 9 * ca)).not_valid_after(now + datetime.timedelta(days=30)).add_extension(x509.BasicConstraints(ca, None), True)
    return b.add_extension(x509.KeyUsage(**flags), True).sign(issuer_key or key, hashes.SHA256())


def both(m, sign_ours, sign_theirs, trust_ours, trust_theirs, what, change):
    for who, sign in ("lathe", sign_ours), ("model_signing", sign_theirs):
        sig = work / "sig.json"
        sig.unlink(missing_ok=True)
        sign(sig)
        check(f"{what}, signed by {who}: model_signing", theirs(m, sig, **trust_theirs))
        check(f"{what}, signed by {who}: lathe", ours(m, sig, *trust_ours))
        was = change.read_bytes()
        change.write_bytes(was[:-1] + b"!")
        check(f"{what}, signed by {who}, changed: model_signing", theirs(m, sig, **trust_theirs), False)
        check(f"{what}, signed by {who}, changed: lathe", ours(m, sig, *trust_ours), False)
        change.write_bytes(was)


def must(r):
    if r.returncode:
        raise SystemExit(r.stderr)


for curve in "P-256", "P-384", "P-521":
    key = work / curve
    must(lathe("sign", "--new-key", key, "--curve", curve))
    for shard in 0, 128:
        for single in False, True:
            m = folder("m")
            target = m / "weights" if single else m
            def by_lathe(sig): must(lathe("sign", target, "--key", f"{key}.key", "--out", sig, *(["--shard-bytes", shard] if shard else [])))
            def by_peer(sig):
                h = hashing.Config().set_ignored_paths(paths=[])
                h = h.use_shard_serialization(shard_size=shard) if shard else h
                signing.Config().use_elliptic_key_signer(private_key=f"{key}.key").set_hashing_config(h).sign(target, sig)
            both(target, by_lathe, by_peer, ["--key", f"{key}.pub"], {"key": pathlib.Path(f"{key}.pub")}, f"{curve} {'shards' if shard else 'files'} {'file' if single else 'folder'}", m / "weights")

keys = [ec.generate_private_key(c()) for c in (ec.SECP384R1, ec.SECP256R1, ec.SECP384R1)]
root = certificate("root", keys[0], ca=True)
between = certificate("between", keys[1], root.subject, keys[0], ca=True)
leaf = certificate("release", keys[2], between.subject, keys[1])
for name, c in ("root", root), ("between", between), ("leaf", leaf):
    (work / f"{name}.pem").write_bytes(c.public_bytes(serialization.Encoding.PEM))
(work / "leaf.key").write_bytes(keys[2].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
m = folder("m")
def by_lathe(sig): must(lathe("sign", m, "--key", work / "leaf.key", "--cert", work / "leaf.pem", "--chain", work / "between.pem", "--out", sig))
def by_peer(sig): signing.Config().use_certificate_signer(private_key=work / "leaf.key", signing_certificate=work / "leaf.pem", certificate_chain=[work / "between.pem"]).sign(m, sig)
both(m, by_lathe, by_peer, ["--ca", work / "root.pem"], {"ca": work / "root.pem"}, "certificate", m / "weights")
by_lathe(work / "sig.json")
for anchor in "leaf", "between":
    check(f"certificate, trusting {anchor} alone", (theirs(m, work / "sig.json", ca=work / f"{anchor}.pem"), ours(m, work / "sig.json", "--ca", work / f"{anchor}.pem")), (False, False))

# Statements of evaluations and of training, by in-toto's own classes, which take no unknown field.
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2

run = work / "run"
run.mkdir()
(run / "metrics.jsonl").write_text('{"step": 1, "unix_ms": 1764000009500}\n')
(run / "run.json").write_text(json.dumps({"unix_ms": 1764000000000, "config": "c.yaml", "settings": {"train": {"seed": 1}}, "model": {"hidden_size": 8}, "data": [{"role": "train", "path": str(m), "bytes": sum(f.stat().st_size for f in m.rglob("*") if f.is_file())}]}))
evidence = work / "results.json"
evidence.write_text('{"results": {"arc": {"acc,none": 0.5}}}')
for kind, more, message in ("training", ["--training", run], provenance_pb2.Provenance()), ("evaluation", ["--evaluation", evidence, "--require", "arc/acc>=0.4"], test_result_pb2.TestResult()):
    must(lathe("sign", m / "weights", "--key", work / "P-256.key", "--out", work / f"{kind}.sig", *more))
    payload = json.loads(__import__("base64").b64decode(json.loads((work / f"{kind}.sig").read_text())["dsseEnvelope"]["payload"]))
    json_format.ParseDict(payload, statement_pb2.Statement())
    json_format.ParseDict(payload["predicate"], message)
    check(f"statement of {kind}: lathe", ours(m / "weights", work / f"{kind}.sig", "--key", work / "P-256.pub"))
    check(f"statement of {kind} about another model: lathe", ours(m / "config.json", work / f"{kind}.sig", "--key", work / "P-256.pub"), False)

if a.fixtures:
    for name, what in [(f"v{v}-{k}", k) for v in ("0.2.0", "0.3.1", "1.0.0", "1.0.1", "1.1.0") for k in ("certificate", "elliptic-key")]:
        if not (a.fixtures / name).exists():
            continue
        d = work / name
        shutil.copytree(a.fixtures / name, d)
        target = d / "signme-1" if name in ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key") else d
        k = a.fixtures / "keys/certificate" / ("ca-cert.pem" if what == "certificate" else "signing-key-pub.pem")
        check(name + ": model_signing", theirs(target, d / "model.sig", [d / "ignore-me"], **({"ca": k} if what == "certificate" else {"key": k})))
        check(name + ": lathe", ours(target, d / "model.sig", "--ca" if what == "certificate" else "--key", k, "--ignore", "ignore-me"))

if a.time:
    def seconds(f):
        t = time.perf_counter()
        f()
        return time.perf_counter() - t
    sig, key = work / "t.sig", work / "P-256"
    size = a.time.stat().st_size / 1e9
    for who, s, v in (
        ("lathe", lambda: must(lathe("sign", a.time, "--key", f"{key}.key", "--out", sig)), lambda: must(lathe("verify", a.time, "--key", f"{key}.pub", "--signature", sig))),
        ("lathe, shards of 64 MiB", lambda: must(lathe("sign", a.time, "--key", f"{key}.key", "--out", sig, "--shard-bytes", 64 << 20)), lambda: must(lathe("verify", a.time, "--key", f"{key}.pub", "--signature", sig))),
        ("model_signing, without its start", lambda: signing.Config().use_elliptic_key_signer(private_key=f"{key}.key").sign(a.time, sig), lambda: verifying.Config().use_elliptic_key_verifier(public_key=f"{key}.pub").verify(a.time, sig)),
    ):
        ts, tv = min(seconds(s) for _ in range(3)), min(seconds(v) for _ in range(3))
        print(f"{who}: signs {size / ts:.2f} GB/s, verifies {size / tv:.2f} GB/s")

shutil.rmtree(work)
print(f"model_signing {importlib.metadata.version('model-signing')}: {good} as expected, {bad} not")
raise SystemExit(bad != 0)
