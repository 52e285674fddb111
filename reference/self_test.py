"""The known numbers of crate/engine/self_test.rs: one Llama block in float64, from the same
deterministic weights. Prints the Rust constant; needs numpy alone."""

import numpy as np

D, FF, HEADS, KV = 64, 96, 4, 2
HEAD = D // HEADS
EPS = float(np.float32(1e-5))


def numbers(n: int, seed: int) -> np.ndarray:
    state = (seed * 0x9E3779B9 & 0xFFFFFFFF) | 1
    out = np.empty(n)
    for i in range(n):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        out[i] = (state >> 16) / 32_768.0 - 1.0
    return out


def weight(seed: int, *shape: int) -> np.ndarray:
    centre, scale = (1.0, 0.2) if len(shape) == 1 else (0.0, 0.25)
    values = numbers(int(np.prod(shape)), seed).astype(np.float32)
    return (np.float32(centre) + np.float32(scale) * values).astype(np.float64).reshape(shape)


# in the order of Llama::layer_tensors
q, k, v, o = weight(1, D, D), weight(2, KV * HEAD, D), weight(3, KV * HEAD, D), weight(4, D, D)
gate, up, down = weight(5, FF, D), weight(6, FF, D), weight(7, D, FF)
norm_1, norm_2 = weight(8, D), weight(9, D)


def rms(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w


def rotate(x: np.ndarray) -> np.ndarray:
    """[tokens, heads, HEAD] with the halves turned into each other, as transformers does."""
    frequencies = 1.0 / 10_000.0 ** (np.arange(0, HEAD, 2) / HEAD)
    angles = np.arange(len(x))[:, None] * frequencies[None, :]
    cos, sin = np.tile(np.cos(angles), 2)[:, None], np.tile(np.sin(angles), 2)[:, None]
    half = HEAD // 2
    return x * cos + np.concatenate([-x[..., half:], x[..., :half]], -1) * sin


def block(x: np.ndarray) -> np.ndarray:
    n = len(x)
    h = rms(x, norm_1)
    qs = rotate((h @ q.T).reshape(n, HEADS, HEAD))
    ks = rotate((h @ k.T).reshape(n, KV, HEAD)).repeat(HEADS // KV, 1)
    vs = (h @ v.T).reshape(n, KV, HEAD).repeat(HEADS // KV, 1)
    scores = np.einsum("ihd,jhd->hij", qs, ks) / np.sqrt(HEAD)
    scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    x = x + np.einsum("hij,jhd->ihd", p, vs).reshape(n, D) @ o.T
    h = rms(x, norm_2)
    g = h @ gate.T
    return x + (g / (1 + np.exp(-g)) * (h @ up.T)) @ down.T


print("const KNOWN: [[f64; 8]; 2] = [")
for tokens in ([1, 2, 3, 4], [1, 2, 5]):
    x = np.stack([numbers(D, 100 + t) for t in tokens])
    last = block(x)[-1, :8]
    print("    [" + ", ".join(f"{value:.9}" for value in last) + "],")
print("];")
