"""Progress of a run: a bar in a terminal and in a notebook, plain lines elsewhere, or a function of the caller's."""

from __future__ import annotations

import html
import shutil
import sys
import time
from typing import Any, Callable, NamedTuple, Protocol, Union


class Progress(NamedTuple):
    """Where a run is."""

    #: Samples (or texts) whose work is done, counted in shares of the whole: a run goes through a model's blocks
    #: with all of them at once.
    done: float
    #: Samples in all.
    total: int
    #: Samples per second so far.
    rate: float
    #: Seconds left at that rate; none before there is one.
    eta: float | None
    #: The block just finished, from 0.
    layer: int
    #: Blocks that are run.
    layers: int

    def __str__(self) -> str:
        eta = "-" if self.eta is None else _duration(self.eta)
        return f"{int(self.done)}/{self.total} | {self.rate:.1f}/s | ETA {eta}"


#: ``True`` shows progress in the way that suits, ``False`` says nothing at all, a function is called with each
#: :class:`Progress`.
Shows = Union[bool, Callable[[Progress], object]]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


class Listener(Protocol):
    """Whom the library tells."""

    def note(self, text: str) -> None: ...

    def progress(
        self, done: float, total: int, rate: float, eta: float | None, layer: int, layers: int
    ) -> None: ...

    def close(self) -> None: ...


class _Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        pass

    def progress(self, *args: Any) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines(_Silent):
    """Plain lines on stderr, one every two seconds at most."""

    every = 2.0

    def __init__(self) -> None:
        self._last = -self.every

    def note(self, text: str) -> None:
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)

    def progress(self, *args: Any) -> None:
        now, progress = time.monotonic(), Progress(*args)
        if progress.done >= progress.total or now - self._last >= self.every:
            self._last = now
            self.note(str(progress))


class _Caller(_Lines):
    """Calls the caller's function; notes go to stderr."""

    def __init__(self, called: Callable[[Progress], object]) -> None:
        super().__init__()
        self._called = called

    def progress(self, *args: Any) -> None:
        self._called(Progress(*args))


class _Bar(_Lines):
    """A bar on the last line of a terminal."""

    every = 0.1
    width = 30

    def __init__(self) -> None:
        super().__init__()
        self._line = ""

    def _write(self, line: str) -> None:
        if sys.stderr is not None:
            columns = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[2K{line[: max(columns - 1, 1)]}")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        self._write("")
        super().note(text)
        if self._line:
            self._write(self._line)

    def progress(self, *args: Any) -> None:
        now, progress = time.monotonic(), Progress(*args)
        if progress.done >= progress.total or now - self._last >= self.every:
            self._last = now
            full = round(self.width * progress.done / max(progress.total, 1))
            self._line = f"{'█' * full}{'░' * (self.width - full)} {progress} | layer {progress.layer + 1}/{progress.layers}"
            self._write(self._line)

    def close(self) -> None:
        if self._line:
            self._line = ""
            self._write("")


class _Notebook(_Lines):
    """A bar below the cell, which goes when the run ends; notes stay."""

    every = 0.2

    def __init__(self, display: Callable[..., Any], html_of: Callable[[str], Any]) -> None:
        super().__init__()
        self._display = display
        self._html = html_of
        self._handle: Any = None

    def _show(self, text: str) -> None:
        if self._handle is None:
            self._handle = self._display(self._html(text), display_id=True)
        else:
            self._handle.update(self._html(text))

    def progress(self, *args: Any) -> None:
        now, progress = time.monotonic(), Progress(*args)
        if progress.done >= progress.total or now - self._last >= self.every:
            self._last = now
            words = html.escape(f"{progress} | layer {progress.layer + 1}/{progress.layers}")
            self._show(f'<progress value="{progress.done:.2f}" max="{progress.total}"></progress> {words}')

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update(self._html(""))


def _notebook() -> Listener | None:
    """For a notebook, where this is one."""
    # who has not imported IPython is in no notebook
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    return _Notebook(display, HTML)


def listener(progress: Shows) -> Listener:
    """Whom to tell, for an argument ``progress``."""
    if callable(progress):
        return _Caller(progress)
    if not progress:
        return _Silent()
    found = _notebook()
    if found is not None:
        return found
    if sys.stderr is not None and sys.stderr.isatty():
        return _Bar()
    return _Lines()
