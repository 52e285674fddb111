"""docs/METRICS.md word for word in float64 numpy: full d×d covariance, no Gram matrix, no shortcut.

Left out: stability, whose noise stream is the program's own.
"""

from __future__ import annotations

import numpy as np

ZERO = 1e-11  # an eigenvalue below this share of the largest is zero but for rounding


def spectrum(m: np.ndarray, r: np.ndarray):
    """Eigenvalues (descending, zeros left out), leading axis [d], and centroid [d].

    `m` [n] masses, `r` [n, d] positions.
    """
    d = r.shape[1]
    if len(m) == 0:
        return np.zeros(0), np.zeros(d), np.zeros(d)
    p = m / m.sum()
    c = (p[:, None] * r).sum(0)
    centred = r - c
    cov = np.zeros((d, d))
    for p_i, r_i in zip(p, centred):
        cov += p_i * np.outer(r_i, r_i)
    values, vectors = np.linalg.eigh(cov)
    values, vectors = values[::-1], vectors[:, ::-1]
    if len(m) == 1 or values[0] <= 0:
        return np.zeros(0), np.zeros(d), c
    keep = values > ZERO * values[0]
    return values[keep], vectors[:, 0], c


def angle(a: np.ndarray, b: np.ndarray, line: bool) -> float:
    """Degrees between two vectors, or between the lines through them; 0 where one is zero."""
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    if na == 0 or nb == 0:
        return 0.0
    cos = float(a @ b / (na * nb))
    return float(np.degrees(np.arccos(np.clip(abs(cos) if line else cos, -1, 1))))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return float(a @ b / (na * nb)) if na > 0 and nb > 0 else 0.0


def gini(m: np.ndarray) -> float:
    n = len(m)
    if n == 0:
        return 0.0
    k = np.arange(1, n + 1)
    return float(2 * (k * np.sort(m)).sum() / (n * m.sum()) - (n + 1) / n)


def shape(values: np.ndarray, n: int) -> tuple[float, float, str]:
    """(sphericity c/a, elongation b/a, class)."""
    b = float(np.sqrt(values[1] / values[0])) if len(values) > 1 else 0.0
    c = float(np.sqrt(values[2] / values[0])) if len(values) > 2 else 0.0
    if n == 0:
        return c, b, "None"
    if b > 0.9 and c > 0.9:
        return c, b, "Spherical"
    if b > 0.8 and c < 0.6:
        return c, b, "Oblate"
    if b < 0.6 and c < 0.6:
        return c, b, "Prolate"
    return c, b, "Triaxial"


def entropy(q: np.ndarray) -> float:
    q = q[q > 0]
    if len(q) == 0:
        return 0.0
    q = q / q.sum()
    return float(-(q * np.log(q)).sum() + 0.0)


def row(layers, x, a, x_hat, w_dec, mu, spectrum=spectrum) -> dict:
    """One row's columns. `spectrum`: another way to the same three things, for who measures time.

    `layers`: the three layer numbers. `x`, `a`, `x_hat`: {layer: {text: vector}}.
    `w_dec`: {layer: [F, d]}. `mu`: {layer: mean of x over all fact and hall texts}.
    """
    out: dict = {}
    cloud = {}
    for layer in layers:
        for t in ("prompt", "fact", "hall"):
            act = a[layer][t].astype(np.float64)
            on = np.flatnonzero(act > 0)
            m, r = act[on], w_dec[layer][on].astype(np.float64)
            values, axis, centroid = spectrum(m, r)
            cloud[layer, t] = (values, axis, centroid, m)
            if t == "prompt":
                continue
            err = np.linalg.norm(x[layer][t] - x_hat[layer][t])
            total = values.sum()
            sphericity, elongation, cls = shape(values, len(on))
            key = f"l{layer}_{t}_"
            out[key + "l0_norm"] = len(on)
            out[key + "reconstruction_error"] = float(err)
            out[key + "gini"] = gini(m)
            out[key + "sphericity"] = sphericity
            out[key + "shape_class"] = cls
            out[key + "dimensionality"] = (
                float(total**2 / (values**2).sum()) if len(values) else 0.0
            )
            out[key + "energy"] = float(m.sum())
            out[key + "elongation"] = elongation
            out[key + "eigenvalue_entropy"] = entropy(values)
            out[key + "misalignment_angle"] = angle(centroid, axis, line=True)
            spread = float(((x[layer][t] - mu[layer]) ** 2).sum())
            out[key + "explained_variance"] = 1 - float(err) ** 2 / spread
        hall, fact = a[layer]["hall"], a[layer]["fact"]
        ghost, missing = (hall > 0) & ~(fact > 0), (fact > 0) & ~(hall > 0)
        out[f"l{layer}_ghost_count"] = int(ghost.sum())
        out[f"l{layer}_ghost_energy"] = float(hall[ghost].astype(np.float64).sum())
        out[f"l{layer}_missing_count"] = int(missing.sum())
        out[f"l{layer}_missing_energy"] = float(fact[missing].astype(np.float64).sum())
    first, second, third = layers
    for t in ("fact", "hall"):
        _, axis_p, centroid_p, _ = cloud[first, "prompt"]
        _, axis_t, centroid_t, m = cloud[first, t]
        out[f"centroid_drift_{t}"] = angle(centroid_p, centroid_t, line=False)
        out[f"axis_twist_{t}"] = angle(axis_p, axis_t, line=True)
        out[f"entropy_{t}"] = entropy(np.sort(m)[::-1][:50])
        width = min(len(a[second][t]), len(a[third][t]))
        out[f"cross_layer_consistency_{t}"] = cosine(
            a[second][t][:width].astype(np.float64), a[third][t][:width].astype(np.float64)
        )
        out[f"cross_layer_reconstruction_cosine_{t}"] = cosine(x_hat[second][t], x_hat[third][t])
    for name in ("centroid_drift", "axis_twist", "entropy"):
        out[f"{name}_diff"] = out[f"{name}_hall"] - out[f"{name}_fact"]
    name = "cross_layer_consistency"
    out[f"{name}_diff"] = out[f"{name}_fact"] - out[f"{name}_hall"]
    return out
