"""Health of SAEs on held-out text: L0, variance unexplained, dead features, cross-entropy.

All in f32. Left out, as in training: the first position of each text, and positions whose norm is
above `outlier` times the layer's median over the texts measured.
"""

from __future__ import annotations

import torch

from residual_rows import OUTLIER, batches, residuals


def health(model, saes: dict, ids: list[list[int]]) -> dict[int, dict]:
    """{layer: figures} over every kept position of the token lists `ids`."""
    parts = {layer: [] for layer in saes}
    for batch in batches(ids, 4096):
        for layer, rows in residuals(model, [ids[i] for i in batch], list(saes)).items():
            parts[layer].append(rows.float())
    out = {}
    for layer, sae in saes.items():
        x = torch.cat(parts.pop(layer))
        norms = x.norm(dim=1)
        keep = norms < OUTLIER * norms.median()
        out[layer] = {
            "positions": int(keep.sum()),
            "skipped_outliers": int((~keep).sum()),
            "median_norm": float(norms.median()),
        } | reconstruction(sae, x[keep])
    return out


@torch.no_grad()
def reconstruction(sae, x: torch.Tensor) -> dict:
    mean = x.mean(0)
    wrong = total = active = 0.0
    fired = torch.zeros(sae.cfg.d_sae)
    none = 0
    for chunk in x.split(4096):
        acts = sae.encode(chunk)
        wrong += float((chunk - sae.decode(acts)).double().pow(2).sum())
        total += float((chunk - mean).double().pow(2).sum())
        on = acts > 0
        active += float(on.sum())
        none += int((on.sum(1) == 0).sum())
        fired += on.float().sum(0)
    return {
        "l0": active / len(x),
        "fvu": wrong / total,
        "dead_features": float((fired == 0).float().mean()),
        "positions_without_features": none,
    }


@torch.inference_mode()
def cross_entropy(model, saes: dict, ids: list[list[int]], limits: dict[int, float]) -> dict:
    """Mean −ln p of the next token with resid_post left alone, reconstructed, and zeroed.

    Skipped positions keep their residual in all three. Predictions from the first position are
    not counted. `limits`: the norm above which a position is skipped.
    """
    groups = []
    for batch in batches(ids, 1024):
        width = max(len(ids[i]) for i in batch)
        padded = torch.zeros(len(batch), width, dtype=torch.long)
        real = torch.zeros(len(batch), width, dtype=torch.bool)
        for row, i in enumerate(batch):
            padded[row, : len(ids[i])] = torch.tensor(ids[i])
            real[row, : len(ids[i])] = True
        groups.append((padded, real))

    def run(layer=None, how=None):
        loss, count = 0.0, 0
        for padded, real in groups:
            handle = None
            if layer is not None:
                def hook(_m, _a, out):
                    x = out[0] if isinstance(out, tuple) else out
                    keep = real & (x.norm(dim=2) < limits[layer])
                    keep[:, 0] = False
                    new = x.clone()
                    new[keep] = 0.0 if how == "zero" else saes[layer](x[keep])
                    return (new, *out[1:]) if isinstance(out, tuple) else new

                handle = model.model.layers[layer].register_forward_hook(hook)
            logits = model(padded, use_cache=False).logits
            if handle is not None:
                handle.remove()
            wanted = real[:, 2:]
            logp = logits[:, 1:-1][wanted].log_softmax(-1)
            target = padded[:, 2:][wanted]
            loss -= float(logp.gather(1, target[:, None]).double().sum())
            count += len(target)
        return loss / count, count

    clean, count = run()
    out = {"tokens": count, "clean": clean, "layers": {}}
    for layer in saes:
        spliced, _ = run(layer, "sae")
        zeroed, _ = run(layer, "zero")
        out["layers"][layer] = {
            "spliced": spliced,
            "zeroed": zeroed,
            "recovered": (zeroed - spliced) / (zeroed - clean),
        }
        print(layer, out["layers"][layer], flush=True)
    return out
