"""What Python makes of random seeds, regular expressions, YAML's plain words and literals and templates, for eval/pyrandom, base/pyre, eval/task_yaml and eval/task_field.

    pip install pyyaml jinja2; python tools/golden/python_text.py tests/golden/tasks/python.json"""
import ast, json, platform, random, re, sys
import yaml

out = {"python": platform.python_version(), "yaml": yaml.__version__}

out["random"] = []
for seed in (0, 1, 42, 1234, 2**32 - 1, 2**32, 2**40 + 12345, 2**63 + 7):
    r = random.Random(seed)
    out["random"].append({"seed": str(seed), "random": [r.random() for _ in range(700)][-5:], "below": [r.randrange(n) for n in (1, 2, 3, 10, 1000, 2**31, 2**32, 2**33 + 1, 2**60)],
                          "sample": [r.sample(range(n), k) for n, k in ((1, 1), (5, 5), (21, 5), (22, 5), (100, 5), (84, 6), (86, 6), (1000, 25), (300, 64), (7473, 8), (10, 0))],
                          "shuffle": (lambda v: (r.shuffle(v), v)[1])(list(range(20)))})

PATTERNS = [r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"\b(True|False)\b", r"(\([A-Z]\))", r"a*", r"", r"x?", r"(?i)été", r"\$", r"\.$", r"(?s).*#### ", r"\s+", r"[^\w\s]",
            r"(?<= )([\" \[\(<{}>\)\]]+)|([\" \[\(<{}>\)\]]+)", r"(a)(b)?", r"(?P<x>\d+)-(?P=x)", r"[\]\[]", r"[[a]+", r"a{,2}b", r"a{2,}", r"\Ax|y\Z", r"\x41|\u00e9|\U0001F600",
            r"(?m)^\w+$", r"(?x) a  b # c", r"\v|\a", r"[^]]+", r"(?:ab)+?", r"a++b", r"(?>a+)b", r"\d+(?!x)", r"(?<!-)\d", r"\w+", r"é|É", r"(\w)\1"]
TEXTS = ["So #### 1,234.5. And #### -7", "It is $5,000 or 3 or -2.", "True or (False)", "(A) and (B)", "aabaaab", "", "x\ny\nx", "été ÉTÉ", "a.b.\n", "line one\n#### 5\n#### 6", " \t\u00a0mixed\u2003space ",
         "ab a abab", "11-11 12-13", "][a", "日本語 words_1 \U0001F600 Aé", "oo ee book", "ab#c\va"]
out["re"] = [{"pattern": p, "text": t, "findall": [[list(m.regs[i]) for i in range(len(m.regs))] for m in re.finditer(p, t)], "sub": re.sub(p, r"<\g<0>>", t), "sub2": re.sub(p, "-", t, count=2)}
             for p in PATTERNS for t in TEXTS]
for c in out["re"]:      # places in bytes, as lathe counts
    b = lambda i: -1 if i < 0 else len(c["text"][:i].encode())
    c["findall"] = [[[b(x), b(y)] for x, y in m] for m in c["findall"]]

WORDS = ["yes", "No", "ON", "off", "y", "n", "true", "TRUE", "tRue", "null", "~", "Null", "0", "10", "010", "0o10", "08", "0x1F", "0b101", "0xg", "1_000", "_1", "-5", "+7", "1.5", "1.", ".5", "-.5",
         "+.5", "1e3", "1.0e3", "1.0e+3", "1.5E-2", "1:30", "1:30:45", "-1:30", "1:75", "1:30.5", "12e03", "1,000", "0.1.2", "2024", "abc", "1 2", ".", "..", "0.0", "00", "9007199254740993", "a: b"[:1],
         "none", "None", "1__2", "0_7", "+", "685_230.15", "190:20:30.15", "0b", "0x", "1:2:3:4", "60:00"]
out["yaml"] = [[w, yaml.safe_load("k: " + w)["k"]] for w in WORDS]

TREES = ["a: &x {b: 1, c: [1, two]}\nd: *x\ne:\n  <<: *x\n  b: 2\n", "a: 1\na: 2\n", "t: |\n  one\n  two\nf: >\n  one\n  two\nq: 'it''s'\nd: \"x\\ty\\u00e9\\\n  z\"\n", "l:\n- a\n- - b\n  - c\n- {d: e}\n",
         "1: one\nyes: two\n2.5: three\n", "e:\nf: ''\ng: []\nh: {}\n", "a: {b: {<<: [{x: 1}, {x: 2, y: 3}], z: 4}}\n",
         "n: !!null ''\ni: !!int '010'\nf: !!float '1.5'\nb: !!bool yes\ns: !!str 5\nx: !!null null\n"]
out["trees"] = [[t, json.loads(json.dumps(yaml.load(t, yaml.BaseLoader) if t.startswith("1: one") else yaml.safe_load(t)))] for t in TREES]

LITERALS = ["['a', \"b's\"]", "[1, -2.5, 1e3, True, None]", "('a',)", "('a')", "()", "[]", "{'a': [1, 2], \"b\": {}}", "'x' 'y'", "[ 'a' ,\n 'b' ]", "['\\n\\t\\x41\\u00e9\\\\\\'']", "[\"\"\"q'\"r\"\"\"]", "r'\\n'",
            "['a', 'b',]", "[[['deep']]]", "'é'", " 5", "['\\101']", "1_000", "['\\q']"]
out["literals"] = [[s, json.loads(json.dumps(ast.literal_eval(s)))] for s in LITERALS]
out["no_literals"] = ["", "a", "[a]", "['a'", "'a", "01", "f(1)", "['a' 'b", "['a',,]", "{'a'}", "[1 2]", "'a\nb'", "1 +", "[*x]"]
for s in out["no_literals"]:
    try:
        ast.literal_eval(s)
    except (ValueError, SyntaxError):
        continue
    if s != "{'a'}":
        raise AssertionError(s)

import jinja2
env = jinja2.Environment(loader=jinja2.BaseLoader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
env.filters["regex_replace"] = lambda s, pattern, repl, count=0: re.sub(pattern, repl, s, count=count)
DOC = {"q": " What? ", "n": 7, "x": 1.5, "flag": True, "none": None, "list": ["a", "b's", "c\"d", "\n"], "d": {"text": ["x", "y"], "label": ["A", "B"], "k": "B"}, "s": "the_quick brown été", "empty": ""}
TEMPLATES = ["{{q}}", "{{ q.strip() }}\n", "a\n{% if n > 5 %}\nbig\n{% endif %}\nend\n", "  {% set y = n + 1 %}\n{{ y }}", "{{ missing }}", "{{ missing|default('d') }}", "{% if missing %}x{% endif %}",
             "{% if missing is defined %}x{% else %}y{% endif %}", "{{ d.text[0] }}{{ d['label'][1] }}", "{{ d.label.index(d.k) }}", "{{ d.nothing }}", "{{ list }}", "{{ [q, s] }}", "{{ list|join('; ') }}",
             "{% for a in list %}{{ loop.index }}{{ a }}\n{% endfor %}", "{%- for a in list -%} {{ a }} {%- endfor -%}", "{{ s.split(' ')[:-1]|join(' ') }}", "{{ ' ' + s.split(' ')[-1] }}",
             "{{ s|replace('_', ' ')|capitalize }}", "{{ 'ABCD'[n - 6] }}", "{{ n|string in '1234567' }}", "{{ 'yes' if flag else 'no' }}", "{{ none }}", "{{ x }} {{ n / 2 }} {{ n // 2 }} {{ n % 4 }}",
             "{# c #}\nx{# d #}\n", "{{ s|regex_replace('(e|é)(t)', '<\\\\2\\\\1>') }}", "{{ s|regex_replace('[aeiou]', '', 2) }}", "{{ list|length }}{{ q|length }}", "{{ missing == 1 }}", "{% for a in missing %}x{% endfor %}",
             "{{ missing ~ 'x' }}", "{{ not missing }}", "{{ s.upper() }}{{ s.title() }}{{ s.startswith('the') }}", "{{ [s[:3] ~ 'x', \"it's\"] }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(q) }}", "{{ q }}\n\n",
             "{% raw %}{{ q }}{% endraw %}\n", "{{ empty }}{{ empty is defined }}", "{{ (n, 'a') }}", "{{ list[-1] }}|{{ list[9] }}", "{{ d.values()|list }}", "{{ s[s.index('_') + 1:].strip() }}", "{{ n and s }}", "{{ empty or 'e' }}"]
out["templates"] = []
for t in TEMPLATES:
    try:
        v = env.from_string(t).render(**DOC)
    except Exception:
        v = None
    out["templates"].append([t, v])
out["doc"] = DOC
out["jinja2"] = jinja2.__version__
json.dump(out, open(sys.argv[1], "w"), separators=(",", ":"))
