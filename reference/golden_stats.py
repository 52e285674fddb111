"""Golden values of the statistics, from scipy, statsmodels and scikit-learn where they have them. Writes
tests/golden/metrics/stats.json.

    python reference/golden_stats.py

Needs numpy, scipy, statsmodels and scikit-learn. What the program draws at random is compared with scipy's own draws, loosely;
all else exactly.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import special, stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

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


def auroc(fact, hall, clusters):
    """Area and its 95 % interval on the logit: structural components, summed by cluster."""
    area = roc_auc_score(np.r_[np.zeros(len(fact)), np.ones(len(hall))], np.r_[fact, hall])
    wins = (hall[:, None] > fact[None, :]) + 0.5 * (hall[:, None] == fact[None, :])
    of_hall, of_fact = wins.mean(axis=1) - area, wins.mean(axis=0) - area
    names = np.unique(clusters)
    c = len(names)
    a = np.array([of_hall[clusters == name].sum() for name in names])
    b = np.array([of_fact[clusters == name].sum() for name in names])
    # S10 / m + S01 / n + 2 S11 / (m n), as Obuchowski has it
    n = len(fact)
    variance = c / (c - 1) * (np.sum(a**2) / n**2 + np.sum(b**2) / n**2 + 2 * np.sum(a * b) / n**2)
    if not (variance > 0 and 0 < area < 1):
        return area, None, None
    half = stats.norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    return (area, *special.expit(special.logit(area) + np.array([-half, half])))


def grades(domain, fact, hall):
    """Log-probabilities by sixteenths of all of them, ties at the lower end."""
    both = np.sort(np.r_[fact, hall])
    return [(np.searchsorted(both, side) * 16) // len(both) for side in (fact, hall)]


def stratified(diff, clusters, domain, resamples, rng):
    """BCa interval of a mean: clusters drawn within domains, those of fewer than ten clusters being one."""
    names, first = np.unique(clusters, return_index=True)
    of = domain[first]
    sums = np.array([diff[clusters == name].sum() for name in names])
    sizes = np.array([np.sum(clusters == name) for name in names])
    strata = [np.flatnonzero(of == d) for d in np.unique(of)]
    whole = [s for s in strata if len(s) >= 10]
    rest = [s for s in strata if len(s) < 10]
    if rest:
        rest = np.concatenate(rest)
        if len(rest) < 10 and whole:
            largest = max(range(len(whole)), key=lambda i: len(whole[i]))
            whole[largest] = np.r_[whole[largest], rest]
        else:
            whole.append(rest)
    drawn = np.concatenate([rng.choice(s, size=(resamples, len(s))) for s in whole], axis=1)
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    estimate = sums.sum() / sizes.sum()
    u = sums - estimate * sizes
    for s in whole:
        u[s] -= u[s].mean()
    return bca(estimate, u, means)


def bca(estimate, u, means):
    """Bias-corrected and accelerated bounds of given resamples, by the book."""
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    share = ((means < estimate).sum() + (means <= estimate).sum()) / (2 * len(means))
    z0 = stats.norm.ppf(share)
    return [
        float(np.quantile(means, stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))))
        for z in stats.norm.ppf([0.025, 0.975])
    ]


def tost(diff, clusters, bound=0.3):
    """p against ±bound standard deviations and the bound that would have p = 0.05, by a mean's error over clusters."""
    sd = diff.std(ddof=1)
    names = np.unique(clusters, return_inverse=True)[1]
    alone = len(set(names)) == len(names)
    fit = sm.OLS(diff, np.ones(len(diff))).fit(cov_type="cluster", cov_kwds={"groups": names}, use_t=True)
    mean, error, df = fit.params[0], fit.bse[0], len(set(names)) - 1
    p = max(stats.t.sf((mean + bound * sd) / error, df), stats.t.cdf((mean - bound * sd) / error, df))
    if alone:
        assert abs(p - ttost_paired(diff, np.zeros(len(diff)), -bound * sd, bound * sd)[0]) < 1e-12
    return {"equivalence_p": float(p), "excluded_dz": float((abs(mean) + stats.t.ppf(0.95, df) * error) / sd)}


def cohens_d(fact, hall, diff):
    return diff.mean() / np.sqrt((fact.var(ddof=1) + hall.var(ddof=1)) / 2)


def clustered(rng):
    """Samples in clusters of one to five, of two domains; what statsmodels and numpy make of them."""
    sizes = rng.integers(1, 6, size=36)
    cluster = np.repeat(np.arange(36), sizes)
    n = len(cluster)
    # a cluster is of the domain of its first sample
    domain = np.where(cluster % 3 == 0, "few", "many")
    base = rng.normal(size=36)[cluster]
    fact = np.round(base + rng.normal(0, 0.5, size=n), 6)
    hall = np.round(base + 0.2 + 0.4 * rng.normal(size=36)[cluster] + rng.normal(0, 0.5, size=n), 6)
    diff = hall - fact
    area, low, high = auroc(fact, hall, cluster)
    sums = np.array([diff[cluster == c].sum() for c in range(36)])
    interval = stratified(diff, cluster, domain, 50_000, np.random.default_rng(5))
    return {
        "cluster": [f"c{c}" for c in cluster],
        "domain": domain.tolist(),
        "fact": fact.tolist(),
        "hall": hall.tolist(),
        "expected": {
            "n": n,
            "n_clusters": 36,
            "cohens_dz": diff.mean() / diff.std(ddof=1),
            "cohens_d": cohens_d(fact, hall, diff),
            "auroc": area,
            "auroc_ci_low": low,
            "auroc_ci_high": high,
            "p_wilcoxon": wilcoxon(sums / sizes),
            **tost(diff, cluster),
        },
        "p_permutation": sign_flip(sums),
        "interval": interval,
    }


def compare(fact, hall, diff, domain, prompts, tokens_fact, tokens_hall, likelihood, is_diff):
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
    if len(np.unique(domain[kept])) == 1:
        boot = stats.bootstrap(
            (diff,), np.mean, method="BCa", n_resamples=50_000, confidence_level=0.95, rng=np.random.default_rng(2)
        ).confidence_interval
        low, high = boot.low, boot.high
    else:
        low, high = stratified(diff, np.arange(n), domain[kept], 50_000, np.random.default_rng(2))
    area, area_low, area_high = auroc(fact, hall, np.arange(n))
    if is_diff:
        area, area_low, area_high = 1 - area, 1 - area_high, 1 - area_low
    like = [side[kept] for side in likelihood]
    likely = closed_chains(domain[kept], np.zeros(n), *like)
    at_likelihood = at_equal_length(diff, likely)
    r = stats.pearsonr(diff, th - tf) if is_diff else stats.pearsonr(np.r_[fact, hall], np.r_[tf, th])
    return {
        "n": n,
        "mean_fact": fact.mean(),
        "mean_hall": hall.mean(),
        "mean_diff": diff.mean(),
        "cohens_dz": diff.mean() / sd,
        "hedges_g": correction * diff.mean() / sd,
        "cohens_d": cohens_d(fact, hall, hall - fact) * (-1 if is_diff else 1),
        "auroc": area,
        "auroc_ci_low": area_low,
        "auroc_ci_high": area_high,
        **tost(diff, np.arange(n)),
        "n_logprob_matched": sum(map(len, likely)),
        "logprob_adjusted_diff": at_likelihood["estimate"],
        "logprob_adjusted_ci_low": at_likelihood["low"],
        "logprob_adjusted_ci_high": at_likelihood["high"],
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
            "ci_low": low,
            "ci_high": high,
            "likely_exact": len(likely) <= 13,
            "logprob_adjusted_p": at_likelihood["p"],
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

    # the longer, the less likely; facts a little more than hallucinations
    logprob = [
        np.round(-1.5 * (tokens - prompts) - shift + rng.normal(0, 2, size=n), 4)
        for tokens, shift in ((tokens_fact, 0.0), (tokens_hall, 1.0))
    ]
    likelihood = grades(domain, *logprob)

    expected = {}
    for name, (fact, hall) in metrics.items():
        for group in ("all", "small", "large"):
            rows = np.ones(n, bool) if group == "all" else domain == group
            like = [side[rows] for side in likelihood]
            args = (domain[rows], prompts[rows], tokens_fact[rows], tokens_hall[rows], like)
            expected[f"{name}/{group}"] = compare(fact[rows], hall[rows], (hall - fact)[rows], *args, False)
            if name == "stability":
                expected[f"{name}_diff/{group}"] = compare(fact[rows], hall[rows], (fact - hall)[rows], *args, True)

    values = np.round(rng.exponential(size=25), 3)
    means = np.round(rng.choice(values, size=(400, 25)).mean(axis=1), 4)
    jackknife = np.array([np.delete(values, i).mean() for i in range(len(values))])
    u = jackknife.mean() - jackknife
    bounds = bca(values.mean(), u, means)

    p = np.round(rng.uniform(size=30) ** 3, 5)
    OUT.write_text(
        json.dumps(
            {
                "domain": domain.tolist(),
                "n_tokens": [prompts.tolist(), tokens_fact.tolist(), tokens_hall.tolist()],
                "metrics": {k: [optional(f), optional(h)] for k, (f, h) in metrics.items()},
                "expected": expected,
                "bca": {"values": values.tolist(), "means": means.tolist(), "bounds": bounds},
                "bh": {
                    "p": p.tolist(),
                    "q": stats.false_discovery_control(p).tolist(),
                    "holm": multipletests(p, method="holm")[1].tolist(),
                },
                "logprob": [side.tolist() for side in logprob],
                "clustered": clustered(np.random.default_rng(11)),
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
