"""Runs from Python: every kind of data gives the bytes that the command gives."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Case, hashes, model, triples

import saescope


class Analyze(Case):
    def test_every_kind_of_data_gives_the_bytes_of_the_command(self) -> None:
        rows = triples()
        file = self.write("t.json", rows)
        expected = self.run_by_command(file)
        arrow = pa.Table.from_pylist(rows)
        pq.write_table(arrow, "t.parquet")
        pl.DataFrame(rows).write_csv("t.csv")
        connection = duckdb.connect()
        connection.register("triples", arrow)
        kinds = {
            "path": file,
            "pathlib": Path("t.parquet"),
            "paths": ["t.csv"],
            "dicts": rows,
            "generator": (row for row in rows),
            "polars": pl.DataFrame(rows),
            "polars, categories": pl.DataFrame(rows).with_columns(pl.col("domain").cast(pl.Categorical)),
            "pandas": pd.DataFrame(rows),
            "pyarrow": arrow,
            "pyarrow, in pieces": pa.concat_tables([arrow.slice(0, 5), arrow.slice(5)]),
            "pyarrow reader": arrow.to_reader(max_chunksize=3),
            "duckdb": connection.sql("SELECT * FROM triples"),
        }
        for name, data in kinds.items():
            with self.subTest(name):
                out = "out_" + "".join(c for c in name if c.isalpha())
                run = saescope.analyze(data, **model(), device="cpu", out=out, run_id="r", progress=False)
                self.assertEqual(run.folder, Path(out))
                self.assertEqual(hashes(run.folder), expected)

    def test_settings_mean_what_they_mean_to_the_command(self) -> None:
        rows = [
            {"question": r["prompt"], "right": r["fact"], "wrong": r["hallucination"], "group": r["domain"]}
            for r in triples()
        ]
        rows[3]["right"] = None
        self.write("t.json", rows)
        columns = {"prompt": "question", "fact": "right", "hallucination": "wrong", "domain": "group"}
        words = ["--columns", ",".join(f"{k}={v}" for k, v in columns.items()), "--join", "", "--seed", "7"]
        words += ["--noise", "absolute:0.2", "--logprob", "--limit", "9", "--skip-invalid", "--layers", "1,3"]
        expected = self.run_by_command("t.json", *words, "--batch-size", "2", "--pass", "4")
        run = saescope.analyze(
            pl.DataFrame(rows),
            **model(),
            columns=columns,
            join="",
            seed=7,
            noise="absolute:0.2",
            logprob=True,
            limit=9,
            skip_invalid=True,
            layers=[3, 1],
            batch_size=2,
            pass_size=4,
            device="cpu",
            run_id="r",
            out="out",
            progress=False,
        )
        self.assertEqual(hashes(run.folder), expected)
        self.assertEqual([sae["layer"] for sae in run.manifest["saes"]], [1, 3])
        self.assertEqual(run.manifest["dataset"]["samples"], 9)

    def test_a_run_gives_its_tables_as_arrow_and_its_manifest(self) -> None:
        run = saescope.analyze(triples(), **model(), device="cpu", run_id="mine", progress=False)
        self.assertEqual(run.folder.parent, Path("runs"))
        self.assertEqual((run.run_id, run.failed), ("mine", []))
        again = saescope.load(run.folder)
        for name in ["metrics", "features", "stats", "stats_features"]:
            table = table_of_run = getattr(again, name)
            stored = pq.read_table(run.folder / f"{name}.parquet")
            self.assertEqual(table.column_names, stored.column_names)
            self.assertEqual(len(table), stored.num_rows)
            self.assertTrue(pa.table(table).cast(stored.schema).equals(stored))
            self.assertTrue(pl.DataFrame(table).equals(pl.read_parquet(run.folder / f"{name}.parquet")))
            pd.testing.assert_frame_equal(pd.DataFrame.from_arrow(table), stored.to_pandas(), check_dtype=False)
            self.assertEqual(duckdb.sql("SELECT count(*) FROM table_of_run").fetchall(), [(stored.num_rows,)])
            self.assertEqual(pa.schema(table).names, stored.column_names)
        self.assertIn(b"saescope.columns", pa.table(run.metrics).schema.metadata)
        self.assertEqual(repr(again), f"saescope.load({str(run.folder)!r})")
        # the table lives on without its run and without its file
        table = again.metrics
        for file in run.folder.iterdir():
            file.unlink()
        del again, run
        self.assertEqual(pl.DataFrame(table)["run_id"].unique().to_list(), ["mine"])

    def test_other_threads_of_python_go_on_meanwhile(self) -> None:
        counted = 0
        done = threading.Event()

        def count() -> None:
            nonlocal counted
            while not done.is_set():
                counted += 1
                time.sleep(0.001)

        thread = threading.Thread(target=count)
        thread.start()
        begun = time.monotonic()
        saescope.analyze(_many(400), **model(), device="cpu", out="out", progress=False)
        seconds = time.monotonic() - begun
        done.set()
        thread.join()
        # a tenth of what it would count alone: the machine may be busy
        self.assertGreater(counted, seconds * 100)

    def test_progress_reaches_a_function_and_its_error_ends_the_run(self) -> None:
        seen: list[saescope.Progress] = []
        saescope.analyze(triples(), **model(), device="cpu", out="out", progress=seen.append)
        self.assertEqual((seen[-1].done, seen[-1].total), (12.0, 12))
        self.assertEqual([p.layer for p in seen], sorted(p.layer for p in seen))
        self.assertTrue(all(p.layers == 4 and p.rate > 0 for p in seen[1:]), seen)

        def refuse(progress: saescope.Progress) -> None:
            raise KeyError("enough")

        many = _many(400)
        with self.assertRaisesRegex(KeyError, "enough"):
            saescope.analyze(many, **model(), device="cpu", nulls=0, pass_size=4, out="ended", progress=refuse)
        # a pass that was measured before the error was heard is kept, and nothing stays without one
        if Path("ended").exists():
            self.assertEqual([path.name for path in Path("ended").iterdir()], ["unfinished.spool"])
            self.assertEqual(len(saescope.analyze(many, resume="ended", progress=False).metrics), len(many))

    def test_parts_of_a_run_are_merged_by_the_command(self) -> None:
        self.write("t.json", triples())
        expected = self.run_by_command("t.json")
        for part in ["1/2", "2/2"]:
            saescope.analyze(
                triples(), **model(), device="cpu", shard=part, run_id="r", out=f"part{part[0]}", progress=False
            )
        done = self.run_command("merge", "part1", "part2", "--out", "whole")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashes(Path("whole")), expected)


def _many(n: int) -> list[dict[str, str]]:
    return [
        {"id": f"{i}", "prompt": f"The white whale {i} was called", "fact": "Moby Dick", "hallucination": f"Ahab {i}"}
        for i in range(n)
    ]
