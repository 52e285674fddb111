"""What can go wrong, by kind."""

from __future__ import annotations

import re

# options of the command line that are called otherwise here
_NAMES = {"dataset": "data", "sae": "saes", "ignore-config-field": "ignore_config_fields", "pass": "pass_size"}


def _in_python(text: str) -> str:
    """Options of the command line as the arguments of ``analyze``: `--device cpu` is `device="cpu"`."""

    def argument(option: re.Match[str]) -> str:
        name = _NAMES.get(option["name"], option["name"].replace("-", "_"))
        return f'{name}="{option["value"]}"' if option["value"] else name

    return re.sub(r"(?<![\w-])--(?P<name>[a-z][a-z-]*[a-z])(?: (?P<value>[a-z0-9:.]+)(?=`))?", argument, text)


class Error(Exception):
    """Everything that saescope raises.

    ``message`` says what is wrong, ``hint`` what to do about it; ``expected`` and ``found`` are there where two
    things differ.
    """

    message: str
    hint: str | None
    expected: str | None
    found: str | None

    def __init__(
        self, message: str, hint: str | None = None, expected: str | None = None, found: str | None = None
    ) -> None:
        super().__init__(message, hint, expected, found)
        self.message = _in_python(message)
        self.hint = _in_python(hint) if hint else None
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class IoError(Error, OSError):
    """The system refused to read or write."""

    def __init__(
        self, message: str, hint: str | None = None, expected: str | None = None, found: str | None = None
    ) -> None:
        super().__init__(message, hint, expected, found)
        # what Python reads out of the arguments of such an error is not in them
        self.errno = None
        self.strerror = self.message
        self.filename = None


class MalformedError(Error, ValueError):
    """A file or a table is not what its format says."""


class MissingError(Error, LookupError):
    """Something that was asked for is not there: a file, a model, an SAE."""


class UnsupportedError(Error, NotImplementedError):
    """Well-formed, but not something that saescope computes correctly."""


class MismatchError(Error, ValueError):
    """Two inputs that do not fit each other."""


class DeviceError(Error, RuntimeError):
    """The device failed, or is not there."""


class OutOfMemoryError(Error, MemoryError):
    """There is not enough memory."""


class UsageError(Error, ValueError):
    """An argument that cannot be meant."""
