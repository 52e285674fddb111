"""Golden values of the statistics, from scipy where it has them. Writes tests/golden/metrics/stats.json.

    python reference/golden_stats.py

Needs numpy and scipy. What the program draws at random is compared with scipy's own draws, loosely;
all else exactly.
"""

import itertools
import json
from pathlib import Path

import numpy as np
from scipy import special, stats

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "metrics" / "stats.json"


def optional(values):
    return [None if np.isnan(v) else float(v) for v in values]


def wilcoxon(d):
    d = d[d != 0]
    if len(d) < 3:
        return None
    ties = len(set(np.abs(d))) < len(d)
    method = "exact" if not ties and len(d) <= 50 else "approx"
    return float(stats.wilcoxon(d, zero_method="wilcox", correction=False, method=method).pvalue)


def sign_flip(d):
    n = len(d)
    if n < 3:
        return None
    if n <= 13:
        signs = np.array(list(itertools.product([1, -1], repeat=n)))
        return float(np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12 * np.abs(d).sum()))
    found = stats.permutation_test(
        (d,), np.sum, permutation_type="samples", n_resamples=100_000, rng=np.random.default_rng(1)
    )
    return float(found.pvalue)


def strata(prompts):
    """Rows by stratum of prompt length: whole lengths within 2 tokens, none after 15 rows."""
    groups, shortest = [], -np.inf
    for length in np.unique(prompts):
        if length - shortest > 2 or len(groups[-1]) >= 15:
            groups.append([])
            shortest = length
        groups[-1] += np.flatnonzero(prompts == length).tolist()
    return groups


def closed_walk(triples, path, size):
    """The first closed walk of `size` edges in lexicographic order that goes on from `path`."""
    ends = sorted({b for a, b in triples.values() if a == path[-1]})
    if len(path) == size:
        return path if path[0] in ends else None
    found = (closed_walk(triples, [*path, b], size) for b in ends)
    return next((walk for walk in found if walk), None)


def closed_chains(domain, prompts, tokens_fact, tokens_hall):
    """Sets of triples in which facts and hallucinations have the same completion lengths."""
    chains = []
    of_domains = [np.flatnonzero(domain == name) for name in np.unique(domain)]
    for rows in [own[group] for own in of_domains for group in strata(prompts[own])]:
        rows = sorted(rows.tolist())
        lengths = {i: (int(tokens_fact[i] - prompts[i]), int(tokens_hall[i] - prompts[i])) for i in rows}
        chains += [[i] for i, (a, b) in lengths.items() if a == b]
        triples = {i: ends for i, ends in lengths.items() if ends[0] != ends[1]}
        nodes = sorted({length for ends in triples.values() for length in ends})
        for size in range(2, len(nodes) + 1):
            for start in nodes:
                while walk := closed_walk(triples, [start], size):
                    chain = []
                    for ends in zip(walk, walk[1:] + walk[:1]):
                        chain.append(next(i for i, e in triples.items() if e == ends))
                        del triples[chain[-1]]
                    chains.append(chain)
    return sorted(chains, key=min)


def at_equal_length(diff, chains):
    """Ratio of sums over chains, its interval by the variance of a ratio over clusters, sign-flip p."""
    if len(chains) < 6:
        return {"estimate": None, "low": None, "high": None, "p": None}
    sums = np.array([diff[chain].sum() for chain in chains])
    sizes = np.array([len(chain) for chain in chains])
    estimate = sums.sum() / sizes.sum()
    c = len(chains)
    error = np.sqrt(c * np.var(sums - estimate * sizes, ddof=1)) / sizes.sum()
    low, high = stats.t.interval(0.95, c - 1, loc=estimate, scale=error)
    return {"estimate": estimate, "low": low, "high": high, "p": sign_flip(sums)}


def compare(fact, hall, diff, domain, prompts, tokens_fact, tokens_hall, is_diff):
    kept = ~(np.isnan(fact) | np.isnan(hall))
    fact, hall, diff = fact[kept], hall[kept], diff[kept]
    tp, tf, th = prompts[kept], tokens_fact[kept], tokens_hall[kept]
    n = len(diff)
    sd = diff.std(ddof=1)
    df = n - 1
    correction = special.gamma(df / 2) / (np.sqrt(df / 2) * special.gamma((df - 1) / 2))
    chains = closed_chains(domain[kept], tp, tf, th)
    adjusted = at_equal_length(diff, chains)
    equal = diff[tf == th]
    boot = stats.bootstrap(
        (diff,), np.mean, method="BCa", n_resamples=50_000, confidence_level=0.95, rng=np.random.default_rng(2)
    ).confidence_interval
    r = stats.pearsonr(diff, th - tf) if is_diff else stats.pearsonr(np.r_[fact, hall], np.r_[tf, th])
    return {
        "n": n,
        "mean_fact": fact.mean(),
        "mean_hall": hall.mean(),
        "mean_diff": diff.mean(),
        "cohens_dz": diff.mean() / sd,
        "hedges_g": correction * diff.mean() / sd,
        "p_wilcoxon": wilcoxon(diff),
        "length_r": r.statistic,
        "n_length_matched": sum(map(len, chains)),
        "n_length_chains": len(chains),
        "length_adjusted_diff": adjusted["estimate"],
        "length_adjusted_ci_low": adjusted["low"],
        "length_adjusted_ci_high": adjusted["high"],
        "n_equal_length": len(equal),
        "equal_length_diff": equal.mean() if len(equal) > 2 else None,
        "drawn": {
            "exact": n <= 13,
            "p_permutation": sign_flip(diff),
            "ci_low": boot.low,
            "ci_high": boot.high,
            "adjusted_exact": len(chains) <= 13,
            "length_adjusted_p": adjusted["p"],
            "equal_exact": len(equal) <= 13,
            "equal_length_p": sign_flip(equal),
        },
    }


def main():
    rng = np.random.default_rng(7)
    n = 72
    domain = np.where(np.arange(n) % 6 == 0, "small", "large")  # 12 and 60 samples
    prompts = rng.choice([5.0, 5.0, 6.0, 9.0], size=n)
    tokens_fact = prompts + rng.integers(1, 7, size=n)
    tokens_hall = prompts + np.maximum(1, tokens_fact - prompts + rng.integers(-2, 4, size=n))

    def made(effect, slope, noise, digits=6):
        base = rng.normal(5, 1, size=n)
        fact = base + slope * tokens_fact + rng.normal(0, noise, size=n)
        hall = base + slope * tokens_hall + effect + rng.normal(0, noise, size=n)
        return np.round(fact, digits), np.round(hall, digits)

    metrics = {
        "l5_real": made(1.5, 0.3, 0.5),
        "l5_length": made(0.0, 2.0, 0.2),
        "l5_nothing": made(0.0, 0.0, 1.0),
        "stability": made(-0.3, 0.05, 0.2, digits=1),  # ties and zero differences
    }
    gone = metrics["l5_nothing"][1].copy()
    gone[5] = np.nan
    metrics["l5_nothing"] = (metrics["l5_nothing"][0], gone)

    expected = {}
    for name, (fact, hall) in metrics.items():
        for group in ("all", "small", "large"):
            rows = np.ones(n, bool) if group == "all" else domain == group
            args = (domain[rows], prompts[rows], tokens_fact[rows], tokens_hall[rows])
            expected[f"{name}/{group}"] = compare(fact[rows], hall[rows], (hall - fact)[rows], *args, False)
            if name == "stability":
                expected[f"{name}_diff/{group}"] = compare(fact[rows], hall[rows], (fact - hall)[rows], *args, True)

    # bias-corrected and accelerated bounds of given resamples, by the book
    values = np.round(rng.exponential(size=25), 3)
    means = np.round(rng.choice(values, size=(400, 25)).mean(axis=1), 4)
    jackknife = np.array([np.delete(values, i).mean() for i in range(len(values))])
    u = jackknife.mean() - jackknife
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    share = ((means < values.mean()).sum() + (means <= values.mean()).sum()) / (2 * len(means))
    z0 = stats.norm.ppf(share)
    bounds = []
    for z in stats.norm.ppf([0.025, 0.975]):
        bounds.append(float(np.quantile(means, stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))))))

    p = np.round(rng.uniform(size=30) ** 3, 5)
    OUT.write_text(
        json.dumps(
            {
                "domain": domain.tolist(),
                "n_tokens": [prompts.tolist(), tokens_fact.tolist(), tokens_hall.tolist()],
                "metrics": {k: [optional(f), optional(h)] for k, (f, h) in metrics.items()},
                "expected": expected,
                "bca": {"values": values.tolist(), "means": means.tolist(), "bounds": bounds},
                "bh": {"p": p.tolist(), "q": stats.false_discovery_control(p).tolist()},
                "wilcoxon": [
                    {"d": d.tolist(), "p": wilcoxon(d)}
                    for d in (
                        np.round(rng.normal(0.3, 1, size=50), 4),
                        np.round(rng.normal(0.3, 1, size=51), 4),
                        np.round(rng.normal(-0.2, 1, size=30), 1),
                        np.round(rng.normal(0.2, 1, size=6), 4),
                    )
                ],
            },
            separators=(",", ":"),
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
