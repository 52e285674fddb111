"""Golden values of the report: bootstrap distributions of paired differences by dabest, the sign test by scipy,
q-values by statsmodels. Writes tests/golden/estimation.json.

    python3 -m venv estimation && estimation/bin/pip install dabest==2025.10.20 statsmodels==0.15.0
    estimation/bin/python reference/golden_estimation.py

In an environment of its own: dabest asks for an older numpy than the other scripts.
"""

import json
from importlib.metadata import version
from pathlib import Path

import dabest
import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "estimation.json"


def paired(name, fact, hall):
    """A data set of pairs, and what dabest makes of its mean difference in 5,000 resamples of pairs."""
    frame = pd.DataFrame({"id": range(len(fact)), "fact": fact, "hall": hall})
    loaded = dabest.load(frame, idx=("fact", "hall"), paired="baseline", id_col="id", resamples=5000, random_seed=1)
    found = loaded.mean_diff.results.iloc[0]
    bootstraps = np.sort(np.asarray(found["bootstraps"]))
    return {
        "name": name,
        "fact": list(fact),
        "hall": list(hall),
        "difference": float(found["difference"]),
        "percentile": [float(found["pct_low"]), float(found["pct_high"])],
        "bca": [float(found["bca_low"]), float(found["bca_high"])],
        "spread": float(np.std(bootstraps)),
    }


def main():
    rng = np.random.default_rng(20260301)
    n = 60
    base = np.round(rng.normal(10, 2, n), 3)
    sets = [
        paired("shifted", base, np.round(base + rng.normal(0.6, 1.5, n), 3)),
        paired("skewed", base, np.round(base + rng.exponential(1.0, n) - 0.7, 3)),
        paired("counts", rng.integers(0, 9, n).astype(float), rng.integers(0, 9, n).astype(float)),
    ]
    pairs = [(0, 6), (1, 9), (4, 20), (20, 4), (7, 7), (13, 41), (0, 200)]
    p = [float(stats.binomtest(a, a + b).pvalue) for a, b in pairs]
    golden = {
        "versions": {name: version(name) for name in ["dabest", "numpy", "scipy", "statsmodels"]},
        "sets": sets,
        "sign_test": [{"pair": pair, "p": value} for pair, value in zip(pairs, p)],
        "q": [float(q) for q in multipletests(p, method="fdr_bh")[1]],
    }
    OUT.write_text(json.dumps(golden) + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
