#!/usr/bin/env python3
"""PyPI's ORAS client against lathe registry serve: it pushes files, pulls them and what lathe added, moves a tag, and is refused what is refused.

    python tools/peers/oras_client.py LATHE

Needs PyPI's oras; without it this is skipped, aloud.  Checked with oras 0.2.43."""
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import judge
from judge import check

try:
    import oras.client
    import oras.defaults
except ImportError:
    print("SKIPPED: no oras here (pip install oras)")
    sys.exit(77)

lathe = os.path.abspath(sys.argv[1])
work = pathlib.Path(tempfile.mkdtemp(prefix="lathe-oras-"))


def refused(what, code, call, *args, **more):
    judge.refused(what, Exception, lambda e: code in str(e), call, *args, **more)


def run(*args):
    return subprocess.run([lathe, *args, "--registry", work / "registry", "--quiet"], check=True, capture_output=True, text=True).stdout


def same(folder, files):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()} == files


random.seed(1)
files = {"weights.bin": random.randbytes(40_000_001), "config.json": b'{"a": 1}', "empty.txt": b""}
source = work / "source"
source.mkdir()
for name, data in files.items():
    (source / name).write_bytes(data)
os.chdir(source)
server = subprocess.Popen([lathe, "registry", "serve", "--port", "0", "--port-file", work / "port", "--registry", work / "registry", "--no-facts", "--key", "secret", "--quiet"])
try:
    while not (work / "port").exists() or not (work / "port").read_text().endswith("\n"):
        check("the server runs", server.poll() is None)
        time.sleep(0.05)
    host = "127.0.0.1:" + (work / "port").read_text().strip()

    def client(key):
        c = oras.client.OrasClient(hostname=host, insecure=True, auth_backend="basic")
        c.auth.set_basic_auth("anybody", key)
        return c

    c = client("secret")
    refused("a wrong key", "UNAUTHORIZED", client("wrong").push, target=f"{host}/support:v1", files=list(files))
    r = c.push(target=f"{host}/support:v1", files=list(files))
    check("pushed", r.status_code == 201 and r.headers["X-Lathe-Version"] == "support@1")
    first = r.headers["Docker-Content-Digest"]
    r = c.push(target=f"{host}/support:v2", files=list(files)[:2], do_chunked=True, chunk_size=9_000_000)
    check("pushed in pieces", r.status_code == 201 and r.headers["X-Lathe-Version"] == "support@2")
    check("tags", c.get_tags(f"{host}/support") == ["1", "2", "v1", "v2"])
    for tag in ("1", "v1"):
        c.pull(target=f"{host}/support:{tag}", outdir=str(work / tag))
        check(f"pulled {tag}", same(work / tag, files))
    r = c.push(target=f"{host}/support:v2", files=list(files), manifest_annotations={"why": "again"})
    check("a tag moves, the same files are the same version", r.headers["X-Lathe-Version"] == "support@1" and r.headers["Docker-Content-Digest"] != first)
    text = c.get_manifest(f"{host}/support:v2")
    check("each tag has its manifest", text["annotations"]["why"] == "again" and "why" not in c.get_manifest(f"{host}/support:v1").get("annotations", {}))
    check("by digest", c.get_manifest(f"{host}/support@{first}")["layers"] == text["layers"])
    refused("a number that is not next", "Bad Request", c.push, target=f"{host}/support:9", files=["config.json"])
    refused("a repository with a slash", "NAME_UNKNOWN", c.push, target=f"{host}/a/b:v1", files=["config.json"])
    (source / "folder").mkdir()
    (source / "folder" / "x").write_text("x")
    refused("a folder that was packed", "Bad Request", c.push, target=f"{host}/support:v3", files=["folder"])
    refused("what is not there", "Not Found", c.get_manifest, f"{host}/support:none")

    added = json.loads(run("registry", "add", "other", str(source / "weights.bin"), "--no-facts", "--json"))
    run("registry", "alias", "other@1", "production")
    c.pull(target=f"{host}/other:production", outdir=str(work / "other"))
    check("what lathe added is pulled", same(work / "other", {"weights.bin": files["weights.bin"]}))
    m = c.get_manifest(f"{host}/other:1")
    check("as a ModelPack", m["artifactType"] == "application/vnd.cncf.model.manifest.v1+json" and m["layers"][0]["digest"] == "sha256:" + hashlib.sha256(files["weights.bin"]).hexdigest())
    config = c.get_blob(f"{host}/other", m["config"]["digest"]).content
    check("its config has its digest", m["config"] == {"mediaType": "application/vnd.cncf.model.config.v1+json", "digest": "sha256:" + hashlib.sha256(config).hexdigest(), "size": len(config)})
    check("which names the version", json.loads(config)["descriptor"]["version"] == "1")
    check("the journal verifies", added["number"] == 1 and "support@1" in run("registry", "history", "support"))
    run("registry", "verify")
finally:
    server.terminate()
    server.wait()
print(f"{judge.n} passed, 0 failed")
