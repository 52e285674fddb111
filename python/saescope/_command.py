"""The ``saescope`` command: the whole command line, in this process."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from . import _saescope


def main() -> NoReturn:
    """Runs the command line with ``sys.argv`` and exits with its status."""
    # Python's handler would only make a note while the program works; one that is told to ignore Ctrl-C goes on
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # the name by which it is called in its own messages, however it was started
    sys.exit(_saescope.main(["saescope", *sys.argv[1:]]))
