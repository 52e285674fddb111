"""Golden data of the linear probe: scikit-learn's Ridge on standardised rows, fold by fold.

    python reference/golden_probe.py

Writes tests/golden/probe.json: rows, labels, folds, penalties, and the decision values of every row by the model
that was fitted to the other folds.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

OUT = Path(__file__).parent.parent / "tests/golden/probe.json"


def case(seed: int, pairs: int, d: int, groups: int, folds: int) -> dict:
    random = np.random.default_rng(seed)
    scale = np.exp(random.normal(0, 2, d))
    x = random.normal(0, 1, (2 * pairs, d)) * scale + random.normal(0, 5, d)
    y = np.concatenate([-np.ones(pairs), np.ones(pairs)])
    x[:, :3] += 0.8 * y[:, None] * scale[:3]
    if d > 4:
        x[:, 4] = 2.5
    x = x.astype(np.float32)
    group = np.arange(pairs) % groups
    fold = np.concatenate([group % folds] * 2)
    rows = StandardScaler().fit_transform(x.astype(np.float64))
    if d > 4:
        # a constant dimension has no scale: it is left out
        rows[:, 4] = 0.0
    penalty = float((rows**2).sum(axis=1).mean())
    scores = np.zeros(2 * pairs)
    classes = np.zeros(2 * pairs)
    for k in range(folds):
        train, test = fold != k, fold == k
        scores[test] = Ridge(alpha=penalty, solver="svd", tol=1e-14).fit(rows[train], y[train]).predict(rows[test])
        classifier = RidgeClassifier(alpha=penalty, solver="svd", tol=1e-14).fit(rows[train], y[train])
        classes[test] = classifier.decision_function(rows[test])
    assert np.abs(scores - classes).max() < 1e-9
    return {
        "x": [[float(v) for v in row] for row in x],
        "y": y.tolist(),
        "fold": fold.tolist(),
        "penalty": penalty,
        "scores": scores.tolist(),
    }


if __name__ == "__main__":
    import sklearn

    cases = [case(0, 12, 30, 12, 5), case(1, 15, 6, 5, 5), case(2, 9, 40, 3, 3)]
    OUT.write_text(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}) + "\n")
