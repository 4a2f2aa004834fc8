"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.mount import mount
from service.app import make_app
from service.contract.routes import OPERATIONS
from service.settings import Settings, described
from service.values import specs
from service.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
OPEN = {"health", "ready", "index", "getContractYaml", "getContractJson", "getReference"}
"""What anybody may read without a token."""
READMES = ("README.md", "README.zh-CN.md")
# In two pieces, so that this file does not break its own rule.
DOWNLOAD_HOSTS = [
    f"{first}.{last}"
    for first, last in (
        ("files.python" + "hosted", "org"),
        ("py" + "pi", "org/simple"),
        ("registry.np" + "mjs", "org"),
        ("registry.yarn" + "pkg", "com"),
        ("proxy.go" + "lang", "org"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.}$-])/(?:work|root|Users|home/(?!app\b|user\b))/\w")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository, committed or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=20, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    return tuple(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def texts() -> list[tuple[str, str]]:
    """Every file that is text, with its name."""
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:1024]:
            found.append((str(path.relative_to(ROOT)), content.decode("utf-8", errors="replace")))
    return found


def pins(name: str) -> dict[str, str]:
    """Package → version of a requirement file, checked to hold nothing but pins, hashes and comments."""
    found: dict[str, str] = {}
    requirements = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    for line in requirements.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin = re.match(r"([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==([^\s;]+)", line)
        assert pin, f"{name}: {line[:60]} is no pin"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), f"{name}: {pin[1]} has no hash"
        leftover = re.sub(r"--hash=sha256:[0-9a-f]{64}", "", line[pin.end() :])
        assert re.fullmatch(r"\s*(;[^;]*?)?\s*", leftover), f"{name}: {pin[1]} has more than a pin: {leftover}"
        found[f"{pin[1]} {leftover.strip()}"] = pin[2]
    return found


def test_every_module_opens_with_what_it_is() -> None:
    for path in python_files():
        text = path.read_text()
        assert text.startswith('"""'), path
        sentence = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        assert sentence.endswith((".", "?", "!")), f"{path}: {sentence}"


@pytest.mark.parametrize("readme", READMES)
def test_every_setting_is_documented_with_its_default(readme: str) -> None:
    rows = [line for line in (ROOT / readme).read_text().splitlines() if line.startswith("|")]
    for setting in described():
        found = [row for row in rows if f"`{setting.name}`" in row.split("|")[1]]
        assert len(found) == 1, f"{setting.name} has {len(found)} rows in {readme}"
        default = setting.default and f"`{setting.default}`"
        assert default in found[0], f"{readme} gives another default of {setting.name} than {setting.default}"


@pytest.mark.parametrize("readme", READMES)
def test_no_setting_is_documented_that_does_not_exist(readme: str) -> None:
    text = (ROOT / readme).read_text()
    table = next(part for part in re.split(r"\n\s*\n", text) if "| `POE_API_KEYS`" in part)
    named = {name for row in table.splitlines() for name in re.findall(r"`([A-Z][A-Z_]+)`", row.split("|")[1])}
    assert named == {setting.name for setting in described()}


def test_what_needs_no_token_is_named_here() -> None:
    assert {each.id for each in OPERATIONS if not each.security} == OPEN
    assert {each.method for each in OPERATIONS if not each.security} == {"GET"}


def test_every_path_of_the_service_is_in_the_contract_and_the_other_way_round() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    mount(app)
    served = {
        (method, route.path.replace("{model:path}", "{model}"))  # type: ignore[attr-defined]
        for route in app.router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    heads = {("HEAD", each.path) for each in OPERATIONS if each.method == "GET"}
    assert served == {(each.method, each.path) for each in OPERATIONS} | heads


def test_the_contract_is_of_the_services_version() -> None:
    contract = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    told = re.findall(r"^ +version: (.+)$", contract, re.MULTILINE)
    assert told == [VERSION] * 4, "info.version, and the examples of /ready and /"


def test_an_operation_without_a_handler_stops_the_start() -> None:
    with pytest.raises(RuntimeError, match="getReference"):
        mount(FastAPI(), [each for each in OPERATIONS if each.path != "/docs"])


def test_every_operation_but_the_open_ones_asks_for_a_token() -> None:
    settings = Settings(
        poe_base_url="http://127.0.0.1:9",
        access_tokens=specs.tokens("house:a-token-for-the-house-test"),
        poe_api_keys=specs.keys("house:a-key-for-the-house-test"),
        log_level="error",
    )
    with TestClient(make_app(settings)) as client:
        for operation in OPERATIONS:
            for method in {operation.method, operation.method.replace("GET", "HEAD")}:
                answer = client.request(method, operation.path.replace("{model}", "some-model"))
                assert answer.status_code == (401 if operation.security else 200), f"{method} {operation.path}"


def test_requirements_are_pinned_and_hashed_and_name_no_host() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert runtime.items() <= development.items()
    assert {"fastapi", "aiohttp", "uvicorn", "fastapi-poe"} <= {name.partition(" ")[0] for name in runtime}
    assert {"pytest", "invoke", "schemathesis"} <= {name.partition(" ")[0] for name in development.keys() - runtime}


def test_every_requirement_that_is_asked_for_is_pinned() -> None:
    for source, target in (("requirements.in", "requirements.txt"), ("requirements-dev.in", "requirements-dev.txt")):
        lines = [line for line in (ROOT / source).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
        asked = {re.split(r"[\[=]", line.lower())[0].replace("_", "-") for line in lines}
        assert asked <= {name.partition(" ")[0] for name in pins(target)}


def test_no_file_names_a_download_host() -> None:
    found = [(name, host) for name, text in texts() for host in DOWNLOAD_HOSTS if host in text]
    assert not found


def test_no_lock_file_says_where_something_was_downloaded() -> None:
    for path in tracked():
        if path.suffix == ".json" and "lock" in path.name:
            assert "resolved" not in json.dumps(json.loads(path.read_text())), path


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = [(name, match[0]) for name, text in texts() if (match := MACHINE_PATH.search(text))]
    assert not found


def test_every_test_has_a_time_limit() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert 0 < options["timeout"] <= 60
    unlimited = re.compile(r"\btimeout\((0|None)\)|func_only")
    assert not [path for path in python_files() if path != Path(__file__) and unlimited.search(path.read_text())]


def test_warnings_are_errors_but_for_named_ones_of_fastapi_poe() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    first, *exceptions = options["filterwarnings"]
    assert first == "error"
    assert all(re.fullmatch(r"ignore:.{20,}:DeprecationWarning", line) for line in exceptions)
    assert len(exceptions) <= 2
