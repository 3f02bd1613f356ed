"""Everything a user can type or meet is documented, and what is documented exists."""

import inspect
import re
from pathlib import Path

import click
import pytest
import rayyarn_cli.reference as reference

from rayyarn import settings

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = dict(reference.commands())


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", reference.PAGES)
def test_generated_pages_are_up_to_date(name):
    text = page(name)
    assert reference.filled(text, reference.PAGES[name]()) == text, "run: python -m rayyarn_cli.reference docs"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_and_option_is_documented(words):
    text = page("reference/cli.md")
    common = text.partition("<!-- generated -->")[0]
    section = re.search(rf"^## `rayyarn {words} .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, words
    for option in COMMANDS[words].params:
        if isinstance(option, click.Option):
            assert option.opts[-1] in section[0] or option.opts[-1] in common


@pytest.mark.parametrize("words", COMMANDS)
def test_the_data_of_every_command_is_documented(words):
    assert re.search(rf"^\| (`[a-z ]+`, )*`{words}`", page("reference/json.md"), re.MULTILINE)


@pytest.mark.parametrize("key", settings.ALL_SETTINGS)
def test_every_setting_is_documented_by_all_its_names(key):
    setting, text = settings.ALL_SETTINGS[key], page("reference/configuration.md")
    assert f"| `{key}` |" in text
    assert setting.variable in text


def documented_errors():
    """(code, exit code) of each section of the troubleshooting page."""
    return re.findall(r"^## ([a-z_]+)\n\nExit code (\d+)", page("troubleshooting.md"), re.MULTILINE)


def test_every_error_code_has_its_section_and_no_other_code_has_one():
    meant = [(kind.code, str(kind.exit_code)) for kind in reference.error_classes()]
    assert sorted(documented_errors()) == sorted(meant)


def test_a_section_says_more_than_its_heading():
    for section in re.split(r"^## ", page("troubleshooting.md"), flags=re.MULTILINE)[1:]:
        assert len(section.split()) > 20, section.splitlines()[0]


def test_every_exit_code_is_documented():
    text = page("reference/exit-codes.md")
    codes = {0, 125, 126, 127, 143, *(kind.exit_code for kind in reference.error_classes())}
    for code in codes:
        assert re.search(rf"^\| (\d+, )?{code}\b", text, re.MULTILINE), code


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_the_table_of_contents():
    index = page("index.md")
    for path in DOCS.rglob("*.md"):
        if path.name != "index.md":
            assert f"({path.relative_to(DOCS)})" in index, path.relative_to(DOCS)


def test_every_error_class_says_what_it_is():
    for kind in reference.error_classes():
        assert inspect.getdoc(kind)
