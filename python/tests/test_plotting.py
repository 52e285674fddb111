"""A plotting script as it was written for the original experiment, with polars and matplotlib: it reads a run's files and
finds every column under its name. Only the layers are those of a tiny model, where the original has 5, 12 and 20."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import polars as pl
from harness import Case, model, triples

import saescope

TEXTS = ("fact", "hall")
SHAPES = ("Spherical", "Oblate", "Prolate", "Triaxial", "None")
PAIRED = ("centroid_drift", "axis_twist", "stability", "entropy", "cross_layer_consistency")
BY_LAYER = ("l0_norm", "reconstruction_error", "gini", "sphericity", "dimensionality")


def figures(file: Path, layers: tuple[int, ...], out: Path) -> int:
    """Draws what the experiment drew, and gives the number of points."""
    df = pl.read_parquet(file)
    points = 0
    fig, axes = plt.subplots(3, len(layers), figsize=(5 * len(layers), 12))
    for column, layer in enumerate(layers):
        scatter, histogram, bars = axes[0][column], axes[1][column], axes[2][column]
        for text in TEXTS:
            x, y = df[f"l{layer}_{text}_dimensionality"], df[f"l{layer}_{text}_sphericity"]
            scatter.scatter(x, y, s=12, alpha=0.6, label=text)
            points += len(x.drop_nulls())
            histogram.hist(df[f"l{layer}_{text}_l0_norm"], bins=20, alpha=0.5, label=text)
            counts = dict(df[f"l{layer}_{text}_shape_class"].value_counts().iter_rows())
            assert set(counts) <= set(SHAPES), counts
            bars.bar(range(len(SHAPES)), [counts.get(shape, 0) for shape in SHAPES], alpha=0.5, label=text)
        scatter.set(title=f"layer {layer}", xlabel="participation ratio", ylabel="sphericity")
        scatter.legend()
    fig.savefig(out / "shapes.png")
    plt.close(fig)

    fig, axes = plt.subplots(1, len(PAIRED), figsize=(4 * len(PAIRED), 4))
    for ax, name in zip(axes, PAIRED):
        ax.boxplot([df[f"{name}_{text}"].drop_nulls().to_list() for text in TEXTS], tick_labels=TEXTS)
        ax.set_title(f"{name}, mean difference {df[f'{name}_diff'].mean():.3g}")
    fig.savefig(out / "paired.png")
    plt.close(fig)

    wanted = [f"l{layer}_{text}_{name}" for layer in layers for text in TEXTS for name in BY_LAYER]
    means = df.group_by("domain").agg(pl.col(name).mean() for name in wanted).sort("domain")
    fig, ax = plt.subplots(figsize=(12, 4))
    ax.imshow(means.drop("domain").to_numpy(), aspect="auto")
    ax.set_yticks(range(means.height), means["domain"])
    fig.savefig(out / "domains.png")
    plt.close(fig)
    return points


class Plotting(Case):
    def test_a_script_of_the_original_experiment_draws_a_run(self) -> None:
        subject = model("gemma2")
        run = saescope.analyze(triples("gemma2"), **subject, device="cpu", out="run", progress=False)
        layers = tuple(sorted(subject["saes"]))
        self.assertEqual(len(layers), 3)
        points = figures(run.folder / "metrics.parquet", layers, Path())
        self.assertEqual(points, 2 * len(layers) * len(triples("gemma2")))
        for name in ("shapes.png", "paired.png", "domains.png"):
            self.assertGreater(Path(name).stat().st_size, 5_000, name)
