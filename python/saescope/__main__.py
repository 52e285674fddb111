"""``python -m saescope``: the command line."""

from ._command import main

main()
