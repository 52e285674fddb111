"""Activations alone are those of an analysis."""

from __future__ import annotations

import json

import polars as pl
from harness import MODELS, Case, model, triples

import saescope


class Features(Case):
    def test_the_last_token_has_the_features_of_an_analysis_to_the_bit(self) -> None:
        for case in ["llama", "gemma2"]:
            with self.subTest(case):
                rows = triples(case)
                run = saescope.analyze(rows, **model(case), device="cpu", out=case, progress=False)
                texts = [text for r in rows for text in (r["prompt"], f"{r['prompt']} {r['fact']}")]
                found = pl.DataFrame(saescope.features(texts, **model(case), device="cpu", progress=False))
                names = [(r["id"], text) for r in rows for text in ("prompt", "fact")]
                ids = pl.DataFrame({"text": range(len(texts)), "sample_id": [n[0] for n in names], "kind": [n[1] for n in names]})
                columns = ["sample_id", "text", "layer", "feature", "activation"]
                found = found.join(ids, on="text").drop("text").rename({"kind": "text"}).select(columns).sort(columns)
                expected = pl.DataFrame(run.features).filter(pl.col("text") != "hall").sort(columns)
                self.assertTrue(found.equals(expected))
                self.assertGreater(len(found), 100)

    def test_every_token_has_its_features(self) -> None:
        expected = json.loads((MODELS / "llama/expected.json").read_text())["token_ids"]
        row = triples()[0]
        texts = [row["prompt"], f"{row['prompt']} {row['fact']}", row["prompt"]]
        table = saescope.features(texts, **model(), layers=[1, 3], every_token=True, device="cpu", progress=False)
        found = pl.DataFrame(table)
        self.assertEqual(
            found.columns, ["text", "layer", "position", "token_id", "token", "feature", "activation"]
        )
        self.assertTrue(found.equals(found.sort("text", "layer", "position", "feature")))
        self.assertEqual(found["layer"].unique().sort().to_list(), [1, 3])
        self.assertTrue((found["activation"] > 0).all())
        for number, key in [(0, f"{row['id']}/prompt"), (1, f"{row['id']}/fact")]:
            seen = found.filter(pl.col("text") == number).unique("position").sort("position")
            tokens = dict(zip(seen["position"], seen["token_id"]))
            self.assertEqual({p: expected[key][p] for p in tokens}, tokens)
        parts = found.partition_by("text", as_dict=True, include_key=False)
        # the same text twice; and what a longer text begins with
        self.assertTrue(parts[(0,)].equals(parts[(2,)]))
        shared = parts[(1,)].filter(pl.col("position") < len(expected[f"{row['id']}/prompt"]))
        self.assertTrue(shared.equals(parts[(0,)]))
        last = pl.DataFrame(saescope.features(texts, **model(), layers=[3], device="cpu", progress=False))
        ends = found.filter(pl.col("layer") == 3).filter(pl.col("position") == pl.col("position").max().over("text"))
        self.assertTrue(ends.equals(last))

    def test_no_texts_give_a_table_without_rows(self) -> None:
        table = saescope.features([], **model(), device="cpu", progress=False)
        self.assertEqual((len(table), pl.DataFrame(table).height), (0, 0))
        with self.assertRaisesRegex(saescope.MismatchError, "#1 text"):
            saescope.features(["a", "word " * 12000], **model(), device="cpu", progress=False)
