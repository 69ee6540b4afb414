"""What lm-evaluation-harness makes of its own task files over the files in ../shared/data and a few documents made up here.

    pip install lm_eval==0.4.13; python tools/golden/lmeval_requests.py ../shared/data tests/golden/tasks

Writes lmeval.json: for each case the SHA-256 of json.dumps of all requests, [context, continuation] or [context, until], in order, and for
scores the values of each document and their aggregates, with replies that are written down or drawn from random.Random(7); and the documents
made up, as JSON lines.  The harness' data sets are replaced by the files, read here without any code of lathe."""
import bz2, csv, gzip, hashlib, importlib.metadata, io, json, math, os, random, sys, zipfile

import datasets
import lm_eval
import lm_eval.api.task as task_module
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

SHARED, OUT = sys.argv[1], sys.argv[2]
TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")


def jsonl(path):
    opened = gzip.open if path.endswith(".gz") else open
    return [json.loads(x) for x in opened(os.path.join(SHARED, path), "rt", encoding="utf-8") if x.strip()]


def hellaswag_text():
    lines = bz2.open(os.path.join(SHARED, "eval-hellaswag/hellaswag_val_full.txt.bz2"), "rt", encoding="utf-8").read().split("\n")
    return [{"query": lines[i], "choices": lines[i + 2:i + 6], "gold": int(lines[i + 1]), "label": lines[i + 1]} for i in range(0, len(lines) - 5, 6)]


def piqa():
    labels = [int(x) for x in open(os.path.join(SHARED, "eval-piqa/valid-labels.lst"))]
    return [dict(d, label=y) for d, y in zip(jsonl("eval-piqa/valid.jsonl"), labels)]


def mmlu(subject, split):
    rows = csv.reader(open(os.path.join(SHARED, f"eval-mmlu/{split}/{subject}_{split}.csv"), encoding="utf-8", newline=""))
    return [{"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])} for r in rows]


def truthful():
    def parts(s):
        return [x.strip() for x in s.split(";") if x.strip()]
    out = []
    for r in csv.DictReader(io.open(os.path.join(SHARED, "eval-truthfulqa/TruthfulQA.csv"), encoding="utf-8-sig", newline="")):
        right, wrong = parts(r["Correct Answers"]), parts(r["Incorrect Answers"])
        out.append({"question": r["Question"], "mc1_targets": {"choices": [r["Best Answer"].strip()] + wrong, "labels": [1] + [0] * len(wrong)},
                    "mc2_targets": {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)}})
    return out


def blimp(name):
    with zipfile.ZipFile(os.path.join(SHARED, "eval-blimp/BLiMP.zip")) as z:
        return [json.loads(x) for x in z.read(f"data/{name}.jsonl").decode("utf-8").splitlines() if x.strip()]


def bbh(name):
    return json.load(open(os.path.join(SHARED, f"eval-bbh/{name}.json")))["examples"]


def crows():
    return [{k or "Unnamed: 0": v for k, v in r.items()} for r in csv.DictReader(open(os.path.join(SHARED, "eval-bias/crows_pairs_anonymized.csv"), encoding="utf-8", newline=""))]


def clinc(split):
    return [{"text": t, "intent": y} for t, y in json.load(open(os.path.join(SHARED, "intents-clinc-oos/data_full.json")))[split]]


def polarity():
    out = []
    with zipfile.ZipFile(os.path.join(SHARED, "sentiment-nltk/sentence_polarity.zip")) as z:
        for name, y in (("pos", 1), ("neg", 0)):
            out += [{"text": x.strip(), "label": y} for x in z.read(f"sentence_polarity/rt-polarity.{name}").decode("utf-8").split("\n") if x.strip()]
    return out


# ---- documents made up ----

MADE = {
    "hellaswag": [
        {"activity_label": "Making tea", "ctx_a": "A woman fills a kettle.", "ctx_b": "the KETTLE of ß", "endings": [
            " boils [step] over.", "sings  a song [title] Then it stops.", "is [x] [y] blue", "élan\u00a0"], "label": "2"},
        {"activity_label": "[header] How to wait", "ctx_a": "Sit down. [title] Breathe [step] in.", "ctx_b": "", "endings": ["a", "b's \"c\"", "c\\d", "d\ne"], "label": "0"},
        {"activity_label": "Running", "ctx_a": "He runs   fast", "ctx_b": "éTÉ starts", "endings": ["one", "two", "three", "four"], "label": "3"}],
    "winogrande": [
        {"sentence": "The trophy does not fit in the case because _ is too large.", "option1": "the trophy", "option2": "the case", "answer": "1"},
        {"sentence": "Ann asked Mary what time _ would come , but got no answer.", "option1": "Ann", "option2": "Mary", "answer": "2"},
        {"sentence": "_ was late.", "option1": "Bob's dog", "option2": "\"Tim\"", "answer": "2"},
        {"sentence": "They chose _", "option1": "x", "option2": "y", "answer": "1"}],
    "arc": [
        {"id": "1", "question": "What is water made of?", "choices": {"text": ["hydrogen and oxygen", "iron", "it's \"dry\"", "salt"], "label": ["A", "B", "C", "D"]}, "answerKey": "A"},
        {"id": "2", "question": "Which is two?", "choices": {"text": ["1", "2", "3"], "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"id": "3", "question": "Wo ist Süden?\nThere?", "choices": {"text": ["oben", "únten", "unten", "links", "rechts"], "label": ["A", "B", "C", "D", "E"]}, "answerKey": "C"}],
    "wikitext": [
        {"page": " = Valkyria = \n \n It is 3 @.@ 5 @,@ 000 , said he ; ' so ' ( it is ) [ x ] \" quoted \" 5 @-@ year \n 20 \u00b0 N is the boys ' 's .\n"},
        {"page": "plain text with { braces } and = = h2 = = and = = = h3 = = = : done ! why ?"}],
}


MADE |= {
    "mmlu_pro": [{"question": f"What is {i}?\n", "options": [f" {i}", f"{i + 1} ", "none"] * (1 + i % 4), "answer": "ABC"[i % 3], "category": ["health", "math", "computer science"][i % 3],
                  "cot_content": f"A: Let's think step by step. It is {i}. The answer is ({'ABC'[i % 3]})."} for i in range(24)],
    "logiqa": [{"context": "All men are mortal.", "question": "Who is?", "options": ["men", "gods", "é", "x.\n"], "label": " b"}, {"context": "c", "question": "q", "options": ["1", "2", "3", "4"], "label": "d\n"}],
    "medmcqa": [{"question": "Where is the heart?", "opa": "left", "opb": "right", "opc": "", "opd": "5", "cop": 0}, {"question": "q", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": 3}],
    "pubmedqa": [{"CONTEXTS": ["One.", "Two's"], "QUESTION": "Is it?", "final_decision": "maybe"}, {"CONTEXTS": [], "QUESTION": "Is it not?", "final_decision": "no"}],
    "mnli": [{"premise": "It rains.", "hypothesis": " It is wet", "label": 0}, {"premise": "a", "hypothesis": "b. ", "label": 2}],
}
# BBQ's answers as its categories write them: groups of two kinds in one word, nationalities below a region, what is missing.
def bbq_doc(i, groups, stereotyped, polarity, condition, category, answers, label):
    infos = [[a, g] if isinstance(g, str) else g for a, g in zip(answers, groups)]
    return {"example_id": i, "question_index": str(1 + i // 4), "question_polarity": polarity, "context_condition": condition, "category": category,
            "answer_info": dict(zip(("ans0", "ans1", "ans2"), infos)), "additional_metadata": {"subcategory": "None", "stereotyped_groups": stereotyped, "version": "b", "source": ""},
            "context": f"Two people, number {i}, were there.", "question": f"Who was the {'bad' if polarity == 'neg' else 'good'} one?", "ans0": answers[0], "ans1": answers[1], "ans2": answers[2],
            "label": label}


BBQ_ROWS = [
    (["M-Black", "unknown", "F-White"], ["F-Black", "M-Black", "Black"], "Race_x_gender", ["Andre", "Not answerable", "Emily"], 1),
    (["lowSES-African American", "highSES-Caucasian", "unknown"], ["lowSES", "African American"], "Race_x_SES", ["Jamal", "Greg", "Can't be determined"], 2),
    (["unknown", ["Iraqi", "MiddleEast"], ["Spanish", "Europe"]], ["Iraqi", "Iran"], "Nationality", ["Not enough info", "The Iraqi", "The Spanish man"], 0),
    (["woman", "man", "unknown"], ["woman", "F"], "Gender_identity", ["Mary", "James", "Cannot answer"], 2),
    (["nonTrans", "unknown", "trans"], ["trans", "transgender women", "transgender men"], "Gender_identity", ["The girl", "Unknown", "The trans boy"], 1),
    (["nonDisabled", "disabled", "unknown"], ["disabled"], "Disability_status", ["Ann's sister", "The deaf woman", "Can't answer"], 2),
    ([[], ["", ""], ["Not known", "unknown"]], ["Hispanic", "latino"], "Race_ethnicity", ["A Latina girl", "The Latina woman", "Not known"], 2),
    (["old", "nonOld", "unknown"], ["old"], "Age", ["The grandfather", "The \"grandson\"", "Undetermined"], 2),
    (["gay", "straight", "unknown"], ["Gay", "gay"], "Sexual_orientation", ["Bob", "Tom", "Cannot be determined"], 2),
    (["Jewish", "unknown", "Christian"], ["Jewish"], "Religion", ["Éli", "Not enough information", "Pete"], 1),
    (["lowSES", "highSES", "unknown"], ["low SES"], "SES", ["the janitor", "the lawyer", "Unknown"], 2),
]
MADE |= {"bbq": [bbq_doc(4 * k + 2 * c + p, groups, stereotyped, polarity, condition, category, answers, unknown if condition == "ambig" else (unknown + 1 + p) % 3)
                 for k, (groups, stereotyped, category, answers, unknown) in enumerate(BBQ_ROWS)
                 for c, condition in enumerate(("ambig", "disambig")) for p, polarity in enumerate(("neg", "nonneg"))]}
# Task files of ours that name the harness' functions.
FUNCTIONS = {
    "mmlu_pro": ("mmlu_pro/mmlu_pro_health.yaml", """task: made_mmlu_pro
dataset_path: TIGER-Lab/MMLU-Pro
test_split: test
fewshot_split: validation
fewshot_config: {sampler: first_n, doc_to_text: !function utils.fewshot_to_text, doc_to_target: !function utils.fewshot_to_target}
output_type: generate_until
process_docs: !function utils.process_health
description: "The following are multiple choice questions (with answers) about health. Think step by step and then finish your answer with \\"the answer is (X)\\" where X is the correct letter choice.\\n"
doc_to_text: !function utils.doc_to_text
doc_to_target: answer
generation_kwargs: {until: ["Question:"], max_gen_toks: 2048, do_sample: false}
metric_list: [{metric: exact_match}]
"""),
    "logiqa": ("logiqa/logiqa.yaml", """task: made_logiqa
dataset_path: EleutherAI/logiqa
test_split: test
training_split: validation
output_type: multiple_choice
doc_to_choice: "{{options}}"
doc_to_text: !function utils_logiqa.doc_to_text
doc_to_target: !function utils_logiqa.doc_to_target
"""),
    "medmcqa": ("medmcqa/medmcqa.yaml", """task: made_medmcqa
dataset_path: openlifescienceai/medmcqa
test_split: validation
training_split: train
output_type: multiple_choice
doc_to_choice: [A, B, C, D]
doc_to_text: !function utils_medmcqa.doc_to_text
doc_to_target: cop
"""),
    "pubmedqa": ("pubmedqa/pubmedqa.yaml", """task: made_pubmedqa
dataset_path: bigbio/pubmed_qa
test_split: test
training_split: train
output_type: multiple_choice
doc_to_choice: ["yes", "no", maybe]
doc_to_text: !function preprocess_pubmedqa.doc_to_text
doc_to_target: final_decision
"""),
    "mnli": ("glue/mnli/default.yaml", """task: made_mnli
dataset_path: nyu-mll/glue
validation_split: validation_matched
training_split: train
output_type: multiple_choice
doc_to_choice: ["True", Neither, "False"]
doc_to_text: !function utils.doc_to_text
doc_to_target: label
"""),
}


class Fake:
    """Stands for datasets.load_dataset: splits by name."""
    def __init__(self, splits):
        self.splits = splits

    def __call__(self, *args, **kwargs):
        return datasets.DatasetDict({k: datasets.Dataset.from_list(v) for k, v in self.splits.items()})


def make(path, splits, config=None, shots=None):
    task_module.datasets.load_dataset = Fake(splits)
    cfg = load_yaml(os.path.join(TASKS, path)) if path else {}
    cfg.update(config or {})
    if shots is not None:
        cfg["num_fewshot"] = shots
    cfg.pop("dataset_kwargs", None)
    t = ConfigurableTask(config=cfg)
    t.set_fewshot_seed(seed=1234)
    return t


def chat(messages, add_generation_prompt=True):
    return "".join(f"<{m['role']}>{m['content']}</>" for m in messages[:-1]) + (
        f"<{messages[-1]['role']}>{messages[-1]['content']}</><assistant>" if add_generation_prompt else f"<{messages[-1]['role']}>{messages[-1]['content']}")


def requests_of(t, **kw):
    t.build_all_requests(**kw)
    out = []
    for i in t.instances:
        if t.OUTPUT_TYPE == "generate_until":
            out += [[i.args[0], i.args[1]["until"]]] * (i.repeats or 1)
        else:
            out.append(["", i.args[0]] if t.OUTPUT_TYPE == "loglikelihood_rolling" else list(i.args))
    return out


CASES = []


def case(name, path, files, splits, shots=0, config=None, limit=None, chat_template=False, single=False, system_instruction=None):
    """files: where lathe finds the splits: below ../shared/data, or of the folder written here (made/...)."""
    kw = {"apply_chat_template": True, "chat_template": chat, "fewshot_as_multiturn": not single} if chat_template else {}
    r = requests_of(make(path, splits, config, shots), limit=limit, system_instruction=system_instruction, **kw)
    c = {"task": name, "files": files, "shots": shots, "n": len(r), "sha256": hashlib.sha256(json.dumps(r).encode()).hexdigest(), "first": r[0]}
    c |= {k: v for k, v in (("limit", limit), ("chat", chat_template), ("single", single), ("system", system_instruction)) if v}
    CASES.append(c)
    print(name, shots, len(r), c["sha256"][:12], file=sys.stderr)


def all_cases():
    P = "eval-piqa/valid.jsonl"
    docs = piqa()
    for shots in (0, 3, 25):
        case("piqa", "piqa/piqa.yaml", {"validation": P, "train": P}, {"validation": docs, "train": docs}, shots, limit=None if shots == 0 else 200)
    for single in (False, True):
        case("piqa", "piqa/piqa.yaml", {"validation": P, "train": P}, {"validation": docs, "train": docs}, 2, limit=50, chat_template=True, single=single, system_instruction="Be brief.")
    G = "eval-gsm8k/test.jsonl"
    docs = jsonl(G)
    for shots, limit in ((0, None), (5, 300)):
        case("gsm8k", "gsm8k/gsm8k.yaml", {"test": G, "train": G}, {"test": docs, "train": docs}, shots, limit=limit)
    case("gsm8k", "gsm8k/gsm8k.yaml", {"test": G, "train": G}, {"test": docs, "train": docs}, 2, limit=50, chat_template=True)
    H = "eval-hellaswag/hellaswag_val_full.txt.bz2"
    docs = hellaswag_text()
    for shots, limit in ((0, None), (4, 200)):
        case("hellaswag", "hellaswag/hellaswag.yaml", {"validation": H, "train": H}, {"validation": docs, "train": docs}, shots, {"process_docs": None}, limit=limit)
    docs = jsonl("eval-lambada/lambada_test.jsonl")
    for shots, limit in ((0, None), (2, 100)):
        case("lambada_openai", "lambada/lambada_openai.yaml", {"test": "eval-lambada/lambada_test.jsonl"}, {"test": docs}, shots, limit=limit)
    for subject in ("anatomy", "high_school_geography", "abstract_algebra"):
        for shots in (0, 5):
            case("mmlu_" + subject, f"mmlu/default/mmlu_{subject}.yaml", {"": "eval-mmlu"}, {"test": mmlu(subject, "test"), "dev": mmlu(subject, "dev")}, shots)
    docs = truthful()
    for n in (1, 2):
        case(f"truthfulqa_mc{n}", f"truthfulqa/truthfulqa_mc{n}.yaml", {"": "eval-truthfulqa/TruthfulQA.csv"}, {"validation": docs})
    for name in ("adjunct_island", "wh_vs_that_with_gap_long_distance", "principle_A_case_2"):
        case("blimp_" + name, f"blimp/{name}.yaml", {"": "eval-blimp/BLiMP.zip"}, {"train": blimp(name)})
    docs = jsonl("eval-humaneval/HumanEval.jsonl.gz")
    case("humaneval", None, {"": "eval-humaneval/HumanEval.jsonl.gz"}, {"test": docs}, 0, {
        "task": "humaneval", "dataset_path": "x", "output_type": "generate_until", "test_split": "test", "doc_to_text": "{{prompt}}", "doc_to_target": "{{test}}\ncheck({{entry_point}})",
        "metric_list": [{"metric": "exact_match"}], "generation_kwargs": {"until": ["\nclass", "\ndef", "\n#", "\nif", "\nprint"], "max_gen_toks": 1024, "do_sample": False}})
    for name in "boolean_expressions date_understanding dyck_languages hyperbaton navigate object_counting sports_understanding web_of_lies".split():
        case("bbh_zeroshot_" + name, f"bbh/zeroshot/{name}.yaml", {"": f"eval-bbh/{name}.json"}, {"test": bbh(name)}, 0, {"filter_list": None})
    case("crows_pairs_english", "crows_pairs/crows_pairs_english.yaml", {"": "eval-bias/crows_pairs_anonymized.csv"}, {"test": crows()})
    docs = jsonl("eval-bbq/Physical_appearance.jsonl")
    case("bbq", "bbq/bbq_multiple_choice.yaml", {"test": "eval-bbq/Physical_appearance.jsonl"}, {"test": docs})
    for condition in ("", "_ambig", "_disambig"):
        for shots in (0, 2):
            case("bbq" + condition, f"bbq/bbq_multiple_choice{condition}.yaml", {"test": "made/bbq.jsonl"}, {"test": MADE["bbq"]}, shots)
    intents = sorted({d["intent"] for d in clinc("test")})
    ours = {"task": "clinc150", "dataset_path": "x", "output_type": "multiple_choice", "training_split": "train", "test_split": "test", "doc_to_text": "Request: {{text}}\nIntent:",
            "doc_to_target": "{{intent|replace('_', ' ')}}", "doc_to_choice": [x.replace("_", " ") for x in intents]}
    for shots in (0, 3):
        case("clinc150", None, {"": "intents-clinc-oos/data_full.json"}, {"test": clinc("test"), "train": clinc("train")}, shots, dict(ours), limit=40)
    ours = {"task": "sentence_polarity", "dataset_path": "x", "output_type": "multiple_choice", "test_split": "test", "doc_to_text": "Review: {{text}}\nSentiment:", "doc_to_target": "label",
            "doc_to_choice": ["negative", "positive"]}
    for shots, limit in ((0, None), (4, 100)):
        case("sentence_polarity", None, {"": "sentiment-nltk/sentence_polarity.zip"}, {"test": polarity()}, shots, dict(ours), limit=limit)
    M = lambda x: f"made/{x}.jsonl"
    case("hellaswag", "hellaswag/hellaswag.yaml", {"validation": M("hellaswag"), "train": M("hellaswag")}, {"validation": MADE["hellaswag"], "train": MADE["hellaswag"]}, 1)
    for shots in (0, 2):
        case("winogrande", "winogrande/default.yaml", {"validation": M("winogrande"), "train": M("winogrande")}, {"validation": MADE["winogrande"], "train": MADE["winogrande"]}, shots)
        case("arc_easy", "arc/arc_easy.yaml", {"test": M("arc"), "train": M("arc")}, {"test": MADE["arc"], "train": MADE["arc"]}, shots)
    case("arc_challenge", "arc/arc_challenge.yaml", {"test": M("arc")}, {"test": MADE["arc"], "train": MADE["arc"]})
    for name, (path, text) in FUNCTIONS.items():
        with open(os.path.join(OUT, f"made_{name}.yaml"), "w") as f:
            f.write(text)
        splits = ("test", "validation", "train", "validation_matched")
        for shots in (0, 1):
            case(f"made_{name}.yaml", path, {k: M(name) for k in splits}, {k: MADE[name] for k in splits}, shots)
    case("wikitext", "wikitext/wikitext.yaml", {"test": M("wikitext")}, {"test": MADE["wikitext"], "train": MADE["wikitext"]})


# ---- scores ----

CHOICES = """task: made_choices
dataset_path: json
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: gold
doc_to_choice: options
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_bytes
  - metric: acc_mutual_info
  - metric: exact_match
  - metric: mcc
  - metric: brier_score
"""
BINARY = CHOICES.replace("made_choices", "made_binary").replace("  - metric: acc_mutual_info\n", "") + "  - metric: f1\n"
SEVERAL = CHOICES.replace("made_choices", "made_several").replace("  - metric: acc_mutual_info\n", "").replace("  - metric: mcc\n  - metric: brier_score\n", "")
VOTE = """task: made_vote
dataset_path: json
output_type: generate_until
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
repeats: 5
generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 0.7}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: yes
    ignore_punctuation: on
    ignore_numbers: no
filter_list:
  - name: first
    filter:
      - {function: remove_whitespace}
      - {function: take_first}
  - name: vote
    filter:
      - {function: regex, regex_pattern: 'is (\\w+)', fallback: none}
      - {function: majority_vote}
      - {function: take_first}
  - name: three
    filter:
      - {function: take_first_k, k: 3}
      - {function: regex, regex_pattern: '(yes)|(no)|(\\d+)', group_select: -1}
      - {function: uppercase}
      - {function: majority_vote}
      - {function: take_first}
  - name: map
    filter:
      - {function: lowercase}
      - {function: regex, regex_pattern: '[a-zé]+'}
      - {function: map, mapping_dict: {the: red, is: green}, default_value: blue}
      - {function: take_first}
  - name: choice
    filter:
      - {function: multi_choice_regex, regex_pattern: '\\(([A-Z])\\)', ignore_case: true, ignore_punctuation: true}
      - {function: take_first}
"""
TARGETS = """task: made_targets
dataset_path: json
output_type: generate_until
test_split: test
doc_to_text: q
doc_to_target: answers
generation_kwargs: {until: ["\\n"]}
metric_list:
  - metric: exact_match
    ignore_numbers: true
    regexes_to_ignore: ['\\s+$', '^the ']
"""
NUMBERED = """task: made_numbered
dataset_path: json
output_type: generate_until
test_split: test
doc_to_text: "{{q}}"
doc_to_target: gold
doc_to_choice: ["alpha", "beta", "Gamma"]
metric_list:
  - metric: exact_match
"""
SCORES = []


def score(name, text, docs, replies, path=None, config=None, file=None):
    """replies: of each document, of each of its requests: [log-likelihood, greedy] or a text (of each repeat)."""
    import yaml
    if text:
        with open(os.path.join(OUT, name + ".yaml"), "w") as f:
            f.write(text)
        config = dict(yaml.safe_load(text))
        with open(os.path.join(OUT, name + ".jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(d) + "\n" for d in docs)
    t = make(path, {"test": docs, "train": docs, "validation": docs}, config, 0)
    t.build_all_requests()
    groups = {}
    for i in t.instances:
        groups.setdefault(i.doc_id, []).append(i)
    for d, insts in groups.items():
        if t.OUTPUT_TYPE == "generate_until":
            insts[0].resps = list(replies[d])
        else:
            for i, r in zip(insts, replies[d], strict=True):
                i.resps = [tuple(r)]
    t.apply_filters()
    shown = list(t.eval_docs)       # process_docs adds columns
    out = {}
    for f in [x.name for x in t._filters]:
        for d, insts in groups.items():
            for m, v in t.process_results(shown[d], [i.filtered_resps[f] for i in insts]).items():
                out.setdefault(f"{m},{f}", []).append(v)
    agg = {}
    for k, v in out.items():
        agg[k] = float(t.aggregation()[k.split(",")[0]](v))
        agg[k] = None if math.isnan(agg[k]) else agg[k]
    values = {k: [float(x) for x in v] for k, v in out.items() if not isinstance(v[0], tuple)}
    SCORES.append({"task": name, "yaml": bool(text), "file": file, "n": len(docs), "replies": replies, "values": values, "aggregates": agg})
    print("score", name, agg, file=sys.stderr)


def all_scores():
    r = random.Random(7)
    words = ["red", "green apple", "blaü", "日本語", "a much longer choice than the others", "x"]
    def lls(n):
        return [[-r.random() * 20, r.random() < .3] for _ in range(n)]
    docs = [{"q": f"q{i}", "options": r.sample(words, 4), "gold": r.randrange(4)} for i in range(60)]
    score("made_choices", CHOICES, docs, [lls(8) for _ in docs])
    docs = [{"q": f"q{i}", "options": r.sample(words, 2), "gold": r.randrange(2)} for i in range(50)]
    score("made_binary", BINARY, docs, [lls(2) for _ in docs])
    docs = [{"q": f"q{i}", "options": r.sample(words, 5), "gold": r.sample(range(5), 2)} for i in range(40)]
    score("made_several", SEVERAL, docs, [lls(5) for _ in docs])
    said = ["It is yes.", " the answer is no ", "is NO", "42 is no and yes", "", "(B) is it", "I say: C", "perhaps Green Apple!", "it is 7", "Été is yes", "is it? x", "none of it", "YES"]
    docs = [{"q": f"q{i}", "a": r.choice(["yes", "no", "NO!", "It is yes", "7", "GREEN", "blue", "(B)", "(C)", "B"]), "choices": ["red apple", "green", "Green Apple"]} for i in range(60)]
    score("made_vote", VOTE, docs, [[r.choice(said) for _ in range(5)] for _ in docs])
    docs = [{"q": f"q{i}", "answers": r.sample(["the cat", "Dog", "a 3 bird", "cow"], r.randrange(1, 4))} for i in range(40)]
    score("made_targets", TARGETS, docs, [[r.choice(["cat", "the cat ", "Dog\n", "dog", "a 14 bird", "cow", ""])] for _ in docs])
    docs = [{"q": f"q{i}", "gold": r.randrange(3)} for i in range(20)]
    score("made_numbered", NUMBERED, docs, [[r.choice(["alpha", "beta", "Gamma", "gamma"])] for _ in docs])
    docs = jsonl("eval-gsm8k/test.jsonl")
    def gsm(d):
        right = d["answer"].split("#### ")[-1]
        return [r.choice([d["answer"], f"So #### {right}.", f"That is ${right}.", f"#### {right},5", "no idea", "", f"The answer is {right} of 3", "#### -7", f"x 1,000 #### {right} and .5"])]
    score("gsm8k", None, docs, [gsm(d) for d in docs], "gsm8k/gsm8k.yaml", file="eval-gsm8k/test.jsonl")
    for name, answers in (("boolean_expressions", ["True", " False", "It is True.", "true", "so (True or False)"]),
                          ("date_understanding", ["(A)", "The answer is (C).", "it is: B", "01/02/2015", "A", " (F)\n", "so 12/24/1937 it is"]),
                          ("dyck_languages", ["] )", " >", "the rest is } ]", "", "no"]),
                          ("hyperbaton", ["(A)", "the second: B", "(B) of course", "neither"]),
                          ("navigate", ["Yes", "no", "No, because", "I say Yes"]),
                          ("sports_understanding", ["yes", "no", "It is not plausible", "Plausible", "maybe"]),
                          ("web_of_lies", ["Yes", "No.", "He does not tell the truth", "She tells the truth", "hm"])):
        docs = bbh(name)[:80]
        score("bbh_zeroshot_" + name, None, docs, [[r.choice(answers + [d["target"], "so " + d["target"] + "."])] for d in docs], f"bbh/zeroshot/{name}.yaml", file=f"eval-bbh/{name}.json")
    docs = truthful()[:100]
    for n in (1, 2):
        score(f"truthfulqa_mc{n}", None, docs, [lls(len(d[f"mc{n}_targets"]["choices"])) for d in docs], f"truthfulqa/truthfulqa_mc{n}.yaml", file="eval-truthfulqa/TruthfulQA.csv")
    docs = crows()[:100]
    score("crows_pairs_english", None, docs, [lls(2) for d in docs], "crows_pairs/crows_pairs_english.yaml", file="eval-bias/crows_pairs_anonymized.csv")
    docs = jsonl("eval-bbq/Physical_appearance.jsonl")[:160]
    score("bbq", None, docs, [lls(12) for d in docs], "bbq/bbq_multiple_choice.yaml", file="eval-bbq/Physical_appearance.jsonl")
    score("bbq", None, MADE["bbq"], [lls(12) for d in MADE["bbq"]], "bbq/bbq_multiple_choice.yaml", file="made/bbq.jsonl")
    docs = jsonl("eval-lambada/lambada_test.jsonl")[:100]
    score("lambada_openai", None, docs, [lls(1) for d in docs], "lambada/lambada_openai.yaml", file="eval-lambada/lambada_test.jsonl")


if __name__ == "__main__":
    for k, v in MADE.items():
        with open(os.path.join(OUT, k + ".jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(d) + "\n" for d in v)
    all_scores()
    all_cases()
    with open(os.path.join(OUT, "lmeval.json"), "w") as f:
        f.write('{"lm_eval": ' + json.dumps(importlib.metadata.version("lm_eval")) + ', "cases": [\n' + ",\n".join(json.dumps(c) for c in CASES) + '\n], "scores": [\n' +
                ",\n".join(json.dumps(c) for c in SCORES) + "\n]}\n")
