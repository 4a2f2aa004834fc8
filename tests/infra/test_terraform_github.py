"""The whole way to GitHub: the real provider, built from its Go module, applied to a stand-in of GitHub's API."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra import github_api, schema_drift
from tests.infra.go_tools import built, needs_go
from tests.infra.schema_provider import load, serving
from tests.infra.terraform_cli import ROOT, SCHEMAS, Terraform, copied, write

MODULE = "terraform-provider-github"
PACKAGE = "github.com/integrations/terraform-provider-github/v6"
BINARY = shutil.which("terraform") or shutil.which("tofu")
VALUES = {"repository": f'"{github_api.OWNER}/{github_api.NAME}"', "reviewers": "[101, 102]"}
SECRETS = {"ACCESS_TOKENS", "FLY_API_TOKEN", "POE_API_KEYS"}

pytestmark = [
    pytest.mark.long,
    needs_go,
    pytest.mark.skipif(BINARY is None, reason="no terraform or tofu binary"),
]


@pytest.fixture(scope="module")
def provider() -> Path:
    return built(MODULE, PACKAGE)


@pytest.fixture
def github() -> Iterator[github_api.Repository]:
    with github_api.serving() as repository:
        yield repository


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the environment `production` that keeps its state in a file beside it."""
    folder = copied(tmp_path / "terraform") / "environments" / "production"
    write(folder, **VALUES)
    (folder / "override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    return folder


@pytest.fixture
def terraform(provider: Path, github: github_api.Repository, tree: Path, tmp_path: Path) -> Iterator[Terraform]:
    """Terraform with the real GitHub provider from a folder, and of the others the schemas alone."""
    others = {f"{name}/{name}": load(SCHEMAS / f"{name}.json") for name in ("cloudflare", "grafana")}
    with serving(others) as environ:
        own = {"GITHUB_BASE_URL": github.url, "GITHUB_TOKEN": "planted-github-token", **environ}
        runner = Terraform(tmp_path, own)
        version = re.search(rf"^require {PACKAGE} v(\S+)|^\t{PACKAGE} v(\S+)", _pinned(), re.MULTILINE)
        assert version
        number = version[1] or version[2]
        # Where Terraform looks in a mirror: under the address that it knows the provider by.
        told = runner.run(ROOT / "modules" / "github", "providers")
        (address,) = set(re.findall(r"provider\[(\S+/integrations/github)\]", told))
        place = tmp_path / "mirror" / address / number / f"linux_{_architecture()}" / f"{MODULE}_v{number}"
        place.parent.mkdir(parents=True)
        place.symlink_to(provider)
        runner.run(tree, "init", "-input=false", f"-plugin-dir={tmp_path / 'mirror'}")
        yield runner


def _pinned() -> str:
    return (Path(__file__).with_name("tools") / MODULE / "go.mod").read_text()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def test_an_environment_is_made_kept_and_taken_away(
    terraform: Terraform, tree: Path, github: github_api.Repository
) -> None:
    github.set_secret("production", "FLY_API_TOKEN")  # by `./dev setup`, which does this before Terraform is ever run
    github.set_variable("production", "FLY_APP", "poe-proxy-before")
    apply = ("apply", "-input=false", "-auto-approve")
    told = terraform.run(tree, *apply)
    assert "2 imported" in told

    made = github.environments["production"]
    assert set(made.secrets) == SECRETS
    put = {line.rpartition("/")[2] for line in github.log if re.match(r"PUT .*/secrets/", line)}
    assert put == SECRETS - {"FLY_API_TOKEN"}, "a value that was there has been overwritten"
    assert {each["value"] for each in made.variables.values()} == {"poe-proxy"}
    assert [each["name"] for each in made.policies.values()] == ["main"]
    assert made.said["prevent_self_review"] is True
    assert {each["id"] for each in made.said["reviewers"]} == {101, 102}
    assert made.said["can_admins_bypass"] is False
    (ruleset,) = github.rulesets.values()
    (checks,) = [rule for rule in ruleset["rules"] if rule["type"] == "required_status_checks"]
    assert {each["context"] for each in checks["parameters"]["required_status_checks"]} == {"check", "test"}

    plan = ("plan", "-input=false", "-detailed-exitcode")
    terraform.run(tree, *plan)
    github.set_secret("production", "POE_API_KEYS", when="2026-11-20T00:00:00Z")  # by whoever holds the value
    terraform.run(tree, *plan)

    before = len(github.log)
    told = terraform.run(tree, *apply)
    assert "0 added, 0 changed, 0 destroyed" in told
    assert len(github.log) == before

    state = (tree / "terraform.tfstate").read_text()
    assert "planted" not in state
    values = [
        each["attributes"]["value"]
        for resource in json.loads(state)["resources"]
        if resource["type"] == "github_actions_environment_secret"
        for each in resource["instances"]
    ]
    assert set(values) <= {"unset", None, ""}

    terraform.run(tree, "destroy", "-input=false", "-auto-approve")
    assert not github.environments
    assert not github.rulesets


def test_the_kept_schema_is_the_providers_own(terraform: Terraform, tree: Path) -> None:
    real = json.loads(terraform.run(tree, "providers", "schema", "-json"))["provider_schemas"]
    (address,) = [each for each in real if each.endswith("/integrations/github")]
    kept = json.loads((SCHEMAS / "github.json").read_text())
    assert schema_drift.drift(kept, real[address]) == []
    assert schema_drift.cut(kept, real[address]) == kept


def test_the_real_provider_accepts_what_the_schemas_accept(terraform: Terraform, tree: Path) -> None:
    terraform.run(tree, "validate")


@needs_go
def test_tflint_finds_nothing() -> None:
    tflint = built("tflint", "github.com/terraform-linters/tflint")
    done = subprocess.run(
        (tflint, "--recursive", "--no-color", f"--config={ROOT / '.tflint.hcl'}"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
