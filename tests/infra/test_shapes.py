"""What is read out of flyctl's answers: held against runs of the real one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra import certs, fly, shapes
from infra.refusal import Refusal, told


@cache
def samples() -> dict[str, Any]:
    text = Path(__file__).with_name("flyctl_samples.json").read_text()
    return {sample["name"]: sample for sample in json.loads(text)["samples"]}


def answer(name: str) -> Any:
    return samples()[name]["stdout_json"]


def test_status() -> None:
    found = shapes.status(answer("status"))
    assert (found.name, found.deployed, found.organization, found.hostname, found.version) == (
        "demo", True, "personal", "demo.fly.dev", 2
    )  # fmt: skip
    (machine,) = found.machines
    assert (machine.id, machine.region, machine.image, machine.release, machine.memory, machine.size) == (
        "e7f6c011776e8d", "nrt", "registry.fly.io/demo:v2", 2, 256, "shared-cpu-1x"
    )  # fmt: skip
    assert machine.healthy


def test_status_before_the_first_deployment() -> None:
    found = shapes.status(answer("status_new"))
    assert (found.deployed, found.machines, found.version) == (False, (), 0)


def test_a_machine_without_much() -> None:
    machine = shapes.machine({"id": "m", "image_ref": {"registry": "r", "repository": "x", "tag": "t"}})
    assert (machine.image, machine.release, machine.checks, machine.healthy) == ("r/x:t", 0, (), False)


def test_releases() -> None:
    found = shapes.releases(answer("releases"))
    assert [(each.version, each.complete, each.image) for each in found] == [
        (2, True, "registry.fly.io/demo:v2"),
        (1, True, "registry.fly.io/demo:v1"),
    ]


@pytest.mark.parametrize(
    ("status", "good"), [("complete", True), ("succeeded", True), ("failed", False), ("running", False)]
)
def test_a_release_that_went_through(status: str, good: bool) -> None:
    """Fly has two words for it."""
    assert shapes.releases([{"Version": 1, "Status": status}])[0].complete is good


@pytest.mark.parametrize(
    ("status", "waits"), [("Staged", True), ("Partial", True), ("Deployed", False), ("Unknown", False), ("", False)]
)
def test_a_secret_that_waits(status: str, waits: bool) -> None:
    assert shapes.secrets([{"name": "A", "digest": "d", "status": status}])[0].waits is waits


def test_secrets_in_both_spellings() -> None:
    found = shapes.secrets(answer("secrets_list"))
    assert [(each.name, each.status) for each in found] == [
        ("ACCESS_TOKENS", "Staged"),
        ("POE_API_KEYS", "Staged"),
        ("FOO", "Staged"),
    ]
    assert shapes.secrets([{"Name": "A", "Digest": "d"}]) == (shapes.Secret("A", "d", ""),)


def test_addresses() -> None:
    assert {each.kind for each in shapes.addresses(answer("ips_list"))} == {"v6", "shared_v4"}


def test_groups() -> None:
    assert shapes.groups(answer("scale_show")) == (shapes.Group("app", 2, 256, {"nrt": 1, "sin": 1}),)


def test_organizations() -> None:
    assert shapes.organizations(answer("orgs_list")) == {"personal": "Test User"}


def test_tokens() -> None:
    (found,) = shapes.tokens(samples()["tokens_list"]["stdout"])
    assert (found.id, found.name, found.revoked) == ("tok_af41f326fa", "ci", "")
    assert (found.days_left or 0) > 30
    assert "1 tokens revoked" in samples()["tokens_revoke"]["stdout"]


def test_certificates() -> None:
    assert [each.kind for each in certs.missing(answer("certs_add"))] == ["A", "AAAA", "TXT"]
    assert not certs.is_issued(answer("certs_check"))
    assert certs.is_issued(answer("certs_check_issued"))


@pytest.mark.parametrize("name", ["apps_list", "volumes_list"])
def test_lists_are_found_whatever_surrounds_them(name: str) -> None:
    assert fly.first_json("A new release is available\n" + json.dumps(answer(name))) == answer(name)


@pytest.mark.parametrize(
    ("name", "refusal", "line"),
    [
        ("status_missing", Refusal.NO_APP, 'Could not find App "nope"; `./dev setup` makes it'),
        ("usage_error", Refusal.OTHER, "unknown flag: --nope"),
        ("scale_count_noyes", Refusal.OTHER, "--yes flag must be specified when not running interactively"),
        ("apps_restart", Refusal.UNREACHABLE, "can't build tunnel for personal: EOF"),
        ("unknown_command", Refusal.OTHER, 'unknown command "monitor" for "flyctl"'),
    ],
)
def test_real_refusals_become_one_line(name: str, refusal: Refusal, line: str) -> None:
    sample = samples()[name]
    kind, text = told(sample["stderr"], sample["stdout"], sample["exit"])
    assert (kind, text.startswith(line)) == (refusal, True), text


def test_an_empty_answer_is_no_failure() -> None:
    assert fly.first_json("null") is None
    assert (shapes.releases([]), shapes.secrets([]), shapes.addresses([]), shapes.groups([])) == ((), (), (), ())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("registry.fly.io/demo:v2", "registry.fly.io/demo:v2", True),
        ("registry.fly.io/demo:v2@sha256:aa", "registry.fly.io/demo:v2", True),
        ("registry.fly.io/demo:v2@sha256:aa", "registry.fly.io/demo:v2@sha256:bb", False),
        ("registry.fly.io/demo@sha256:aa", "registry.fly.io/demo:v2@sha256:aa", True),
        ("docker-hub-mirror.fly.io/library/nginx:latest", "nginx", True),
        ("registry.fly.io/demo:v2", "registry.fly.io/demo:v3", False),
        ("", "", False),
    ],
)
def test_when_two_names_mean_one_image(one: str, other: str, same: bool) -> None:
    assert shapes.same_image(one, other) is same
