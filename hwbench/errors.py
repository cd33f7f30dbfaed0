"""Errors: what can go wrong, who caused it, and the one line that describes it.

HwbenchError            a failure of hwbench or of the machine: exit code 1
└── InputError          something the caller asked for, or a file that cannot be used: exit code 2; also a ValueError

An error has a `code` for programs, a whole sentence for people, and the parameter or the field of a file that it is
about. Sentences name parameters as Python does; the command line shows the option instead. Only `cli/main.py` turns
an error into an exit code.
"""

from collections.abc import Iterable

_LONGEST_SHOWN = 120


class HwbenchError(Exception):
    """A failure of hwbench, or of the machine: exit code 1."""

    exit_code = 1
    code = "failure"


class InputError(HwbenchError, ValueError):
    """Something the caller asked for, or a file that cannot be used: exit code 2.

    `code` names the kind of error and does not change; `message` is a whole sentence. `field` is a parameter such as
    `batch` or, together with `file`, a path within the file such as `clock.boost`; `line` and `column` count from 1;
    `nearest` holds valid choices.
    """

    exit_code = 2

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
        nearest: Iterable[str] = (),
    ) -> None:
        if message is None:
            code, message = "invalid", code
        super().__init__(message)
        self.code, self.message = code, message
        self.file, self.line, self.column = file, line, column
        self.field, self.nearest = field, tuple(nearest)

    def __str__(self) -> str:
        return self.described(self.field)

    def described(self, field: str | None) -> str:
        """Return place, field, sentence and nearest choices in one line, with `field` as this surface calls it."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        parts = [shown(part, 300) for part in (place, field) if part]
        text = ": ".join([*parts, shown(self.message, 600)])
        if self.nearest:
            text += f" (did you mean {' or '.join(shown(name) for name in self.nearest)}?)"
        return text

    def at(self, *, file: str | None = None, field: str | None = None) -> "InputError":
        """Return the same error with a place, where none was known when it was raised."""
        known = {**vars(self), "file": self.file or file, "field": self.field or field}
        return InputError(known.pop("code"), known.pop("message"), **known)


def shown(text: object, longest: int = _LONGEST_SHOWN) -> str:
    """Return text from outside as one printable line: control characters escaped, long text cut."""
    line = str(text)
    if len(line) > longest:
        line = f"{line[: longest - 1]}…"
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


def nearest(name: str, choices: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Return the valid choices that look most like `name`, best first; none if none does."""
    import difflib

    return tuple(difflib.get_close_matches(name[:_LONGEST_SHOWN].lower(), list(choices), n=most, cutoff=0.6))
