# A server's workshop: what somebody brings is looked at, learned, judged and registered, by HTTP; what is refused; a restart in between.
. "$ROOT/tests/cli/small_models.bash"
train_anything 64
cat > keys.yaml <<Y
- name: chief
  sha256: "$(printf boss | sha256sum | cut -d ' ' -f 1)"
  admin: true
- name: other
  sha256: "$(printf guest | sha256sum | cut -d ' ' -f 1)"
- name: few
  sha256: "$(printf hand | sha256sum | cut -d ' ' -f 1)"
  admin: true
  requests_per_day: 1
Y
chmod 600 keys.yaml
lathe serve run --workshop shop --port 0 2>&1
cat > ask.py <<'P'
import http.client, json, random, struct, sys, time, urllib.parse, zlib
PORT = int(open("port").read())

def raw(method, path, body=None, key="boss"):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request(method, "/lathe/workshop" + path, body, {"Authorization": "Bearer " + key} if key else {})
    r = c.getresponse()
    return r.status, r.read()

def get(path): return json.loads(raw("GET", path)[1])
def post(to, **o):
    status, text = raw("POST", to, json.dumps(o))
    return json.loads(text) if status == 200 else "%d %s" % (status, json.loads(text)["error"]["message"])
def put(id, name, data, at=0, size=None): return raw("POST", "/%s/piece?path=%s&from=%d&size=%d" % (id, urllib.parse.quote(name), at, size or len(data)), data)
def until(id):
    while True:
        v = get("/%s/state" % id)
        if v["state"] != "running": return v
        time.sleep(0.02)
def tell(v): print(v["step"], v["state"], "|", v["message"])
def look(id, **how):
    said = post("/%s/look" % id, **how)
    print(said) if isinstance(said, str) else tell(until(id))
def new(name): return post("", name=name)["id"]

def png(colour, side, r):
    def chunk(name, data): return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes(min(255, max(0, c + r.randrange(-30, 30))) for _ in range(side) for c in colour) for _ in range(side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

def table(n, r):
    words = "good fine happy bright warm".split(), "bad poor sorry dark cold".split()
    return "".join("%s %d,%s\n" % (" ".join(r.choice(words[i % 2]) for _ in range(6)), r.randrange(10 ** 6), ("glad", "sad")[i % 2]) for i in range(n))
P
start() { rm -f port; lathe serve run --workshop shop --keys keys.yaml --registry registry --record registry --port 0 --port-file port --threads 1 --quiet "$@" 2> log & wait_for_server; }
end() { kill $server; wait $server; echo "exit $?"; }
start
echo '--- who may'
python3 - <<'P'
from ask import *
for key in ("guest", None, "boss"):
    print(raw("GET", "", key=key)[0], raw("POST", "", b'{"name": "x"}', key=key)[0] if key != "boss" else "")
print(get("")["projects"], raw("GET", "/p1")[0], raw("GET", "/../keys.yaml")[0], raw("GET", "/p1/nothing")[0], raw("PUT", "/p1")[0], raw("POST", "s", b"{}")[0])
print(*[raw("POST", "/p9/look", b"{}", key="hand")[0] for _ in range(2)], raw("GET", "", key="hand")[0])        # each POST is a request
P
echo '--- a table, from its bytes to a version'
python3 - <<'P'
from ask import *
r = random.Random(1)
id = new("Moods")
text = ("review,mood\n" + table(400, r)).encode()
half = len(text) // 2
print(put(id, "../x.csv", b"x")[0], put(id, "x.exe", b"x")[0], put(id, "moods.csv", text[:half], 0, len(text)))
print(post("/%s/look" % id, goal="classes", text="review", label="mood"))
print(put(id, "moods.csv", text[:half], half - 1, len(text)), put(id, "moods.csv", text[half:], half, len(text))[0])
seen = get("/" + id)["seen"]
print(seen["kind"], seen["table"]["rows"], [(c["name"], c["values"]) for c in seen["table"]["columns"]])
for how in ({"goal": "classes", "text": "review"}, {"goal": "classes", "text": "review", "label": "stars"}, {"goal": "images"}, {"goal": "poems"}):
    print(post("/%s/look" % id, **how))
print(post("/%s/train" % id, recipe="quick"), "/", post("/%s/register" % id, name="moods", reason="x"), "/", post("/%s/stop" % id))
post("/%s/look" % id, goal="classes", text="review", label="mood", licence="CC0-1.0")
print(post("/%s/look" % new("second"), goal="texts"), "/", put(id, "b.csv", b"x")[0])
tell(until(id))
v = get("/" + id)
t = v["audit"]["totals"]
print(t["records"], t["kept"] + sum(t["dropped"].values()), v["train"] + v["valid"] == t["kept"], [(p["name"], p["plan"]["step_seconds_expected"] > 0, p["plan"]["planned_bytes"] > 0) for p in v["plans"]])
print(post("/%s/train" % id, recipe="medium"))
post("/%s/train" % id, recipe="quick")
tell(until(id))
v = get("/" + id)
e = v["errors"]
print(e["kind"], e["n"] == v["valid"], e["figures"][0]["name"], e["figures"][0]["value"] > 0.9, e["classes"], len(e["wrong"]) == e["n"] - e["right"])
m = get("/%s/metrics" % id)
first = m["lines"].split("\n")[0]
again = get("/%s/metrics?from=%d" % (id, len(first) + 1))
print(json.loads(first)["step"], json.loads(again["lines"].split("\n")[0])["step"], m["next"] == again["next"])
print([raw("GET", "/%s/file?path=%s" % (id, p))[0] for p in ("life.yaml", "audit.html", "train.html", "recipes/quick.yaml", "project.json", "files/moods.csv", "../p1/life.yaml")])
print(post("/%s/register" % id, name="no spaces", reason="x"), "/", post("/%s/register" % id, name="moods", reason=" "))
post("/%s/register" % id, name="moods", reason="the first $(x)")
tell(until(id))
P
lathe registry show moods@1 --registry registry --json | python3 -c '
import json, sys; v = json.load(sys.stdin); print(v["actor"], v["reason"], [(p["parent"], p["role"]) for p in v["parents"]], sorted(e["kind"] for e in v["evidence"]), [f["name"] for f in v["files"]])'
LATHE_REGISTRY=registry lathe classify moods@1 -p 'good happy warm bright fine good' 2>&1 | cut -d ' ' -f 1
echo '--- the same by its life.yaml, without a server: nothing is left to do'
(cd shop/p1 && lathe run life.yaml --quiet --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["ran"])')
echo '--- texts and images'
python3 - <<'P'
from ask import *
r = random.Random(2)
id = new("Story")
put(id, "one.txt", b"too short")
look(id, goal="texts")
put(id, "one.txt", "".join("the %d small dogs ran round the house and said nothing of it\n" % r.randrange(1000) for _ in range(300)).encode())
look(id, goal="texts")
post("/%s/train" % id, recipe="quick")
tell(until(id))
v = get("/" + id)
print(v["held_out"]["results"]["held-out"]["bits_per_byte,none"] > 0, len(v["sample"]["text"]) > 10, len(v["hardest"]), v["hardest"][0]["bits"] >= v["hardest"][-1]["bits"])
post("/%s/register" % id, name="story", reason="the first")
tell(until(id))
id = new("Colours")
for i in range(3): put(id, "pics/red/%d.png" % i, png((200, 30, 30), 16, r))
look(id, goal="images")
for i in range(40): put(id, "pics/%s/%d.png" % (["red", "blue"][i % 2], i), png([(200, 30, 30), (30, 30, 200)][i % 2], 16 + i % 3, r))
put(id, "loose.png", png((0, 0, 0), 8, r))
look(id, goal="images")
print(post("/%s/remove" % id, path="loose.png"), post("/%s/remove" % id, path="../p1"))
put(id, "pics/blue/broken.png", b"no image")
look(id, goal="images")
v = get("/" + id)
print(v["seen"]["classes"], v["train"], v["valid"], v["audit"]["faults"]["n"])
post("/%s/train" % id, recipe="quick")
tell(until(id))
print(get("/" + id)["errors"]["figures"][0]["value"] > 0.9, raw("GET", "/%s/file?path=files/pics/red/0.png" % id)[0])
P
echo 'evaluation: {held-out/bits_per_byte: {max: 20}}' > policy.yaml
lathe registry policy story policy.yaml --registry registry --quiet > said && lathe registry promote story@1 --registry registry --quiet > said; echo "exit $?"; grep -o 'ok.*held-out' said
echo '--- stopped, ended with the server, and gone on with'
python3 - <<'P'
from ask import *
id = "p1"
post("/%s/train" % id, recipe="long")
while not get("/%s/metrics" % id)["lines"]: time.sleep(0.02)
print(post("/%s/remove" % id), "/", post("/%s/stop" % id))
tell(until(id))
post("/%s/train" % id, recipe="long")
print(get("")["used"]["files"] + 1, file=open("most", "w"))
while "train" not in [s["name"] for s in get("/%s/state" % id)["stages"] if s["state"] == "running"]: time.sleep(0.02)
P
kill -9 $server; wait $server 2> /dev/null
start --workshop-files $(cat most) --workshop-size 0.01
python3 - <<'P'
from ask import *
tell(get("/p1/state"))
p = get("/p1")
print(put("p2", "more/a.txt", b"x")[0], json.loads(put("p2", "more/b.txt", b"x")[1])["error"]["message"])
print(post("/p2/remove"), raw("GET", "/p2")[0], put("p3", "more/b.txt", b"x")[0])
print(json.loads(put("p3", "more/b.txt", b"x", 0, 20 << 20)[1])["error"]["message"])
post("/p1/train", recipe="long")
while "train" not in [s["name"] for s in get("/p1/state")["stages"] if s["state"] == "running"]: time.sleep(0.02)
P
lathe serve run --workshop shop --keys keys.yaml --port 0 --quiet 2>&1 | sed 's/lock.*/lock/'
end
python3 -c 'import json; p = json.load(open("shop/p1/project.json")); print(p["step"], p["state"], "|", p["message"])'
ls registry/events.db          # --record registry is beside the one that was told
echo '--- and to its end by the command line'
(cd shop/p1 && lathe run life.yaml --quiet --json 2> log | python3 -c 'import json, sys; print([s["stage"] + " " + s["state"] for s in json.load(sys.stdin)["stages"]])'; cat log)
