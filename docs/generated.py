"""What a build of the documentation writes: the command line from its commands, JSON Schemas, words, `llms.txt`."""

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
from mkdocs.structure.files import File, Files

from hwbench import __version__
from hwbench.cli.main import hwbench
from hwbench.cli.options import LANGUAGE, TRACED

sys.path.append(str(Path(__file__).parents[1]))
from docs.schemas import FORMS, schema

GLOSSARY = Path(__file__).parent / "reference" / "glossary.md"


def on_config(config: Any) -> None:
    """State the version that the pages describe, and where each is edited if there is a repository to edit it in."""
    config.copyright = f"hwbench {__version__}"
    config.edit_uri = "edit/main/docs/" if config.repo_url else None


def on_files(files: Files, config: Any) -> None:
    """Add the generated pages to those of the site."""
    files.append(File.generated(config, "reference/cli.md", content=command_line()))
    for name in FORMS:
        text = msgspec.json.format(msgspec.json.encode(schema(name)), indent=1)
        files.append(File.generated(config, f"reference/schemas/{name}.json", content=text))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with the words of the glossary explained where they are used, but for words of every day."""
    return "\n".join([markdown, "", *(f"*[{word}]: {text}" for word, text in definitions().items()), ""])


@cache
def definitions() -> dict[str, str]:
    """Return the first sentence of each definition whose word has a capital, a digit or a space."""
    text = (
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", GLOSSARY.read_text(encoding="utf-8")).replace("*", "").replace("`", "")
    )
    entries = re.findall(r"^### (.*)\n\n((?:.+\n)+)", text, re.MULTILINE)
    return {
        word: re.split(r"[.:;] ", " ".join(entry.split()))[0].rstrip(".")
        for word, entry in entries
        if re.search("[A-Z0-9 ]", word)
    }


def on_env(_env: Any, config: Any, files: Files) -> None:
    """Write `llms.txt`: a line for every page, for language models that read the site."""
    lines, section = [f"# {config.site_name}", "", f"> {config.site_description}", ""], None
    page = next(file.page for file in files.documentation_pages() if file.page and file.page.is_homepage)
    while page:
        if page.ancestors and page.ancestors[-1].title != section:
            section = page.ancestors[-1].title
            lines += ["", f"## {section}", ""]
        lines.append(f"- [{page.title}]({page.url})")
        page = page.next_page
    files.append(File.generated(config, "llms.txt", content="\n".join(lines) + "\n"))


def command_line() -> str:
    """Return a page with every command, its examples and its options."""
    return "\n".join(["# Command line", "", *_sections(hwbench, "hwbench", None), ""])


def _sections(command: click.Command, path: str, above: click.Context | None) -> Iterator[str]:
    """Yield the lines about a command and about all commands below it."""
    with click.Context(command, above, path.rpartition(" ")[2], **command.context_settings) as context:
        if above:
            yield f"{'#' * (path.count(' ') + 1)} {path}\n"
        yield f"```text\n{' '.join(command.get_usage(context).removeprefix('Usage: ').split())}\n```\n"
        yield from _paragraphs(inspect.cleandoc(command.help or ""))
        yield from _options(command, context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from _sections(below, f"{path} {name}", context)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; lines that click is told to keep, after their title, are code."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *lines = paragraph.removeprefix("\b\n").split("\n")
            yield "\n".join([title, "", "```text", *map(str.strip, lines), "```", ""])
        else:
            yield f"{paragraph}\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the options of a command as lists; those of traced models where `count` explains them."""
    every = [each for each in command.get_params(context) if isinstance(each, click.Option) and not each.hidden]
    for title in ("Options", LANGUAGE, TRACED):
        options = [each for each in every if getattr(each, "section", "Options") == title]
        names = ", ".join(f"`{max(each.opts, key=len)}`" for each in options)
        if title == TRACED and names and command.name != "count":
            yield f"**{title}**: {names}, as of [count](#hwbench-count)\n"
        elif options:
            records = [each.get_help_record(context) for each in options]
            yield "\n".join(
                [f"**{title}**", "", *(f"- `{record[0]}`: {record[1]}" for record in records if record), ""]
            )
