#!/usr/bin/env python3
"""The page of lathe serve in a browser: what a person does with it, by keyboard and pointer, on a small model trained for it.

Usage: tools/check_page.py [--url http://127.0.0.1:PORT/] [--shots FOLDER] [--axe axe.min.js]
Without --url it trains a model (two seconds) and serves it.  One line for each check; exit 1 when one fails, 77 where chromium is
missing.  axe-core (npm's axe-core, PyPI's axe-core-python) is used where --axe or the environment's LATHE_AXE names it."""
import argparse, hashlib, json, os, random, re, shutil, signal, struct, subprocess, sys, tempfile, time, urllib.error, urllib.request, zlib
from browser import Browser, Failed, find

LATHE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lathe")
KEY = "open sesame"
CONFIG = """
model: {hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 128, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 8192}
data: {train: texts, valid_share: 0.1, vocab_size: 290}
train: {steps: 240, batch: 16, ctx: 48, lr: 5e-3, warmup: 5, eval_every: 0, save_every: 0, precision: fp32}
"""
TEMPLATE = "{{ '<|endoftext|>' }}{% for m in messages %}{{ {'user': 'Q: ', 'assistant': 'A: ', 'system': 'S: '}[m.role] + m.content + '\\n' }}{% endfor %}{{ 'A:' }}"


class Server:
    """A model that answers hello with a few words, and `go` without end."""

    def __init__(self, folder):
        os.mkdir(folder + "/texts")
        for i in range(300):
            q, a = [("hello", "hi there, friend."), ("go", "tick tock " * 200)][i % 2]
            with open(f"{folder}/texts/{i}", "w") as f:
                f.write(f"Q: {q}\nA: {a}")
        with open(folder + "/config.yaml", "w") as f:
            f.write(CONFIG)
        subprocess.run([LATHE, "train", "config.yaml", "--out", "run", "--quiet", "--threads", "1"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(folder + "/run/chat_template.jinja", "w") as f:
            f.write(TEMPLATE)
        self.folder, self.port = folder, 0
        self.start()

    ARGS = ["run", "--name", "tiny", "--key", KEY]

    def start(self):
        port = self.folder + "/port"
        if os.path.exists(port):
            os.remove(port)
        self.process = subprocess.Popen([LATHE, "serve", *self.ARGS, "--port", str(self.port), "--port-file", "port", "--quiet", "--threads", "1"], cwd=self.folder)
        until = time.time() + 60
        while not (os.path.exists(port) and os.path.getsize(port)):
            if self.process.poll() is not None or time.time() > until:
                raise Failed("the server does not start")
            time.sleep(0.05)
        self.port = int(open(port).read())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def write_keys(folder):
    """An admin's key and another."""
    with open(folder + "/keys.yaml", "w") as f:
        for name, key, more in ("chief", "boss", "  admin: true\n"), ("other", "guest", ""):
            f.write(f'- name: {name}\n  sha256: "{hashlib.sha256(key.encode()).hexdigest()}"\n{more}')
    os.chmod(folder + "/keys.yaml", 0o600)


class Released(Server):
    """Two versions of that model in a registry, the first one served, with an admin's key and another."""

    ARGS = ["tiny@production", "--registry", "registry", "--keys", "keys.yaml", "--record", "events.db", "--watch-rules", "rules.yaml"]

    def __init__(self, folder, run):
        write_keys(folder)
        with open(folder + "/rules.yaml", "w") as f:
            f.write("- {signal: any, when: alarm, do: [alert, stop_canary]}\n")
        shutil.copytree(run, folder + "/one")
        shutil.copytree(run, folder + "/two")
        with open(folder + "/two/chat_template.jinja", "a") as f:
            f.write(" ")
        tell = lambda *a: subprocess.run([LATHE, "registry", *a, "--registry", "registry", "--actor", "ann", "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for i, name in enumerate(("one", "two")):
            with open(f"{folder}/quality{i}.json", "w") as f:
                json.dump({"kind": "quality", "figures": [{"name": "perplexity", "of": None, "value": 12.5 - i}]}, f)
            tell("add", "tiny", name, "--evidence", f"quality{i}.json", "--reason", "<img src=x onerror=alert(1)>")
        tell("promote", "tiny@1", "--reason", "the first")
        self.folder, self.port = folder, 0
        self.start()


class Built(Server):
    """That model with a workshop and a registry that is empty, and the same two keys."""

    ARGS = ["../run", "--name", "tiny", "--registry", "registry", "--keys", "keys.yaml", "--workshop", "shop", "--workshop-base", "small=../run"]

    def __init__(self, folder):
        write_keys(folder)
        words = "good fine happy bright warm".split(), "bad poor sorry dark cold".split()
        os.makedirs(folder + "/in/pets")
        r = random.Random(1)
        with open(folder + "/in/moods.csv", "w") as f:
            f.write("review,mood,stars\n" + "".join(f"{' '.join(r.choices(words[i % 2], k=6))} {r.randrange(10 ** 6)},{('glad', 'sad')[(i % 2) ^ (i % 9 == 0)]},{i % 5}\n" for i in range(400)))
        with open(folder + "/in/one.csv", "w") as f:
            f.write("review,mood\n" + "".join("".join(r.choices("abcdefgh ijkl ", k=90)) + ",glad\n" for _ in range(100)))
        for i in range(60):
            kind = ("dark", "bright", "<b>odd")[i % 3]
            os.makedirs(f"{folder}/in/pets/{kind}", exist_ok=True)
            with open(f"{folder}/in/pets/{kind}/{i}.png", "wb") as f:
                f.write(png(16, 16, lambda x, y: (40, 200, 40 + 160 * (x // 4 % 2))[i % 3] + (x * 31 + y * 17 + i * 7) % 40))
        with open(folder + "/in/pets/notes.pdf", "w") as f:
            f.write("no")
        shutil.make_archive(folder + "/in/pets", "zip", folder + "/in", "pets")
        with open(folder + "/in/broken.zip", "wb") as f:
            f.write(open(folder + "/in/pets.zip", "rb").read()[:5000])
        self.folder, self.port = folder, 0
        self.start()


def png(width, height, grey):
    """A file of grey(x, y)."""
    part = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes(grey(x, y) for x in range(width)) for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


class Check:
    def __init__(self, browser, url, key):
        self.b, self.url, self.key, self.bad, self.n, self.why = browser, url, key, 0, 0, []

    def __call__(self, name, true, found=""):
        self.n += 1
        self.bad += not true
        line = f"{'ok    ' if true else 'FAILED'} {name}{'' if true else f': found {found}'}"
        self.why += [] if true else [line]
        print(line, flush=True)

    def equal(self, name, found, expected):
        self(name, found == expected, f"{found!r}, expected {expected!r}")

    def ask(self, text, wait=True):
        self.b.js("$('ask').focus()")
        self.b.type(text)
        self.b.press("Enter")
        if wait:
            self.b.wait("!under_way")

    def set(self, **values):
        for name, value in values.items():
            self.b.js(f"$('{name}').value = {json.dumps(str(value))}; $('{name}').dispatchEvent(new Event('input', {{ bubbles: true }}))")

    def stats(self):
        r = urllib.request.Request(self.url + "lathe/stats", headers={"Authorization": "Bearer " + self.key} if self.key else {})
        return json.load(urllib.request.urlopen(r))["models"][0]

    def last_body(self):
        return json.loads([a[2] for a in self.b.asked if a[0] == "POST"][-1])


LAST = "document.querySelector('#log li:last-child')"


def opening(c):
    b = c.b
    b.go(c.url)
    if c.key:
        b.wait("!$('keyline').hidden && document.activeElement === $('key')")
        c("a key is asked for", b.js("$('state').textContent") == "wants a key")
        b.type("wrong")
        b.press("Enter")
        b.wait("$('key-note').textContent && !$('keyline').hidden && document.activeElement === $('key')")
        c.equal("a wrong key is told", b.js("$('key-note').textContent"), "The server did not take this key.")
        b.js("$('key').select()")
        b.type(c.key)
        b.press("Enter")
    b.wait("served.length > 0")
    c("the model is named", b.js("$('model').textContent === served[0].id && document.title.startsWith(served[0].id)"))
    c.equal("versions are told", b.js("[...document.querySelectorAll('#served dt')].map(e => e.textContent).join()"), "Digest,Fingerprint,Build,Since,Context,Weights")
    c("the digest is the server's", b.js("$('served').textContent").find(c.stats()["digest"]) > 0)


def chatting(c):
    b = c.b
    c.set(temperature=0, max_tokens=12)
    c.ask("hello")
    said = b.js(LAST + ".querySelector('.body').textContent")
    c.equal("an answer comes", said, b.js("messages.at(-1).text.trim()") and said.strip() and said)
    facts = b.js(LAST + ".querySelector('.facts').textContent")
    c("its facts are told", re.match(r"\d+ tokens? · [\d.]+ tokens/s · first after [\d.]+ m?s · prompt \d+", facts), facts)
    sent = c.last_body()
    c("settings are sent, and only those that are set", sent["temperature"] == 0 and sent["max_tokens"] == 12 and "top_p" not in sent and sent["logprobs"] is True, sent)
    c.set(system="Be short.", top_p=0.9, top_k=5, min_p=0.01, seed=3)
    c.ask("hello")
    sent = c.last_body()
    c("a system prompt and all settings are sent", sent["messages"][0] == {"role": "system", "content": "Be short."} and (sent["top_p"], sent["top_k"], sent["min_p"], sent["seed"]) == (0.9, 5, 0.01, 3), sent)
    c.equal("the conversation so far is sent", [m["role"] for m in sent["messages"]], ["system", "user", "assistant", "user"])
    c("a screen reader is told whole sentences and the end", b.js("[...$('spoken').children].length >= 2 && $('spoken').lastChild.textContent.startsWith('Answer ended')"))


def probabilities(c):
    b = c.b
    b.js("document.querySelectorAll('.tok[tabindex=\"0\"]')[0].focus()")
    b.wait("!$('pop').hidden")
    c("probabilities show at focus", b.js("document.activeElement.getAttribute('aria-describedby') === 'pop' && /\\d %/.test($('pop').textContent) && $('pop').querySelectorAll('tr').length >= 5"), b.js("$('pop').textContent"))
    c("tokens put together are the answer", b.js("[...messages[1].tokens].map(t => messages[1].text.slice(t.from, t.to)).join('') === messages[1].text"))
    b.press("ArrowRight")
    c.equal("an arrow key goes to the next token", b.js("document.activeElement.dataset.i"), "1")
    b.press("End")
    c("one token of an answer is a stop of Tab", b.js("document.querySelectorAll('#log li:nth-child(2) .tok[tabindex=\"0\"]').length === 1 && document.activeElement.tabIndex === 0"))
    b.js("document.activeElement.scrollIntoView({ block: 'start' }); $('scroll').dispatchEvent(new Event('scroll'))")
    c("they stay where a token is focused", b.js("!$('pop').hidden"))
    b.press("Escape")
    c("Esc hides them", b.js("$('pop').hidden"))
    b.js("$('ask').focus()")
    b.point("#log li:last-child .tok[data-i='1']")
    b.wait("!$('pop').hidden")
    c("probabilities show at the pointer", b.js("$('pop').querySelector('.taken') !== null"))
    b.point("#ask")
    b.wait("$('pop').hidden")


def stopping(c):
    b = c.b
    b.js("$('reset').click()")
    c.set(temperature=0)
    c.ask("go", wait=False)
    b.wait("under_way?.message.text.length > 100")
    c.equal("the button stops while an answer comes", b.js("$('go').textContent"), "Stop")
    b.press("Escape")
    b.wait("!under_way")
    c("Esc stops, and what came stays", b.js("messages.at(-1).text.length > 100 && messages.at(-1).end === 'stopped'"))
    c("it says so", "stopped" in b.js(LAST + ".querySelector('.facts').textContent"))
    until = time.time() + 10
    while c.stats()["running"] and time.time() < until:
        time.sleep(0.05)
    c.equal("the server has stopped, too", c.stats()["running"], 0)
    c.ask("go", wait=False)
    b.wait("under_way?.message.text.length > 50")
    b.click("#go")
    b.wait("!under_way")
    c("the button stops", b.js("messages.at(-1).end === 'stopped'"))
    c.ask("go", wait=False)
    b.wait("under_way?.message.text.length > 50")
    b.reload()
    b.wait("served.length > 0")
    c("a reload in an answer's midst keeps what came, and is no fault", b.js("messages.at(-1).text.length > 50 && messages.at(-1).end === 'interrupted' && !messages.at(-1).error"))


def changing(c):
    b = c.b
    c.set(max_tokens=8)
    n = b.js("messages.length")
    b.js("[...document.querySelectorAll('#log li:last-child button')].find(b => b.textContent === 'Regenerate').click()")
    b.wait("!under_way")
    c("an answer is made again", b.js(f"messages.length === {n} && messages.at(-1).end === 'length'"))
    c("the end at max tokens is told", "ended at max tokens" in b.js(LAST + ".querySelector('.facts').textContent"))
    b.js("[...document.querySelectorAll('#log li:first-child button')].find(b => b.textContent === 'Edit').click()")
    c("a message can be edited", b.js("document.activeElement.tagName === 'TEXTAREA' && document.activeElement.value === 'hello'"))
    b.press("Escape")
    c.equal("Esc leaves it as it was", b.js(f"document.querySelector('#log li:first-child .body').textContent + messages.length"), f"hello{n}")
    b.js("[...document.querySelectorAll('#log li:first-child button')].find(b => b.textContent === 'Edit').click()")
    b.js("document.activeElement.select()")
    b.type("hello you")
    b.press("Enter")
    b.wait("!under_way")
    c.equal("what was edited is asked anew", [m["content"] for m in c.last_body()["messages"]], ["hello you"])
    b.js("$('ask').focus()")
    b.type("a")
    b.press("Enter", shift=True)
    b.type("b")
    c.equal("Shift+Enter begins a line", b.js("$('ask').value"), "a\nb")
    b.js("$('ask').value = ''")


def keeping(c):
    b = c.b
    before = b.js("JSON.stringify(messages) + $('log').querySelector('.body').textContent")
    b.reload()
    b.wait("served.length > 0")
    c.equal("a reload keeps the conversation", b.js("JSON.stringify(messages) + $('log').querySelector('.body').textContent"), before)
    c.equal("and the settings", b.js("$('max_tokens').value"), "8")
    c("and asks for no key", b.js("$('keyline').hidden"))
    folder = tempfile.mkdtemp()
    session, b.session = b.session, None
    b.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
    b.session = session
    b.click("#export")
    until = time.time() + 10
    while not os.path.exists(folder + "/conversation.json") and time.time() < until:
        b.js("1")
        time.sleep(0.05)
    try:
        out = json.load(open(folder + "/conversation.json"))
    except (OSError, ValueError) as e:
        out = {"error": str(e)}
    c("the conversation is exported", out.get("digest") == c.stats()["digest"] and [m["content"] for m in out["messages"]] == b.js("messages.map(m => m.text)") and out["messages"][1]["logprobs"], out)
    n = b.js("messages.length")
    b.click("#clear")
    c("it is cleared", b.js("messages.length === 0 && $('log').children.length === 0 && !$('empty').hidden"))
    b.click("#note button")
    c.equal("which can be undone", b.js("$('log').children.length"), n)


def hostile(c):
    """Whatever is said is text."""
    b = c.b
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\n```html\n<b>x</b>\n```\n- **<i>y</i>**\n* `<u>`\n1. [z](javascript:alert(3))"
    c.set(max_tokens=3)
    c.ask(evil.replace("\n", " "))
    b.js(f"messages.push({{ role: 'assistant', text: {json.dumps(evil)}, end: 'stop' }}); draw()")
    c.equal("no markup comes of texts", b.js("document.querySelectorAll('#log img, #log script, #log b, #log i, #log u, #log a').length"), 0)
    c.equal("code, bold and lists are shown", b.js("['pre code', 'ul li strong', 'ul li code', '.body ol li'].map(s => " + LAST + ".querySelector(s)?.textContent).join('|')"), "<b>x</b>|<i>y</i>|<u>|[z](javascript:alert(3))")
    c.equal("the page may not make markup of strings", b.js("(() => { try { document.body.insertAdjacentHTML('beforeend', '<b>') } catch (e) { return e.name } })()"), "TypeError")
    b.js("messages.pop(); draw()")
    odd = "**a\n*b _ `\n# \n#x\n1) y\n  - deep\n\t\t- deeper\nend **\n~~~ c\nz ```"
    b.js(f"messages.push({{ role: 'assistant', text: {json.dumps(odd)}, end: 'stop' }}); draw()")
    c.equal("half-made marks lose no letters", re.sub(r"\W", "", b.js(LAST + ".querySelector('.body').textContent")), "ab_xydeepdeeperendz")
    b.js("messages.pop(); draw()")


def streams(c):
    """Events cut anywhere, tokens that are parts of characters, a first space that is not said, reasoning, and an error in the middle."""
    b = c.b
    token = lambda bytes, p=-1: {"token": "?", "bytes": list(bytes), "logprob": p, "top_logprobs": []}
    event = lambda delta, *tokens: {"choices": [{"index": 0, "delta": delta, "logprobs": {"content": list(tokens)} if tokens else None, "finish_reason": None}]}
    said = [event({"role": "assistant", "reasoning_content": "hm"}, token(b"hm")), event({"content": "n"}), event({"content": "é"}, token(b" n\xc3"), token(b"\xa9")), event({"content": " 😀."}, token(" 😀".encode()), token(b".", -4)),
            {"error": {"message": "it broke"}}]
    raw = ": a comment\n\n" + "".join(f"data: {json.dumps(e, ensure_ascii=False)}\n\n" for e in said)
    b.js("window.real = fetch; window.raw = new TextEncoder().encode(" + json.dumps(raw) + """);
        window.fetch = async (path, o) => path === 'v1/chat/completions' ? new Response(new ReadableStream({ start(to) { for (let i = 0; i < raw.length; i += 7) to.enqueue(raw.slice(i, i + 7)); to.close(); } })) : real(path, o); 0""")
    c.ask("x")
    b.js("window.fetch = real; 0")
    c.equal("a stream is put together", b.js("[messages.at(-1).text, messages.at(-1).think, messages.at(-1).error]"), ["né 😀.", "hm", "it broke"])
    c.equal("tokens find their place", b.js("messages.at(-1).tokens.map(t => messages.at(-1).text.slice(t.from, t.to))"), ["n", "é", " 😀", "."])
    c.equal("tokens are shown as they are", b.js("messages.at(-1).tokens.map(t => t.t)"), ["‹20 6e c3›", "‹a9›", "␣😀", "."])
    c.equal("reasoning is shown apart", b.js(LAST + ".querySelector('details').textContent"), "Reasoninghm")
    b.js("messages.length -= 2; draw()")


def errors(c, server):
    b = c.b
    c.set(max_tokens=1000000)
    c.ask("hello")
    said = b.js(LAST + ".querySelector('[role=alert]').textContent")
    c("the server's message is shown", "there are 8192 positions" in said if server else "positions" in said, said)
    b.js("$('reset').click()")
    c.set(max_tokens=6, temperature=0)
    b.js("[...document.querySelectorAll('#log li:last-child button')].find(b => b.textContent === 'Try again').click()")
    b.wait("!under_way")
    c("which can be tried again", b.js("!messages.at(-1).error && messages.at(-1).text !== ''"))
    c.set(temperature=7)
    c.ask("hello", wait=False)
    c("a setting that cannot be is not sent", b.js("!under_way && !$('settings').hidden && document.activeElement === $('temperature')"))
    b.js("$('reset').click(); $('set').click(); $('ask').value = ''")
    if not server:
        return
    c.set(temperature=0)
    b.click("#clear")
    c.ask("go", wait=False)
    b.wait("under_way?.message.text.length > 30")
    server.process.kill()
    server.process.wait()
    b.wait("!under_way")
    c("a server that goes is told", b.js("messages.at(-1).error || messages.at(-1).end === 'interrupted'"))
    b.wait("$('state').textContent === 'The server does not answer.'")
    server.start()
    b.wait("$('state').textContent === 'ready'")
    c("and so is its return", True)
    b.said.clear()


def others(c):
    """What the page says where there is nothing to chat with."""
    b = c.b
    for task, says in (("classify", "POST /classify"), ("embed", "POST /v1/embeddings")):
        b.js(f"served[0].task = '{task}'; show_task()")
        c(f"a model for {task} has no chat", b.js("$('composer').hidden") and says in b.js("$('empty').textContent"))
    b.js("served[0].task = 'generate'; window.was = served; served = []; $('models').replaceChildren(); show_task()")
    c("a key without a model is told", b.js("$('composer').hidden && $('empty').textContent.includes('no model')"))
    b.js("""window.real = fetch;
        window.fetch = async (path, o) => path === 'v1/models' ? new Response(JSON.stringify({ data: [was[0], { ...was[0], id: 'other' }] })) : real(path, o);
        look()""")
    b.wait("!$('models').hidden")
    c.equal("several models are told", b.js("$('model').textContent + ':' + [...document.querySelectorAll('#served h3')].map(e => e.textContent).join()"), b.js("`2 models:${was[0].id},other`"))
    b.js("$('models').value = 'other'; $('models').dispatchEvent(new Event('change')); window.fetch = real")
    c.ask("hello")
    c.equal("the chosen one is asked", c.last_body()["model"], "other")
    b.js("messages.length -= 2; draw(); $('models').value = was[0].id; $('models').dispatchEvent(new Event('change')); look()")
    b.wait("served.length === 1 && !$('composer').hidden")


def looks(c):
    b = c.b
    back = "getComputedStyle(document.body).backgroundColor"
    b.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    light = b.js(back)
    b.prefer(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    dark = b.js(back)
    c("light and dark follow the system", (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)"), (light, dark))
    b.js("$('theme').value = 'light'; $('theme').dispatchEvent(new Event('change'))")
    c.equal("a switch goes before it", b.js(back), light)
    b.js("$('theme').value = ''; $('theme').dispatchEvent(new Event('change'))")
    b.js("messages.push({ role: 'assistant', text: 'x', end: 'stop' }); under_way = { message: messages.at(-1), abort: new AbortController() }; draw()")
    c.equal("nothing moves where that is not wanted", b.js("getComputedStyle(document.querySelector('.goes .body p'), '::after').animationName"), "none")
    b.js("under_way = null; messages.pop(); draw()")
    for width in (320, 375, 768):
        b.size(width, 700)
        wide = b.js("[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && !e.closest('.unseen, .skip, pre') && e.getBoundingClientRect().right > innerWidth + 1).length")
        c.equal(f"nothing is cut at a width of {width}", wide, 0)
    b.click("#views [data-view=live]")
    c("a narrow window shows one of two views", b.js("getComputedStyle(document.querySelector('#chat')).display === 'none' && $('charts').getClientRects().length === 1"))
    b.click("#views [data-view=chat]")
    b.size(1280, 800)


def keyboard(c):
    b = c.b
    b.js("$('set').getAttribute('aria-expanded') === 'true' || $('set').click(); document.activeElement.blur()")
    seen, lost = [], []
    for _ in range(80):
        b.press("Tab")
        at = b.js("(() => { const e = document.activeElement, s = getComputedStyle(e); return e === document.body ? null : [e.id || e.textContent.trim().slice(0, 20) || e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2] })()")
        if at is None:
            break
        seen.append(at[0])
        if not at[1]:
            lost.append(at[0])
    missing = [i for i in ("theme", "set", "export", "clear", "system", "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "logprobs", "unlikely", "reset", "scroll", "ask", "go", "pause") if i not in seen]
    c.equal("Tab reaches all controls", missing, [])
    c.equal("focus is always seen", lost, [])
    b.js("$('set').click()")


def live(c):
    b = c.b
    b.wait("samples[model_id()].length >= 3")
    tiles = b.js("[...document.querySelectorAll('#tiles dt')].map(e => e.textContent).join()")
    c.equal("live numbers are there", tiles, "Tokens/s,Under way,First token,Time per token,KV cache,Prefix hits,Answered,Up")
    c("they are the server's", b.js("document.querySelector('#tiles div:nth-child(7) dd').firstChild.data !== '–'"))
    c("pictures are told in words", b.js("[...document.querySelectorAll('#charts svg')].length === 5 && [...document.querySelectorAll('#charts svg')].every(s => /now [\\d.]+, mean [\\d.]+, highest/.test(s.getAttribute('aria-label')) && s.querySelector('polyline'))"),
      b.js("[...document.querySelectorAll('#charts svg')].map(s => s.getAttribute('aria-label')).join('\\n')"))
    b.click("#pause")
    n = b.js("samples[model_id()].length")
    time.sleep(2.5)
    c.equal("they can be held", b.js("samples[model_id()].length"), n)
    b.click("#pause")


def access(c, axe):
    """What a screen reader gets: roles and names; and axe-core's rules where it is at hand."""
    b = c.b
    nodes = [n for n in b.call("Accessibility.getFullAXTree")["nodes"] if not n.get("ignored")]
    role = lambda n: n.get("role", {}).get("value")
    roles = [role(n) for n in nodes]
    c.equal("landmarks are there", [r for r in ("banner", "main", "region", "list", "status") if r not in roles], [])
    controls = [n for n in nodes if role(n) in ("button", "textbox", "combobox", "spinbutton", "checkbox", "link", "img", "region")]
    c.equal("all controls and pictures have names", [role(n) for n in controls if not n.get("name", {}).get("value")], [])
    if not axe:
        print("SKIPPED axe-core: neither --axe nor LATHE_AXE names it")
        return
    b.call("Page.setBypassCSP", enabled=True)
    source = open(axe).read()
    for scheme in ("light", "dark"):
        for width in (1280, 375):
            b.prefer(prefers_color_scheme=scheme)
            b.size(width, 800)
            if not b.js("typeof axe === 'object'"):
                b.js("void (() => {" + source + "\n})()")
            for view in ("chat", "live") if width == 375 else ("chat",):
                b.js(f"show_view('{view}'); show_settings(true)")
                found = json.loads(b.js("axe.run(document, { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 120), v.nodes[0].failureSummary])))"))
                c(f"axe-core finds nothing: {scheme}, {width} wide, {view}", not found, found)
    b.js("show_view('chat'); show_settings(false)")
    b.prefer(prefers_color_scheme="light")
    b.size(1280, 800)


def access_of(c, axe, what):
    """axe-core's rules on what is shown now, where it is at hand."""
    b = c.b
    if not axe:
        return
    b.call("Page.setBypassCSP", enabled=True)
    if not b.js("typeof axe === 'object'"):
        b.js("void (() => {" + open(axe).read() + "\n})()")
    for scheme in ("light", "dark"):
        for width in (1280, 375):
            b.prefer(prefers_color_scheme=scheme)
            b.size(width, 800)
            found = json.loads(b.js("axe.run(document, { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 120), v.nodes[0].failureSummary])))"))
            c(f"axe-core finds nothing: {scheme}, {width} wide, {what}", not found, found)
    b.prefer(prefers_color_scheme="light")
    b.size(1280, 800)


def confirm(c, what, reason):
    """The dialog of a change: without a reason nothing happens."""
    b = c.b
    b.wait("$('change').open")
    b.js("$('change-reason').value = '  '; $('change-reason').required = false; $('change-do').click()")
    c(f"{what}: a reason is needed", b.js("$('change').open && $('change-fault').textContent.includes('Say why')"))
    b.js("$('change-reason').value = ''; $('change-reason').required = true; $('change-reason').focus()")
    b.type(reason)
    b.js("$('change-do').click()")
    b.wait("!$('change').open || $('change-fault').textContent")
    c.equal(f"{what}: it is done", b.js("$('change-fault').textContent"), "")


def plans(c, axe, shots):
    """The form of plans: filled, refused, read as a table and as a picture."""
    b = c.b
    text = lambda of="plan-page": b.js(f"$('{of}').textContent")

    def device(i, key, count="", how="", price=""):
        b.js(f"{{ const f = ($('plan-devices').children[{i}] ?? add_plan_device()).fields; f.kind.value = '{key}'; f.kind.dispatchEvent(new Event('change')); f.count.value = '{count}'; f.how.value = '{how}'; f.how.dispatchEvent(new Event('change')); f.price.value = '{price}' }}")

    def choose(field, value):
        b.js(f"$('{field}').value = '{value}'; $('{field}').dispatchEvent(new Event('change', {{ bubbles: true }}))")

    def plan():
        b.js("$('plan-page').replaceChildren(); $('plan-go').click()")
        b.wait("!planning && (!!$('plan-page').firstChild || !!$('plan-fault').textContent)", 120)
        return text("plan-fault")

    b.click("#views [data-view=plan]")
    b.wait("!$('plan-form').hidden && $('plan-devices').children.length === 3")
    c("plan: models that are served stand beside those that are known", b.js("[...$('plan-model').options].map(o => o.value)")[0] == "served:tiny" and b.js("$('plan-model').value") == "model:Llama-3-8B")
    device(0, "h100"), device(1, "rtx-4090", 2, "usd_per_hour", 0.5), device(2, "dgx-spark", 1, "usd", 3999), device(3, "orin-nano", 1, "usd", 249), device(4, "agx-orin", 1, "usd", 1999)
    c.equal("plan: it is made", plan(), "")
    sent = c.last_body()
    c("plan: what was chosen is sent", sent["model"] == "Llama-3-8B" and sent["devices"][1:3] == [{"device": "rtx-4090", "count": 2, "usd_per_hour": 0.5}, {"device": "dgx-spark", "count": 1, "usd": 3999}] and sent["tpot"] == 0.1 and sent["versus"] is True, sent)
    rows = b.js("[...document.querySelectorAll('#plan-page table')][0].innerText").split("\n")
    c("plan: a row tells times, costs, energy and how sure they are", all(any(w in r for r in rows) for w in ("1 × H100 SXM", "the whole model on each", "99 of 100 within", "mostly rent", "Wh", "measured", "roughly")), rows)
    c("plan: one that does not fit says by how much", re.search(r"Does not fit: [\d.]+ GB are missing", text()), text()[:800])
    c("plan: what is left of the picture is told", "Not shown, as they cannot do it: " in text() and "Orin Nano" in text())
    c("plan: the picture has a line for each, and is told in words", b.js("document.querySelectorAll('#costs > svg polyline:not(.cheap)').length === 6 && /is cheapest/.test($('costs').querySelector(':scope > svg').getAttribute('aria-label'))"))
    n = b.js("evens_of(plan_costs.r).shown.length")
    c("plan: break-even points are numbered, and told as sentences", n >= 1 and b.js("document.querySelectorAll('#costs .even').length") == n and b.js("document.querySelectorAll('ol.plan-even > li').length") == n and "costs less than" in text(), text())
    c("plan: with what they depend on", "It depends most on the " in text() and b.js("document.querySelectorAll('ol.plan-even table tbody tr').length") > n)
    b.js("$('costs-at').focus(); $('costs-at').value = 0; $('costs-at').dispatchEvent(new Event('input'))")
    first = text("costs-read")
    b.press("End")
    b.wait(f"$('costs-read').textContent !== {json.dumps(first)}")
    c("plan: the slider tells what each costs at a load", b.js("/requests a day.*: .*\\$[\\d,.]+.* a month/.test($('costs-at').getAttribute('aria-valuetext')) && $('costs').querySelectorAll('circle.dot').length >= 3"), b.js("$('costs-at').getAttribute('aria-valuetext')"))
    b.point("#costs > svg")
    c("plan: so does the pointer", 100 < b.js("Number($('costs-at').value)") < 300, b.js("$('costs-at').value"))
    b.js("for (const d of document.querySelectorAll('#plan details')) d.open = true")
    for width in (320, 375, 768, 1280):
        b.size(width, 800)
        cut = b.js("[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && !e.closest('.unseen, .skip, pre, table, svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + e.id)")
        c.equal(f"plan: nothing is cut at a width of {width}", cut, [])
        b.wait("Math.abs($('costs').querySelector(':scope > svg').viewBox.baseVal.width - $('costs').querySelector(':scope > svg').getBoundingClientRect().width) < 3")
    access_of(c, axe, "plan")
    b.js("for (const d of document.querySelectorAll('#plan details')) d.open = false")
    if shots:
        for name, wide, high, scheme in (("page-plan", 1280, 1500, "light"), ("page-plan-dark", 1280, 2600, "dark"), ("page-plan-phone", 375, 2600, "light")):
            b.prefer(prefers_color_scheme=scheme)
            b.size(wide, high)
            b.js("$('plan-page').scrollIntoView()")
            b.wait("Math.abs($('costs').clientWidth - costs_drawn.wide) < 2")
            b.shot(f"{shots}/{name}.png")
        b.prefer(prefers_color_scheme="light")
        b.size(1280, 800)
    controls = [x for x in b.call("Accessibility.getFullAXTree")["nodes"] if not x.get("ignored") and x.get("role", {}).get("value") in ("button", "textbox", "combobox", "spinbutton", "slider", "img", "region")]
    c.equal("plan: all controls and pictures have names", [x["role"]["value"] for x in controls if not x.get("name", {}).get("value")], [])
    device(4, "h100", "", "usd", 25000)
    c.equal("plan: one that is rented beside the same one bought", plan(), "")
    c.equal("plan: they are told apart", b.js("[...$('costs').querySelectorAll('.key > span')].map(e => e.textContent).filter(t => t.includes('H100'))"), ["1 × H100 SXM (rented)", "1 × H100 SXM (bought)"])
    c("plan: and where the one is cheaper", re.search(r"1 × H100 SXM \(\w+\) (costs less|is at times dearer) than [^.]*\.", text()) and not re.search(r"(1 × H100 SXM \(\w+\)) (costs less|is at times dearer) than \1", text()), text()[-900:])
    device(2, "agx-thor")
    c.equal("plan: a device without a price is planned", plan(), "")
    c("plan: and the picture says what it needs", "the price of Jetson AGX Thor 128GB is not known" in text() and not b.js("!!$('costs')"), text()[-400:])
    device(2, "dgx-spark", 1, "usd", 3999)
    choose("plan-load", "users")
    choose("plan-workload", "own")
    b.js("$('plan-prompt').value = 'many'")
    said = plan()
    c("plan: what the program refuses is told", "--prompt" in said and "many" in said, said)
    b.js("$('plan-prompt').value = '100-300'; $('plan-output').value = '50'")
    c.equal("plan: own lengths and people", plan(), "")
    c("plan: how many of theirs are in time", "in time at" in text() and c.last_body()["users"] == 50 and c.last_body()["prompt"] == "100-300", text()[:600])
    choose("plan-workload", "rag")
    c.equal("plan: questions with documents", plan(), "")
    c("plan: requests that are too long are told", re.search(r"[\d.]+ % of such requests are longer than Llama-3-8B takes", text()), text()[:900])
    choose("plan-model", "config")
    b.js("$('plan-config').value = '{\"model_type\": '")
    c("plan: what was pasted and is no JSON is told", "is no JSON" in plan(), text("plan-fault"))
    b.js("$('plan-config').value = '{\"model_type\": \"<b>lama\"}'")
    said = plan()
    c("plan: an unknown model is told, as text", "<b>lama" in said and not b.js("!!$('plan-fault').querySelector('b b, .fault b')"), said)
    choose("plan-model", "served:tiny")
    choose("plan-load", "")
    c.equal("plan: a model that is served", plan(), "")
    c("plan: has the size of its files", re.search(r"tiny has [\d.,]+ parameters|tiny has [\d.]+ \w+ parameters", text()) and "in its files" in text(), text()[:300])
    b.js("show_view('chat')")


def releases(c, server, shots):
    """Promoted for a share of users, then for all, rolled back, and read in the history."""
    b = c.b
    past = lambda: b.js("$('past')?.firstChild.textContent ?? ''")
    press = lambda label: b.js(f"document.querySelector('#book-page [aria-label=\"{label}\"]').click()")
    b.go(f"http://127.0.0.1:{server.port}/")
    b.js("sessionStorage.setItem('lathe.key', 'guest')")
    b.reload()
    b.wait("document.body.classList.contains('more')")
    b.js("document.querySelector('#views [data-view=releases]').click()")
    c("another key is told that it may not", "admin" in b.js("$('book-note').textContent") and b.js("$('book-page').hidden"), b.js("$('book-note').textContent"))
    b.js("sessionStorage.setItem('lathe.key', 'boss')")
    b.reload()
    b.wait("document.body.classList.contains('more') && served.length > 0")
    c.set(temperature=0, max_tokens=4)
    c.ask("hello")
    b.js("document.querySelector('#views [data-view=releases]').click()")
    b.wait("!!$('past')")
    c.equal("versions stand side by side", b.js("[...document.querySelectorAll('.side thead th')].map(e => e.textContent).join('|')"), "Version|2|1 · production")
    c.equal("with their evaluations", b.js("[...document.querySelectorAll('.side tr')].find(e => e.firstChild.textContent === 'perplexity').textContent"), "perplexity11.5 −112.5")
    c("what people wrote is text", b.js("!document.querySelector('#releases img')") and "<img src=x onerror=alert(1)>" in b.js("$('releases').textContent"))
    press("Promote version 2")
    b.js("$('change-mode').value = 'canary'; $('change-mode').dispatchEvent(new Event('change'))")
    c("a share can be said", b.js("!$('change-part').hidden"))
    confirm(c, "a canary", "try it")
    b.wait("$('past').firstChild.textContent.includes('try it')")
    c("who, what and why are in the history", re.search(r"chief put version 2 beside version 1 of production \(canary, 10 % of users\) – try it$", past()), past())
    c("the split is told", "10 % of users get version 2, the others version 1." in b.js("$('book-page').textContent"))
    if shots:
        b.shot(shots + "/page-releases.png")
        press("Roll back tiny@production")
        b.shot(shots + "/page-rollback.png")
        b.js("$('change').close()")
    for width in (320, 375, 768, 1280):
        b.size(width, 700)
        wide = b.js("[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && !e.closest('.unseen, .skip, pre, .side > *') && e.getBoundingClientRect().right > innerWidth + 1).length")
        c.equal(f"releases: nothing is cut at a width of {width}", wide, 0)
        if shots and width == 375:
            b.shot(shots + "/page-releases-phone.png")
    press("Promote version 2")
    confirm(c, "for all", "good enough")
    b.wait("$('past').textContent.includes('good enough')")
    b.wait("(read_book(), $('book-page').textContent.includes('All requests are answered by version 2.'))")        # once it is loaded
    c("all get it", True)
    press("Roll back tiny@production")
    confirm(c, "a rollback", "worse after all")
    b.wait("$('past').firstChild.textContent.includes('worse after all')")
    c("all get the old one again", "All requests are answered by version 1." in b.js("$('book-page').textContent"))
    c("the rollback is in the history", "chief rolled back production: version 1" in past(), past())
    b.wait("(read_book(), $('book-page').textContent.includes('Answers, last hour'))")        # which are written a moment after they were made
    c("answers are summed up", "stable 1" in b.js("[...document.querySelectorAll('.side tr')].find(e => e.firstChild.textContent === 'Answers, last hour').textContent"))


def bring(b, which, *paths):
    """Files, or a folder, chosen in the page as a person does in the system's dialog."""
    of = b.call("Runtime.evaluate", expression=f"document.querySelector('#build input.{which}')")["result"]["objectId"]
    b.call("DOM.setFileInputFiles", files=list(paths), objectId=of)


def building(c, server, shots):
    """A table and a folder of images, each from its files to a version that is promoted; what is told where something is missing."""
    b, files = c.b, server.folder + "/in"
    text = lambda of="build": b.js(f"$('{of}').textContent")
    click = lambda words: b.js(f"[...document.querySelectorAll('#build button')].find(e => e.textContent === {json.dumps(words)} || e.getAttribute('aria-label') === {json.dumps(words)}).click()")
    shot = lambda name: shots and b.shot(f"{shots}/page-build-{name}.png")

    def begin(name):
        b.js("$('build-name').focus()")
        b.type(name)
        b.press("Enter")
        b.wait(f"project?.name === {json.dumps(name)} && !!document.querySelector('#build .drop')")

    def work(words):
        click(words)
        b.wait("project.state === 'running' || $('build-note').textContent")
        b.wait("project.state !== 'running'", 300)
        return b.js("`${project.step} ${project.state} ${project.message}`")

    def wide(what):
        for width in (320, 375, 768, 1280):
            b.size(width, 800)
            cut = b.js("[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && !e.closest('.unseen, .skip, pre, table, svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + e.id)")
            c.equal(f"build: nothing is cut at a width of {width}, {what}", cut, [])
            if width == 375:
                shot(what.replace(" ", "-") + "-phone")

    b.go(f"http://127.0.0.1:{server.port}/")
    b.js("sessionStorage.setItem('lathe.key', 'guest')")
    b.reload()
    b.wait("!document.querySelector('#views [data-view=build]').hidden")
    b.click("#views [data-view=build]")
    b.wait("$('build-note').textContent")
    c("build: another key is told that it may not", "admin" in text("build-note") and b.js("$('build-new').hidden"), text("build-note"))
    b.js("sessionStorage.setItem('lathe.key', 'boss')")
    b.reload()
    b.wait("!document.querySelector('#views [data-view=build]').hidden")
    b.click("#views [data-view=build]")
    b.wait("!$('build-new').hidden")
    begin("Moods <b>of</b> people")
    c("build: a name is text", b.js("!document.querySelector('#build option b')"))
    bring(b, "files", files + "/one.csv")
    b.wait("project.seen.files === 1 && !bringing")
    b.js("$('goal').value = 'classes'; $('column-label').value = ''")
    work("Look at it")
    c.equal("build: a missing column of labels is told", text("build-note"), "which column has the labels?")
    b.js("$('goal').value = 'classes'; $('column-label').value = 'mood'")
    said = work("Look at it")
    c("build: and it is told why nothing can be learned of it", "look failed all texts have the label 'glad'" in said and not b.js("document.querySelector('.recipe')"), said + text("build-page")[-600:])
    click("Remove one.csv")
    b.wait("!project.seen.files")
    b.js("""window.real = fetch, window.n_piece = 0, shop.piece = 2000;
        window.fetch = (path, o) => String(path).includes('/piece') && ++n_piece % 4 === 0 ? Promise.reject(new TypeError('cut')) : real(path, o)""")
    bring(b, "files", files + "/moods.csv")
    b.wait("project.seen.files === 1 && !bringing")
    c("build: a file that is cut off goes on", b.js("n_piece > 8 && (window.fetch = real, true)") and b.js("project.seen.bytes") == os.path.getsize(files + "/moods.csv"))
    c.equal("build: columns are guessed", b.js("[$('goal').value, $('column-text').value, $('column-label').value]"), ["classes", "review", "mood"])
    c.equal("build: the first rows are shown", b.js("document.querySelectorAll('#build .side tbody tr').length"), 5)
    wide("a table")
    shot("table")
    c.equal("build: it is looked at", work("Look at it"), "look done ")
    found = b.js("[...document.querySelectorAll('#build .plain')].at(-1).textContent")
    c("build: the audit is told in words", all(w in found for w in ("400 texts were read", "Personal data: none was found", "Licence: none is stated", "Labels: ", "held out")), found)
    b.js("$('watts').value = 100; $('watts').dispatchEvent(new Event('change')); $('price').value = 1000; $('price').dispatchEvent(new Event('change'))")
    facts = b.js("[...document.querySelectorAll('.recipe')].map(e => e.textContent)")
    c("build: three recipes with their size, time, memory, energy and cost", len(facts) == 3 and all(all(w in f for w in ("parameters", "about", "MiB", "kWh", "Cost")) for f in facts), facts)
    wide("recipes")
    b.size(1280, 1800)
    shot("recipes")
    click("Train Reader of longer texts")
    b.wait("!!document.querySelector('#build .curve')", 60)
    c("build: a curve, the steps and what is left are shown", b.js("document.querySelector('#build .curve svg').getAttribute('aria-label').startsWith('Loss by step') && /Step [\\d,]+ of [\\d,]+/.test($('build-page').textContent)"))
    shot("training")
    click("Stop the work")
    b.wait("project.state !== 'running'", 300)
    c.equal("build: it stops and can go on", b.js("project.state"), "stopped")
    c.equal("build: it goes on to its end", work("Go on"), "train done ")
    result = text("build-page")
    c("build: what it can do is told", re.search(r"\d %? ?right: of \d+ texts that it had not seen", result) and "95 % interval" in result, result[-900:])
    c("build: errors have examples", b.js("document.querySelectorAll('#build .wrong blockquote').length > 0 && project.errors.wrong.length > 0"))
    wide("results")
    b.size(1280, 2200)
    shot("errors")
    b.js("$('version-name').value = 'moods'; $('version-reason').value = 'the <i>first</i>'; $('version-name').form.requestSubmit()")
    b.wait("project.step === 'register' && project.state !== 'running'", 300)
    c.equal("build: it is registered", b.js("[project.state, project.version_name, project.number]"), ["done", "moods", 1])
    click("Promote it")
    confirm(c, "what was built", "better than nothing")
    b.wait("$('past')?.textContent.includes('better than nothing')")
    c("what was built is released", "All requests are answered by version 1." in b.js("$('book-page').textContent") and "moods-data@1 (data)" in b.js("$('book-page').textContent"), b.js("$('book-page').textContent"))
    b.size(1280, 900)
    shot("promoted")
    b.click("#views [data-view=build]")
    begin("Pets")
    bring(b, "folder", files + "/pets")
    b.wait("!bringing && ($('build-note').textContent || project.seen.files >= 60)", 60)
    c.equal("build: a folder comes whole", b.js("project.seen.files"), 60)
    c("build: what is of no use is told", "notes.pdf" in text("build-note"), text("build-note"))
    begin("Pets, packed")
    bring(b, "files", files + "/broken.zip")
    b.wait("!bringing && $('build-note').textContent", 60)
    c("build: an archive that is cut off is told", "broken.zip: the archive has no end" in text("build-note") and not b.js("project.seen.files + project.seen.parts"), text("build-note"))
    bring(b, "files", files + "/pets.zip")
    b.wait("!bringing && project.seen.files >= 60", 60)
    c("build: an archive is unpacked, with its folders", b.js("project.seen.files === 60 && project.seen.parts === 0 && project.seen.classes.length === 3"), b.js("JSON.stringify(project.seen.classes)"))
    c("build: and it is told what it had", "pets.zip was unpacked: 60 files" in text("build-note") and "1 file in it was left out" in text("build-note") and "notes.pdf" in text("build-note"), text("build-note"))
    b.size(1280, 900)
    shot("archive")
    click("Remove this project")
    click("Yes, remove its files and what it learned")
    b.wait("project?.name === 'Pets'")
    c.equal("build: folders are classes", b.js("project.seen.classes.map(e => e.name).sort()"), ["<b>odd", "bright", "dark"])
    c.equal("build: images are looked at", work("Look at it"), "look done ")
    c.equal("build: a viewer is trained", work("Train Quick look"), "train done ")
    b.js("for (const e of document.querySelectorAll('#build details')) e.open = true")
    c("build: it says how often it is right", "images that it had not seen" in text("build-page"))
    if b.js("project.errors.wrong.length"):
        b.wait("[...document.querySelectorAll('#build .wrong img')].every(e => e.complete && e.naturalWidth > 0)")
        c("build: images that it errs on are shown", True)
    wide("images")
    c("build: images begin from nothing", b.js("!$('base')"))
    begin("Going on")
    bring(b, "files", files + "/moods.csv")
    b.wait("project.seen.files === 1 && !bringing")
    c.equal("build: what one may go on from is offered", b.js("[...$('base').options].map(e => e.value)"), ["", "small", "moods@1"])
    b.js("$('base').value = 'small'")
    b.size(1280, 1500)
    shot("base")
    c.equal("build: it is looked at with a model", work("Look at it"), "look done ")
    facts = b.js("[...document.querySelectorAll('.recipe')].map(e => e.textContent)")
    c("build: two ways to go on, with what they take", len(facts) == 2 and "Adapt it" in facts[0] and "Train all of it" in facts[1] and all("MiB" in f and "about" in f for f in facts) and "Two ways to go on from small" in text("build-page"), facts)
    wide("ways to go on")
    b.size(1280, 1600)
    shot("going-on")
    c.equal("build: a model is adapted", work("Train Adapt it"), "train done ")
    c("build: and it tells labels", re.search(r"\d %? ?right: of \d+ texts", text("build-page")) and b.js("project.stages.some(s => s.name === 'merge' && s.state === 'done')"), text("build-page")[-700:])
    b.js("$('version-name').value = 'adapted'; $('version-reason').value = 'from a model'; $('version-name').form.requestSubmit()")
    b.wait("project.step === 'register' && project.state !== 'running'", 300)
    c.equal("build: it is registered, and comes from its base", b.js("ask('lathe/registry/adapted').then(r => r.json()).then(v => v.versions[0].parents.map(p => p.parent + ' ' + p.role).sort().join())"), "adapted-data@1 data,small base")
    click("Remove this project")
    click("Yes, remove its files and what it learned")
    b.wait("project?.name === 'Pets'")
    b.reload()
    b.wait("!document.querySelector('#views [data-view=build]').hidden")
    b.click("#views [data-view=build]")
    b.wait("project?.name === 'Pets' && project.trained && $('build-page').textContent.includes('Remove this project')")
    c("build: a reload shows the same project", True)
    click("Remove this project")
    click("Yes, remove its files and what it learned")
    b.wait("project?.name.startsWith('Moods')")
    c("build: a project can be removed", b.js("shop.projects.length") == 1)
    server.stop()
    server.start()
    b.js("read_shop()")
    b.wait("project?.step === 'register'")
    c("build: what was built is there after a restart", "moods, version 1, is in the registry" in text("build-page"))


NORMAL, SHIFTED = "hello", "zyxw 9876 QQQ ((( %%% zzzz ### 0000 zyxw 9876 QQQ ((( %%% zzzz ### 0000"


def ask_often(server, text, n, begin=0):
    """Answers to different people."""
    for i in range(n):
        body = {"model": "tiny", "messages": [{"role": "user", "content": f"{text} {begin + i}"}], "max_tokens": 4, "user": f"u{begin + i}"}
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/chat/completions", json.dumps(body).encode(), {"Authorization": "Bearer boss", "Content-Type": "application/json"})).read()


def drift(c, server, shots):
    """A reference of answers; a canary; other prompts; the plot crosses its line; back."""
    b = c.b
    now = lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    tell = lambda *a: subprocess.run([LATHE, *a, "--registry", "registry", "--quiet"], cwd=server.folder, check=True, stdout=subprocess.DEVNULL)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    ask_often(server, NORMAL, 120)
    time.sleep(2.5)                                      # they are written a moment later
    tell("watch", "tiny", "--events", "events.db", "--since", since, "--until", now(), "--out", "reference.json")
    tell("registry", "add", "tiny", "one", "--evidence", "reference.json", "--reason", "how answers were")
    tell("registry", "promote", "tiny@2", "--canary", "50%", "--reason", "watch it")
    b.js("read_book()")
    b.wait("$('book-who').textContent.includes('version 2 is serving') || (read_book(), false)")
    b.js("$('drift-of').value = '2'; $('drift-of').dispatchEvent(new Event('change'))")
    b.wait("$('book-drift').textContent.includes('No answer yet.')")
    c("a candidate is compared with the version before it", "registered with version 1" in b.js("$('book-drift').textContent"), b.js("$('book-drift').textContent"))
    ask_often(server, SHIFTED, 120)
    b.wait("(read_book(), document.querySelectorAll('#book-drift .alarmed').length > 0)", 40)
    card = "document.querySelector('#book-drift .alarmed')"
    c("a shift raises an alarm", b.js("$('book-drift').textContent.includes('Yes: ')"))
    c("its plot has crossed the line", b.js(f"(() => {{ const y = +{card}.querySelector('line.limit').getAttribute('y1'), p = {card}.querySelector('polyline').getAttribute('points').split(' ').map(p => +p.split(',')[1]); return Math.min(...p) <= y && p[0] > y }})()"))
    c("and is told in words", b.js(f"/of the way to the alarm line/.test({card}.querySelector('svg').getAttribute('aria-label')) && /Shares of the reference/.test({card}.querySelectorAll('svg')[1].getAttribute('aria-label'))"))
    c("what the rule would do is told", b.js(f"{card}.querySelector('.met').textContent.includes('stop canary')"), b.js(f"{card}.textContent"))
    c("traffic is split by version", b.js("[...document.querySelectorAll('#book-traffic tbody th')].map(e => e.textContent).join('|')") == "version 1|version 2, as candidate", b.js("$('book-traffic').textContent"))
    b.js("$('lineage-of').value = '2'; $('lineage-of').dispatchEvent(new Event('change'))")
    b.wait("$('book-lineage').textContent.includes('tiny@2')")
    c("lineage has training, version and evaluation", b.js("['Training run', 'tiny@2', 'Quality'].every(t => [...document.querySelectorAll('.lineage .name')].some(e => e.textContent === t))"), b.js("$('book-lineage').textContent"))
    if shots:
        for name, wide, high, scheme in (("views-wide", 1280, 2600, "light"), ("views-dark", 1280, 2600, "dark"), ("views-phone", 375, 5200, "light")):
            b.prefer(prefers_color_scheme=scheme)
            b.size(wide, high)
            b.shot(f"{shots}/{name}.png")
        b.prefer(prefers_color_scheme="light")
        b.size(1280, 800)
    url = b.js("ask('lathe/registry/tiny/open?version=2&what=' + encodeURIComponent((book.view.versions.find(v => v.number === 2).evidence[0].blob))).then(r => r.json()).then(o => o.url)")
    r = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{url}")
    text = r.read().decode()
    c("a report opens by its address alone, sandboxed", r.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'") and "perplexity" in text, text[:300])
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{url[:-1]}{'0' if url[-1] != '0' else '1'}")
        c("another address does not", False)
    except urllib.error.HTTPError as e:
        c.equal("another address does not", e.code, 403)
    b.js("document.querySelector('#book-page [aria-label=\"Roll back tiny@production\"]').click()")
    confirm(c, "rolled back for drift", "prompts are others")
    b.wait("$('past').firstChild.textContent.includes('prompts are others')")
    c("the candidate is gone", "All requests are answered by version 1." in b.js("$('book-who').textContent"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--url"), p.add_argument("--key", default=""), p.add_argument("--shots"), p.add_argument("--axe", default=os.environ.get("LATHE_AXE"))
    o = p.parse_args()
    if not find():
        print("SKIPPED: there is no chromium here (tools/deps page)")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        server = None if o.url else Server(folder)
        b = Browser()
        here = []
        c = Check(b, o.url or f"http://127.0.0.1:{server.port}/", o.key if o.url else KEY)
        try:
            here.append(c.url)
            for part in (opening, chatting, probabilities, stopping, changing, keeping, hostile, streams):
                part(c)
            b.js("$('reset').click()")
            live(c), others(c), looks(c), keyboard(c), access(c, o.axe)
            if server:
                plans(c, o.axe, o.shots)
            told = [s for s in b.said if "401" not in s and "404" not in s and "TrustedHTML" not in s and not ("400 (Bad Request)" in s and s.endswith("/lathe/plan"))]      # what was provoked
            errors(c, server)
            if server:
                other = tempfile.mkdtemp(dir=folder)
                released = Released(other, folder + "/run")
                try:
                    here.append(f"http://127.0.0.1:{released.port}/")
                    releases(c, released, o.shots)
                    drift(c, released, o.shots)
                finally:
                    released.stop()
                built = Built(tempfile.mkdtemp(dir=folder))
                try:
                    here.append(f"http://127.0.0.1:{built.port}/")
                    building(c, built, o.shots)
                finally:
                    built.stop()
            c.equal("the browser had nothing to complain about", told, [])
            c.equal("nothing was asked from elsewhere", [a[1] for a in b.asked if not a[1].startswith((*here, "data:", *("blob:" + u for u in here)))], [])
        except Failed as e:
            c("all checks are made", False, e)
            print(b.said[-3:])
            if o.shots:
                b.shot(o.shots + "/failed.png")
        finally:
            b.close()
            if server:
                server.stop()
        print(*c.why, f"{c.n - c.bad} passed, {c.bad} failed", sep="\n")      # again: of a long log the end is kept
        return 1 if c.bad else 0


if __name__ == "__main__":
    sys.exit(main())
