"""Makes tests/golden/report: what evaluations leave in a folder, small and with names that are not kind."""
import json, os, sys
d = sys.argv[1]
evil = 'x<script>alert("1")</script>&amp;|`*_'
def write(kind, date, o):
    json.dump(o, open(f"{d}/{kind}_{date}.json", "w"), indent=1, ensure_ascii=False)
head = {"lathe": "0.1.0", "model": "models/<b>Tiny</b>/model.safetensors", "model_sha256": "ab" * 32, "seed": 1234}
def figure(name, of, value, low, high, n, better=None, what=None):
    return {"name": name, "of": of, "value": value, "low": low, "high": high, "n": n, "better": better, "what": what}
def results(date, acc, complete):
    own = lambda v, n, **k: {"items": n, "scored": n, "failed": 0, "not_answered": 0, "contexts_cut": 0, "tokens_cut": 0, "joined": 0, "unended": 0, "data": "data/t.jsonl", "data_sha256": "cd" * 32,
                             "metrics": {"acc,none": {"value": v, "aggregation": "mean", "se": 0.03, "interval": [v - 0.06, v + 0.06], "interval_by": "wilson", "n": n, "n_cluster": n}}, "errors": [], **k}
    return {"results": {"hellaswag": {"name": "hellaswag", "acc,none": acc, "acc_stderr,none": 0.03}, "mmlu": {"acc,none": 0.3, "acc_stderr,none": 0.01, "sample_len": 200},
                        "mmlu_anatomy": {"acc,none": 0.25}, "mmlu_virology": {"acc,none": 0.35}, "bbq_ambig": {"acc,none": 0.5}},
            "groups": {"mmlu": {"acc,none": 0.3, "acc_stderr,none": 0.01, "sample_len": 200}}, "group_subtasks": {"mmlu": ["mmlu_anatomy", "mmlu_virology"]},
            "configs": {"hellaswag": {"dataset_path": "Rowan/hellaswag", "validation_split": "validation"}, "mmlu_anatomy": {"dataset_path": "cais/mmlu", "dataset_name": "anatomy", "test_split": "test"}},
            "n-shot": {"hellaswag": 10, "mmlu_anatomy": 0, "mmlu_virology": 0}, "higher_is_better": {"hellaswag": {"acc": True}},
            "config": {"model": "lathe", "model_sha": "ab" * 32, "random_seed": 1234}, "model_name": "models/<b>Tiny</b>/model.safetensors", "date": date,
            "lathe": {"build": "lathe 0.1.0", "complete": complete, "groups": {"mmlu": {"acc,none": {"value": 0.3, "se": 0.01, "interval": [0.27, 0.34], "interval_by": "mover", "n": 200}}}, "conventions": {"prefix": "<s>", "too_long": "cut at the beginning"},
                      "tasks": {"hellaswag": own(acc, 100, failed=2, errors=[{"doc_id": 3, "error": evil}]), "mmlu_anatomy": own(0.25, 100), "mmlu_virology": own(0.35, 100, contexts_cut=4),
                                "bbq_ambig": own(0.5, 40)}}}
os.makedirs(d, exist_ok=True)
write("results", "2026-11-25T10-00-00.000000", results(1795600800.0, 0.4, False))
write("results", "2026-11-26T10-00-00.000000", results(1795687200.0, 0.45, True))
bins = [{"low": i / 15, "high": (i + 1) / 15, "n": 10 * i, "confidence": (i + 0.5) / 15, "accuracy": (i + 0.2) / 16, "ci95": [max(0, i / 15 - 0.1), min(1, i / 15 + 0.1)]} for i in range(3, 15)]
metrics = {"ece.equal_width.15": {"value": 0.08, "null_mean": 0.02, "null_q95": 0.031, "p": 0.001}, "brier.top": {"value": 0.2, "null_mean": None, "null_q95": None, "p": None}}
write("calibration", "2026-11-26T10-05-00.000000", {"kind": "calibration", **head, "date": 1795687500.0, "figures": [figure("ece", "equal_width.15", 0.08, None, None, 990, "lower", "mean gap of confidence and accuracy")],
    "n": 990, "accuracy": {"value": 0.6, "ci95": [0.57, 0.63]}, "miscalibrated": True, "metrics": metrics, "reliability": bins,
    "temperature": {"T": 1.4, "nll_before": 1.2, "nll_after": 1.1, "cross_fit": {"metrics": {"ece.equal_width.15": {"value": 0.02, "null_q95": 0.03}}, "reliability": bins}},
    "conformal": {"alpha": 0.1, "n_fit": 495, "n_measured": 495, "measured_range90": [0.87, 0.93], "thr": {"coverage": 0.9, "size_mean": 1.8, "worst_class": {"class": 3, "coverage": 0.7}}},
    "selective": {"curve": [[0.1, 0.01], [0.5, 0.1], [1, 0.4]]}})
families = ("keyboard", "case", evil)
def measured(v, **k):
    return {"n": 100, "value": v, "ci95": [round(v - 0.05, 4), round(v + 0.05, 4)], **k}
def variant(f, i, s):
    v = round(0.45 - 0.02 * i - 0.03 * s, 4)
    return {"family": f, "form": str(s), "strength": s, "what": "as people mistype", "untouched": 3, "items": {"scored": 100, "failed": 0, "first_failure": None, "open": 0, "cut": 0}, "kl": 0.01, "kl_ci95": [0, 0.02], "n_kl": 100,
            "metrics": {"acc": measured(v, change=round(v - 0.45, 4), change_ci95=[round(v - 0.5, 4), round(v - 0.4, 4)], broken=10, mended=2, flip_rate=0.12, flip_ci95=[0.1, 0.2], retention=0.9, retention_ci95=[0.8, 1], p_mcnemar=0.01, p_holm=0.04)}}
variants = [variant(f, i, s) for i, f in enumerate(families) for s in (1, 3, 5)] + [{**variant("labels", 1, 1), "form": "(A)", "strength": None}]
write("robustness", "2026-11-26T10-10-00.000000", {"kind": "robustness", **head, "date": 1795687800.0, "complete": True,
    "figures": [figure("acc", f"hellaswag {v['family']} {v['form']}", v["metrics"]["acc"]["value"], *v["metrics"]["acc"]["ci95"], 100, "higher", "share of items answered right") for v in variants[:-1]],
    "tasks": [{"task": "hellaswag", "n": 100, "items": {"scored": 100, "failed": 0, "first_failure": None, "open": 0, "cut": 0}, "fields": ["query"],
               "metrics": {"acc": {"clean": measured(0.45), "higher_is_better": True, "intervals": "wilson", "worst_case": measured(0.2), "worst": {"family": evil, "form": "5", "value": 0.26, "simultaneous_ci95": [0.15, 0.4], "of": 9}}},
               "variants": variants, "absent": [{"family": "paraphrase", "why": "no list was given"}]}],
    "examples": [{"task": "hellaswag", "item": 7, "family": "keyboard", "form": "3", "broken": True, "text": "A <b>text</b> & its end, " + "long " * 20, "changed": "A <b>txet</b> & its edn, " + "lnog " * 20, "answer": "yes", "changed_answer": "no", "cut": False}]})
write("images", "2026-11-26T10-20-00.000000", {"kind": "images", **head, "model": "m/vit", "model_sha256": "ef" * 32, "date": 1795688400.0, "images": "test.images.gz,test.labels.gz", "n": 60,
    "figures": [figure("accuracy", None, 0.95, 0.87, 0.98, 60, "higher"), figure("auroc", "energy other", 0.8, None, None, 100, "higher"), figure("robust_accuracy", "all attacks", 0.2, 0.1, 0.3, 60, "higher"), figure("accuracy", "corruptions, mean", 0.7, None, None, 60, "higher"), figure("accuracy", "pgd", 0.28, 0.18, 0.41, 60, "higher")],
    "corruptions": {"accuracy": 0.95, "mean": 0.7, "retained": 0.74, "families": {"gaussian_noise": [0.95, 0.9, 0.8, 0.6, 0.3], "fog": [0.9, 0.9, None, 0.8, 0.7]}, "worst": {"family": "gaussian_noise", "strength": 5, "accuracy": 0.3}},
    "attacks": {"eps": 0.1, "accuracy": 0.95, "attacks": {"pgd": {"steps": 40, "n": 57, "fooled": 40, "accuracy": 0.28, "queries_mean": 12.5}}, "robust_accuracy": 0.28, "ci95": [0.18, 0.41], "warnings": [evil]},
    "ood": {"other": {"n": 40, "scores": {"vim": {"why_not": "nothing was fitted"}, "msp": {"auroc": 0.8, "auroc_ci95": [0.7, 0.9], "fpr95_id_positive": 0.4, "fpr95_ood_positive": 0.5, "aupr_in": 0.9, "aupr_out": 0.7}}}}})
write("bias", "2026-11-26T10-30-00.000000", {"kind": "bias", **head, "date": 1795689000.0, "complete": False, "figures": [figure("accuracy", g, v, v - 0.1, v + 0.1, 50, "higher", "by group") for g, v in (("age", 0.7), ("religion", 0.41), ("nationality", 0.6))],
    "examples": [{"item": 1, "group": "religion", "question": "Who was it that did what everybody says they did?", "answer": evil}]})
write("novel", "2026-11-26T10-40-00.000000", {"kind": "novel<i>kind", **head, "date": 1795689600.0, "figures": [figure("wh_per_million_tokens", evil, 12.5, None, None, 3, "lower", evil), figure("wrong", "types", "0.5", [], {}, None), "no figure", {"of": "nameless"}],
    "verdict": "nothing <b>found</b>", "caveats": ["one " + evil, "two"], "by_name": {"a": {"x": 1, "ci": [0, 1]}, "b": {"x": None}}, "long": "x" * 5000, "note": "one", "deep": {"a": {"b": [1, 2, None]}}})
open(f"{d}/broken_2026-11-26T10-50-00.000000.json", "w").write("[1, 2")
open(f"{d}/foreign_2026-11-26T10-55-00.000000.json", "w").write('{"kind": 3, "figures": {}}')
