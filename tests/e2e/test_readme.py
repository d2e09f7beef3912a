"""What README and guides tell people to type exists: commands with their options, make targets, settings, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import click
import pytest

from shale.client.cli.main import cli
from shale.provider.config import _KEYS, ProviderConfig

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _typed(page: str) -> Iterator[str]:
    """The lines of a page's console blocks, as a person would type them."""
    text = (ROOT / page).read_text()
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if line.strip():
                yield line.removeprefix("$ ")


def _mentioned(page: str, word: str) -> Iterator[str]:
    """Inline code that begins with `word`."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.split(" ")[0].removeprefix(".venv/bin/") == word:
            yield code


def _lines(word: str) -> list[tuple[str, str]]:
    """Each (page, line) of the console blocks that runs `word`."""
    return [(page, line) for page in PAGES for line in _typed(page) if line.split(" ")[0] == word]


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and what is left for it. Fails on an unknown command or group option."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=command.name)
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not words:
            break
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r} in {command.name}"
        command, words = found, words[1:]
    return command, words


def _check(line: str, *, whole: bool) -> None:
    """The line's commands and options exist; a `whole` line also has all that is required, in the right form."""
    words = shlex.split(line, comments=True)[1:]
    command, rest = _resolve(words)
    if not whole:
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
        options = {word.split("=")[0] for word in rest if word.startswith("-") and word != "--"}
        assert options <= known, f"{line}: no option {sorted(options - known)}"
        return
    _without_files(command).make_context(command.name, list(rest))


def _without_files(command: click.Command) -> click.Command:
    """The same command, for which no file that it names need be there."""
    plain = copy(command)
    plain.params = [copy(param) for param in command.params]
    for param in plain.params:
        if isinstance(param.type, click.Path):
            param.type = click.STRING
    return plain


@pytest.mark.parametrize(("page", "line"), _lines("shale"))
def test_each_shale_line_of_a_console_block_is_a_real_command(page: str, line: str) -> None:
    try:
        _check(line, whole=True)
    except click.UsageError as error:
        pytest.fail(f"{page}: {line}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES)
def test_each_shale_command_named_in_the_text_exists(page: str) -> None:
    for code in _mentioned(page, "shale"):
        words = code.split()
        if len(words) > 1 and "…" not in code:
            _check(code, whole=False)


@pytest.mark.parametrize("page", PAGES)
def test_each_make_target_named_in_a_page_exists(page: str) -> None:
    lines = [line for line in _typed(page) if line.startswith("make ")] + list(_mentioned(page, "make"))
    for line in lines:
        for word in shlex.split(line, comments=True)[1:]:
            assert "=" in word or word in TARGETS, f"{page}: there is no target {word}"


def test_the_pages_have_the_lines_that_these_tests_are_about() -> None:
    pages = {page for page, _ in _lines("shale")}
    assert {"README.md", "docs/guide/client.md", "docs/guide/provider.md"} <= pages


def test_the_guides_name_each_command_of_the_client_and_the_provider() -> None:
    told = {" ".join(shlex.split(line)[1:3]) for _, line in _lines("shale")}
    told |= {word.split()[0] for word in told if word}
    commands = set(cli.list_commands(click.Context(cli))) - {"demo", "completion"}
    assert commands <= told, f"no guide shows {sorted(commands - told)}"


@pytest.mark.parametrize("page", PAGES)
def test_each_link_to_a_file_of_the_repository_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target} is not there"


def test_the_providers_guide_lists_every_setting_with_its_default() -> None:
    text = (ROOT / "docs/guide/provider.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]*?) \|", text, re.MULTILINE))
    names = {".".join(key): field for key, field in _KEYS.items()}
    missing = sorted(names.keys() - rows.keys())
    assert not missing, f"the guide lacks {missing}"
    for key, field in names.items():
        default = getattr(ProviderConfig(), field)
        if isinstance(default, int) or (isinstance(default, str) and default and key not in ("name", "public.host")):
            assert rows[key] == str(default), f"{key} is {default}, the guide says {rows[key]}"
