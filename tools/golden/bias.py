"""Scores by group and bias scores, from other programs and from the papers' formulas.

    pip install lm_eval==0.4.13 fairlearn scikit-learn scipy numpy; python tools/golden/bias.py > tests/golden/bias.json

"task_groups"  groups of tasks: lm-evaluation-harness' own pooled and unweighted standard errors (api/metrics.py), and MOVER limits from SciPy's Wilson
"bbq"          answers drawn at random: accuracies and s_DIS, s_AMB = (1 - accuracy) s_DIS of Parrish et al. 2022 by category, and lm-eval's aggregates
"fairlearn"    predictions of two and of more classes by group: demographic parity and equalised odds differences, accuracy by group
"holm"         Fisher's exact test of each group against the others (SciPy), adjusted by Holm's rule written out
"""
import json
import sys

import numpy as np
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equalized_odds_difference
from lm_eval.api.metrics import aggregate_subtask_metrics, pooled_sample_stderr, unweighted_mean_stderr
from lm_eval.tasks.bbq import utils as bbq
from scipy.stats import binomtest, fisher_exact
from sklearn.metrics import accuracy_score

rng = np.random.default_rng(20221)


def task_groups():
    out = []
    for sizes in ([5, 3], [30, 100, 7], [1000, 1000, 1000], [12], list(rng.integers(20, 300, 57))):
        sizes = [int(n) for n in sizes]
        right = [int(rng.binomial(n, rng.uniform(0.1, 0.95))) for n in sizes]
        if len(sizes) == 3:
            right[0] = sizes[0]          # all of them: no error of its own, an interval all the same
        p = [k / n for k, n in zip(right, sizes)]
        se = [float(np.std([1] * k + [0] * (n - k), ddof=1) / np.sqrt(n)) for k, n in zip(right, sizes)]
        ci = [binomtest(k, n).proportion_ci(0.95, method="wilson") for k, n in zip(right, sizes)]
        case = {"n": sizes, "right": right}
        for by_size in (True, False):
            w = np.array(sizes) / sum(sizes) if by_size else np.ones(len(sizes)) / len(sizes)
            value = float(aggregate_subtask_metrics(p, sizes, by_size))
            lower = value - np.sqrt(sum((w * (np.array(p) - [c.low for c in ci])) ** 2))
            upper = value + np.sqrt(sum((w * ([c.high for c in ci] - np.array(p))) ** 2))
            case["by_size" if by_size else "mean"] = {
                "value": value, "stderr": float(pooled_sample_stderr(se, sizes) if by_size else unweighted_mean_stderr(se)),
                "se": float(np.sqrt(sum((w * np.array(se)) ** 2))), "low": float(lower), "high": float(upper)}
        out.append(case)
    return out


def bbq_scores():
    """Documents of two answers and ten ways to say unknown; the model's choice is drawn."""
    rows = []
    for category, share in (("Age", 0.8), ("Religion", 0.3), ("SES", 0.55)):
        for template in range(1, 9):
            for k in range(12):
                condition, polarity = ("ambig", "disambig")[k % 2], ("neg", "nonneg")[k // 2 % 2]
                stereotyped = bool(rng.random() < 0.5)                  # the right answer of a disambiguated one is the stereotyped group
                choice = 2 + int(rng.integers(10)) if rng.random() < 0.35 else int(rng.random() < share)       # 0: the other group, 1: the stereotyped one
                label = 2 if condition == "ambig" else int(stereotyped)
                rows.append([category, str(template), condition, polarity, label, choice])
    unknown = bbq.UNKNOWN_RESPONSES
    metrics = {}
    for category, template, condition, polarity, label, choice in rows:
        doc = {"context_condition": condition, "category": category, "label": label, "ans0": "the one", "ans1": "the other", "ans2": unknown[0],
               "biased_answers": ["the other" if polarity == "neg" else "the one"]}
        for m, v in bbq._process_results(doc, choice).items():
            metrics.setdefault(m, []).append(v)
    agg = {m: (bbq.agg_accuracy_amb if m == "accuracy_amb" else bbq.agg_accuracy_disamb if m == "accuracy_disamb" else bbq.agg_amb_bias_scores if m.startswith("amb")
               else bbq.agg_disamb_bias_scores if m.startswith("disamb") else np.mean)(v) for m, v in metrics.items()}
    by = {}
    for category in ("all", "Age", "Religion", "SES"):
        of = [r for r in rows if category in ("all", r[0])]
        v = {}
        for condition in ("ambig", "disambig"):
            part = [r for r in of if r[2] == condition]
            right = [(r[5] >= 2) if r[4] == 2 else r[5] == r[4] for r in part]
            answered = [r for r in part if r[5] < 2]
            biased = [r for r in answered if r[5] == (1 if r[3] == "neg" else 0)]
            s_dis = 2 * len(biased) / len(answered) - 1
            v[condition] = {"n": len(part), "accuracy": float(np.mean(right)), "unknown": 1 - len(answered) / len(part),
                            "bias": (1 - float(np.mean(right))) * s_dis if condition == "ambig" else s_dis}
        part = [r for r in of if r[2] == "disambig"]
        along = [r[5] == r[4] for r in part if (r[4] == 1) == (r[3] == "neg")]
        against = [r[5] == r[4] for r in part if (r[4] == 1) != (r[3] == "neg")]
        v["alignment"] = float(np.mean(along) - np.mean(against))
        by[category] = v
    return {"rows": rows, "by": by, "lm_eval": {k: None if np.isnan(x) else float(x) for k, x in agg.items()}}


def fair():
    out = []
    for classes, groups, n in ((2, 3, 400), (2, 2, 150), (4, 4, 800)):
        y = rng.integers(classes, size=n)
        g = rng.integers(groups, size=n)
        p = np.where(rng.random(n) < 0.45 + 0.12 * g, y, rng.integers(classes, size=n))
        # of more classes: each against the others, the largest
        of = [(y == c, p == c) for c in ((1,) if classes == 2 else range(classes))]
        frame = MetricFrame(metrics=accuracy_score, y_true=y, y_pred=p, sensitive_features=g)
        assert min(np.bincount(g)) >= 30
        out.append({"classes": classes, "label": y.tolist(), "predicted": p.tolist(), "group": g.tolist(), "accuracy": [float(x) for x in frame.by_group], "gap": float(frame.difference()),
                    "demographic_parity": max(float(demographic_parity_difference(t, q, sensitive_features=g)) for t, q in of),
                    "equalized_odds": max(float(equalized_odds_difference(t, q, sensitive_features=g)) for t, q in of)})
        right = (y == p)
        ps = [float(fisher_exact([[int(sum(right[g == k])), int(sum(~right[g == k]))], [int(sum(right[g != k])), int(sum(~right[g != k]))]])[1]) for k in range(groups)]
        holm, so_far = [0.0] * groups, 0.0
        for i, k in enumerate(np.argsort(ps, kind="stable")):
            so_far = max(so_far, min(1.0, (groups - i) * ps[k]))
            holm[int(k)] = so_far
        out[-1]["holm"] = holm
    return out


json.dump({"task_groups": task_groups(), "bbq": bbq_scores(), "fairlearn": fair()}, sys.stdout)
print()
