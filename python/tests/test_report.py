"""The report of a run, and a run in parts."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pyarrow as pa
from harness import SCRIPT, Case, hashes, model, triples

import saescope


class Reported(Case):
    def test_it_is_the_commands_document_and_is_shown_as_one(self) -> None:
        run = saescope.analyze(triples(), **model(), device="cpu", out="out", progress=False)
        report = saescope.report(run, height=432)
        done = self.run_command("report", "out", "--out", "by_command.html", program=SCRIPT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(report.html, Path("by_command.html").read_text(encoding="utf-8"))
        self.assertEqual(report.save(), Path("out/report.html"))
        self.assertEqual(report.save("else.html").read_text(encoding="utf-8"), report.html)
        with self.assertRaisesRegex(saescope.UsageError, "is there already"):
            report.save()
        self.assertEqual(saescope.report("out").save(force=True), Path("out/report.html"))
        shown = report._repr_html_()
        frame = re.fullmatch(r'<iframe sandbox="([^"]*)" [^>]*srcdoc="([^"]*)"></iframe>', shown)
        assert frame is not None
        self.assertEqual(html.unescape(frame[2]), report.html)
        self.assertNotIn("allow-same-origin", frame[1])
        self.assertIn("height: 432px", shown)
        self.assertEqual(repr(report), "saescope.report('out')")

    def test_what_is_no_run_is_refused_at_once(self) -> None:
        with self.assertRaises(saescope.MissingError):
            saescope.report("nothing")
        run = saescope.analyze(triples(), **model(), device="cpu", out="out", progress=False)
        with self.assertRaisesRegex(saescope.UsageError, "height"):
            saescope.report(run, height=0)
        Path("out/stats.parquet").write_bytes(b"else")
        with self.assertRaisesRegex(saescope.MismatchError, "stats.parquet"):
            saescope.report(run)


class Parts(Case):
    def test_parts_by_hand_are_the_whole_run(self) -> None:
        rows = [*triples(), {"id": "none", "prompt": "a"}]
        self.write("t.json", rows)
        expected = self.run_by_command("t.json", "--skip-invalid")
        survey = saescope.Survey({"t.json": Path("t.json").read_bytes()}, skip_invalid=True, progress=False)
        self.assertEqual(survey.samples, len(rows) - 1)
        self.assertEqual([(row.id, row.row) for row in survey.rejected], [("none", len(rows))])
        self.assertIn("fact", survey.rejected[0].reason)
        engine = saescope.Engine(**model(), device="cpu", progress=False)
        folders = []
        for number, table in survey.parts(3).items():
            places = pa.table(table)["place"].to_pylist()
            self.assertEqual(pa.table(table)["id"].to_pylist(), [rows[place]["id"] for place in places])
            asked = {"places": places, "whole": survey.whole, "shard": f"{number}/3", "out": f"p{number}", "run_id": "r"}
            done = engine.part(table, **asked, progress=False)
            self.assertEqual(done, saescope.Part(len(table), 0, []))
            self.assertEqual(engine.part(table, **asked, progress=False), saescope.Part(len(table), len(table), []))
            folders.append(f"p{number}")
        self.assertEqual(self.run_command("merge", *folders, "--out", "whole", program=SCRIPT).returncode, 0)
        self.assertEqual(hashes(Path("whole")), expected)

    def test_what_a_survey_and_an_engine_refuse(self) -> None:
        content = json.dumps([{"prompt": "a", "fact": "b"}]).encode()
        with self.assertRaisesRegex(saescope.MalformedError, "t.json"):
            saescope.Survey({"t.json": content}, progress=False)
        self.assertEqual(saescope.Survey(progress=False).samples, 200)
        with self.assertRaises(saescope.MissingError):
            saescope.Engine(model="no/model/here", progress=False)
        survey = saescope.Survey(limit=3, progress=False)
        engine = saescope.Engine(**model(), device="cpu", progress=False)
        ((number, table), *_) = survey.parts(1).items()
        with self.assertRaisesRegex(saescope.UsageError, "3/8"):
            engine.part(table, places=[0], whole=b"", shard="eight", out="p", run_id="r", progress=False)
        with self.assertRaisesRegex(saescope.MismatchError, "places of a part"):
            engine.part(table, places=[0], whole=survey.whole, shard=f"{number}/1", out="p", run_id="r", progress=False)
        self.assertFalse(Path("p").exists())
