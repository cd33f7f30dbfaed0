"""What can go wrong, who caused it, and how it is said in one line.

Libraries raise; only `cli/main.py` turns an error into an exit code.
"""

from collections.abc import Iterable

_LONGEST_SHOWN = 120


class HwbenchError(Exception):
    """A failure of ours, or of the machine: exit code 1."""

    exit_code = 1


class InputError(HwbenchError):
    """Something the user typed, or a file that cannot be used: exit code 2.

    `field` is a path such as `clock.boost`; `line` and `column` count from 1; `nearest` holds valid choices.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
        nearest: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.field = field
        self.nearest = tuple(nearest)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        parts = [shown(part, 300) for part in (place, self.field) if part]
        text = ": ".join([*parts, shown(self.message, 600)])
        if self.nearest:
            text += f" (did you mean {' or '.join(shown(name) for name in self.nearest)}?)"
        return text

    def at(self, *, file: str | None = None, field: str | None = None) -> "InputError":
        """The same error with a place, where none was known when it was raised."""
        return InputError(
            self.message,
            file=self.file or file,
            line=self.line,
            column=self.column,
            field=self.field or field,
            nearest=self.nearest,
        )


def shown(text: object, longest: int = _LONGEST_SHOWN) -> str:
    """Text from outside as one printable line: control characters escaped, long text cut."""
    line = str(text)
    if len(line) > longest:
        line = f"{line[: longest - 1]}…"
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


def nearest(name: str, choices: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The valid choices that look most like `name`, best first; empty when none does."""
    import difflib

    return tuple(difflib.get_close_matches(name[:_LONGEST_SHOWN].lower(), list(choices), n=most, cutoff=0.6))
