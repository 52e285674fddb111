"""Progress where it is shown: plain lines, a terminal, a real notebook kernel."""

from __future__ import annotations

import io
import json
import os
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from harness import Case, model, triples
from jupyter_client.manager import KernelManager

import saescope
from saescope import _progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Shown(Case):
    def test_lines_say_what_the_command_says(self) -> None:
        with mock.patch("sys.stderr", io.StringIO()) as said:
            saescope.analyze(triples(), **model(), device="cpu", out="out")
        lines = said.getvalue().splitlines()
        heading = r"(?m)^model on the CPU \(\d+ threads\): 12 samples, SAEs at layers 1, 2, 3$"
        self.assertRegex(said.getvalue(), heading)
        self.assertTrue(any(line.startswith("12/12 | ") and "/s | ETA 0s" in line for line in lines), lines)
        self.assertNotIn("\x1b", said.getvalue())

    def test_a_terminal_has_a_bar_that_goes_when_the_run_ends(self) -> None:
        with mock.patch("sys.stderr", Terminal()) as said:
            saescope.analyze(triples(), **model(), device="cpu", out="out")
        text = said.getvalue()
        self.assertIn("█" * 30 + " 12/12", text)
        self.assertTrue(text.endswith("\r\x1b[2K"), repr(text[-60:]))

    def test_nothing_is_said_unasked(self) -> None:
        with mock.patch("sys.stderr", io.StringIO()) as said:
            saescope.analyze(triples(), **model(), device="cpu", out="out", progress=False)
        self.assertEqual(said.getvalue(), "")
        with mock.patch("sys.stderr", None):
            saescope.analyze(triples(), **model(), device="cpu", out="out", force=True)

    def test_durations_are_short(self) -> None:
        self.assertEqual([_progress._duration(s) for s in (14.2, 125, 3725)], ["14s", "2m05s", "1h02m"])
        self.assertEqual(str(saescope.Progress(0.0, 5, 0.0, None, 0, 4)), "0/5 | 0.0/s | ETA -")


class Notebook(Case):
    """A kernel as a notebook has it."""

    def setUp(self) -> None:
        super().setUp()
        self.kernel = KernelManager()
        self.kernel.start_kernel(cwd=str(self.folder))
        self.addCleanup(self.kernel.shutdown_kernel, now=True)
        self.client = self.kernel.blocking_client()
        self.addCleanup(self.client.stop_channels)
        self.client.start_channels()
        self.client.wait_for_ready(timeout=300)
        Path("asked.json").write_text(json.dumps({**model(), "device": "cpu"}))
        self.cell("import json, saescope\nasked = json.load(open('asked.json'))\n"
                  "asked['saes'] = {int(k): v for k, v in asked['saes'].items()}")

    def cell(self, code: str, interrupt_at: str | None = None) -> list[dict[str, Any]]:
        """Runs a cell; the messages that a notebook would draw."""
        asked = self.client.execute(code)
        seen: list[dict[str, Any]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=300)
            if message["parent_header"].get("msg_id") != asked:
                continue
            seen.append(message)
            if interrupt_at and interrupt_at in json.dumps(message["content"]):
                interrupt_at = None
                self.kernel.interrupt_kernel()
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return seen

    def test_a_cell_has_one_bar_that_grows_and_goes(self) -> None:
        self.write("t.json", triples())
        seen = self.cell("run = saescope.analyze('t.json', **asked, out='out')\nlen(run.metrics)")
        kinds = [message["msg_type"] for message in seen]
        self.assertEqual(kinds.count("display_data"), 1, kinds)
        shown = [m["content"] for m in seen if m["msg_type"] in ("display_data", "update_display_data")]
        self.assertIn("<progress", shown[0]["data"]["text/html"])
        self.assertEqual(len({content["transient"]["display_id"] for content in shown}), 1)
        self.assertIn('<progress value="12.00" max="12">', shown[-2]["data"]["text/html"])
        self.assertEqual(shown[-1]["data"]["text/html"], "")
        result = [m["content"]["data"]["text/plain"] for m in seen if m["msg_type"] == "execute_result"]
        self.assertEqual(result, ["12"])

    def test_a_cell_that_ends_in_a_report_shows_it(self) -> None:
        self.write("t.json", triples())
        seen = self.cell("saescope.report(saescope.analyze('t.json', **asked, out='out', progress=False))")
        shown = [m["content"]["data"] for m in seen if m["msg_type"] == "execute_result"]
        self.assertEqual([data["text/plain"] for data in shown], ["saescope.report('out')"])
        self.assertTrue(shown[0]["text/html"].startswith("<iframe sandbox="))

    @unittest.skipIf(os.name == "nt", "a kernel is interrupted otherwise on Windows")
    def test_a_cell_that_is_interrupted_ends_and_the_run_goes_on_in_the_next(self) -> None:
        rows = [{"id": str(i), "prompt": f"The whale {i} was", "fact": "white", "hallucination": f"{i}"} for i in range(1500)]
        self.write("t.json", rows)
        seen = self.cell("saescope.analyze('t.json', **asked, out='out', pass_size=10)", interrupt_at="<progress")
        errors = [m["content"]["ename"] for m in seen if m["msg_type"] == "error"]
        self.assertEqual(errors, ["KeyboardInterrupt"])
        if Path("out/unfinished.spool").exists():
            seen = self.cell("len(saescope.analyze(resume='out', progress=False).metrics)")
        else:
            seen = self.cell("len(saescope.analyze('t.json', **asked, out='out', progress=False).metrics)")
        result = [m["content"]["data"]["text/plain"] for m in seen if m["msg_type"] == "execute_result"]
        self.assertEqual(result, ["1500"], seen)
