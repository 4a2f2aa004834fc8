"""Certificates: asked for once, with the DNS records that are still missing."""

from __future__ import annotations

from typing import Any

import pytest

from infra import certs
from tests.infra import fake_flyctl
from tests.infra.flying import APP, KEYS, Desk

HOST = "api.example.com"


@pytest.fixture
def running(desk: Desk) -> Desk:
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    desk.forget()
    return desk


def issue(desk: Desk, **members: Any) -> None:
    desk.change(lambda state: state["apps"][APP]["certs"][HOST].update(members))


def test_a_name_is_asked_for_once(running: Desk) -> None:
    first = running.run("certs.add", "--host", "API.Example.com.")
    assert first.code == 0
    assert [line.split() for line in first.out.splitlines()[2:5]] == [
        ["A", HOST, "203.0.113.7"],
        ["AAAA", HOST, "2001:db8:1::1"],
        ["TXT", f"_fly-ownership.{HOST}", "app-d4735e3"],
    ]
    assert f"one CNAME to d4735e3.{APP}.fly.dev" in first.out
    assert f"make these DNS records, then `./dev certs.check --host {HOST}`" in first.out
    again = running.run("certs.add", "--host", HOST)
    assert (again.code, again.line) == (0, f"certs: a certificate for {HOST} was asked for before")
    assert len(running.calls("certs add")) == 1


def test_check_exits_4_until_the_certificate_is_there(running: Desk) -> None:
    running.run("certs.add", "--host", HOST)
    ended = running.run("certs.check", "--host", HOST, "--json")
    assert ended.code == 4
    assert [each["type"] for each in ended.json[0]["missing"]] == ["A", "AAAA", "TXT"]
    assert ended.json[0]["dns_requirements"]["cname"] == f"d4735e3.{APP}.fly.dev"
    issue(running, status="active")
    ended = running.run("certs.check")
    assert (ended.code, ended.out) == (0, f"ok      {HOST} the certificate is there\n")


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        ({"a": ["203.0.113.7"], "aaaa": ["2001:db8:1::1"], "ownership_txt": None}, ["TXT"]),
        ({"a": ["203.0.113.7"]}, ["AAAA", "TXT"]),
        ({"cname": [f"d4735e3.{APP}.fly.dev."]}, ["TXT"]),
        ({"a": ["198.51.100.1"], "ownership_txt": "app-d4735e3"}, ["A", "AAAA"]),
        ({"resolved_addresses": ["203.0.113.7", "2001:db8:1::1"], "ownership_txt": "app-d4735e3"}, []),
    ],
)
def test_only_what_is_missing_is_told(running: Desk, seen: dict[str, Any], missing: list[str]) -> None:
    running.run("certs.add", "--host", HOST)
    issue(running, dns=seen)
    told = running.run("certs.check", "--host", HOST, "--json").json
    assert [each["type"] for each in told[0]["missing"]] == missing
    shown = running.run("certs.check", "--host", HOST).out
    assert ("all DNS records are there" in shown, "make these DNS records" in shown) == (not missing, bool(missing))


def test_an_owner_who_is_known_has_nothing_to_prove(running: Desk) -> None:
    running.run("certs.add", "--host", HOST)
    issue(running, status="pending_validation", dns={})
    told = running.run("certs.check", "--host", HOST, "--json").json
    assert [each["type"] for each in told[0]["missing"]] == ["A", "AAAA"]


def test_what_fly_finds_wrong_is_told_with_its_remedy(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake_flyctl.Fly._certificate

    def wrong(fly: fake_flyctl.Fly, host: str) -> Any:
        error = {"code": "CAA", "message": "a CAA record forbids it", "remediation": "allow letsencrypt.org"}
        return {**real(fly, host), "validation_errors": [error]}

    monkeypatch.setattr(fake_flyctl.Fly, "_certificate", wrong)
    shown = running.run("certs.add", "--host", HOST).out
    assert f"failed  {HOST} a CAA record forbids it → allow letsencrypt.org" in shown.splitlines()


def test_a_wildcard_wants_its_challenge(running: Desk) -> None:
    told = running.run("certs.add", "--host", "*.example.com", "--json").json
    assert told["missing"][-1]["type"] == "CNAME"


@pytest.mark.parametrize(
    ("seen", "there"),
    [(None, False), ("old.flydns.net", False), ("x.flydns.net.", True), ("x.flydns.net", True)],
)
def test_a_challenge_that_leads_elsewhere_is_missing(seen: str | None, there: bool) -> None:
    answer = {
        "hostname": "*.example.com",
        "dns_requirements": {"acme_challenge": {"name": "_acme-challenge.example.com", "target": "x.flydns.net"}},
        "dns_records": {"acme_challenge_cname": seen},
    }
    wanted = certs.Dns("CNAME", "_acme-challenge.example.com", "x.flydns.net")
    assert certs.missing(answer) == ([] if there else [wanted])


def test_the_end_of_a_certificate_is_told(running: Desk) -> None:
    running.run("certs.add", "--host", HOST)
    issued = [{"type": "rsa", "expires_at": "2027-02-21T00:00:00Z"}, {"expires_at": "2027-02-20T00:00:00Z"}]
    issue(running, status="active", issued=issued)
    assert running.run("certs.check").out == f"ok      {HOST} the certificate is there until 2027-02-20\n"
    assert running.run("certs.check", "--json").json[0]["ends"] == "2027-02-20T00:00:00Z"


def test_an_app_that_is_not_there_is_no_missing_certificate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Machines API words it so."""

    def unknown(_: object) -> None:
        raise fake_flyctl.Refused("failed to get certificate: app not found (Request ID: 01ABC-nrt)")

    monkeypatch.setattr(fake_flyctl.Fly, "certs_check", unknown)
    ended = desk.run("certs.check", "--host", HOST)
    assert (ended.code, "`./dev setup` makes it" in ended.line) == (3, True)


def test_a_name_that_was_never_asked_for(running: Desk) -> None:
    ended = running.run("certs.check", "--host", HOST)
    assert (ended.code, ended.line) == (
        3,
        f"{APP} has no certificate for {HOST}; `./dev certs.add --host {HOST}` asks for one",
    )


def test_the_plain_noun_shows(running: Desk) -> None:
    assert "no host name of your own" in running.run("certs").out
    running.run("certs.add", "--host", HOST)
    assert running.run("certs").out.splitlines()[1].split() == [HOST, "pending_ownership", "incomplete"]


def test_remove(running: Desk) -> None:
    running.run("certs.add", "--host", HOST)
    assert running.run("certs.remove", "--host", HOST).code == 2
    assert running.run("certs.remove", "--host", HOST, "--yes").code == 0
    assert running.app["certs"] == {}
    running.forget()
    assert running.run("certs.remove", "--host", HOST, "--yes").out == f"{APP} has no certificate for {HOST}\n"
    assert running.writes() == []


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("", "--host needs a value"),
        (" ", "--host HOST is missing"),
        ("https://api.example.com", "leave scheme, port and path out"),
        ("api.example.com:443", "leave scheme, port and path out"),
        ("api.example.com/v1", "leave scheme, port and path out"),
        ("api", "is no host name"),
        ("api..example.com", "is no host name"),
        ("-api.example.com", "is no host name"),
        ("api_x.example.com", "is no host name"),
        ("192.0.2.1", "is no host name"),
        ("bücher.example.com", "as xn--"),
        ("a b.example.com", "is no host name"),
        ("x" * 64 + ".example.com", "is no host name"),
        (f"{APP}.fly.dev", "has a certificate of Fly's already"),
    ],
)
def test_what_is_no_host_name(desk: Desk, host: str, line: str) -> None:
    ended = desk.run("certs.add", f"--host={host}")
    assert ended.code == 2
    assert line in ended.line
    assert desk.children == []


def test_issued_is_judged_by_the_certificates_alone() -> None:
    assert not certs.is_issued({"status": "active", "certificates": []})
    assert certs.is_issued({"status": "pending", "certificates": [{"status": "active"}]})


def test_a_host_that_another_app_has_is_no_matter_of_this_ones_name(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.certs.hosts", lambda _: frozenset())
    running.change(lambda state: state["apps"][APP]["certs"].update({"api.example.com": {"status": "active"}}))
    ended = running.run("certs.add", "--host", "api.example.com")
    assert (ended.code, ended.line) == (1, "flyctl certs add: Hostname already exists on app")
