"""The documents say what is there: links lead somewhere, named places exist, both READMEs tell the same."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from service.api.cors import EXPOSED
from service.observe.metrics import Metrics
from service.routing.catalogue import Catalogue
from service.sandbox.catalogue import BY_ID
from service.settings import described, load

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/decisions/*.md")
    for path in ROOT.glob(pattern)
)
DECISIONS = [name for name in DOCUMENTS if re.search(r"decisions/\d{4}-", name)]
PLACES = ("service", "infra", "tests", "bench", "docs", "data")
SELLING = re.compile(
    r"\b(?:blazing\w*|seamless\w*|effortless\w*|cutting[- ]edge|state[- ]of[- ]the[- ]art|world[- ]class"
    r"|game[- ]chang\w+|revolutionary|supercharge\w*|unleash\w*|next[- ]gen\w*|enterprise[- ]grade|battle[- ]tested"
    r"|production[- ]ready|lightning[- ]fast|powerful|robust|delightful|awesome|amazing)\b"
    r"|极致|强大|一站式|赋能|无缝|颠覆|革命性|业界领先",
    re.IGNORECASE,
)
PICTOGRAM = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\ufe0f]")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str | None = None) -> list[str]:
    """The code blocks of a document, those of one language or all."""
    return [code for lang, code in FENCED.findall(text_of(name)) if language in (None, lang)]


def prose(name: str) -> str:
    """A document without its code blocks."""
    return FENCED.sub("", text_of(name))


def headings(name: str) -> list[str]:
    return re.findall(r"^(#+ .+)$", prose(name), re.MULTILINE)


def anchor(heading: str) -> str:
    """What a heading is called in links."""
    words = re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower())
    return words.replace(" ", "-")


def links(name: str) -> list[str]:
    """Where a document's links lead."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(name)))


def rows(name: str, cells: int) -> list[list[str]]:
    """The rows of all tables of that width, without their heads."""
    lines = [line for line in prose(name).splitlines() if line.startswith("| ")]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in split if len(row) == cells]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    lost = []
    for target in links(name):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        found = file.exists() and file.resolve().is_relative_to(ROOT)
        if found and fragment:
            found = fragment in [anchor(each) for each in headings(str(file.resolve().relative_to(ROOT)))]
        if not found:
            lost.append(target)
    assert not lost


@pytest.mark.parametrize("name", DOCUMENTS)
def test_places_that_are_named_exist(name: str) -> None:
    words = [word for span in re.findall(r"`([^`\n]+)`", prose(name)) for word in span.split()]
    if name == "docs/architecture.md":
        words += [word for block in blocks(name) for word in block.split()]
    places = [word.rstrip(",:") for word in words if re.match(rf"(?:{'|'.join(PLACES)})/", word)]
    missing = [place for place in places if not (ROOT / place).exists() and not place.startswith("data/")]
    assert not missing


def test_the_architecture_names_every_package_of_the_service() -> None:
    text = text_of("docs/architecture.md")
    packages = [path.parent.name for path in (ROOT / "service").glob("*/__init__.py")]
    modules = [path.stem for path in (ROOT / "service").glob("*.py") if path.stem != "__init__"]
    assert not [name for name in (*packages, *modules) if not re.search(rf"\b{name}\b", text)]


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    checked = next(each["layers"] for each in contracts if each["id"] == "layers")
    drawn = next(block for block in blocks("docs/architecture.md") if block.startswith("__main__"))
    assert [line.split() for line in drawn.splitlines()] == [layer.replace(" : ", " ").split() for layer in checked]


def test_both_readmes_have_the_same_sections() -> None:
    first, second = [[len(re.match(r"#+", each)[0]) for each in headings(name)] for name in READMES]  # type: ignore[index]
    assert first == second


def test_both_readmes_have_the_same_code() -> None:
    assert blocks(READMES[0]) == blocks(READMES[1])


def test_both_readmes_have_the_same_tables() -> None:
    """What stands in code spans needs no translation, and there are as many rows in both."""
    first, second = [
        [set(re.findall(r"`[^`]+`", line)) for line in prose(name).splitlines() if line.startswith("|")]
        for name in READMES
    ]
    assert first == second


def test_both_readmes_link_to_the_same_places() -> None:
    first, second = [{target for target in links(name) if not target.startswith("#")} for name in READMES]
    assert first - {READMES[1]} == second - {READMES[0]}


@pytest.mark.parametrize("readme", READMES)
def test_settings_stand_in_the_order_that_the_service_prints(readme: str) -> None:
    told = [row[0].strip("`") for row in rows(readme, 3) if re.fullmatch(r"`[A-Z_]+`", row[0])]
    assert told == [setting.name for setting in described()]


def test_the_example_of_a_settings_file_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(*blocks("README.md", "toml"))
    settings = load({"CONFIG_FILE": str(file)})
    catalogue = Catalogue()
    assert settings.keepalive != load({}).keepalive
    assert settings.models["some-slow-bot"].wire == "bot"
    for model, others in settings.fallbacks.items():
        assert all(catalogue.find(name) for name in (model, *others))


@pytest.mark.parametrize("readme", READMES)
def test_metrics_are_those_that_are_measured(readme: str) -> None:
    metrics = Metrics()
    metrics.watch_keys(lambda: {"a": "usable"}, lambda: {"a": 1})
    measured = {f"{family.name}{'_total' * (family.type == 'counter')}" for family in metrics.registry.collect()}
    told = {name for row in rows(readme, 2) for name in re.findall(r"`(poe_proxy_\w+)`", row[0])}
    assert told == {name for name in measured if name.startswith("poe_proxy_")}


@pytest.mark.parametrize("readme", READMES)
def test_headers_of_answers_are_those_that_browsers_may_read(readme: str) -> None:
    told = {name for row in rows(readme, 2) for name in re.findall(r"`(x-[\w-]+)`", row[0])}
    exposed = {name for name in EXPOSED.decode().split(", ") if name.startswith("x-")}
    assert told == exposed - {"x-proxy-points"}  # which nothing knows yet


@pytest.mark.parametrize("name", [*READMES, "docs/clients.md", "docs/errors.md"])
def test_models_of_the_sandbox_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"\bsandbox-[a-z0-9.-]*[a-z0-9]", text_of(name)))
    assert named
    assert named <= BY_ID.keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_code_that_is_shown_can_be_read(name: str) -> None:
    for code in blocks(name, "json"):
        json.loads(code)
    for code in blocks(name, "yaml"):
        yaml.safe_load(code)
    for code in blocks(name, "python"):
        compile(code, name, "exec")


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions_are_one_page_in_one_form(name: str) -> None:
    number = Path(name).name[:4]
    title, *sections = headings(name)
    assert title.startswith(f"# {number}. ")
    assert sections == ["## Context", "## Decision", "## Consequences", "## Alternatives"]
    assert len(text_of(name).split()) <= 500
    row = f"| [{number}]({Path(name).name}) | {title.partition('. ')[2]} |"
    assert row in text_of("docs/decisions/README.md")


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(Path(name).name[:4]) for name in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_changelog_keeps_its_form() -> None:
    versions = [each for each in headings("CHANGELOG.md") if each.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in versions[1:])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_do_not_sell(name: str) -> None:
    assert not SELLING.findall(text_of(name))
    assert not PICTOGRAM.findall(text_of(name))
