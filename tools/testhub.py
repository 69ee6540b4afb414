#!/usr/bin/python3
"""A hub for tests: speaks Hugging Face's protocol on 127.0.0.1, for the models in a folder, and misbehaves on purpose.

Usage: tools/testhub.py FOLDER PORTFILE LOG
FOLDER/ORG/NAME/... are the models.  ORG says what goes wrong:
  drops      a file's connection ends after 40 % of what was asked, twice      norange  the same, and Range is ignored
  wrong      a byte of every LFS file is another one                           short    files end early, headers say so too
  long       files have more bytes than the list says                          busy     429 with Retry-After, then 503, then the file
  down       503 for every file                                                moved    X-Linked-Etag is not what the list says
  changes    like drops, but the ETag is another one each time                 offset   a range begins one byte late
  outside    the list has ../evil                                              absolute the list has /evil
  twice      the list has a file twice                                         huge     the list has a file of 500 TB
  gated, private  403 with GatedRepo, 401 without the token "secret"           slow     half of an LFS file, then nothing
  elsewhere  the list's next page is on another host                           garbage  answers are not JSON
  endless    the list has always one more page                                 flood    the list has 40 MB
  circle     a file's redirect leads to itself                                 later    503 with a Retry-After of an hour
Every other ORG is served as it should be: LFS files (the weights) by a redirect to a second port, another host as far as tokens
are concerned, where a request that has one is answered 400.  The list comes in pages of two.  Revisions: main, v1, refs/pr/1:
three commits with the same files."""
import hashlib
import http.server
import json
import os
import re
import sys
import threading
import urllib.parse

folder, port_file, log_file = sys.argv[1:4]
lock = threading.Lock()
count = {}


def times(key):
    with lock:
        count[key] = count.get(key, 0) + 1
        return count[key]


def log(line):
    with lock, open(log_file, "a") as f:
        f.write(line + "\n")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def is_lfs(path):
    return path.endswith((".safetensors", ".gguf", ".bin"))


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(root, path):
    data = read(os.path.join(root, path))
    e = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
    if is_lfs(path):
        e["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
    return e


def listing(org, root):
    out = []
    for at, dirs, files in os.walk(root):
        rel = os.path.relpath(at, root)
        out += [{"type": "directory", "path": os.path.normpath(os.path.join(rel, d)), "size": 0, "oid": "0" * 40} for d in dirs]
        out += [entry(root, os.path.normpath(os.path.join(rel, f))) for f in files]
    out.sort(key=lambda e: e["path"])
    strange = {"outside": "x/../../evil", "absolute": "/evil", "huge": "huge.safetensors"}
    if org in strange:
        out.append({"type": "file", "path": strange[org], "size": 5 * 10**14 if org == "huge" else 5, "oid": "0" * 40})
    if org == "twice":
        out.append(out[0])
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        log("%s %s%s%s -> %d" % (self.role, self.path, " range " + self.headers["Range"] if "Range" in self.headers else "",
                                 " token" if "Authorization" in self.headers else "", status))
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        if not any(k == "Content-Length" for k, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def error(self, status, code, text):
        self.answer(status, json.dumps({"error": text}).encode(), [("X-Error-Code", code), ("X-Error-Message", text)])

    def send_file(self, org, path):
        """The bytes asked for, with whatever is wrong with this ORG."""
        data = read(path)
        if org == "wrong" and is_lfs(path):
            data = data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]
        data = {"short": data[:-1], "long": data + b"!"}.get(org, data)
        etag = hashlib.md5(data).hexdigest() + (str(times(path)) if org == "changes" else "")
        n, first, status = len(data), 0, 200
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        headers = [("ETag", '"%s"' % etag)]
        if asked and org != "norange":
            first, status = int(asked[1]) + (org == "offset"), 206
            if first >= n:
                return self.answer(416)
            headers.append(("Content-Range", "bytes %d-%d/%d" % (first, n - 1, n)))
        body = data[first:]
        headers.append(("Content-Length", str(len(body))))
        if org in ("drops", "norange", "changes", "offset") and times("drop " + path) <= 2 and len(body) > 100:
            self.close_connection = True
            body = body[:len(body) * 2 // 5]
        if org == "slow" and is_lfs(path) and times("slow " + path) == 1:
            self.answer(status, body[:len(body) // 2], headers)
            threading.Event().wait(60)
            self.close_connection = True
            return None
        return self.answer(status, body, headers)

    def api(self, org, root, what, revision):
        if org == "garbage":
            return self.answer(200, b"<html>")
        revision = urllib.parse.unquote(revision)
        commits = {r: hashlib.sha1((root + r).encode()).hexdigest() for r in ("main", "v1", "refs/pr/1")}
        commit = commits.get(revision, revision)
        if commit not in commits.values():
            return self.error(404, "RevisionNotFound", "Invalid rev id: " + revision)
        if what == "revision":
            return self.answer(200, json.dumps({"id": org, "sha": commit, "siblings": []}).encode())
        url = urllib.parse.urlparse(self.path)
        start = int(urllib.parse.parse_qs(url.query).get("cursor", ["0"])[0])
        entries = listing(org, root) if org != "endless" else [{"type": "directory", "path": "x"}] * (start + 3)
        if org == "flood":
            return self.answer(200, b" " * 40000000)
        headers = []
        if start + 2 < len(entries):
            host = other if org == "elsewhere" else here
            headers.append(("Link", '<%s%s?recursive=true&cursor=%d>; rel="next"' % (host, url.path, start + 2)))
        return self.answer(200, json.dumps(entries[start:start + 2]).encode(), headers)

    def resolve(self, org, root, path):
        full = os.path.join(root, path)
        if not os.path.isfile(full):
            return self.error(404, "EntryNotFound", "Entry not found")
        if org == "down" or (org == "busy" and times("busy " + path) <= 2):
            late = [("Retry-After", "1")] if count.get("busy " + path) == 1 else []
            return self.answer(429 if late else 503, b"later", late)
        if org == "later":
            return self.answer(503, b"later", [("Retry-After", "3600")])
        if org == "circle":
            return self.answer(302, b"", [("Location", self.path)])
        if not is_lfs(path):
            return self.send_file(org, full)
        digest = hashlib.sha256(read(full)).hexdigest() if org != "moved" else "0" * 64
        where = "%s/cdn/%s" % (other, urllib.parse.quote(os.path.relpath(full, folder)))
        return self.answer(302, b"", [("Location", where), ("X-Linked-Etag", '"%s"' % digest), ("X-Linked-Size", str(os.path.getsize(full)))])

    def do_GET(self):
        path = urllib.parse.urlparse(self.path).path
        if self.role == "cdn":
            if "Authorization" in self.headers:
                return self.answer(400, b"a token came to the wrong host")
            path = urllib.parse.unquote(path)[len("/cdn/"):]
            return self.send_file(path.split("/")[0], os.path.join(folder, path))
        api = re.match(r"/api/models/([^/]+)/([^/]+)/(revision|tree)/([^/]+)$", path)
        file = re.match(r"/([^/]+)/([^/]+)/resolve/([^/]+)/(.+)$", path)
        m = api or file
        org = m[1] if m else ""
        root = os.path.join(folder, org, m[2]) if m else ""
        if not m or not os.path.isdir(root):
            return self.error(404, "RepoNotFound", "Repository not found")
        if org == "gated":
            return self.error(403, "GatedRepo", "Access to model gated/model is restricted")
        if org == "private" and self.headers.get("Authorization") != "Bearer secret":
            return self.error(401, "", "Invalid username or password.")
        if api:
            return self.api(org, root, m[3], m[4])
        return self.resolve(org, root, urllib.parse.unquote(m[4]))


def serve(role):
    cls = type(role, (Handler,), {"role": role})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
    server.daemon_threads = True
    server.handle_error = lambda *args: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_address[1]


here, other = serve("hub"), serve("cdn")
with open(port_file + ".tmp", "w") as f:
    f.write(here)
os.rename(port_file + ".tmp", port_file)
threading.Event().wait()
