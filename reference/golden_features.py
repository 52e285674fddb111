"""Golden values of the statistics of features: sign tests and sign-flip tests by scipy, logistic regressions with
an L1 penalty by scikit-learn. Writes tests/golden/metrics/features.json.

    python reference/golden_features.py

Needs numpy, scipy and scikit-learn.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "metrics" / "features.json"


def sign_tests():
    pairs = [(0, 6), (1, 9), (3, 3), (12, 30), (0, 40), (200, 260), (1, 0), (7, 2)]
    return [[a, b, float(stats.binomtest(a, a + b).pvalue)] for a, b in pairs]


def sign_flips(random):
    rows = []
    for n in (4, 7, 10, 12):
        d = np.round(random.normal(0.6, 1.0, n), 3)
        found = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
        rows.append({"d": d.tolist(), "p": float(found.pvalue)})
    # more than can be enumerated: a large number of draws
    for n, shift in ((40, 0.2), (120, 0.15), (400, 0.08)):
        d = np.round(random.normal(shift, 1.0, n), 3)
        found = stats.permutation_test(
            (d,), np.sum, permutation_type="samples", n_resamples=400_000, batch=20_000, rng=random
        )
        rows.append({"d": d.tolist(), "p": float(found.pvalue)})
    return rows


def logistic(random, n, features, share):
    x = np.where(random.random((n, features)) < 0.3, random.exponential(1.0, (n, features)), 0.0).round(3)
    score = 1.2 * x[:, 0] - 0.8 * x[:, 1] + 0.2
    y = random.random(n) < 1 / (1 + np.exp(-score))
    largest = np.abs(x.T @ (y - y.mean())).max() / n
    penalty = share * largest
    # saga alone leaves the intercept unpenalised; C is one over n times the penalty
    model = LogisticRegression(l1_ratio=1.0, solver="saga", C=1 / (n * penalty), tol=1e-10, max_iter=200_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y)
    beta, intercept = model.coef_[0], float(model.intercept_[0])
    margin = np.where(y, 1, -1) * (x @ beta + intercept)
    objective = float(np.logaddexp(0, -margin).mean() + penalty * np.abs(beta).sum())
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "share": share,
        "largest": float(largest),
        "objective": objective,
        "intercept": intercept,
        "weights": [float(b) for b in np.where(np.abs(beta) < 1e-9, 0.0, beta)],
    }


def main():
    random = np.random.default_rng(20260102)
    golden = {
        "sign_test": sign_tests(),
        "sign_flip": sign_flips(random),
        "logistic": [
            logistic(random, 60, 12, 0.2),
            logistic(random, 60, 12, 0.6),
            logistic(random, 40, 70, 0.2),
            logistic(random, 120, 5, 0.01),
        ],
    }
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
