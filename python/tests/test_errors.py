"""Errors as exceptions, with what to do about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from harness import Case, model, triples

import saescope


class Errors(Case):
    def refused(self, kind: type[saescope.Error], *words: str, data: Any = None, **asked: Any) -> saescope.Error:
        asked = {**model(), "device": "cpu", "out": "out", "progress": False, **asked}
        with self.assertRaises(kind) as caught:
            saescope.analyze(triples() if data is None else data, **asked)
        error = caught.exception
        for word in words:
            self.assertIn(word, str(error))
        self.assertTrue(error.hint, "an error says what to do")
        self.assertEqual(str(error), f"{error.message}\n  hint: {error.hint}")
        self.assertFalse(Path("out").exists(), "nothing stays behind")
        return error

    def test_each_kind_has_a_class_with_message_and_hint(self) -> None:
        missing = self.refused(saescope.MissingError, "no/model", model="no/model")
        self.assertIsInstance(missing, LookupError)
        gpt2 = model("gpt2")["saes"]
        mismatch = self.refused(saescope.MismatchError, "input width", saes=gpt2)
        self.assertIsInstance(mismatch, ValueError)
        self.assertIn("d_model", mismatch.expected or "")
        self.assertIsNotNone(mismatch.found)
        usage = self.refused(saescope.UsageError, 'device="gpu"', precision="f16")
        self.assertIn("take `precision=\"bf16\"`", usage.hint or "")
        self.refused(saescope.DeviceError, "no adapter gpu:99", 'device="cpu"', device="gpu:99")
        self.refused(saescope.MissingError, "an SAE of layer 9", "saes", layers=[1, 9])
        self.refused(saescope.OutOfMemoryError, "memory_budget", memory_budget="0.001MB")
        Path("file").write_text("x")
        self.refused(saescope.IoError, "file", out="file/run")

    def test_rows_are_named_as_in_a_file(self) -> None:
        rows = triples()
        rows[2] = {**rows[2], "fact": None}
        error = self.refused(saescope.MalformedError, "rows in memory", "fact is null", data=rows)
        self.assertIn("skip_invalid", error.hint or "")
        self.assertIn("row 3", str(error))
        self.refused(saescope.MalformedError, "row 3", "fact is null", data=pl.DataFrame(rows))
        numbers = pl.DataFrame(rows).with_columns(pl.lit(1.5).alias("prompt"))
        self.refused(saescope.MalformedError, "column prompt: expected text, found type Float64", data=numbers)
        self.refused(saescope.MalformedError, "hallucination", data=pl.DataFrame(rows).drop("hallucination"))
        self.refused(saescope.MalformedError, "at least one", data=[])
        nested = pl.DataFrame(rows).with_columns(pl.col("fact").str.split(" "))
        self.refused(saescope.MalformedError, "column fact: expected text", data=nested)

    def test_a_part_is_taken_for_done_where_it_is_of_what_is_asked_for_alone(self) -> None:
        def survey(rows: list[dict[str, Any]]) -> saescope.Survey:
            return saescope.Survey({"t.json": json.dumps(rows).encode()}, progress=False)

        def part(of: saescope.Survey, seed: int) -> saescope.Part:
            engine = saescope.Engine(**model(), device="cpu", seed=seed, progress=False)
            table = pa.table(of.parts(1)[1])
            places = table["place"].to_pylist()
            return engine.part(
                table, places=places, whole=of.whole, shard="1/1", out="part", run_id="r", progress=False
            )

        # of a process that was killed before it wrote anything
        Path("part").mkdir()
        Path("part/unfinished.spool").touch()
        data = survey(triples())
        done = part(data, 1)
        self.assertEqual((done.kept, done.measured + len(done.failed)), (0, data.samples))
        self.assertEqual(part(data, 1).kept, done.measured)
        with self.assertRaisesRegex(saescope.MismatchError, "changed since the run began: seed") as caught:
            part(data, 2)
        self.assertEqual((caught.exception.expected, caught.exception.found), ("1", "2"))
        rows = triples()
        rows[0] = {**rows[0], "fact": "something else"}
        with self.assertRaisesRegex(saescope.MismatchError, "changed since the run began: data set"):
            part(survey(rows), 1)

    def test_arguments_that_cannot_be_meant(self) -> None:
        self.refused(saescope.UsageError, "row 1 is int", data=[1, 2])
        self.refused(saescope.UsageError, "row 1", "JSON", data=[{"prompt": object()}])
        self.refused(saescope.UsageError, "data is dict", data={"prompt": ["a"]})
        with self.assertRaisesRegex(saescope.UsageError, "files is empty\n  hint: "):
            saescope.Survey({})
        with self.assertRaisesRegex(saescope.UsageError, "in 0 parts\n  hint: "):
            saescope.Survey(None, progress=False).parts(0)
        self.refused(saescope.UsageError, "data is int", data=7)
        self.refused(saescope.UsageError, "layers is empty", layers=[])
        self.refused(saescope.UsageError, "tpu", device="tpu")
        self.refused(saescope.UsageError, "noise", noise="loud")
        with self.assertRaisesRegex(saescope.UsageError, "texts is one string"):
            saescope.features("one text", **model())
        with self.assertRaisesRegex(saescope.MissingError, "an unfinished run"):
            saescope.analyze(resume="nowhere", progress=False)
        with self.assertRaisesRegex(saescope.MissingError, "a finished run"):
            saescope.load("nowhere")

    def test_a_run_that_is_there_is_not_replaced_unasked(self) -> None:
        asked = {**model(), "device": "cpu", "out": "out", "progress": False}
        first = saescope.analyze(triples(), **asked).manifest["started_at"]
        with self.assertRaisesRegex(saescope.UsageError, "holds a run already"):
            saescope.analyze(triples(), **asked)
        self.assertEqual(saescope.load("out").manifest["started_at"], first)
        saescope.analyze(triples()[:3], **asked, force=True)
        self.assertEqual(len(saescope.load("out").metrics), 3)

    def test_samples_that_fail_are_listed_and_the_run_is_there(self) -> None:
        rows = triples()
        rows[0] = {**rows[0], "fact": "word " * 12000}
        run = saescope.analyze(rows, **model(), device="cpu", out="out", progress=False)
        self.assertEqual([failed["sample_id"] for failed in run.failed], [rows[0]["id"]])
        self.assertIn("token", run.failed[0]["reason"])
        self.assertEqual(len(run.metrics), len(rows) - 1)

    def test_a_damaged_table_is_an_error(self) -> None:
        run = saescope.analyze(triples(), **model(), device="cpu", out="out", progress=False)
        file = run.folder / "stats.parquet"
        file.write_bytes(file.read_bytes()[:-20])
        with self.assertRaisesRegex(saescope.MalformedError, "stats.parquet"):
            run.stats  # noqa: B018
