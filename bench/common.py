"""What the tables of this folder share: the triples, the machine, a run of saescope, marks in RESULTS.md."""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILTIN = ROOT / "crate/dataset/builtin.jsonl"
# pipeline.py, gguf_models.py, slow_metrics.py
sys.path.insert(0, str(ROOT / "reference"))


def need(*modules: str) -> None:
    """Ends the program with what to install where a module is not there."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SystemExit(f"{error}\nhint: {sys.executable} -m pip install -r bench/requirements.txt") from error


def threads() -> int:
    return os.cpu_count() or 1


def processor() -> str:
    try:
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return found[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def peak_bytes() -> int:
    """The most memory that this process has had, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Others:
    """How many processors other programs keep busy from now on: what a clock on the wall counts, too."""

    def __init__(self):
        self.began = self.now()

    @staticmethod
    def now() -> tuple[float, float, float]:
        """Seconds: on the wall, of all processors, of this process and the children that have ended."""
        own = sum(os.times()[:4])
        try:
            user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        except OSError:
            return time.monotonic(), float("nan"), own
        return time.monotonic(), (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"), own

    def processors(self) -> float:
        """Not a number where the system does not tell."""
        wall, busy, own = (now - then for now, then in zip(self.now(), self.began))
        return max(0.0, busy - own) / wall


def spread(count: int, of: int) -> list[int]:
    """`count` of the numbers below `of`, evenly apart: a few samples that are of all kinds.

    >>> spread(4, 200)
    [0, 50, 100, 150]
    """
    return [at * of // count for at in range(min(count, of))]


def saescope(program: str, *arguments: str) -> dict:
    """Runs `saescope analyze --device cpu`: the seconds of the whole command, its manifest, `metrics.parquet` as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "analyze", "--device", "cpu", "--out", f"{folder}/run", *arguments]
        started = time.perf_counter()
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError as error:
            raise SystemExit(f"{program}: no such program\nhint: cargo build --release, then --program PATH") from error
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{' '.join(command)}: exit {error.returncode}\n{error.stderr[-2000:]}") from error
        seconds = time.perf_counter() - started
        manifest = json.loads(Path(folder, "run", "manifest.json").read_text())
        metrics = Path(folder, "run", "metrics.parquet").read_bytes()
    return {"seconds": seconds, "manifest": manifest, "metrics": metrics}


def last_json(command: list[str]) -> dict:
    """Runs a script of the project and gives the JSON object that it prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


class Results:
    """The text between two lines `<!-- NAME -->` of a file, and nothing else of it.

    A file without them is refused before anything is measured.
    """

    def __init__(self, path: Path | None, name: str):
        self.path, self.mark = path, f"<!-- {name} -->"
        if path and path.read_text().count(self.mark) != 2:
            raise SystemExit(f"{path}: not two lines {self.mark}")

    def put(self, text: str) -> None:
        """Prints the text, and puts it between the marks."""
        print(text)
        if self.path:
            self.path.write_text(between(self.path.read_text(), self.mark, text))


def between(whole: str, mark: str, text: str) -> str:
    """`whole` with what stands between its two marks replaced.

    >>> between("a|old|b", "|", "new")
    'a|\\nnew\\n|b'
    """
    before, _, rest = whole.partition(mark)
    _, _, after = rest.partition(mark)
    return f"{before}{mark}\n{text}\n{mark}{after}"
