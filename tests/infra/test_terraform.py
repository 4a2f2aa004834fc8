"""Every module and environment: formatted, valid, and right by its own tests, without a provider or a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.github import environment_of
from infra.terraform import written
from tests.infra import write_schemas
from tests.infra.schema_provider import load, serving
from tests.infra.terraform_cli import ADDRESSES, MISSING, ROOT, SCHEMAS, Terraform, found

FOLDERS = sorted(path.parent for path in ROOT.glob("*/*/main.tf"))

needs_terraform = pytest.mark.skipif(not found(), reason=MISSING)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    providers = {address: load(SCHEMAS / f"{name}.json") for address, name in ADDRESSES.items()}
    with serving(providers) as environ:
        yield Terraform(tmp_path_factory.mktemp("terraform"), environ)


def test_there_are_modules_and_environments() -> None:
    names = {f"{path.parent.name}/{path.name}" for path in FOLDERS}
    assert names == {
        *("modules/dns", "modules/environment", "modules/github", "modules/monitoring"),
        *("environments/staging", "environments/production"),
    }


@needs_terraform
@pytest.mark.xdist_group("terraform")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_terraform_accepts_it_and_its_own_tests_pass(terraform: Terraform, folder: Path) -> None:
    terraform.run(folder, "init", "-backend=false", "-input=false")
    terraform.run(folder, "validate")
    told = terraform.run(folder, "test")
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", told)


@needs_terraform
@pytest.mark.xdist_group("terraform")
@pytest.mark.parametrize(
    ("file", "right", "wrong", "sentence"),
    [
        ("modules/dns/main.tf", "  ttl     = 1 # automatic\n", "", 'The argument "ttl" is required'),
        ("modules/monitoring/main.tf", "folder_uid ", "folder_id ", 'An argument named "folder_id" is not expected'),
        ("modules/github/main.tf", "secret_name = each.value", "secret_name = []", "string required"),
    ],
)
def test_a_mistake_is_found(
    terraform: Terraform, tmp_path: Path, file: str, right: str, wrong: str, sentence: str
) -> None:
    """The schemas are complete enough to be worth testing against."""
    folder = tmp_path / Path(file).parent
    shutil.copytree((ROOT / file).parent, folder)
    changed = folder / Path(file).name
    text = changed.read_text()
    assert right in text
    changed.write_text(text.replace(right, wrong))
    terraform.run(folder, "init", "-backend=false", "-input=false")
    told = terraform.run(folder, "validate", code=1)
    assert sentence in " ".join(re.sub(r"[│╷╵]", " ", told).split())


@needs_terraform
def test_the_files_are_formatted(terraform: Terraform) -> None:
    terraform.run(ROOT, "fmt", "-check", "-recursive", "-diff")


def test_hand_written_schemas_are_what_their_program_writes() -> None:
    assert (SCHEMAS / "cloudflare.json").read_text() == write_schemas.cloudflare()
    assert (SCHEMAS / "grafana.json").read_text() == write_schemas.grafana()


def test_environments_differ_in_nothing_but_their_values() -> None:
    staging, production = (ROOT / "environments" / name / "root.tf" for name in ("staging", "production"))
    assert 'key            = "staging/terraform.tfstate"' in staging.read_text()
    assert staging.read_text().replace("staging", "production") == production.read_text()


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_tasks_find_an_apps_environment_by_the_name_that_is_written_there(environment: str) -> None:
    assert environment_of(written(environment, "app")) == environment
    assert written(environment, "name") == environment


def test_no_state_and_no_lock_of_local_builds_is_committed() -> None:
    assert not [path for path in ROOT.rglob("*") if path.name == ".terraform" or ".tfstate" in path.name]
    for lock in ROOT.rglob(".terraform.lock.hcl"):  # made online: hashes of archives, and not of one local build alone
        assert "zh:" in lock.read_text()
