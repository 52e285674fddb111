"""Residuals of texts of all lengths, in batches of like length; which of them SAEs are trained and measured on."""

from __future__ import annotations

import numpy as np
import torch

SEED = 20240607
# Positions of more than this many times the layer's median norm are left out, as is the first of
# each text. From layer 14 on these are the attention sinks (150 medians, one and the same
# direction); at layer 6 they are 2 % of positions, nearly all " the" and a lone space, at 4 to 8
# medians. Their size would drown every other position's error. Between 1.5 and 2 there is a gap.
OUTLIER = 2.0


def batches(ids: list[list[int]], tokens: int):
    """Index lists of like-length sequences, about `tokens` tokens each, in shuffled order."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out, current = [], []
    for i in order:
        if current and (len(current) + 1) * len(ids[i]) > tokens:
            out.append(current)
            current = []
        current.append(i)
    out.append(current)
    np.random.default_rng(SEED).shuffle(out)
    return out


def residuals(model, ids: list[list[int]], layers) -> dict[int, torch.Tensor]:
    """resid_post at every real position but the first, {layer: [N, d]}, in one forward pass.

    Padding stands on the right, where a causal model never looks at it.
    """
    width = max(map(len, ids))
    padded = torch.zeros(len(ids), width, dtype=torch.long)
    real = torch.zeros(len(ids), width, dtype=torch.bool)
    for row, seq in enumerate(ids):
        padded[row, : len(seq)] = torch.tensor(seq)
        real[row, 1 : len(seq)] = True
    kept, handles = {}, []
    for layer in layers:
        def hook(_m, _a, out, layer=layer):
            kept[layer] = (out[0] if isinstance(out, tuple) else out)[real]

        handles.append(model.model.layers[layer].register_forward_hook(hook))
    try:
        with torch.inference_mode():
            model.model(padded, use_cache=False)
    finally:
        for h in handles:
            h.remove()
    return kept
