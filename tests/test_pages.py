"""Built tutorials on a phone: nothing is cut off, figures and formulas are shown, nothing is asked of others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import Browser

ROOT = Path(__file__).parents[1]
PAGES = [
    path.relative_to(ROOT / "docs") for folder in ("tutorials", "zh") for path in (ROOT / "docs" / folder).glob("*.md")
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the documentation as `make docs` builds it."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return folder


def test_tutorials_fit_a_phone(site: Path, browser: Browser) -> None:
    for page in PAGES:
        browser.show(site / page.with_suffix(".html"), width=375)
        assert browser.script("return document.documentElement.scrollWidth") == 375, page
        assert browser.script("return [...document.images].filter(each => !each.naturalWidth).length") == 0, page
        assert browser.script("return document.querySelectorAll('.arithmatex').length") == 0, page
        folded = "return [...document.querySelectorAll('details')].filter(each => !each.open).length"
        assert browser.script(folded) >= 4, page
        assert browser.requests() == [], page
