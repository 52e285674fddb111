"""The straightforward way, as guides to SAEs show it: what saescope replaces. Prints one JSON object.

    python bench/layer_by_layer.py --model DIR --sae 5=PATH --sae 12=PATH --sae 20=PATH [--triples 5]

One text at a time; for each SAE a forward pass of its own through the whole model in f32, with logits, all
hidden states and the cache of keys and values; the SAE's encoder and decoder as SAELens has them, dense; for
each text and layer the d x d covariance of the active features in float64 numpy and `eigh` of it. The columns
are those of docs/METRICS.md, computed by reference/slow_metrics.py, and stability, whose noise is numpy's own.
Loading, statistics and writing are not timed. `side_by_side.py` runs it as one of its rows; 200 triples of
Gemma-2-2B's shape would take an hour, so it takes a few, evenly spread over the data set.
The python that runs it needs reference/requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from common import BUILTIN, need, peak_bytes, spread, threads


def spectrum(m, r):
    """As slow_metrics.spectrum, with the covariance made by one matrix product: as numpy is used well."""
    import numpy as np
    from slow_metrics import ZERO

    d = r.shape[1]
    if len(m) == 0:
        return np.zeros(0), np.zeros(d), np.zeros(d)
    p = m / m.sum()
    c = p @ r
    centred = r - c
    values, vectors = np.linalg.eigh((p[:, None] * centred).T @ centred)
    values, vectors = values[::-1], vectors[:, ::-1]
    if len(m) == 1 or values[0] <= 0:
        return np.zeros(0), np.zeros(d), c
    return values[values > ZERO * values[0]], vectors[:, 0], c


def stability(sae, x, rng) -> float:
    """Jaccard of the ten strongest features of `x` and of `x` with a tenth of noise."""
    import torch

    sigma = 0.1 * float(x.norm()) / len(x) ** 0.5
    noise = torch.from_numpy(rng.normal(0.0, sigma, len(x))).float()

    def strongest(activations) -> set[int]:
        values, ids = activations.topk(10)
        return {int(i) for v, i in zip(values, ids) if v > 0}

    one, other = strongest(sae.encode(x[None])[0]), strongest(sae.encode((x + noise)[None])[0])
    return len(one & other) / len(one | other) if one | other else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="Hugging Face folder")
    parser.add_argument("--sae", action="append", required=True, metavar="LAYER=PATH")
    parser.add_argument("--dataset", type=Path, default=BUILTIN)
    parser.add_argument("--triples", type=int, default=5)
    args = parser.parse_args()
    # before torch and numpy are imported: their pools are sized once
    os.environ["OMP_NUM_THREADS"] = str(threads())
    need("torch", "transformers", "sae_lens", "scipy")
    import numpy as np
    import torch
    import transformers
    from pipeline import load_sae, texts_of, token_ids
    from slow_metrics import row

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads())
    paths = {int(layer): Path(path) for layer, path in (sae.split("=", 1) for sae in args.sae)}
    layers = sorted(paths)
    if len(layers) != 3:
        raise SystemExit(f"{len(layers)} SAEs: the metrics want three")
    every = texts_of(args.dataset, None)
    chosen = spread(args.triples, len(every) // 3)

    began = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    if layers[-1] + 1 >= model.config.num_hidden_layers:
        raise SystemExit("the last block's hidden state is normed in transformers: take SAEs of earlier layers")
    saes = {layer: load_sae(path) for layer, path in paths.items()}
    w_dec = {layer: sae.W_dec.detach().numpy() for layer, sae in saes.items()}
    load_seconds = time.perf_counter() - began

    def resid_post(ids: list[int], layer: int):
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=True)
        return out.hidden_states[layer + 1][0, -1]

    rng, tokens, passes, measured = np.random.default_rng(0), 0, 0, []
    with torch.inference_mode():
        resid_post([1, 2], layers[0])  # not timed, as pipeline.py's first pass is not
        began = time.perf_counter()
        for number in chosen:
            ids = token_ids(args.model, model.config.model_type, every[3 * number : 3 * number + 3])
            x, a, x_hat = ({layer: {} for layer in layers} for _ in range(3))
            steady = {}
            for text, its in zip(("prompt", "fact", "hall"), ids):
                for layer in layers:
                    resid = resid_post(its, layer)
                    acts = saes[layer].encode(resid[None])
                    x[layer][text] = resid.numpy()
                    a[layer][text] = acts[0].numpy()
                    x_hat[layer][text] = saes[layer].decode(acts)[0].numpy()
                    passes, tokens = passes + 1, tokens + len(its)
                    if layer == layers[0] and text != "prompt":
                        steady[text] = stability(saes[layer], resid, rng)
            measured.append((x, a, x_hat, steady))
        forward = time.perf_counter() - began
        mu = {at: np.mean([x[at][t] for x, *_ in measured for t in ("fact", "hall")], axis=0) for at in layers}
        rows = [
            row(layers, x, a, x_hat, w_dec, mu, spectrum) | {f"stability_{text}": steady[text] for text in steady}
            for x, a, x_hat, steady in measured
        ]
        seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "texts": 3 * len(rows),
                "passes": passes,
                "tokens": tokens,
                "seconds": round(seconds, 3),
                "model_and_sae_seconds": round(forward, 3),
                "geometry_seconds": round(seconds - forward, 3),
                "load_seconds": round(load_seconds, 3),
                "peak_rss": peak_bytes(),
                "columns": len(rows[0]),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
