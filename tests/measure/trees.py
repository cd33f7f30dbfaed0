"""Recorded and made-up file trees of machines that tests of measurements share."""

from pathlib import Path

from hwbench.machine.host.files import Files

HOSTS = Path(__file__).parents[1] / "hosts"


def tree(folder: Path, files: dict[str, str]) -> Files:
    for name, text in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Files(str(folder))
