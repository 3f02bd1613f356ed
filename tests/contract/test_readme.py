"""What README and the quickstart tell people to type exists, and every link leads somewhere."""

import re
from pathlib import Path

import click
import pytest
import rayyarn_cli.reference as reference

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = dict(reference.commands())
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TYPED = ["README.md", "docs/quickstart.md", "CONTRIBUTING.md"]


def typed(page, program):
    """The command lines of ``program`` in the code blocks and spans of a page, as words, without comments."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in [*"\n".join(blocks).splitlines(), *spans]:
        for part in line.removeprefix("$ ").partition(" #")[0].split("&&"):
            words = part.split()
            if words[:1] == [program] and len(words) > 1:
                yield words[1:]


@pytest.mark.parametrize("page", TYPED)
def test_every_make_target_that_is_told_exists(page):
    told = {word for words in typed(page, "make") for word in words if "=" not in word}
    assert told
    assert told <= TARGETS


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_every_rayyarn_command_that_is_told_exists(page):
    lines = list(typed(page, "rayyarn"))
    assert len(lines) >= 5
    for words in lines:
        ours = words[: words.index("--")] if "--" in words else words
        name = " ".join(ours[:2]) if " ".join(ours[:2]) in COMMANDS else ours[0]
        assert name in COMMANDS or any(known.startswith(f"{name} ") for known in COMMANDS), words
        if name in COMMANDS:
            options = {text for one in COMMANDS[name].params if isinstance(one, click.Option) for text in one.opts}
            assert {word.partition("=")[0] for word in ours if word.startswith("-")} <= options, words


def test_every_target_is_in_the_help_of_make():
    text = (ROOT / "Makefile").read_text()
    for target in re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split():
        assert target.startswith("check-") or re.search(rf"^{target}: .*## ", text, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_ci_runs_make_test_and_nothing_cleverer():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().splitlines()[-1] == "exec make test"
