"""Golden values of the controls beside length: chains of last tokens and of grades, as golden_stats.py finds them, with
the interval and q of scipy. Writes tests/golden/metrics/controls.json.

    python reference/golden_controls.py
"""

import json

import numpy as np
from golden_stats import OUT, at_equal_length, closed_chains, grades

NAMES = ("last_token", "last_token_rank", "logprob_per_token")


def main():
    rng = np.random.default_rng(5)
    n = 80
    domain = np.where(np.arange(n) % 4 == 0, "small", "large")
    last = rng.integers(0, 9, size=(2, n)).astype(float)
    rank = np.array([7.0, 0.0, 4031.0, 52.0, 640.0, 11.0, 0.0, 90.0, 1024.0])[last.astype(int)]
    per_token = np.round(rng.normal(-2, 1, size=(2, n)) - np.array([[0.0], [0.4]]), 4)
    labels = [last, grades(domain, *rank), grades(domain, *per_token)]
    metrics = {}
    for name, effect, of_token in (("real", 0.8, 0.0), ("token", 0.0, 1.5), ("nothing", 0.0, 0.0)):
        base = rng.normal(5, 1, size=n)
        values = base + of_token * np.cos(last) + rng.normal(0, 0.6, size=(2, n)) + np.array([[0.0], [effect]])
        metrics[name] = np.round(values, 6)
    expected = {}
    for control, (fact, hall) in zip(NAMES, labels):
        chains = closed_chains(domain, np.zeros(n), np.asarray(fact, float), np.asarray(hall, float))
        found = {name: at_equal_length(hall - fact, chains) for name, (fact, hall) in metrics.items()}
        for name in metrics:
            expected[f"{name}/{control}"] = {"matched": sum(map(len, chains)), "chains": len(chains), **found[name]}
    golden = {
        "domain": domain.tolist(),
        "controls": {"last_token": last.tolist(), "last_token_rank": rank.tolist(), "logprob_per_token": per_token.tolist()},
        "metrics": {name: values.tolist() for name, values in metrics.items()},
        "expected": expected,
    }
    out = OUT.with_name("controls.json")
    out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(out, {key: (row["matched"], row["chains"], row["p"]) for key, row in expected.items()})


if __name__ == "__main__":
    main()
