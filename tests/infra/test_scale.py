"""Scaling: the number that was asked for, in the regions that were asked for, or exit 4."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from infra import scale
from infra.console import Console
from infra.record import Drawer
from tests.infra import fake_flyctl
from tests.infra.flying import APP, KEYS, Desk


@pytest.fixture
def running(desk: Desk) -> Desk:
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    desk.forget()
    return desk


def regions(desk: Desk) -> dict[str, int]:
    found = [machine["region"] for machine in desk.app["machines"]]
    return {region: found.count(region) for region in sorted(set(found))}


def toml(desk: Desk) -> dict[str, Any]:
    return tomllib.loads((desk.folder / "fly.toml").read_text())


def test_count_goes_up_and_down(running: Desk) -> None:
    assert running.run("scale.count", "--machines", "3").code == 0
    assert regions(running) == {"nrt": 3}
    assert running.run("scale.count", "--machines", "1", "--yes").code == 0
    assert regions(running) == {"nrt": 1}
    running.forget()
    ended = running.run("scale.count", "--machines", "1")
    assert (ended.line, running.writes()) == ("scale: nothing to do: nrt 1", [])


def test_two_regions_get_one_machine_each(running: Desk) -> None:
    """Given both at once, flyctl puts the second machine beside the first."""
    assert running.run("scale.regions", "--regions", "nrt,sin", "--yes").code == 0
    assert regions(running) == {"nrt": 1, "sin": 1}
    assert running.writes() == [f"scale count 1 --region=sin --yes --app={APP}"]


def test_the_stand_in_has_flyctls_fault() -> None:
    assert fake_flyctl._converged(2, {"nrt": 1}, ["nrt", "sin"]) == {"nrt": 1, "sin": 0}


def test_a_region_is_given_up_after_the_others_have_their_machines(running: Desk) -> None:
    running.run("scale.count", "--machines", "2")
    running.forget()
    assert running.run("scale.regions", "--regions", "fra,sin").code == 2
    assert running.run("scale.regions", "--regions", "fra,sin", "--yes").code == 0
    assert regions(running) == {"fra": 1, "sin": 1}
    assert [line.split()[2:4] for line in running.writes()] == [
        ["1", "--region=fra"],
        ["1", "--region=sin"],
        ["0", "--region=nrt"],
    ]


@pytest.mark.parametrize(
    ("now", "words", "fewer"),
    [
        (["nrt", "sin"], ["scale.count", "--machines", "1"], "sin 1"),
        (["nrt", "nrt", "sin", "sin"], ["scale.count", "--machines", "2"], "nrt 1, sin 1"),
        (["nrt", "sin", "sin"], ["scale.regions", "--regions", "nrt"], "sin 2"),
        (["nrt", "nrt"], ["scale.regions", "--regions", "nrt,sin"], "nrt 1"),
    ],
)
def test_no_stream_is_cut_without_a_question(
    running: Desk, monkeypatch: pytest.MonkeyPatch, now: list[str], words: list[str], fewer: str
) -> None:
    (one,) = running.app["machines"]
    machines = [{**one, "id": f"{number:014x}", "region": region} for number, region in enumerate(now)]
    running.change(lambda state: state["apps"][APP].update(machines=machines))
    asked: list[str] = []

    def ask(_: object, question: str, **__: object) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("infra.console.Console.ask", ask)
    ended = running.run(*words)
    assert (ended.code, ended.line, running.writes()) == (2, "nothing was changed", [])
    assert asked == [f"Take machines away ({fewer}), which cuts their open streams at once? [y/N]"]


def test_other_regions_take_over_all_machines(running: Desk) -> None:
    running.run("scale.count", "--machines", "3")
    assert running.run("scale.regions", "--regions", "sin,nrt", "--yes").code == 0
    assert regions(running) == {"nrt": 1, "sin": 2}


@pytest.mark.parametrize(
    "words",
    [
        ["scale.count", "--machines", "2"],
        ["scale.regions", "--regions", "sin"],
        ["scale.vm", "--size", "shared-cpu-2x"],
        ["destroy", "--app", APP],
    ],
)
def test_two_tasks_do_not_change_one_app_at_once(running: Desk, words: list[str]) -> None:
    before = toml(running)
    with Drawer(running.folder, APP).alone():
        ended = running.run(*words, "--yes")
    assert (ended.code, running.writes(), toml(running)) == (2, [], before)
    assert ended.line == f"another task is changing {APP} right now; wait until it is done"


def test_a_restart_is_asked_about(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toml(running)
    monkeypatch.setattr("infra.console.Console.ask", lambda *_, **__: "n")
    ended = running.run("scale.vm", "--size", "shared-cpu-2x")
    assert (ended.code, ended.line, running.writes(), toml(running)) == (2, "nothing was changed", [], before)


def test_the_limits_are_the_services_own_where_fly_toml_says_so(running: Desk) -> None:
    path = running.folder / "fly.toml"
    path.write_text(path.read_text().replace("[env]\n", '[env]\nMAX_STREAMS = "500"\n'))
    ended = running.run("scale.auto", "--hard", "600")
    assert (ended.code, ended.line) == (
        2,
        "--soft 200 --hard 600: soft is at least 1 and at most hard, and hard at most MAX_STREAMS, which is 500",
    )
    assert running.run("scale.auto", "--hard", "500").code == 0


def test_auto_tells_what_fly_toml_says_now(running: Desk) -> None:
    told = running.run("scale.auto", "--min", "1", "--soft", "7", "--json").json
    assert (told["auto_stop_machines"], told["min_machines_running"], told["soft_limit"]) == ("stop", 1, 7)


def test_count_spreads_over_the_regions_there_are(running: Desk) -> None:
    running.run("scale.regions", "--regions", "nrt,sin", "--yes")
    assert running.run("scale.count", "--machines", "5").code == 0
    assert regions(running) == {"nrt": 3, "sin": 2}


def test_what_fly_makes_something_else_of_is_drift(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_flyctl, "_converged", lambda *_: {"nrt": 1})
    ended = running.run("scale.regions", "--regions", "nrt,sin", "--yes")
    assert (ended.code, ended.line) == (4, "Fly made something else of it: nrt 2 instead of nrt 1, sin 1")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["scale.regions"], "--regions LIST is missing"),
        (["scale.regions", "--regions", "nrt,hkg"], "region hkg was retired by Fly; its replacement is sin"),
        (["scale.regions", "--regions", "tokyo"], "'tokyo' is no region; there are ams arn"),
        (["scale.count"], "--machines N is missing or not from 1 to 50"),
        (["scale.count", "--machines", "51"], "--machines N is missing or not from 1 to 50"),
        (["scale.count", "--machines", "0"], "--machines takes a whole number above 0, not 0"),
        (["scale.vm", "--size", "shared-cpu-2x", "--memory", "0"], "--memory takes a whole number above 0, not 0"),
        (["scale.vm"], "nothing to change: give --size or --memory"),
        (["scale.vm", "--size", "huge"], "--size 'huge' is none of shared-cpu-1x"),
        (["scale.vm", "--size", "shared-cpu-1x", "--memory", "300"], "is not from 256 to 2048 in steps of 256"),
        (["scale.vm", "--size", "shared-cpu-1x", "--memory", "4096"], "is not from 256 to 2048 in steps of 256"),
        (["scale.auto"], "nothing to change"),
        (["scale.auto", "--min", "many"], "--min 'many' is neither off nor a number"),
        (["scale.auto", "--min", "0"], "no deployment can be tested, and the alerts take the silence for an outage"),
        (["scale.auto", "--min", "00"], "--min 0 would stop the last machine: a quiet stream is cut"),
        (["scale.auto", "--soft", "900", "--hard", "800"], "and hard at most MAX_STREAMS, which is 2000"),
        (["scale.auto", "--hard", "5000"], "and hard at most MAX_STREAMS, which is 2000"),
        (["scale.auto", "--soft", "0", "--hard", "500"], "--soft takes a whole number above 0, not 0"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(running: Desk, words: list[str], line: str) -> None:
    before = (running.folder / "fly.toml").read_text()
    ended = running.run(*words, "--yes")
    assert ended.code == 2
    assert line in ended.line
    assert running.writes() == []
    assert (running.folder / "fly.toml").read_text() == before


def test_the_size_is_kept_in_fly_toml_too(running: Desk) -> None:
    """Else the next deployment would undo it."""
    ended = running.run("scale.vm", "--size", "shared-cpu-2x", "--yes")
    assert (ended.code, "with 512 MB; commit it" in ended.err) == (0, True)
    assert ended.line.endswith("; `./dev doctor` calls it drift until the next `./dev deploy`")
    doctor = running.run("doctor")
    assert (doctor.code, "drift" in doctor.out) == (4, True)
    assert running.run("deploy").code == 0
    assert running.run("doctor").code == 0
    assert toml(running)["vm"] == [{"size": "shared-cpu-2x", "memory": "512mb"}]
    assert [machine["memory"] for machine in running.app["machines"]] == [512]
    assert running.run("scale.vm", "--memory", "1024", "--yes").code == 0
    assert toml(running)["vm"] == [{"size": "shared-cpu-2x", "memory": "1024mb"}]


def test_a_size_that_did_not_come_into_force_is_told(running: Desk) -> None:
    """fly.toml has it by then, and the next deployment would bring it."""
    running.fault("scale vm", "500")
    ended = running.run("scale.vm", "--size", "shared-cpu-2x", "--yes")
    assert (ended.code, ended.line.endswith("(fly.toml has the new size already)")) == (1, True)
    assert [machine["memory"] for machine in running.app["machines"]] == [256]
    assert running.run("scale.vm", "--size", "shared-cpu-2x", "--yes").code == 0
    assert [machine["memory"] for machine in running.app["machines"]] == [512]


def test_ctrl_c_between_fly_toml_and_the_machines_tells_what_is_done(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Console, "progress", interrupted)
    ended = running.run("scale.vm", "--size", "shared-cpu-2x", "--yes")
    assert (ended.code, "done so far: fly.toml" in ended.line, running.writes()) == (130, True, [])


def test_auto_sets_what_fly_scales_by(running: Desk) -> None:
    comments = [line for line in (running.folder / "fly.toml").read_text().splitlines() if line.startswith("#")]
    assert running.run("scale.auto", "--min", "2", "--soft", "150", "--hard", "900").code == 0
    service = toml(running)["http_service"]
    assert (service["auto_stop_machines"], service["auto_start_machines"], service["min_machines_running"]) == (
        "stop",
        True,
        2,
    )
    assert (service["concurrency"]["soft_limit"], service["concurrency"]["hard_limit"]) == (150, 900)
    assert running.run("scale.auto", "--min", "off").code == 0
    service = toml(running)["http_service"]
    # One that Fly has stopped by then must be able to start again.
    assert (service["auto_stop_machines"], service["auto_start_machines"]) == ("off", True)
    assert "min_machines_running" not in service
    assert [line for line in (running.folder / "fly.toml").read_text().splitlines() if line.startswith("#")] == comments
    assert running.writes() == []


def test_the_plain_noun_shows(running: Desk) -> None:
    shown = running.run("scale").out
    assert shown.splitlines()[1].split() == ["app", "1", "256", "MB", "nrt", "1"]
    assert "hard_limit" in shown
    assert running.run("scale", "--json").json["groups"][0]["regions"] == {"nrt": 1}


def test_before_the_first_deployment_there_is_nothing_to_scale(running: Desk) -> None:
    running.change(lambda state: state["apps"][APP].update(machines=[]))
    ended = running.run("scale.count", "--machines", "2")
    assert (ended.code, ended.line) == (3, f"nothing of {APP} runs yet; `./dev deploy` starts it")


def test_shares_are_about_the_same() -> None:
    assert scale.shares(5, ["a", "b", "c"]) == {"a": 2, "b": 2, "c": 1}
    assert scale.shares(1, ["a", "b"]) == {"a": 1, "b": 0}
