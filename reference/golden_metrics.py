"""Golden values of every metric, computed the slow and literal way.

Independent of the Rust code: d x d covariances and numpy's eigh where the program uses the Gram
matrix, arc cosines where it uses atan2, dense vectors where it uses sparse ones, and a ChaCha8
written from its specification. Writes tests/golden/metrics/metrics.json and noise.json.

    python reference/golden_metrics.py

Needs numpy only. Inputs are integers over a power of two, so that JSON holds them exactly.
"""

import hashlib
import json
import math
import struct
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "metrics"
D = 24
LAYERS = [3, 7, 11]
WIDTHS = [64, 64, 48]
SCALE = 64.0  # every stored integer is a value times this
RANK_TOLERANCE = 1e-12


# ---------------------------------------------------------------- geometry


def cloud(positions, masses):
    """Centroid, non-zero eigenvalues (descending), leading axis."""
    d = D
    if len(masses) == 0:
        return np.zeros(d), np.zeros(0), np.zeros(d)
    p = masses / masses.sum()
    c = np.zeros(d)
    for pi, r in zip(p, positions):
        c += pi * r
    cov = np.zeros((d, d))
    for pi, r in zip(p, positions):
        cov += pi * np.outer(r - c, r - c)
    values, vectors = np.linalg.eigh(cov)
    values, vectors = values[::-1], vectors[:, ::-1]  # columns are the eigenvectors
    size = sum(pi * (r @ r) for pi, r in zip(p, positions))
    # below 1e-24 of the second moment all points are one point, up to rounding
    kept = (values > RANK_TOLERANCE * values[0]) & (values > 1e-24 * size)
    if not kept.any():
        return c, np.zeros(0), np.zeros(d)
    return c, values[kept], vectors[:, 0]


def angle(a, b):
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    if na == 0 or nb == 0:
        return 0.0
    return math.degrees(math.acos(max(-1.0, min(1.0, float(a @ b / (na * nb))))))


def line_angle(a, b):
    found = angle(a, b)
    return min(found, 180.0 - found)


def shape_class(n, spectrum):
    if n == 0:
        return "None"
    b = math.sqrt(spectrum[1] / spectrum[0]) if len(spectrum) > 1 else 0.0
    c = math.sqrt(spectrum[2] / spectrum[0]) if len(spectrum) > 2 else 0.0
    if b > 0.9 and c > 0.9:
        return "Spherical"
    if b > 0.8 and c < 0.6:
        return "Oblate"
    if b < 0.6 and c < 0.6:
        return "Prolate"
    return "Triaxial"


# ---------------------------------------------------------------- one text, one layer


def gini(m):
    n = len(m)
    if n == 0:
        return 0.0
    m = np.sort(m)
    return 2.0 * sum((k + 1) * m[k] for k in range(n)) / (n * m.sum()) - (n + 1) / n


def entropy(a, top):
    a = np.sort(a[a > 0])[::-1][:top]
    if len(a) == 0:
        return 0.0
    q = a / a.sum()
    return float(-(q * np.log(q)).sum())


def measure(w_dec, text):
    a = np.zeros(w_dec.shape[0])
    for i, v in text["features"]:
        a[i] = v / SCALE
    active = np.flatnonzero(a > 0)
    m = a[active]
    centroid, spectrum, axis = cloud(w_dec[active], m)
    x, x_hat = np.array(text["x"]) / SCALE, np.array(text["x_hat"]) / SCALE
    q = spectrum / spectrum.sum() if len(spectrum) else spectrum
    return {
        "a": a,
        "x": x,
        "x_hat": x_hat,
        "norm": float(np.linalg.norm(x)),
        "centroid": centroid,
        "axis": axis,
        "l0_norm": len(active),
        "reconstruction_error": float(np.linalg.norm(x - x_hat)),
        "gini": gini(m),
        "sphericity": math.sqrt(spectrum[2] / spectrum[0]) if len(spectrum) > 2 else 0.0,
        "shape_class": shape_class(len(active), spectrum),
        "dimensionality": float(spectrum.sum() ** 2 / (spectrum**2).sum()) if len(spectrum) else 0.0,
        "energy": float(m.sum()),
        "elongation": math.sqrt(spectrum[1] / spectrum[0]) if len(spectrum) > 1 else 0.0,
        "eigenvalue_entropy": float(-(q * np.log(q)).sum()) if len(spectrum) else 0.0,
        "misalignment_angle": line_angle(centroid, axis),
    }


def top_features(a, k):
    order = sorted(np.flatnonzero(a > 0), key=lambda i: (-a[i], i))
    return set(int(i) for i in order[:k])


def jaccard(a, b, k=10):
    a, b = top_features(a, k), top_features(b, k)
    return len(a & b) / len(a | b) if a | b else 0.0


def cosine(a, b):
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return float(a @ b / (na * nb)) if na > 0 and nb > 0 else 0.0


# ---------------------------------------------------------------- the run


def sinks(measured, medians, k):
    """Whether each fact and hallucination is read at an attention sink of the k-th layer."""
    return [m[t][k]["norm"] > 2 * medians[k] for m in measured for t in ("fact", "hall")]


def table(decoders, samples, medians):
    measured = [
        {t: [measure(w, s[t]["layers"][k]) for k, w in enumerate(decoders)] for t in ("prompt", "fact", "hall")}
        for s in samples
    ]
    mu = [
        np.mean([m[t][k]["x"] for m in measured for t in ("fact", "hall")], axis=0) for k in range(len(decoders))
    ]
    rows = []
    for s, m in zip(samples, measured):
        row = {"sample_id": s["sample_id"], "domain": s["domain"], "complexity": s["complexity"]}
        for t in ("prompt", "fact", "hall"):
            row[f"n_tokens_{t}"] = s[t]["n_tokens"]
        for k, layer in enumerate(LAYERS):
            for t in ("fact", "hall"):
                for name in (
                    "l0_norm reconstruction_error gini sphericity shape_class dimensionality energy elongation "
                    "eigenvalue_entropy misalignment_angle"
                ).split():
                    row[f"l{layer}_{t}_{name}"] = m[t][k][name]
                e = m[t][k]["x"] - m[t][k]["x_hat"]
                v = m[t][k]["x"] - mu[k]
                row[f"l{layer}_{t}_explained_variance"] = float(1 - (e @ e) / (v @ v))
            for name, here, there in (("ghost", "hall", "fact"), ("missing", "fact", "hall")):
                lone = (m[here][k]["a"] > 0) & ~(m[there][k]["a"] > 0)
                row[f"l{layer}_{name}_count"] = int(lone.sum())
                row[f"l{layer}_{name}_energy"] = float(m[here][k]["a"][lone].sum())
        for t in ("fact", "hall"):
            first, second, third = m[t]
            row[f"centroid_drift_{t}"] = angle(m["prompt"][0]["centroid"], first["centroid"])
            row[f"axis_twist_{t}"] = line_angle(m["prompt"][0]["axis"], first["axis"])
            noisy = np.zeros(WIDTHS[0])
            for i, v in s[t]["noisy"]:
                noisy[i] = v / SCALE
            row[f"stability_{t}"] = jaccard(first["a"], noisy)
            row[f"entropy_{t}"] = entropy(first["a"], 50)
            w = min(len(second["a"]), len(third["a"]))
            row[f"cross_layer_consistency_{t}"] = cosine(second["a"][:w], third["a"][:w])
            row[f"cross_layer_reconstruction_cosine_{t}"] = cosine(second["x_hat"], third["x_hat"])
            row[f"logprob_{t}"] = s[t]["logprob"]
        for k, layer in enumerate(LAYERS):
            for t in ("prompt", "fact", "hall"):
                row[f"l{layer}_{t}_residual_norm"] = m[t][k]["norm"]
        row["prompt_is_sink"] = m["prompt"][0]["norm"] > 2 * medians[0]
        for name, sign in (
            ("centroid_drift", 1),
            ("axis_twist", 1),
            ("entropy", 1),
            ("stability", -1),
            ("cross_layer_consistency", -1),
        ):
            row[f"{name}_diff"] = sign * (row[f"{name}_hall"] - row[f"{name}_fact"])
        rows.append(row)
    # SAE health over the same texts, attention sinks left out
    health = []
    for k in range(len(decoders)):
        out = sinks(measured, medians, k)
        texts = [m[t][k] for m in measured for t in ("fact", "hall")]
        texts = [t for t, sink in zip(texts, out) if not sink]
        mean = np.mean([t["x"] for t in texts], axis=0)
        error = sum(float((t["x"] - t["x_hat"]) @ (t["x"] - t["x_hat"])) for t in texts)
        spread = sum(float((t["x"] - mean) @ (t["x"] - mean)) for t in texts)
        l0 = [t["l0_norm"] for t in texts]
        health.append(
            {
                "sinks": sum(out),
                "mean_l0": float(np.mean(l0)),
                "fvu": error / spread,
                "dead_share": l0.count(0) / len(l0),
            }
        )
    return rows, health


def random_run():
    rng = np.random.default_rng(20240229)
    decoders = []
    for width in WIDTHS:
        w = rng.integers(-64, 65, size=(width, D))
        w[1] = w[0]  # two features at one place
        w[2] = w[0]
        w[5] = 0  # a feature at the origin
        w[9] = -w[8]  # two that cancel
        w[12:15] = np.outer([1, 2, 3], rng.integers(-20, 21, size=D))  # three on a line through the origin
        decoders.append(w)

    def features(width, chosen, big=False):
        chosen = sorted(int(i) for i in chosen)
        values = [int(v) for v in rng.integers(1, 4000, size=len(chosen))]
        if big and values:
            values[0] = 2**30
        return [[i, v] for i, v in zip(chosen, values)]

    # how features are chosen at each layer, by sample: a number of random ones, or these
    plans = [
        (0, 0, 0),
        (1, 1, 1),
        (2, 2, 2),
        (3, 3, 3),
        (4, 5, 6),
        (12, 12, 14),
        (30, 26, 33),  # more features than dimensions
        (60, 24, 25),
        ([0, 1, 2], [0, 1], [0, 1, 2]),  # all positions equal
        ([8, 9], [5], [5, 8]),  # centroid near the origin; only the origin
        ([12, 13, 14], [12, 14], [0, 12, 13, 14]),  # rank one
        (20, 20, 20),  # one giant mass
        (15, 15, 0),  # hallucination without features
    ]
    samples = []
    for number, plan in enumerate(plans):
        sample = {"sample_id": f"s{number:02}", "domain": ["entity", "logic"][number % 2], "complexity": number % 4}
        for text, choice in zip(("prompt", "fact", "hall"), plan):
            layers = []
            for width in WIDTHS:
                chosen = choice
                if isinstance(choice, int):
                    chosen = rng.choice(width, size=min(choice, width), replace=False)
                x = rng.integers(-640, 641, size=D)
                layers.append(
                    {
                        "x": x.tolist(),
                        "x_hat": (x + rng.integers(-200, 201, size=D)).tolist(),
                        "features": features(width, chosen, big=number == 11),
                    }
                )
            noisy = {i: v for i, v in layers[0]["features"]}
            for i in rng.choice(WIDTHS[0], size=6, replace=False):
                noisy[int(i)] = int(rng.integers(1, 4000))
            sample[text] = {
                "n_tokens": int(rng.integers(3, 20)),
                "layers": layers,
                "noisy": sorted([i, v] for i, v in noisy.items()),
                "logprob": -float(rng.integers(1, 640)) / SCALE,
            }
        samples.append(sample)
    # the last sample's fact is its prompt, word for word
    samples[-1]["fact"] = json.loads(json.dumps(samples[-1]["prompt"]))
    return decoders, samples


# ---------------------------------------------------------------- noise


def chacha8(key, blocks):
    """Key stream words of ChaCha with 8 rounds, 64-bit counter from 0, nonce 0."""
    mask = 0xFFFFFFFF
    words = []
    for counter in range(blocks):
        start = (
            [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
            + list(struct.unpack("<8I", key))
            + [counter & mask, counter >> 32, 0, 0]
        )
        s = list(start)

        def quarter(a, b, c, d):
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & mask
                s[z] ^= s[x]
                s[z] = ((s[z] << turn) | (s[z] >> (32 - turn))) & mask

        for _ in range(4):
            for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
                quarter(*q)
            for q in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(*q)
        words += [(a + b) & mask for a, b in zip(s, start)]
    return words


def noise(d, seed, sample_id, text, layer):
    """Standard normal deviates of one key."""
    h = hashlib.sha256()
    for field in (b"saescope/noise/1", struct.pack("<Q", seed), sample_id.encode(), text.encode(), struct.pack("<Q", layer)):
        h.update(struct.pack("<Q", len(field)) + field)
    words = chacha8(h.digest(), d // 4 + 1)
    draws = [words[i] | words[i + 1] << 32 for i in range(0, len(words), 2)]
    z = []
    for i in range(0, d, 2):
        u = ((draws[i] >> 11) + 1) * 2.0**-53
        v = (draws[i + 1] >> 11) * 2.0**-53
        r = math.sqrt(-2 * math.log(u))
        z += [r * math.cos(2 * math.pi * v), r * math.sin(2 * math.pi * v)]
    return z[:d]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    decoders, samples = random_run()
    # norms of random residuals lie close together: these medians make a few of them sinks
    norms = [[np.linalg.norm(s[t]["layers"][k]["x"]) / SCALE for s in samples for t in s if t in ("prompt", "fact", "hall")]
             for k in range(len(decoders))]
    medians = [float(np.quantile(n, 0.8)) / 2 for n in norms]
    rows, health = table([w / SCALE for w in decoders], samples, medians)
    (OUT / "metrics.json").write_text(
        json.dumps(
            {
                "layers": LAYERS,
                "d": D,
                "scale": SCALE,
                "decoders": [w.tolist() for w in decoders],
                "medians": medians,
                "samples": samples,
                "rows": rows,
                "health": health,
            },
            separators=(",", ":"),
        )
        + "\n"
    )
    cases = []
    for seed, sample_id, text, layer, d in (
        (42, "entity_001", "fact", 5, 9),
        (42, "entity_001", "hallucination", 5, 9),
        (2**64 - 1, "naïve Σ", "prompt", 12, 40),
        (0, "", "fact", 0, 1),
    ):
        cases.append(
            {
                # as text: not every reader of JSON holds 64 bits
                "seed": str(seed),
                "sample_id": sample_id,
                "text": text,
                "layer": layer,
                "z": noise(d, seed, sample_id, text, layer),
            }
        )
    (OUT / "noise.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
