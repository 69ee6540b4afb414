#!/usr/bin/env python3
"""Writes tests/golden/tokenizers: what other programs make of 2,000 strings.

    tools/golden/tok_ids.py [--shared ../shared/data] [--out tests/golden/tokenizers]

strings.json      2,000 strings of many scripts, emoji, code, broken spaces, tokens' names; 200 of them are not UTF-8 (as Latin-1 in
                  {"bytes": ...})
small/NAME.json   tokenizers of the families' shapes (normalizer, split, model, post-processor, decoder of the maker's file),
                  trained here on random lines of the same words by Hugging Face's `tokenizers`
NAME.ids          a line for each string: the low half of FNV-1a over its ids (int32, little-endian); "-" where the
                  other program does not take the string
Oracles (PyPI): tokenizers 0.23.3, sentencepiece 0.2.3, tiktoken 0.14.0, regex 2026.11.19; characters that Unicode 16 and regex's
version see differently are left out.  Bytes that are not UTF-8: for byte-level vocabularies the split by `regex` with each such
byte as a lone surrogate, then tiktoken's merges of the pieces' bytes; for those that cannot write them, U+FFFD in their place.
"""
import argparse
import base64
import json
import os
import random
import struct

import regex
import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as pb
import tiktoken
import unicodedata2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = (
    "the of and to in that don't we'll I'm she'd they've can't it's naïve café Straße größer être où señor ÉCOLE İstanbul ǅ год дом человек ЧЕЛОВЕК "
    "κόσμος ΛΌΓΟΣ שלום שָׁלוֹם سلام العَرَبِيَّة नमस्ते हिन्दी ক্ষ தமிழ் ภาษาไทย ລາວ မြန်မာ ខ្មែរ አማርኛ ქართული Հայ 世界 日本語 テスト ひらがな ｶﾀｶﾅ ＡＢＣ１２３ 한국어 각 𠜎 "
    "123 4567 3.14 2024-01-02 1,000,000 (a+b)*c == x[i]; foo_bar camelCase HTTPServer for(int i=0;i<n;++i){} def\u00a0f(x): return&nbsp; #include<stdio.h> // \\n \"quoted\" 'single' `tick` "
    "HTTP/1.1 https://example.org/?q=1&r=%20 user@example.org 🙂 👩‍👩‍👧 🇩🇪 ❤️ 1️⃣ 👍🏽 — … „quoted“ «x» nbsp\u00a0 ﬁ Ⅷ ² ½ ٣٤ ﷺ e\u0301 a\u0308\u0323 \u1100\u1161\u11a8 "
    "\u0958 \u212b ſ 'ſ 'S 'RE 'Ll <s> </s> <|endoftext|> <unk> <pad> <0x41> [MASK] [CLS] <mask> ▁ ▁▁x ## ##ing supercalifragilisticexpialidocious 𝔘𝔫𝔦 \u200bzero zero\u200dwidth "
    "\ufeff \u0085 \u2028 \u3000 \u180e \t \r\n \n\n    ").split(" ")
BLOCKS = [0x0, 0x80, 0x100, 0x250, 0x370, 0x400, 0x530, 0x5d0, 0x620, 0x900, 0x980, 0xb80, 0xe00, 0x10a0, 0x1100, 0x1e00, 0x1f00, 0x2000, 0x2100, 0x2460, 0x2500, 0x3000, 0x3300,
          0x4e00, 0xac00, 0xfb00, 0xfe30, 0xff00, 0x10400, 0x1d400, 0x1f100, 0x1f300, 0x1f600, 0x20000]


def ordinary(c):
    """A character on which regex (Unicode 17) and Unicode 16 agree."""
    return not 0xd800 <= c < 0xe000 and (unicodedata2.category(chr(c)) != "Cn" or regex.match(r"\p{Cn}", chr(c)))


def strings(n=1800, n_broken=200):
    r = random.Random(42)
    out = ["", " ", "  ", "   ", "\n", " \n ", "\t\t x", "a", "'s", "I'll  go\n\nnow ", "end   ", "\u3000全角\u2003em", "Hello, world!", "   leading", "a" * 300, "▁a", "\r\n\r\n", "x\r\ny",
           "\0a", "=" * 100, " " * 100, "\n" * 50, "ab" * 100, "中" * 100, "́" * 70, "1234567890" * 10]
    while len(out) < n:
        k = r.random()
        if k < 0.6:
            out.append("".join(r.choice(WORDS) + r.choice([" ", " ", " ", "  ", "\n", "", "", "\t", " \n", "\r\n"]) for _ in range(r.randint(1, 14))))
        elif k < 0.75:
            b = r.choice(BLOCKS)
            out.append("".join(chr(c) for c in (b + r.randint(0, 0x7f) for _ in range(r.randint(1, 20))) if ordinary(c)))
        else:
            out.append("".join(chr(c) for c in (r.choice(BLOCKS) + r.randint(0, 0x7f) if r.random() < 0.6 else r.randint(32, 126) for _ in range(r.randint(1, 20))) if ordinary(c)))
    broken = []
    while len(broken) < n_broken:
        b = bytearray(r.choice(out[30:]).encode())
        for _ in range(r.randint(1, 4)):
            b.insert(r.randint(0, len(b)), r.choice([0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf0, 0xf5, 0xff]))
        if r.random() < 0.5:
            del b[len(b) // 2:]
        try:
            bytes(b).decode()
        except UnicodeDecodeError:
            broken.append(bytes(b))
    return [s.encode() for s in out] + broken


def replaced(b):
    """Each byte that is not part of a character as U+FFFD."""
    return "".join("\ufffd" if 0xdc80 <= ord(c) < 0xdd00 else c for c in b.decode("utf-8", "surrogateescape"))


def is_utf8(b):
    return replaced(b).encode() == b


def line(ids):
    if ids is None:
        return "-"
    h = 0xcbf29ce484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{h & 0xffffffff:08x}"


# ---- the families' shapes ----

FOLD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = FOLD + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UP}*{LOW}+{FOLD}?|[^\r\n\p{{L}}\p{{N}}]?{UP}+{LOW}*{FOLD}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace(FOLD + "?", "").replace("{1,3}", "")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]


def byte_level(*patterns, regex_inside=False, prefix=False):
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex_inside)])


def bpe(pre, norm=None, specials=("<|endoftext|>",), bytes_=True, **model):
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer = pre
    if norm:
        t.normalizer = norm
    if bytes_:
        t.decoder = decoders.ByteLevel()
    return t, trainers.BpeTrainer(vocab_size=700, special_tokens=list(specials), show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if bytes_ else [])


def llama2(scheme, **model):
    """SentencePiece's BPE as tokenizer.json has it: merges over characters, bytes for what is unknown."""
    t, trainer = bpe(pre_tokenizers.Metaspace(), bytes_=False, unk_token="<unk>", fuse_unk=True, byte_fallback=True,
                     specials=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer.limit_alphabet = 150

    def finish(t):
        j = json.loads(t.to_str())
        j["added_tokens"] = j["added_tokens"][:3]
        if scheme == "prepend":
            j["pre_tokenizer"] = None
            j["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        elif scheme == "gemma":
            j["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
            j["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
            j["decoder"]["decoders"].pop()
        else:
            j["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
        t = Tokenizer.from_str(json.dumps(j))
        t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
        return t

    return t, trainer, finish


def bert(lower):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

    def finish(t):
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        return t

    return t, trainers.WordPieceTrainer(vocab_size=900, special_tokens=names, show_progress=False, limit_alphabet=300), finish


def unigram(norm, pre, names=("<s>", "<pad>", "</s>", "<unk>")):
    t = Tokenizer(models.Unigram())
    t.normalizer = norm
    t.pre_tokenizer = pre
    t.decoder = decoders.Metaspace()

    def finish(t):
        t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
        t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
        return t

    return t, trainers.UnigramTrainer(vocab_size=900, special_tokens=list(names), unk_token="<unk>", show_progress=False), finish


def families(charsmap):
    plain = lambda t: t

    def bos(t):
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<|endoftext|> $A", pair="<|endoftext|> $A <|endoftext|> $B", special_tokens=[("<|endoftext|>", 0)])])
        return t

    def roberta(t):
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
        t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
        return t

    def neox(t):
        t.add_tokens([AddedToken(" " * k, normalized=True) for k in range(24, 1, -1)])
        t.add_tokens([AddedToken("foo_bar", single_word=True, normalized=True), AddedToken("HTTP", lstrip=True, rstrip=True, normalized=False)])
        return t

    P, N = pre_tokenizers, normalizers
    yield "gpt2", (*bpe(P.ByteLevel(add_prefix_space=False)), plain)
    yield "roberta", (*bpe(P.ByteLevel(add_prefix_space=True), specials=["<s>", "<pad>", "</s>", "<unk>"]), roberta)
    yield "gpt-neox", (*bpe(P.ByteLevel(add_prefix_space=False), N.NFC()), neox)
    yield "smollm2", (*bpe(P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])), plain)
    yield "llama3", (*bpe(byte_level(LLAMA3), ignore_merges=True), bos)
    yield "qwen2", (*bpe(byte_level(QWEN2), N.NFC()), plain)
    yield "gpt-4o", (*bpe(byte_level(O200K)), plain)
    yield "tekken", (*bpe(byte_level(TEKKEN), ignore_merges=True), plain)
    yield "deepseek-v3", (*bpe(byte_level(*DEEPSEEK)), plain)
    yield "falcon", (*bpe(P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False), P.Digits(), P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])), plain)
    yield "bloom", (*bpe(byte_level(" ?[^(\\s|[.,!?…。，、।۔،])]+")), plain)
    yield "llama2", llama2("prepend")
    yield "mistral", llama2("first")
    yield "gemma", llama2("gemma")
    yield "bert-uncased", bert(True)
    yield "bert-cased", bert(False)
    yield "t5", unigram(N.Sequence([N.Precompiled(charsmap), N.Replace(Regex(" {2,}"), " ")]), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]))
    yield "xlm-r", unigram(N.Sequence([N.Nmt(), N.NFKC(), N.Strip(), N.Replace(Regex(" {2,}"), "▁")]), P.Metaspace())
    yield "words", (*bpe(P.Sequence([P.Whitespace(), P.Split("a", "merged_with_next"), P.Split(Regex("[eo]+"), "merged_with_previous"), P.Digits()]),
                         N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase()]), bytes_=False, unk_token="<|endoftext|>"), plain)


# ---- files at hand ----

def ranks_of(path):
    return {base64.b64decode(a): int(b) for a, b in (ln.split() for ln in open(path, "rb") if ln.strip())}


def tiktoken_ids(path, pattern, texts):
    e = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks_of(path), special_tokens={})
    split = regex.compile(pattern)
    for b in texts:
        if is_utf8(b):
            yield e.encode_ordinary(b.decode())
        else:
            out = []
            for piece in split.findall(b.decode("utf-8", "surrogateescape")):
                out += e._core_bpe.encode_single_piece(piece.encode("utf-8", "surrogateescape"))
            yield out


def gguf_keys(path):
    f = open(path, "rb")
    get = lambda fmt: struct.unpack("<" + fmt, f.read(struct.calcsize("<" + fmt)))
    kinds = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return f.read(get("Q")[0])
        if kind == 9:
            kind, n = get("IQ")
            return [value(kind) for _ in range(n)]
        return get(kinds[kind])[0]

    assert f.read(4) == b"GGUF"
    _, _, n = get("IQQ")
    return dict((f.read(get("Q")[0]).decode(), value(get("I")[0])) for _ in range(n))


def spm_of_gguf(path):
    """The same vocabulary as a SentencePiece model, for SentencePiece itself."""
    k, m = gguf_keys(path), pb.ModelProto()
    for text, score, kind in zip(k["tokenizer.ggml.tokens"], k["tokenizer.ggml.scores"], k["tokenizer.ggml.token_type"]):
        text = text.decode()
        m.pieces.add(piece=text, score=score, type=2 if text == "<unk>" else 5 if kind == 2 else kind)
    m.trainer_spec.model_type, m.trainer_spec.byte_fallback = 2, True
    m.normalizer_spec.add_dummy_prefix, m.normalizer_spec.remove_extra_whitespaces, m.normalizer_spec.escape_whitespaces = True, False, True
    p = sentencepiece.SentencePieceProcessor()
    p.LoadFromSerializedProto(m.SerializeToString())
    return p


def bert_of_gguf(path):
    k = gguf_keys(path)
    words = [t.decode() for t in k["tokenizer.ggml.tokens"]]
    vocab = {w[1:] if w[0] == "▁" else w if w[0] == "[" and w[-1] == "]" and len(w) > 2 else "##" + w: i for i, w in enumerate(words)}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    return t


def hf_ids(t, texts, byte_fallback=False, add=True):
    level = '"ByteLevel"' in json.dumps(json.loads(t.to_str())["pre_tokenizer"])
    for b in texts:
        yield None if not is_utf8(b) and (level or byte_fallback) else t.encode(replaced(b), add_special_tokens=add).ids


def spm_ids(p, texts, byte_fallback):
    for b in texts:
        yield None if not is_utf8(b) and byte_fallback else p.encode(replaced(b))


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--shared", default="../shared/data")
    a.add_argument("--out", default="tests/golden/tokenizers")
    a = a.parse_args()
    os.makedirs(f"{a.out}/small", exist_ok=True)
    texts = strings()
    with open(f"{a.out}/strings.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(b.decode() if is_utf8(b) else {"bytes": b.decode("latin-1")}, ensure_ascii=False) for b in texts) + "\n]\n")

    def write(name, ids):
        with open(f"{a.out}/{name}.ids", "w") as f:
            f.writelines(line(i) + "\n" for i in ids)

    t5 = Tokenizer.from_file(f"{a.shared}/hf-tokenizers/t5-small.tokenizer.json")
    charsmap = base64.b64decode(json.loads(t5.to_str())["normalizer"]["precompiled_charsmap"])
    r = random.Random(7)
    corpus = ["".join(r.choice(WORDS[:200] if r.random() < 0.9 else WORDS) + r.choice([" ", " ", "", "\n"]) for _ in range(12)) for _ in range(3000)]
    for name, (t, trainer, finish) in families(charsmap):
        t.train_from_iterator(corpus, trainer)
        t = finish(t)
        open(f"{a.out}/small/{name}.json", "w").write(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")))
        write("small-" + name, hf_ids(t, texts, '"byte_fallback": true' in json.dumps(json.loads(t.to_str())["model"])[:400]))
    write("t5-small", hf_ids(t5, texts))
    write("phi-3-mini", hf_ids(Tokenizer.from_file(f"{a.shared}/hf-tokenizers/phi-3-mini.tokenizer.json"), texts, True))
    write("bert-bge", hf_ids(bert_of_gguf(f"{a.shared}/llama-cpp-vocab/ggml-vocab-bert-bge.gguf"), texts))
    write("phi-3-gguf", spm_ids(spm_of_gguf(f"{a.shared}/llama-cpp-vocab/ggml-vocab-phi-3.gguf"), texts, True))
    write("stories260K", spm_ids(spm_of_gguf(f"{a.shared}/stories260K-gguf/stories260K-f32.gguf"), texts, True))
    for name, path, fallback in [("mistral-v1", "mistral-tokenizers/tokenizer.model.v1", True), ("unigram", "sentencepiece/test_model.model", False),
                                 ("mistral-v3", "mistral-tokenizers/mistral_instruct_tokenizer_240323.model.v3", True)]:
        write(name, spm_ids(sentencepiece.SentencePieceProcessor(model_file=f"{a.shared}/{path}"), texts, fallback))
    gpt2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
    cl100k = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    for name, pattern in [("r50k", gpt2), ("cl100k", cl100k), ("o200k", O200K)]:
        write(name, tiktoken_ids(f"{a.shared}/tiktoken-ranks/{name}_base.tiktoken", pattern, texts))


main()
