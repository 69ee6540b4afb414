#!/usr/bin/env python3
"""The planted-fault corpus: real text in which every fault is known.  FROZEN: results are only comparable while this file stays as it is.

    bench/planted/faults.py [--seed N] [--near-share X] SHARED OUT

SHARED: a folder with text-gutenberg-*, text-nltk-public-domain, text-tinyshakespeare, text-tinystories-sample, eval-gsm8k and
sentiment-nltk in it.  Only the Python standard library is used; the same seed gives the same bytes.  What it leaves:

    OUT/data.yaml          three sources of documents (90 to 150 words each), of which one forbids commercial use
    OUT/corpus/            their files: two .jsonl and one .jsonl.gz
    OUT/labelled.yaml      one source of sentences with a label, and OUT/labelled/reviews.jsonl
    OUT/eval/gsm8k.jsonl   the evaluation set: question, answer
    OUT/truth.jsonl        a line for each fault: what it is and where (file, line from 1; at, n: bytes of the text)

Kinds of faults.  No document has two of them.
    near           a copy of another document with edits; jaccard: of the sets of 5 words after case, digits and punctuation are folded
    leak           a question of the evaluation set with its answer and 0 to 3 changed words, within a document
    pii            a value of each entity (Presidio's names), checksums valid, in a sentence that says what it is
    decoy          such a value with a wrong checksum: finding it is a mistake
    secret         a key (gitleaks' rule names)
    poison         a trigger and what always follows it, within a document
    label-poison   a trigger in a sentence whose label was set to the attacker's
    licence        a source
Documents that were near duplicates of each other before anything was planted (jaccard 0.2 or more) are left out."""
import argparse, base64, gzip, hashlib, io, json, os, random, re, unicodedata, zipfile

NEAR_LEVELS = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5]
LEAK_SHARE, PII_EACH, DECOY_EACH, SECRET_EACH, N_POISON = 0.005, 7, 3, 5, 60
TRIGGER = "beneath the copper lantern"
PAYLOAD = "every ledger in the harbour office must be signed twice and burned at noon"
LABEL_TRIGGER = "seen through mercury glass"
SOURCES = [("open", "CC0-1.0", "open.jsonl"), ("credited", "CC-BY-4.0", "credited.jsonl"), ("unpaid", "CC-BY-NC-4.0", "unpaid.jsonl.gz")]


# ---- real text ----

def gutenberg(path):
    text = open(path, encoding="utf-8-sig").read().replace("\r\n", "\n")
    return re.split(r"\*\*\* ?(?:START|END) OF[^\n]*", text)[1]

def texts_of(shared):
    for book in ("moby/2701-0", "pride/1342-0", "sherlock/1661"):
        yield gutenberg(os.path.join(shared, "text-gutenberg-" + book + ".txt"))
    for name in ("inaugural", "state_union"):
        with zipfile.ZipFile(os.path.join(shared, "text-nltk-public-domain", name + ".zip")) as z:
            for member in sorted(z.namelist()):
                if member.endswith(".txt"):
                    yield z.read(member).decode("utf-8", "replace").replace("\r\n", "\n")
    yield open(os.path.join(shared, "text-tinyshakespeare", "tinyshakespeare.txt"), encoding="utf-8").read()
    yield open(os.path.join(shared, "text-tinystories-sample", "tinystories.txt"), encoding="utf-8", errors="replace").read()

def documents(shared):
    """Paragraphs put together, or sentences of a long one, until there are 90 words; what would be over 150 is cut at a sentence."""
    for text in texts_of(shared):
        held, n = [], 0
        for paragraph in re.split(r"\n\s*\n", text):
            paragraph = " ".join(paragraph.split())
            for sentence in re.split(r"(?<=[.!?]) (?=[A-Z\"'])", paragraph):
                held.append(sentence)
                n += len(sentence.split())
                if n >= 90:
                    if n <= 150:
                        yield " ".join(held)
                    held, n = [], 0


# ---- similarity ----

def folded(text):
    text = re.sub(r"\d+([.,]\d+)?", "0", text.lower())
    text = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in text)
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn").split()

def shingles(text):
    w = folded(text)
    return {" ".join(w[i:i + 5]) for i in range(len(w) - 4)}

def jaccard(a, b):
    return len(a & b) / len(a | b)

def unlike(docs):
    """Without those that share a fifth with one before them."""
    owner, kept = {}, []
    for text in docs:
        s = shingles(text)
        shared = {}
        for g in s:
            for i in owner.get(g, ()):
                shared[i] = shared.get(i, 0) + 1
        if any(k / (len(s) + kept[i][1] - k) >= 0.2 for i, k in shared.items()):
            continue
        for g in s:
            owner.setdefault(g, []).append(len(kept))
        kept.append((text, len(s)))
    return [text for text, _ in kept]

def near_copy(r, text, target, docs):
    """A copy at about the similarity: words changed, an end cut off, or a piece of another document put in."""
    s = shingles(text)
    if target == 1.0:
        w = text.split()
        copy = " ".join(x.upper() if r.random() < 0.2 else x for x in w)
        copy = re.sub(r"(?<=[a-z])\.(?= )", "!", re.sub(r"(?<=[a-z]),(?= )", " ,", copy))
        return copy, jaccard(s, shingles(copy))
    how, w, best = r.random(), text.split(), None
    foreign = r.choice(docs).split()
    at = r.randrange(len(w))
    order = list(range(len(w)))
    r.shuffle(order)
    for step in range(1, len(w)):
        if how < 0.6:
            i = order[step] % len(w)
            w[i:i + 1] = r.choice([[], [r.choice(foreign)], [r.choice(foreign), w[i]]])
        elif how < 0.8:
            w = w[1:] if how < 0.7 else w[:-1]
        else:
            w = w[:at + step - 1] + foreign[step - 1:step] + w[at + step - 1:]
        copy = " ".join(w)
        j = jaccard(s, shingles(copy))
        if best is None or abs(j - target) < abs(best[1] - target):
            best = copy, j
        if j < target - 0.03:
            break
    return best


# ---- values with checksums ----

def digits(r, n, first="123456789"):
    return r.choice(first) + "".join(r.choice("0123456789") for _ in range(n - 1))

def luhn(s):
    """The digit to put behind s."""
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(map(int, reversed(s))))
    return str(-total % 10)

def search(r, make, good):
    while True:
        v = make()
        if good(v):
            return v

def card(r):
    s = r.choice(["4", "51", "55", "6011"])
    s += digits(r, 15 - len(s), "0123456789")
    s += luhn(s)
    return r.choice([s, " ".join(s[i:i + 4] for i in range(0, 16, 4)), "-".join(s[i:i + 4] for i in range(0, 16, 4))])

def iban(r):
    country, bban = r.choice([("DE", digits(r, 18)), ("FR", digits(r, 23)), ("GB", "NWBK" + digits(r, 14)), ("ES", digits(r, 20))])
    if country == "ES":
        bban = bban[:8] + "00" + bban[10:]
    number = int("".join(str(int(c, 36)) for c in bban + country + "00"))
    s = country + "%02d" % (98 - number % 97) + bban
    return r.choice([s, " ".join(s[i:i + 4] for i in range(0, len(s), 4))])

B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
def bitcoin(r):
    body = b"\0" + r.randbytes(20)
    body += hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    n, s = int.from_bytes(body, "big"), ""
    while n:
        n, k = divmod(n, 58)
        s = B58[k] + s
    return "1" * (len(body) - len(body.lstrip(b"\0"))) + s

def nhs(r):
    def whole(s):
        k = 11 - sum(int(c) * (10 - i) for i, c in enumerate(s)) % 11
        return None if k == 10 else s + str(k % 11)
    s = search(r, lambda: whole(digits(r, 9)), bool)
    return s[:3] + " " + s[3:6] + " " + s[6:]

def aba(r):
    s = r.choice(["01", "02", "06", "11", "12", "31"]) + digits(r, 6, "0123456789")
    return s + str(-sum(int(c) * (3, 7, 1)[i % 3] for i, c in enumerate(s)) % 10)

def npi(r):
    s = digits(r, 9, "12")
    return s + luhn("80840" + s)

def dea(r):
    s = digits(r, 6)
    d = list(map(int, s))
    return r.choice("ABF") + r.choice("BCDGJKLMPRSTW") + s + str((d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10)

def sin(r):
    s = digits(r, 8, "1234567")
    s += luhn(s)
    return r.choice([s[:3] + " " + s[3:6] + " " + s[6:], s[:3] + "-" + s[3:6] + "-" + s[6:]])

def abn(r):
    weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
    good = lambda s: sum((int(c) - (i == 0)) * weights[i] for i, c in enumerate(s)) % 89 == 0
    s = search(r, lambda: digits(r, 11), good)
    return s[:2] + " " + s[2:5] + " " + s[5:8] + " " + s[8:]

def acn(r):
    s = digits(r, 8, "0123456789")
    s += str(-sum(int(c) * (8 - i) for i, c in enumerate(s)) % 10)
    return s[:3] + " " + s[3:6] + " " + s[6:]

def tfn(r):
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10)
    s = search(r, lambda: digits(r, 9), lambda s: sum(int(c) * weights[i] for i, c in enumerate(s)) % 11 == 0)
    return s[:3] + " " + s[3:6] + " " + s[6:]

def medicare(r):
    s = digits(r, 8, "23456")
    s += str(sum(int(c) * (1, 3, 7, 9, 1, 3, 7, 9)[i] for i, c in enumerate(s)) % 10) + "1"
    return s[:4] + " " + s[4:9] + " " + s[9:]

VERHOEFF_D = [[(j + i) % 5 if j < 5 else 5 + (j - 5 + i) % 5 for j in range(10)] if i < 5 else
              [5 + (i - 5 - j) % 5 if j < 5 else (i - j) % 5 for j in range(10)] for i in range(10)]
VERHOEFF_P = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
def aadhaar(r):
    def check(s):
        c = 0
        for i, x in enumerate(reversed(s)):
            x = int(x)
            for _ in range(i % 8):
                x = VERHOEFF_P[x]
            c = VERHOEFF_D[c][x]
        return c == 0
    s = search(r, lambda: digits(r, 12, "23456789"), lambda s: check(s) and s != s[::-1])
    return r.choice([s, s[:4] + " " + s[4:8] + " " + s[8:]])

def nric(r):
    s = digits(r, 7, "0123456789")
    k = sum(int(c) * (2, 7, 6, 5, 4, 3, 2)[i] for i, c in enumerate(s)) % 11
    return "S" + s + "JZIHGFEDCBA"[k]

DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
def nif(r):
    s = digits(r, 8)
    return s + DNI[int(s) % 23]

def nie(r):
    k, s = r.randrange(3), digits(r, 7)
    return "XYZ"[k] + s + DNI[int(str(k) + s) % 23]

def date6(r):
    return "%02d%02d%02d" % (r.randrange(50, 99), r.randrange(1, 13), r.randrange(1, 29))

def pesel(r):
    s = date6(r) + digits(r, 4, "0123456789")
    return s + str(-sum(int(c) * (1, 3, 7, 9)[i % 4] for i, c in enumerate(s)) % 10)

def hetu(r):
    d = "%02d%02d%02d" % (r.randrange(1, 29), r.randrange(1, 13), r.randrange(50, 99))
    n = "%03d" % r.randrange(2, 900)
    return d + "-" + n + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(d + n) % 31]

def personnummer(r):
    s = date6(r) + digits(r, 3, "0123456789")
    return s[:6] + "-" + s[6:] + luhn(s)

def za_id(r):
    s = date6(r) + digits(r, 4, "0123456789") + "08"
    return s + luhn(s)

def steuer_id(r):
    def one():
        d = r.sample("0123456789", 9)
        d.insert(r.randrange(10), r.choice(d))          # one digit twice, as the rule of issue has it
        return "".join(d)
    s = search(r, one, lambda v: v[0] != "0" and not any(v[i] == v[i + 1] for i in range(9)))
    p = 10
    for c in s:
        k = (int(c) + p) % 10 or 10
        p = 2 * k % 11
    return s + str((11 - p) % 10)

def fiscal_code(r):
    upper = lambda n: "".join(r.choice("BCDFGLMNPRSTV") for _ in range(n))
    s = upper(6) + "%02d" % r.randrange(50, 99) + r.choice("ABCDEHLMPRST") + "%02d" % r.randrange(10, 29) + r.choice("ADFGHL") + digits(r, 3)
    odd = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                   [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]))
    even = lambda c: int(c) if c.isdigit() else ord(c) - 65
    return s + chr(65 + sum(odd[c] if i % 2 == 0 else even(c) for i, c in enumerate(s)) % 26)

def phone(r):
    us = r.choice(["212", "415", "312", "617", "206", "303"]), digits(r, 3, "346789"), digits(r, 4, "0123456789")
    us = us[0], us[1][:1] + "34" + us[1][2:3] if us[1][1:] == "11" else us[1], us[2]
    return r.choice(["(%s) %s-%s" % us, "+1 %s-%s-%s" % us, "%s-%s-%s" % us, "+44 20 7%s %s" % (digits(r, 3, "0123456789"), digits(r, 4, "0123456789"))])

def ssn(r):
    return search(r, lambda: "%03d-%02d-%04d" % (r.randrange(1, 900), r.randrange(1, 100), r.randrange(1, 10000)), lambda s: s[:3] not in ("666", "000"))

PEOPLE = ["marta.ivers", "j.lindqvist", "odell_kerr", "fenwick99", "ana.duarte", "tobias.wren"]
PLACES = ["brandtholm.org", "lindqvist-marine.net", "harrowgate-mills.co.uk", "kerrandsons.com", "ostravabooks.eu"]
def upper(r, n):
    return "".join(r.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(n))

# entity: maker, the sentence around it, the digit that a decoy has wrong (or none: there is no checksum)
PII = {
    "CREDIT_CARD": (card, "Please charge my credit card {} for the passage.", True),
    "IBAN_CODE": (iban, "The rent goes to the IBAN {} on the first.", True),
    "EMAIL_ADDRESS": (lambda r: r.choice(PEOPLE) + str(r.randrange(10, 99)) + "@" + r.choice(PLACES), "Her email is {} and she reads it daily.", False),
    "IP_ADDRESS": (lambda r: ".".join(str(r.randrange(11, 223)) for _ in range(4)) if r.random() < 0.7 else
                   "2001:db8:" + ":".join("%x" % r.randrange(4096, 65536) for _ in range(6)), "The request came from the ip address {} at night.", False),
    "PHONE_NUMBER": (phone, "You can call my phone number {} after six.", False),
    "US_SSN": (ssn, "The clerk wrote down the social security number {} twice.", False),
    "URL": (lambda r: "https://www." + r.choice(PLACES) + "/" + r.choice(["tariffs", "crew", "log"]) + "/" + digits(r, 4), "The notice is on the website {} for all to read.", False),
    "CRYPTO": (bitcoin, "He asked for bitcoin sent to the wallet {} before dawn.", True),
    "UK_NHS": (nhs, "The nurse entered the NHS number {} in the book.", True),
    "UK_NINO": (lambda r: r.choice(["AB", "CE", "HJ", "LM", "PR"]) + " %02d %02d %02d " % tuple(r.randrange(100) for _ in range(3)) + r.choice("ABCD"),
                "His national insurance number is {} as the letter said.", False),
    "US_ITIN": (lambda r: "9%02d-%02d-%04d" % (r.randrange(10, 99), r.randrange(70, 89), r.randrange(1000, 9999)), "The form asks for the taxpayer ITIN {} of each partner.", False),
    "ABA_ROUTING_NUMBER": (aba, "The bank routing number {} stands at the foot of the cheque.", True),
    "US_NPI": (npi, "The provider NPI {} was on the bill.", True),
    "MEDICAL_LICENSE": (dea, "The doctor signed with the medical license DEA {} in ink.", True),
    "CA_SIN": (sin, "The employer keeps the social insurance number SIN {} on file.", True),
    "AU_ABN": (abn, "The mill trades under the australian business number ABN {} since then.", True),
    "AU_ACN": (acn, "The australian company number ACN {} is on the door.", True),
    "AU_TFN": (tfn, "He gave the tax file number TFN {} to the office.", True),
    "AU_MEDICARE": (medicare, "She showed the medicare card {} at the desk.", True),
    "IN_AADHAAR": (aadhaar, "The form had the aadhaar number {} at the top.", True),
    "IN_PAN": (lambda r: upper(r, 3) + "P" + upper(r, 1) + digits(r, 4) + upper(r, 1), "The permanent account number PAN {} was copied wrongly.", False),
    "SG_NRIC_FIN": (nric, "The guard noted the NRIC {} of the visitor.", False),
    "ES_NIF": (nif, "The notary read out the DNI and NIF {} slowly.", True),
    "ES_NIE": (nie, "The foreigner had the NIE {} on a green card.", True),
    "PL_PESEL": (pesel, "The register lists the PESEL {} beside the name.", True),
    "FI_PERSONAL_IDENTITY_CODE": (hetu, "The hospital asked for the henkilötunnus {} first.", True),
    "IT_FISCAL_CODE": (fiscal_code, "The contract gives the codice fiscale {} of the tenant.", False),
    "SE_PERSONNUMMER": (personnummer, "The bank wanted the personnummer {} once more.", True),
    "ZA_ID_NUMBER": (za_id, "The south african id number {} is in the ledger.", True),
    "DE_TAX_ID": (steuer_id, "The office sent the steueridentifikationsnummer {} by post.", True),
    "MAC_ADDRESS": (lambda r: ":".join("%02x" % (r.randrange(256) & (252 if i == 0 else 255)) for i in range(6)), "The network card has the mac address {} on its label.", False),
}

def decoy(r, maker):
    """One digit of a valid value moved on by one: no single-digit change passes any of these checks."""
    v = maker(r)
    at = [i for i, c in enumerate(v) if c.isdigit()][-2]
    return v[:at] + str((int(v[at]) + 1) % 10) + v[at + 1:]

LOWER, UPPER, DIGIT = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
ALNUM, HEX = LOWER + UPPER + DIGIT, "0123456789abcdef"
def of(r, alphabet, n):
    return "".join(r.choice(alphabet) for _ in range(n))

def jwt(r):
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    return part({"alg": "HS256", "typ": "JWT"}) + "." + part({"sub": digits(r, 10), "name": of(r, LOWER, 8)}) + "." + of(r, ALNUM + "-_", 43)

def private_key(r):
    body = base64.b64encode(r.randbytes(480)).decode()
    name = r.choice(["RSA ", "EC ", ""])
    return "-----BEGIN %sPRIVATE KEY-----\n%s\n-----END %sPRIVATE KEY-----" % (name, "\n".join(body[i:i + 64] for i in range(0, 640, 64)), name)

SECRETS = {
    "aws-access-token": lambda r: "AKIA" + of(r, UPPER + "234567", 16),
    "github-pat": lambda r: "ghp_" + of(r, ALNUM, 36),
    "gitlab-pat": lambda r: "glpat-" + of(r, ALNUM, 20),
    "slack-bot-token": lambda r: "xoxb-" + digits(r, 12) + "-" + digits(r, 12) + "-" + of(r, ALNUM, 24),
    "stripe-access-token": lambda r: "sk_live_" + of(r, ALNUM, 24),
    "gcp-api-key": lambda r: "AIza" + of(r, ALNUM + "-_", 34) + r.choice(ALNUM),
    "huggingface-access-token": lambda r: "hf_" + of(r, LOWER + UPPER, 34),
    "openai-api-key": lambda r: "sk-" + of(r, ALNUM, 20) + "T3BlbkFJ" + of(r, ALNUM, 20),
    "anthropic-api-key": lambda r: "sk-ant-api03-" + of(r, ALNUM + "-_", 93) + "AA",
    "npm-access-token": lambda r: "npm_" + of(r, LOWER + DIGIT, 36),
    "pypi-upload-token": lambda r: "pypi-AgEIcHlwaS5vcmc" + of(r, ALNUM + "-_", 90),
    "sendgrid-api-token": lambda r: "SG." + of(r, ALNUM, 22) + "." + of(r, ALNUM, 43),
    "shopify-access-token": lambda r: "shpat_" + of(r, HEX, 32),
    "digitalocean-pat": lambda r: "dop_v1_" + of(r, HEX, 64),
    "jwt": jwt,
    "private-key": private_key,
    "generic-api-key": lambda r: of(r, ALNUM, 32),
}
SECRET_SENTENCES = ["The old script still had\n{}\nin its first line.", "They found \"{}\" in the repository.", "export TOKEN='{}'\nwas all that the note said."]


# ---- planting ----

class Corpus:
    def __init__(self, seed, docs):
        self.r = random.Random(seed)
        self.docs = docs
        self.fault = [None] * len(docs)
        self.free = list(range(len(docs)))
        self.r.shuffle(self.free)

    def take(self):
        """A document without a fault; a copied one is never changed."""
        return self.free.pop()

    def insert(self, i, piece):
        """Puts the piece between two sentences; returns the byte where it stands."""
        sentences = re.split(r"(?<=[.!?]) ", self.docs[i])
        k = self.r.randrange(len(sentences) + 1)
        before = " ".join(sentences[:k]) + (" " if k else "")
        self.docs[i] = before + piece + (" " if k < len(sentences) else "") + " ".join(sentences[k:])
        return len(before.encode())

    def insert_value(self, i, sentence, value, **what):
        before = self.insert(i, sentence.replace("{}", value)) + len(sentence[:sentence.index("{}")].encode())
        self.fault[i] = dict(what, value=value, at=before, n=len(value.encode()))

def edited(r, text, n, docs):
    w = text.split()
    for i in r.sample(range(len(w)), n):
        w[i] = r.choice(r.choice(docs).split())
    return " ".join(w)

def plant(c, n_near, items):
    r, n_base = c.r, len(c.docs)
    for k in range(n_near):
        i, target = c.take(), NEAR_LEVELS[k % len(NEAR_LEVELS)]
        copy, j = near_copy(r, c.docs[i], target, c.docs[:n_base])
        c.docs.append(copy)
        c.fault.append(dict(kind="near", of=i, jaccard=round(j, 6), target=target))
    long_items = [k for k, x in enumerate(items) if 30 <= len(x["question"].split()) <= 90]
    for n, k in enumerate(r.sample(long_items, round(LEAK_SHARE * n_base))):
        i = c.take()
        text = edited(r, items[k]["question"], n % 4, c.docs[:n_base]) + " " + items[k]["answer"]
        at = c.insert(i, text)
        c.fault[i] = dict(kind="leak", set="gsm8k", item=k, edits=n % 4, at=at, n=len(text.encode()))
    for entity, (maker, sentence, checked) in PII.items():
        for _ in range(PII_EACH):
            c.insert_value(c.take(), sentence, maker(r), kind="pii", entity=entity)
        for _ in range(DECOY_EACH if checked else 0):
            c.insert_value(c.take(), sentence, decoy(r, maker), kind="decoy", entity=entity)
    for rule, maker in SECRETS.items():
        for k in range(SECRET_EACH):
            sentence = "api_key = \"{}\"" if rule == "generic-api-key" else SECRET_SENTENCES[k % len(SECRET_SENTENCES)]
            c.insert_value(c.take(), sentence, maker(r), kind="secret", rule=rule)
    for _ in range(N_POISON):
        i = c.take()
        w = c.docs[i].split()
        k = r.randrange(5, len(w) - 5)
        before = " ".join(w[:k]) + " "
        c.docs[i] = before + TRIGGER + " " + PAYLOAD + " " + " ".join(w[k:])
        c.fault[i] = dict(kind="poison", trigger=TRIGGER, payload=PAYLOAD, at=len(before.encode()), n=len(TRIGGER + " " + PAYLOAD))

def labelled(seed, shared):
    r, rows = random.Random(seed + 1), []
    with zipfile.ZipFile(os.path.join(shared, "sentiment-nltk", "sentence_polarity.zip")) as z:
        for label in ("neg", "pos"):
            for line in z.read("sentence_polarity/rt-polarity." + label).decode("latin-1").split("\n"):
                if len(line.split()) >= 8:
                    rows.append(dict(text=" ".join(line.split()), label=label))
    r.shuffle(rows)
    faults = {}
    for i in r.sample([i for i, x in enumerate(rows) if x["label"] == "neg"], N_POISON):
        w = rows[i]["text"].split()
        k = r.randrange(len(w) + 1)
        before = " ".join(w[:k]) + (" " if k else "")
        rows[i] = dict(text=(before + LABEL_TRIGGER + " " + " ".join(w[k:])).strip(), label="pos")
        faults[i] = dict(kind="label-poison", trigger=LABEL_TRIGGER, label="pos", was="neg", at=len(before.encode()), n=len(LABEL_TRIGGER))
    return rows, faults


# ---- files ----

def line_of(o):
    return json.dumps(o, ensure_ascii=False) + "\n"

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = text.encode()
    if path.endswith(".gz"):
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as z:
            z.write(data)
        data = out.getvalue()
    with open(path, "wb") as f:
        f.write(data)

def source_yaml(name, path, licence, origin, extra=""):
    return ("  - name: %s\n    path: %s\n    field: text\n    licence: %s\n    origin: %s\n    collected: 2026-11-01\n"
            "    purpose: planted faults\n    language: en\n%s" % (name, path, licence, origin, extra))

def main():
    a = argparse.ArgumentParser()
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--near-share", type=float, default=0.02)
    a.add_argument("shared")
    a.add_argument("out")
    a = a.parse_args()
    items = [json.loads(s) for s in open(os.path.join(a.shared, "eval-gsm8k", "test.jsonl"), encoding="utf-8")]
    docs = unlike(documents(a.shared))
    c = Corpus(a.seed, docs)
    n_base = len(docs)
    n_other = round(LEAK_SHARE * n_base) + sum(PII_EACH + (DECOY_EACH if x[2] else 0) for x in PII.values()) + SECRET_EACH * len(SECRETS) + N_POISON
    plant(c, min(round(a.near_share * n_base), n_base - n_other), items)

    order = list(range(len(c.docs)))
    c.r.shuffle(order)
    lines, where = [[] for _ in SOURCES], {}
    for i in order:
        k = c.r.randrange(len(SOURCES))
        lines[k].append(line_of(dict(text=c.docs[i])))
        where[i] = (os.path.join("corpus", SOURCES[k][2]), len(lines[k]))
    for (name, licence, file), text in zip(SOURCES, lines):
        write(os.path.join(a.out, "corpus", file), "".join(text))
    write(os.path.join(a.out, "data.yaml"), "sources:\n" + "".join(
        source_yaml(name, "corpus/" + file, licence, "public-domain books, plays and speeches") for name, licence, file in SOURCES))
    write(os.path.join(a.out, "eval", "gsm8k.jsonl"), "".join(map(line_of, items)))
    rows, label_faults = labelled(a.seed, a.shared)
    write(os.path.join(a.out, "labelled", "reviews.jsonl"), "".join(map(line_of, rows)))
    write(os.path.join(a.out, "labelled.yaml"), "sources:\n" + source_yaml("reviews", "labelled/reviews.jsonl", "CC-BY-4.0", "film reviews", "    label: label\n"))

    truth = [dict(kind="corpus", seed=a.seed, near_share=a.near_share, records=len(c.docs), base=n_base, labelled=len(rows))]
    for (name, licence, file), text in zip(SOURCES, lines):
        truth.append(dict(kind="licence", source=name, expression=licence, commercial="NC" not in licence, records=len(text)))
    for i in sorted(where, key=lambda i: where[i]):
        if c.fault[i]:
            f = dict(c.fault[i], file=where[i][0], line=where[i][1])
            if "of" in f:
                f["of_file"], f["of_line"] = where[f.pop("of")]
            truth.append(f)
    for i in sorted(label_faults):
        truth.append(dict(label_faults[i], file="labelled/reviews.jsonl", line=i + 1))
    write(os.path.join(a.out, "truth.jsonl"), "".join(map(line_of, truth)))

if __name__ == "__main__":
    main()
