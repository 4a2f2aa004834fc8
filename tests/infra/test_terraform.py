"""Every module and environment: formatted, valid, and right by its own tests, without a provider or a network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.github import environment_of
from infra.terraform import written
from tests.infra import write_schemas
from tests.infra.schema_provider import load, serving
from tests.infra.terraform_cli import ADDRESSES, MISSING, ROOT, SCHEMAS, Terraform, copied, found, write

FOLDERS = sorted(path.parent for path in ROOT.glob("*/*/main.tf"))

VALUES = {
    "fly_org": '"acme"',
    "alert_emails": '["ops@example.com"]',
    "repository": '"acme/poe-proxy"',
    "reviewers": "[101]",
    "zone_name": '"example.com"',
    "zone_id": '"0123456789abcdef0123456789abcdef"',
}
FLY = {
    "ipv4": ["203.0.113.7"],
    "ipv6": ["2001:db8::7"],
    "certificates": {"poe.example.com": {"acme_target": "poe.example.com.x.flydns.net", "ownership_txt": "app-1234"}},
}
NAMED_BY = {
    "cloudflare_dns_record": ("name", "type", "content"),
    "github_actions_environment_secret": ("repository", "environment", "secret_name"),
    "github_actions_environment_variable": ("repository", "environment", "variable_name"),
    "github_repository_environment": ("repository", "environment"),
    "github_repository_environment_deployment_policy": ("repository", "environment", "branch_pattern"),
    "github_repository_ruleset": ("repository", "name"),
    "grafana_contact_point": ("name",),
    "grafana_dashboard": ("uid",),
    "grafana_data_source": ("uid",),
    "grafana_folder": ("uid",),
    "grafana_rule_group": ("folder_uid", "name"),
}
"""Kind of resource → what the service that holds it tells one from another by."""

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


@pytest.fixture
def planned(terraform: Terraform, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Everything that an environment makes with these values beside `VALUES`, from nothing."""
    copied(tmp_path / "terraform")

    def resources(environment: str, **values: str) -> list[dict[str, Any]]:
        folder = tmp_path / "terraform" / "environments" / environment
        (folder / "override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        (folder / "fly.json").write_text(json.dumps(FLY))
        write(folder, **VALUES, **values)
        terraform.run(folder, "init", "-input=false")
        terraform.run(folder, "plan", "-input=false", "-out=plan")
        return list(
            _resources(json.loads(terraform.run(folder, "show", "-json", "plan"))["planned_values"]["root_module"])
        )

    return resources


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (each for each in module.get("resources", ()) if each["mode"] == "managed")
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _said(resource: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = resource["values"]
    return json.loads(values["config_json"]) if resource["type"] == "grafana_dashboard" else values


@needs_terraform
@pytest.mark.xdist_group("terraform")
def test_no_resource_has_two_owners(planned: Callable[..., list[dict[str, Any]]]) -> None:
    """Both environments share a repository, a Grafana and a zone, and yet nothing in them."""
    names: dict[str, set[tuple[str, ...]]] = {}
    for environment, host in (("staging", "poe-staging.example.com"), ("production", "poe.example.com")):
        names[environment] = {
            (each["type"], *(_said(each)[name] for name in NAMED_BY[each["type"]]))
            for each in planned(environment, hostname=f'"{host}"')
        }
        assert all(None not in name for name in names[environment])
    assert not names["staging"] & names["production"]
    assert {kind for kind, *_ in names["staging"]} == set(NAMED_BY) - {"github_repository_ruleset"}
    assert {kind for kind, *_ in names["production"]} == set(NAMED_BY)


@needs_terraform
@pytest.mark.xdist_group("terraform")
def test_what_an_environment_says_arrives(planned: Callable[..., list[dict[str, Any]]]) -> None:
    made: dict[str, list[dict[str, Any]]] = {}
    for each in planned("production", hostname='"poe.example.com"', required_approvals="2"):
        made.setdefault(each["type"], []).append(each["values"])

    (environment,) = made["github_repository_environment"]
    assert environment["reviewers"][0]["users"] == [101]
    (ruleset,) = made["github_repository_ruleset"]
    assert ruleset["rules"][0]["pull_request"][0]["required_approving_review_count"] == 2
    (variable,) = made["github_actions_environment_variable"]
    assert (variable["variable_name"], variable["value"]) == ("FLY_APP", "poe-proxy")
    assert {each["value"] for each in made["github_actions_environment_secret"]} == {"unset"}

    assert {(each["type"], each["content"]) for each in made["cloudflare_dns_record"]} == {
        ("A", "203.0.113.7"),
        ("AAAA", "2001:db8::7"),
        ("CNAME", "poe.example.com.x.flydns.net"),
        ("TXT", '"app-1234"'),
    }

    (source,) = made["grafana_data_source"]
    assert (source["url"], source["http_headers"]) == (
        "https://api.fly.io/prometheus/acme/",
        {"Authorization": "unset"},
    )
    (contact,) = made["grafana_contact_point"]
    assert contact["email"][0]["addresses"] == ["ops@example.com"]
    (group,) = made["grafana_rule_group"]
    runbook = "https://github.com/acme/poe-proxy/blob/main/docs/runbook.md#"
    assert all(rule["annotations"]["runbook_url"].startswith(runbook) for rule in group["rule"])


def test_nothing_inside_the_app_is_terraforms() -> None:
    """That is flyctl's, so that there is no provider for it, and none that runs a program."""
    sources = {
        name for path in ROOT.rglob("*.tf") for name in re.findall(r'source += "([\w-]+/[\w-]+)"', path.read_text())
    }
    assert sources == set(ADDRESSES)
    texts = "".join(path.read_text() for path in ROOT.rglob("*.tf"))
    assert not re.search(r'provisioner|local-exec|resource "(?!grafana_|github_|cloudflare_)', texts)


def test_what_tasks_put_in_a_placeholders_place_is_left_there() -> None:
    """Else the next apply would put the placeholder back over a token, and alerts would know nothing from then on."""
    held: list[tuple[str, str]] = []
    for path in ROOT.rglob("*.tf"):
        for kind, block in re.findall(
            r'^resource "(\w+)" "\w+" \{\n(.*?)^\}', path.read_text(), re.DOTALL | re.MULTILINE
        ):
            ignored = re.search(r"ignore_changes\s*=\s*\[([^]]*)\]", block)
            for name in re.findall(r'^  (\w+)\s*=.*"unset"', block, re.MULTILINE):
                assert ignored, kind
                assert name in re.findall(r"\w+", ignored[1]), kind
                held.append((kind, name))
    assert sorted(held) == [("github_actions_environment_secret", "value"), ("grafana_data_source", "http_headers")]


def test_no_data_is_health_and_a_prometheus_that_cannot_be_asked_is_none() -> None:
    """Said by monitoring.tftest.hcl too, which needs Terraform."""
    text = (ROOT / "modules" / "monitoring" / "main.tf").read_text()
    assert re.findall(r'(no_data_state|exec_err_state)\s*=\s*"(\w+)"', text) == [
        ("no_data_state", "OK"),
        ("exec_err_state", "Error"),
    ]


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
