"""The workflows: pinned, with few rights, secrets where they are needed and nowhere else, and only tasks that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tasks
from tests.infra.flying import ALICE, BOB, KEYS, NEXT_TOKEN, TOKEN, Desk
from tests.infra.go_tools import built, needs_go
from tests.infra.surface import surface

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
ENVIRONMENTS = ("staging", "production")
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
READ_ONLY = {"contents": "read"}
TAKEN = {
    "deploy": {"FLY_API_TOKEN", "ACCESS_TOKENS"},
    "rotate": {"FLY_API_TOKEN", "POE_API_KEYS", "ACCESS_TOKENS"},
    "terraform": {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("CLOUDFLARE_API_TOKEN", "PLAN_GITHUB_TOKEN", "GRAFANA_AUTH"),
    },
    "ci": set(),
}
"""The secrets that each workflow may see."""
INSTALLS = "./dev --list"
"""What makes .venv, and does nothing else."""

Json = dict[str, Any]


def load(file: Path) -> Json:
    # PyYAML takes the key `on` for a boolean, as YAML 1.1 says.
    found = yaml.safe_load(file.read_text())
    return {("on" if key is True else key): value for key, value in found.items()}


WORKFLOWS = {file.stem: load(file) for file in FILES}


def jobs() -> Iterator[tuple[str, str, Json]]:
    for name, workflow in WORKFLOWS.items():
        for job, said in workflow["jobs"].items():
            yield name, job, said


def steps() -> Iterator[tuple[str, str, Json]]:
    for name, job, said in jobs():
        for step in said.get("steps", ()):
            yield name, job, step


def runs() -> list[tuple[str, str]]:
    """Workflow and line of everything that is run, without the `exec` in front."""
    return [
        (name, line.strip().removeprefix("exec "))
        for name, _, step in steps()
        for line in step.get("run", "").splitlines()
    ]


def secrets_in(said: Any) -> set[str]:
    return set(re.findall(r"\bsecrets\.(\w+)", yaml.safe_dump(said)))


def test_there_is_a_workflow_for_each_purpose() -> None:
    assert set(WORKFLOWS) == {"ci", "deploy", "rotate", "terraform"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_by_commit_with_their_version_beside_it(file: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", file.read_text(), re.MULTILINE)
    assert used
    for each in used:
        own = each.startswith("./.github/workflows/")
        assert own or re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v?\d+(\.\d+)+", each), each


def test_an_action_has_one_version_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for _, _, step in steps():
        if "uses" in step:
            name, _, commit = step["uses"].partition("@")
            versions.setdefault(name, set()).add(commit)
    assert {name for name, commits in versions.items() if len(commits) > 1} == set()


def test_a_job_may_read_the_repository_and_nothing_more() -> None:
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {}
    for name, job, said in jobs():
        assert said["permissions"] == READ_ONLY, f"{name}: {job}"


def test_no_checkout_leaves_credentials_behind() -> None:
    found = [step for _, _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(found) >= 8
    assert all(step["with"]["persist-credentials"] is False for step in found)


def test_every_job_ends_by_itself() -> None:
    for name, job, said in jobs():
        assert "uses" in said or 0 < said["timeout-minutes"] <= 90, f"{name}: {job}"


def test_no_code_of_others_runs_with_secrets() -> None:
    for name, workflow in WORKFLOWS.items():
        assert not {"pull_request_target", "workflow_run"} & set(workflow["on"]), name
    assert "head.repo.full_name == github.repository" in WORKFLOWS["terraform"]["jobs"]["plan"]["if"]


def test_nothing_is_pasted_into_a_shell() -> None:
    """A value that GitHub writes into a command could be a command itself."""
    assert [line for _, line in runs() if "${{" in line] == []


def test_secrets_are_in_the_environment_of_single_steps_of_jobs_that_have_an_environment() -> None:
    for name, workflow in WORKFLOWS.items():
        assert secrets_in(workflow) == TAKEN[name]
    for name, job, said in jobs():
        outside = {key: value for key, value in said.items() if key != "steps"}
        assert not secrets_in(outside), f"{name}: {job}"
        assert not secrets_in(said) or said["environment"], f"{name}: {job}"
    for name, job, step in steps():
        given = {key: value for key, value in step.items() if key != "env"}
        assert not secrets_in(given), f"{name}: {job}"
        for value in step.get("env", {}).values():
            assert len(EXPRESSION.findall(str(value))) <= 1


def test_packages_are_installed_before_there_is_a_secret_to_see() -> None:
    seen = 0
    for name, job, said in jobs():
        installed = False
        for step in said.get("steps", ()):
            installed |= step.get("run") == INSTALLS and "env" not in step
            if secrets_in(step) and "./dev" in step["run"]:
                seen += 1
                assert installed, f"{name}: {job}"
    assert seen == 4


def test_no_secret_is_printed() -> None:
    secret = {
        variable for _, _, step in steps() for variable, value in step.get("env", {}).items() if secrets_in(value)
    }
    for _, line in runs():
        if re.match(r"(?:echo|printf|cat|env|printenv|set)\b", line):
            assert not [name for name in secret if f"${name}" in line or f"${{{name}" in line], line


def test_what_is_run_of_ours_is_a_task_that_exists_with_its_flags() -> None:
    contexts = {context.name: context for context in tasks.namespace.to_contexts()}
    contexts |= {alias: context for context in contexts.values() for alias in context.aliases}
    found = [(name, shlex.split(line)) for name, line in runs() if line.startswith("./dev ") and line != INSTALLS]
    assert {(name, words[1]) for name, words in found} >= {
        *(("ci", "check"), ("ci", "test"), ("deploy", "deploy"), ("rotate", "secrets"), ("terraform", "infra.plan")),
    }
    for name, words in found:
        flags = {flag for argument in contexts[words[1]].args.values() for flag in argument.names}
        given = {word[2:].replace("-", "_") for word in words[2:] if word.startswith("--")}
        assert given <= {flag.replace("-", "_") for flag in flags}, f"{name}: {words}"


def test_deployments_run_the_deploy_task_and_nothing_else() -> None:
    for environment in ENVIRONMENTS:
        job = WORKFLOWS["deploy"]["jobs"][environment]
        *prepared, deployed = job["steps"]
        assert deployed["run"] == "exec ./dev deploy --yes"
        assert [step.get("id", step["run"]) for step in prepared if "run" in step] == ["environment", INSTALLS]
        assert all(step.get("if") == "steps.environment.outputs.ready" for step in job["steps"][1:])


def test_what_changes_an_app_knows_which_and_gets_each_secret_under_its_own_name() -> None:
    """Without FLY_APP staging's job would work on fly.toml's app, which is production's, and nobody would be asked."""
    seen = 0
    for name, job, said in jobs():
        if name not in ("deploy", "rotate") or "steps" not in said:
            continue
        seen += 1
        secrets = {each: f"${{{{ secrets.{each} }}}}" for each in TAKEN[name]}
        assert said["steps"][-1]["env"] == {"FLY_APP": "${{ vars.FLY_APP }}", **secrets}, job
        assert said["environment"] == ("${{ inputs.environment }}" if name == "rotate" else job)
    assert seen == 3


def test_a_rotation_goes_through_where_nobody_knows_the_tokens_in_use(desk: Desk) -> None:
    assert desk.run("setup", "--yes", "--no-github", POE_API_KEYS=KEYS, ACCESS_TOKENS=f"team:{TOKEN}").code == 0
    shutil.rmtree(desk.folder / ".poe-proxy")
    (line,) = (line for name, line in runs() if name == "rotate" and line.startswith("./dev secrets"))
    given = {"POE_API_KEYS": f"{BOB},{ALICE}", "ACCESS_TOKENS": f"team:{NEXT_TOKEN}"}
    ended = desk.run(*shlex.split(line)[1:], **given, GITHUB_ACTIONS="true")
    assert ended.code == 0, ended.err
    assert [each["secrets"] for each in desk.app["machines"]] == [given]


def test_flyctl_is_the_one_that_was_tried() -> None:
    used = [step["with"] for _, _, step in steps() if "setup-flyctl@" in step.get("uses", "")]
    assert used == [{"version": surface()["version"]}] * 3


def test_the_long_half_runs_by_itself_and_a_pull_request_is_checked_and_planned() -> None:
    assert WORKFLOWS["ci"]["on"]["schedule"]
    assert WORKFLOWS["ci"]["jobs"]["long"]["steps"][-1]["run"] == "./dev test --long"
    assert "infra/terraform/**" in WORKFLOWS["terraform"]["on"]["pull_request"]["paths"]
    validate, plan = (WORKFLOWS["terraform"]["jobs"][job] for job in ("validate", "plan"))
    assert {"terraform validate", "terraform test"} <= {step.get("run") for step in validate["steps"]}
    assert plan["strategy"]["matrix"]["environment"] == list(ENVIRONMENTS)


def test_what_changes_an_app_hears_of_its_run_being_cancelled() -> None:
    """GitHub interrupts a step's first process alone, and a shell would keep that to itself."""
    found = [
        step["run"]
        for name, _, step in steps()
        if name in ("deploy", "rotate") and "FLY_API_TOKEN" in secrets_in(step) and "./dev" in step["run"]
    ]
    assert len(found) == 3
    assert all(line.startswith("exec ./dev ") and "\n" not in line.strip() for line in found)


def test_a_deployment_started_by_hand_does_not_wait_for_the_long_half() -> None:
    """A workflow that is called sees the caller's name and event."""
    assert "workflow_dispatch" in WORKFLOWS["deploy"]["on"]
    assert WORKFLOWS["ci"]["jobs"]["long"]["if"].startswith("github.workflow == 'ci' && (")


def test_only_main_is_deployed() -> None:
    """`workflow_dispatch` takes any branch."""
    for environment in ENVIRONMENTS:
        assert WORKFLOWS["deploy"]["jobs"][environment]["if"] == "github.ref == 'refs/heads/main'"


def test_production_comes_after_staging_and_staging_after_the_tests() -> None:
    chain = WORKFLOWS["deploy"]["jobs"]
    assert chain["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert chain["staging"]["needs"] == "ci"
    assert chain["production"]["needs"] == ["ci", "staging"]
    assert [chain[name]["environment"] for name in ENVIRONMENTS] == list(ENVIRONMENTS)
    assert WORKFLOWS["deploy"]["on"]["push"] == {"branches": ["main"]}


def test_what_restarts_an_apps_machines_waits_for_its_turn() -> None:
    groups = {name: WORKFLOWS["deploy"]["jobs"][name]["concurrency"] for name in ENVIRONMENTS}
    for name, group in groups.items():
        assert group == {"group": f"fly-{name}", "cancel-in-progress": False}
    rotation = WORKFLOWS["rotate"]["jobs"]["rotate"]
    assert rotation["concurrency"] == {"group": "fly-${{ inputs.environment }}", "cancel-in-progress": False}
    assert WORKFLOWS["rotate"]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"] == list(ENVIRONMENTS)


@pytest.mark.parametrize(
    ("environment", "token", "app", "ready"),
    [
        ("staging", "FlyV1 x", "poe-staging", True),
        ("staging", "FlyV1 x", "", False),
        ("staging", "", "poe-staging", False),
        ("production", "FlyV1 x", "", True),
        ("production", "", "", False),
        ("production", "unset", "", False),
    ],
)
def test_an_environment_that_is_not_set_up_is_left_out(
    tmp_path: Path, environment: str, token: str, app: str, ready: bool
) -> None:
    first = WORKFLOWS["deploy"]["jobs"][environment]["steps"][0]
    given = {"FLY_API_TOKEN": token, "FLY_APP": app}
    output = tmp_path / "output"
    done = subprocess.run(
        ("bash", "-e", "-c", first["run"]),
        env={"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(output), **{name: given[name] for name in first["env"]}},
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert (output.read_text() if output.exists() else "") == ("ready=yes\n" if ready else "")
    assert ("::notice::" in done.stdout) is not ready


@pytest.mark.parametrize(
    ("environment", "token", "app", "branch", "ready"),
    [
        ("staging", "FlyV1 x", "poe-staging", "main", True),
        ("staging", "FlyV1 x", "poe-staging", "another", False),
        ("staging", "FlyV1 x", "", "main", False),
        ("staging", "", "poe-staging", "main", False),
        ("production", "FlyV1 x", "", "main", True),
        ("production", "FlyV1 x", "", "another", False),
        ("production", "unset", "", "main", False),
    ],
)
def test_a_rotation_knows_which_app_it_is_about(
    environment: str, token: str, app: str, branch: str, ready: bool
) -> None:
    """Staging's keys must not go to fly.toml's app, nor to code that nobody has seen."""
    first = WORKFLOWS["rotate"]["jobs"]["rotate"]["steps"][0]
    done = subprocess.run(
        ("bash", "-e", "-c", first["run"]),
        env={
            "PATH": "/usr/bin:/bin",
            "GITHUB_REF": f"refs/heads/{branch}",
            "ENVIRONMENT": environment,
            "FLY_API_TOKEN": token,
            "FLY_APP": app,
        },
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert first["env"]["FLY_APP"] == "${{ vars.FLY_APP }}"
    assert (done.returncode == 0) is ready
    assert bool(re.match(rf"::error::{environment} (?:has no|is rotated from main)", done.stdout)) is not ready


def test_branch_rules_ask_for_jobs_that_pull_requests_have() -> None:
    text = (ROOT / "infra/terraform/environments/production/main.tf").read_text()
    (asked,) = re.findall(r"required_checks += \[(.*)\]", text)
    assert "pull_request" in WORKFLOWS["ci"]["on"]
    always = {said["name"] for said in WORKFLOWS["ci"]["jobs"].values() if "if" not in said}
    assert set(re.findall(r'"(\w+)"', asked)) == always


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        (zizmor, "--offline", "--persona=pedantic", "--no-progress", "--color=never", str(FOLDER)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout


@pytest.mark.long
@needs_go
def test_actionlint_finds_nothing() -> None:
    actionlint = built("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")
    done = subprocess.run(
        (actionlint, "-no-color", *map(str, FILES)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
