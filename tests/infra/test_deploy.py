"""`deploy` and `rollback`: what is bad never stays, and what was there before serves again."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra import fly_toml, process
from infra.fly import COMMANDS
from infra.process import Finished
from service.version import VERSION
from tests.infra import fake_flyctl, flying
from tests.infra.fake_flyctl import Fly, Refused
from tests.infra.flying import APP, KEYS, NEXT_TOKEN, TOKEN, Desk, Killed

GOOD, NEXT, BAD = (f"registry.fly.io/{APP}:{label}" for label in ("good", "next", "bad"))


@pytest.fixture
def running(desk: Desk) -> Desk:
    """An app with two machines that run a good image, as its second release."""
    values = {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"}
    for image in (f"{GOOD}-old", GOOD):
        ended = desk.run("setup", "--yes", "--no-github", "--machines", "2", "--image", image, **values)
        assert ended.code == 0, ended.err
    desk.forget()
    return desk


def images(desk: Desk) -> set[str]:
    return {machine["image"] for machine in desk.app["machines"]}


def test_a_good_image_is_out_on_every_machine(running: Desk) -> None:
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}
    assert running.writes() == [
        f"deploy --ha=false --image={NEXT} --strategy=rolling --yes --smoke-checks=false --dns-checks=false --app={APP}"
    ]
    assert ended.line == f"deploy: v3 runs on 2 machines: {NEXT}"


def test_the_answer_for_scripts_names_the_release_before(running: Desk) -> None:
    told = running.run("deploy", "--image", NEXT, "--json").json
    assert (told["version"], told["before"], told["image"], len(told["machines"])) == (3, 2, NEXT, 2)


def test_a_build_is_labelled_with_its_commit(running: Desk) -> None:
    for command in (
        ["init", "-q"],
        ["add", "fly.toml"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=running.folder, check=True, timeout=20)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=running.folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert running.run("deploy").code == 0
    (line,) = running.calls("deploy")
    built = f"--build-arg=VERSION={VERSION} --build-arg=COMMIT={commit}"
    assert re.search(f"--remote-only --image-label={commit}-\\d{{14}} {re.escape(built)} ", line)
    (running.folder / "fly.toml").write_text((running.folder / "fly.toml").read_text() + "\n# changed\n")
    assert running.run("deploy").code == 0
    assert re.search(f"--image-label={commit}-dirty-\\d{{14}} ", running.calls("deploy")[1])


def test_a_commit_that_is_built_again_badly_does_not_take_the_good_image_along(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that was pushed again would lead whoever goes back to the bad build."""
    times = iter(["20261122132243", "20261122132501"])
    monkeypatch.setattr("infra.deploy.commit_here", lambda _: "0123456789ab")
    monkeypatch.setattr("infra.deploy._time_now", lambda: next(times))
    assert running.run("deploy").code == 0
    (good,) = images(running)
    bad = f"registry.fly.io/{APP}:0123456789ab-20261122132501"
    running.change(lambda state: state.update(ready={bad: {"http": 503, "status": "broken"}}))
    ended = running.run("deploy")
    assert ended.code == 1
    assert "/ready: broken" in ended.line
    assert ended.line.endswith(f"v3 serves again ({good})")
    assert images(running) == {good} != {bad}


def built_as(running: Desk, monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    """From now on the machines come to run this image after a build, whatever was asked for."""
    real = Fly.deploy

    def deploy(fly: Fly) -> str:
        told = real(fly)
        for machine in fly.app["machines"] if "--image-label" in fly.flags else ():
            machine["image"] = image
        return told

    monkeypatch.setattr(Fly, "deploy", deploy)
    monkeypatch.setattr("infra.deploy.commit_here", lambda _: "0123456789ab")
    monkeypatch.setattr("infra.deploy._time_now", lambda: "20261122132501")


@pytest.mark.parametrize(
    "label", ["0123456789ab-20261122132243", "folder-20261122132501", "fedcba987654-dirty-20261122132501"]
)
def test_a_build_whose_place_another_took_is_no_success(
    running: Desk, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    """The release is new and the version right; only the label tells."""
    other = f"registry.fly.io/{APP}:{label}"
    built_as(running, monkeypatch, other)
    ended = running.run("deploy")
    assert ended.code == 1
    assert f"runs {other} instead of registry.fly.io/{APP}:0123456789ab-20261122132501" in ended.line
    assert images(running) == {GOOD}


@pytest.mark.parametrize(
    "image",
    [
        f"registry.fly.io/{APP}:0123456789ab-20261122132501@sha256:{'0' * 64}",
        f"registry.fly.io/{APP}@sha256:{'0' * 64}",
        f"registry.fly.io/{APP}:deployment-01JD3V0Q8Z3C4W5X6Y7Z8A9B0C",
        f"mirror.example/{APP}-builds:0123456789ab-20261122132243",
        f"sha256:{'0' * 64}",
    ],
)
def test_a_build_that_fly_names_in_another_way_is_not_undone(
    running: Desk, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    built_as(running, monkeypatch, image)
    ended = running.run("deploy")
    assert (ended.code, images(running)) == (0, {image}), ended.err


SMOKE = {
    "not ready": ({"http": 503, "status": "starting"}, "/ready: starting (HTTP 503)"),
    "another image": ({"image": GOOD}, f"runs {GOOD} instead of {BAD}"),
    "another machine": ({"machine": "somebody"}, "another machine answered (somebody)"),
    "a page": ({"http": 200, "machine": None}, "another machine answered (without a name)"),
}


@pytest.mark.parametrize("case", SMOKE)
def test_a_failed_smoke_test_ends_with_the_earlier_image_serving(running: Desk, case: str) -> None:
    told, line = SMOKE[case]
    running.change(lambda state: state.update(ready={BAD: told}))
    ended = running.run("deploy", "--image", BAD)
    assert ended.code == 1
    assert line in ended.line
    assert ended.line.endswith(f"v2 serves again ({GOOD})")
    assert images(running) == {GOOD}
    assert [each["status"] for each in running.app["releases"]] == ["complete"] * 4


@pytest.mark.parametrize("keys", [{"dry": 2}, {"dry": 1, "revoked": 1}])
def test_keys_in_trouble_are_told_and_undo_no_deployment(running: Desk, keys: dict[str, int]) -> None:
    """The release before would have the same keys."""
    running.change(lambda state: state.update(ready={GOOD: {"keys": keys}, NEXT: {"keys": keys}}))
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}
    told = ", ".join(f"{count} {state}" for state, count in keys.items())
    assert f"no Poe key is usable ({told}); `./dev secrets` sends others" in ended.err
    assert running.run("rollback", "--yes").code == 0


@pytest.mark.parametrize("state", ["limited", "resting"])
def test_keys_that_come_back_by_themselves_are_no_trouble(running: Desk, state: str) -> None:
    running.change(lambda platform: platform.update(ready={NEXT: {"keys": {state: 1, "dry": 1}}}))
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert "no Poe key" not in ended.err
    assert running.run("monitor.check").code == 0


def test_health_that_never_passes_ends_with_the_earlier_image_serving(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(BAD))
    ended = running.run("deploy", "--image", BAD)
    assert ended.code == 1
    assert "timeout reached waiting for health checks to pass" in ended.line
    assert ended.line.endswith(f"v2 serves again ({GOOD})")
    assert images(running) == {GOOD}


def test_health_that_nobody_waited_for_is_seen_all_the_same(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(BAD))
    ended = running.run("deploy", "--image", BAD, "--strategy", "immediate")
    assert ended.code == 1
    assert "servicecheck-00-http-8080: critical" in ended.line
    assert images(running) == {GOOD}
    # Fly remembers the last strategy, and uses it for secrets too.
    assert "--strategy=rolling" in running.calls("deploy")[-1]


def test_going_back_takes_the_configuration_of_before_along(running: Desk) -> None:
    """What failed may be today's fly.toml."""
    file = running.folder / "fly.toml"
    before = file.read_text()
    file.write_text(before.replace('interval = "15s"', 'interval = "20s"'))
    running.change(lambda state: state["sick_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    checks = [each["config"]["http_service"]["checks"][0]["interval"] for each in running.app["releases"]]
    assert checks == ["15s", "15s", "20s", "15s"]


def test_an_image_that_is_not_there_touches_nothing(running: Desk) -> None:
    running.change(lambda state: state["missing_images"].append(BAD))
    before = running.app["machines"]
    ended = running.run("deploy", "--image", BAD)
    assert ended.code == 1
    assert "could not find image" in ended.line
    assert ended.line.endswith(f"Nothing was changed: v2 serves ({GOOD})")
    assert running.app["machines"] == before


def test_an_answer_that_was_lost_is_looked_up(running: Desk) -> None:
    """flyctl failed, the deployment did not: what the machines say decides."""
    running.fault("deploy", "lost")
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0
    assert "EOF. But every machine runs the new release and is ready, so that nothing is to be done" in ended.err
    assert "again" not in ended.err
    assert images(running) == {NEXT}


def test_a_flyctl_that_was_stopped_for_taking_too_long_may_have_been_through(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(argv: Any, **more: Any) -> Finished:
        done = running.start(argv, **more)
        return Finished(-2, "", "", timed_out=True) if argv[1] == "deploy" else done

    monkeypatch.setattr(process, "run", start)
    ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, images(running)) == (0, {NEXT}), ended.err
    assert "flyctl deploy took too long and was stopped. But every machine runs the new release" in ended.err
    assert len(running.calls("deploy")) == 1


def test_a_digest_behind_the_name_on_one_machine_is_no_other_image(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Fly.deploy

    def deploy(fly: Fly) -> str:
        told = real(fly)
        fly.app["machines"][0]["image"] += f"@sha256:{'0' * 64}"
        return told

    monkeypatch.setattr(Fly, "deploy", deploy)
    ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, len(images(running))) == (0, 2), ended.err


def test_a_deployment_that_was_cut_off_half_way_goes_back(running: Desk) -> None:
    real = Fly.deploy

    def half(fly: Fly) -> str:
        fly.app["releases"].append({"version": 3, "status": "interrupted", "image": NEXT, "config": {}})
        fly._update(fly.app["machines"][0], NEXT, 3)
        running.monkeypatch.setattr(Fly, "deploy", real)
        raise Refused('Post "https://api.machines.dev/v1": dial tcp: i/o timeout')

    running.monkeypatch.setattr(Fly, "deploy", half)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 1
    assert ended.line.endswith(f"v2 serves again ({GOOD})")
    assert images(running) == {GOOD}


def test_a_question_that_fly_does_not_answer_once_undoes_nothing(running: Desk) -> None:
    running.fault("status", "500", nth=2)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert running.state["faults"][0]["nth"] <= 0
    assert images(running) == {NEXT}


def test_a_bad_release_that_nobody_can_be_asked_about_is_undone(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(BAD))
    running.fault("status", "500", nth=2)
    assert running.run("deploy", "--image", BAD, "--strategy", "immediate").code == 1
    assert images(running) == {GOOD}


def test_what_others_deployed_since_is_what_to_go_back_to(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment from here was cut short; then CI deployed twice."""

    cut_short(running, monkeypatch, NEXT)
    kept = running.folder / ".poe-proxy" / f"{APP}.before.json"
    text = kept.read_text()
    for image in (f"{GOOD}-2", f"{GOOD}-3"):
        assert running.run("deploy", "--image", image).code == 0
    assert not kept.exists()
    kept.write_text(text)
    running.change(lambda state: state["sick_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    assert images(running) == {f"{GOOD}-3"}


def cut_short(desk: Desk, monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    """Deploy an image, and be killed before its test."""

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("infra.smoke.problems", kill)
        with pytest.raises(Killed):
            desk.run("deploy", "--image", image)
    assert images(desk) == {image}


def test_after_a_test_that_was_cut_short_the_untested_image_does_not_pass_for_what_served(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(running, monkeypatch, BAD)
    running.fault("deploy", "unreachable")
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 1
    assert "v2 serves again" in ended.line
    assert images(running) == {GOOD}


def half(desk: Desk, monkeypatch: pytest.MonkeyPatch, image: str, *words: str) -> None:
    """Run a task that is killed once the first of the machines runs this image."""
    real = Fly.deploy

    def some(fly: Fly) -> str:
        if fly.flags["--image"] != image:
            return real(fly)
        number = len(fly.app["releases"]) + 1
        config = fly.app["releases"][-1]["config"]
        fly.app["releases"].append({"version": number, "status": "running", "image": image, "config": config})
        fly._update(fly.app["machines"][0], image, number)
        fake_flyctl.save(desk.state_file, fly.state)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Fly, "deploy", some)
        with pytest.raises(Killed):
            desk.run(*words)
    assert len(images(desk)) == 2


def test_a_deployment_that_was_cut_short_half_way_is_rolled_back_to_what_served(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v2's image runs on one machine still, and is all the same the one to go back to."""
    half(running, monkeypatch, NEXT, "deploy", "--image", NEXT)
    ended = running.run("rollback", "--yes")
    assert (ended.code, ended.line) == (0, f"rollback: v2 serves again ({GOOD})")
    assert images(running) == {GOOD}


def test_a_deployment_of_somebody_else_that_was_cut_short_is_rolled_back_to_what_served(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(running, monkeypatch, NEXT, "deploy", "--image", NEXT)
    (running.folder / ".poe-proxy" / f"{APP}.before.json").unlink()
    assert running.run("rollback", "--yes").code == 0
    assert images(running) == {GOOD}


def test_a_rollback_that_was_cut_short_half_way_goes_on_to_where_it_was_going(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.run("deploy", "--image", NEXT).code == 0
    half(running, monkeypatch, GOOD, "rollback", "--yes")
    ended = running.run("rollback", "--yes")
    assert (ended.code, ended.line) == (0, f"rollback: v2 serves again ({GOOD})")
    assert images(running) == {GOOD}


def test_a_bad_deployment_after_a_rollback_that_was_cut_short_goes_back_to_what_served(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(running, monkeypatch, f"{GOOD}-old", "rollback", "--yes")
    running.change(lambda state: state["sick_images"].append(BAD))
    ended = running.run("deploy", "--image", BAD)
    assert (ended.code, ended.line.endswith(f"v2 serves again ({GOOD})")) == (1, True)
    assert images(running) == {GOOD}


def test_what_a_rollback_put_in_place_and_found_bad_is_not_what_to_go_back_to(running: Desk) -> None:
    running.change(lambda state: state.update(ready={f"{GOOD}-old": {"http": 503}}, sick_images=[BAD]))
    assert running.run("rollback", "--yes").code == 1
    assert images(running) == {f"{GOOD}-old"}
    assert running.run("deploy", "--image", BAD).code == 1
    assert images(running) == {GOOD}
    assert running.run("rollback", "--to", "v1", "--yes").code == 1
    assert running.run("rollback", "--yes").code == 0
    assert images(running) == {GOOD}


def test_new_secrets_do_not_make_an_untested_image_one_to_go_back_to(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are a release of their own, with the image that is there."""
    cut_short(running, monkeypatch, BAD)
    running.change(lambda state: state.update(ready={BAD: {"http": 503}}, sick_images=[f"{BAD}-2"]))
    assert running.run("secrets", "--yes", "--keys-file", running.write("keys", KEYS)).code == 1
    assert running.run("deploy", "--image", f"{BAD}-2").code == 1
    assert images(running) == {GOOD}


def test_what_others_deployed_while_a_deployment_from_here_never_began_is_what_to_go_back_to(running: Desk) -> None:
    """Killed before flyctl was asked; then CI deployed once."""
    kept = running.folder / ".poe-proxy" / f"{APP}.before.json"
    running.kill_at = len(["config validate", "status", "releases", "config show", "deploy"])
    with pytest.raises(Killed):
        running.run("deploy", "--image", NEXT)
    text = kept.read_text()
    running.kill_at = 0
    running.change(lambda state: state["apps"][APP]["releases"].pop())
    running.change(lambda state: [each.update(image=GOOD, release=2) for each in state["apps"][APP]["machines"]])
    assert running.run("deploy", "--image", f"{GOOD}-2").code == 0
    kept.write_text(text)
    running.change(lambda state: state["sick_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    assert images(running) == {f"{GOOD}-2"}


def late(desk: Desk, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Let Fly show the machines of before for so many calls after each deployment; nobody sleeps."""
    real, shown, waits = Fly.status, Fly.deploy, [0]
    old: list[Any] = []

    def deploy(fly: Fly) -> str:
        old[:], waits[0] = [real(fly)], calls
        return shown(fly)

    def status(fly: Fly) -> Any:
        waits[0] -= 1
        return old[0] if waits[0] >= 0 else real(fly)

    def until(ask: Any, good: Any, seconds: float) -> Any:
        for _ in range(20):
            if good(answer := ask()):
                return answer
        return answer

    monkeypatch.setattr(Fly, "deploy", deploy)
    monkeypatch.setattr(Fly, "status", status)
    monkeypatch.setattr("infra.waiting.until", until)


def test_machines_that_fly_shows_late_undo_nothing(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build's image is known from the machines alone."""
    monkeypatch.setattr("infra.deploy.commit_here", lambda _: "")
    late(running, monkeypatch, 3)
    ended = running.run("deploy")
    assert ended.code == 0, ended.err
    assert re.fullmatch(rf"registry\.fly\.io/{APP}:folder-\d{{14}}", images(running).pop())
    assert len(running.calls("deploy")) == 1


def test_machines_that_take_the_place_of_others_undo_nothing(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """bluegreen: the new ones have other names, and the old ones are still listed for a moment."""
    late(running, monkeypatch, 2)
    before = {machine["id"] for machine in running.app["machines"]}
    shown = Fly.deploy

    def green(fly: Fly) -> str:
        told = shown(fly)
        for machine in fly.app["machines"]:
            machine["id"] = fly._new()
        return told

    monkeypatch.setattr(Fly, "deploy", green)
    ended = running.run("deploy", "--image", NEXT, "--strategy", "bluegreen")
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}
    assert not before & {machine["id"] for machine in running.app["machines"]}


def test_a_deployment_that_was_cut_off_as_it_began_is_not_called_untouched(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(running, monkeypatch, 2)
    running.fault("deploy", "lost")
    ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, ended.line.endswith(f"v2 serves again ({GOOD})")) == (1, True), ended.err
    assert images(running) == {GOOD}


def test_a_machine_that_sleeps_is_no_sick_one(running: Desk) -> None:
    running.change(lambda state: state["apps"][APP]["machines"][1].update(state="suspended"))
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}


def test_a_machine_that_somebody_runs_by_hand_beside_the_releases_undoes_nothing(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Fly.status

    def more(fly: Fly) -> Any:
        told = real(fly)
        other = {**told["Machines"][0], "id": "byhand", "checks": []}
        other["config"] = {"image": "docker.io/library/alpine:3", "metadata": {}}
        return {**told, "Machines": [*told["Machines"], other]}

    monkeypatch.setattr(Fly, "status", more)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert ended.line == f"deploy: v3 runs on 2 machines: {NEXT}"
    assert running.run("secrets", "--yes", "--keys-file", running.write("keys", KEYS)).code == 0


def test_a_refusal_half_way_ends_with_the_earlier_image_serving(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a token that may do one thing and not the other."""
    real = Fly.deploy

    def refused(fly: Fly) -> str:
        fly.app["releases"].append({"version": 3, "status": "failed", "image": NEXT, "config": {}})
        fly._update(fly.app["machines"][0], NEXT, 3)
        monkeypatch.setattr(Fly, "deploy", real)
        raise Refused("failed to update machine: server returned a non-200 status code: 403 forbidden")

    monkeypatch.setattr(Fly, "deploy", refused)
    ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, ended.line.endswith(f"v2 serves again ({GOOD})")) == (1, True)
    assert images(running) == {GOOD}


def test_tokens_that_somebody_else_staged_undo_nothing(running: Desk) -> None:
    """The token at hand is good until this very deployment takes theirs into use."""
    running.change(lambda state: state["apps"][APP]["secrets"].update(ACCESS_TOKENS={"value": f"team:{NEXT_TOKEN}"}))
    ended = running.run("deploy", "--image", NEXT, ACCESS_TOKENS=f"team:{TOKEN}")
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}
    assert "tokens that wait on Fly replace the one at hand" in ended.err


@pytest.mark.parametrize("digest", ["", f"@sha256:{'ab' * 32}"])
def test_an_image_with_a_digest_is_the_same_one_when_flyctl_writes_it_twice(running: Desk, digest: str) -> None:
    image = f"{NEXT}{digest}"
    running.change(lambda state: state.update(ready={image: {"image": image + digest}}))
    assert running.run("deploy", "--image", image).code == 0
    assert images(running) == {image}


def test_going_back_that_was_cut_short_half_way_is_finished(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    running.change(lambda state: state.update(ready={BAD: {"http": 503}}))
    real = Fly.deploy

    def half(fly: Fly) -> str:
        if fly.flags["--image"] != GOOD:
            return real(fly)
        release = {**fly.app["releases"][-1], "version": len(fly.app["releases"]) + 1, "image": GOOD}
        fly.app["releases"].append({**release, "status": "running"})
        fly._update(fly.app["machines"][0], GOOD, release["version"])
        fake_flyctl.save(running.state_file, fly.state)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Fly, "deploy", half)
        with pytest.raises(Killed):
            running.run("deploy", "--image", BAD)
    assert images(running) == {GOOD, BAD}
    assert running.run("deploy", "--image", BAD).code == 1
    assert images(running) == {GOOD}


def test_a_deployment_that_touched_nothing_leaves_nothing_untested(running: Desk) -> None:
    running.change(lambda state: state["missing_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    assert not (running.folder / ".poe-proxy" / f"{APP}.before.json").exists()


def test_what_is_remembered_of_before_may_be_damaged(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(BAD))
    whole = {"version": 1, "config": "{}", "tried": [], "goal": 0}
    damaged = [
        {**whole, name: wrong} for name, wrong in (("version", "x"), ("tried", 5), ("goal", "x"), ("goal", None))
    ]
    for text in ("[]", "{", '{"version": 1}', "\0", *map(json.dumps, damaged)):
        (running.folder / ".poe-proxy" / f"{APP}.before.json").write_text(text)
        assert running.run("deploy", "--image", BAD).code == 1
        assert images(running) == {GOOD}


def test_going_back_that_fails_is_told(running: Desk) -> None:
    running.change(lambda state: state.update(sick_images=[BAD], missing_images=[GOOD]))
    ended = running.run("deploy", "--image", BAD)
    assert ended.code == 1
    assert "Going back to v2 failed too" in ended.line
    assert "try `./dev rollback`" in ended.line


def test_a_failure_before_anything_was_deployed_does_not_go_back(running: Desk) -> None:
    ended = running.run("deploy", "--image", NEXT, FLY_API_TOKEN="expired")
    assert ended.code == 3
    assert running.writes() == []


def test_a_build_that_came_to_one_machine_alone_is_undone(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine runs what it was told to, so that none of them alone looks wrong."""
    real = Fly._update

    def half(fly: Fly, machine: dict[str, Any], image: str, release: int) -> None:
        late = ":folder-" in image and machine is not fly.app["machines"][0]
        real(fly, machine, machine["image"] if late else image, release)

    monkeypatch.setattr(Fly, "_update", half)
    ended = running.run("deploy")
    assert ended.code == 1
    assert "machines run different images" in ended.line
    assert images(running) == {GOOD}


def test_fly_toml_is_held_against_every_key_that_fly_knows(running: Desk) -> None:
    """Without `--strict` flyctl says nothing of a key that it will not heed."""
    assert running.run("deploy", "--image", NEXT).code == 0
    assert running.calls("config validate") == [f"config validate --strict --app={APP}"]


def test_a_deployment_has_the_time_that_fly_toml_gives_its_machines(root: Path) -> None:
    config = fly_toml.read(root)
    one_machine = fly_toml.duration(config.values["deploy"]["wait_timeout"])
    for command in ("deploy", "secrets deploy", "scale vm"):
        assert COMMANDS[command].seconds >= 3 * one_machine, command


def test_a_dry_run_deploys_nothing(running: Desk) -> None:
    ended = running.run("deploy", "--image", NEXT, "--dry-run")
    assert ended.code == 0
    assert any(line.startswith(f"flyctl deploy --ha=false --image={NEXT}") for line in ended.out.splitlines())
    assert running.writes() == []


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--strategy", "fast"], "--strategy 'fast' is none of rolling, canary, bluegreen, immediate"),
        (["--image", "--yes"], "--image needs a value"),
        (["--image", "a b"], "--image 'a b' is no reference"),
        (["--image", "UPPER:x"], "is no reference"),
    ],
)
def test_wrong_use(running: Desk, flags: list[str], line: str) -> None:
    ended = running.run("deploy", *flags)
    assert ended.code == 2
    assert line in ended.line
    assert running.writes() == []


def test_a_fly_toml_that_flyctl_refuses_is_wrong_use(running: Desk) -> None:
    file = running.folder / "fly.toml"
    file.write_text('colour = "red"\n' + file.read_text())
    ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, ended.line) == (2, "fly.toml: flyctl config validate: strict validation failed")
    assert running.writes() == []


def test_an_app_that_is_not_there_is_not_set_up(desk: Desk) -> None:
    ended = desk.run("deploy", "--image", NEXT)
    assert ended.code == 3
    assert "`./dev setup` makes it" in ended.line


def test_where_machines_cannot_be_told_apart_it_says_so(running: Desk) -> None:
    ended = running.run("deploy", "--image", NEXT, SMOKE_URL=running.url)
    assert ended.code == 0
    assert "SMOKE_URL is set: machines are not asked one by one, and their identity is not checked" in ended.err


def test_an_open_door_fails_the_smoke_test(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from infra import http
    from infra.http import Answer

    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> Answer:
        return Answer(200) if url.endswith("/v1/models") else real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    ended = running.run("deploy", "--image", NEXT)
    assert "/v1/models without a token: HTTP 200 instead of HTTP 401" in ended.line
    assert ended.code == 1


@pytest.mark.parametrize("words", [["deploy", "--image", NEXT], ["rollback", "--yes"]])
def test_a_token_that_was_wrong_before_undoes_nothing(running: Desk, words: list[str]) -> None:
    """As in a job whose copy of it is of before the last rotation."""
    for kept in (running.folder / ".poe-proxy").iterdir():
        kept.unlink()
    ended = running.run(*words, ACCESS_TOKENS=f"team:{NEXT_TOKEN}")
    assert ended.code == 0, ended.err
    assert images(running) != {GOOD}
    assert "refuses the access token at hand: the new release is not tried with it" in ended.err


def test_a_token_that_staged_ones_take_the_place_of_undoes_nothing(running: Desk) -> None:
    running.fault("secrets deploy", "unreachable")
    tokens = running.write("tokens.txt", f"team:{NEXT_TOKEN}\n")
    assert running.run("secrets", "--tokens-file", tokens, "--grace", "0", "--yes").code == 1
    ended = running.run("deploy", "--image", NEXT, ACCESS_TOKENS=f"team:{TOKEN}")
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}
    assert "tokens that wait on Fly replace the one at hand" in ended.err


def test_a_token_that_the_new_release_refuses_fails_the_smoke_test(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = flying.of_machine

    def forgetful(state: Any, machine: Any, path: str, token: str) -> tuple[int, Any]:
        forgets = machine["image"] == NEXT and path == "/v1/models"
        return (401, {}) if forgets else real(state, machine, path, token)

    monkeypatch.setattr(flying, "of_machine", forgetful)
    ended = running.run("deploy", "--image", NEXT, ACCESS_TOKENS=f"team:{TOKEN}")
    assert ended.code == 1
    assert "/v1/models with a token: HTTP 401 instead of HTTP 200" in ended.line
    assert images(running) == {GOOD}


def test_a_placeholder_for_a_token_is_not_tried(running: Desk) -> None:
    ended = running.run("deploy", "--image", NEXT, ACCESS_TOKENS="unset")
    assert ended.code == 0, ended.err


def test_two_at_once_are_one_too_many(running: Desk) -> None:
    import fcntl

    with open(running.folder / ".poe-proxy" / f"{APP}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = running.run("deploy", "--image", NEXT)
    assert (ended.code, ended.line) == (2, f"another task is changing {APP} right now; wait until it is done")


def test_a_deployment_that_was_interrupted_before_it_began_changed_nothing(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra import deploy

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "_run_deploy", interrupt)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 130
    assert "nothing was changed" in ended.line


@pytest.mark.parametrize("where", ["flyctl deploy", "the smoke test", "going back"])
def test_an_interrupted_deployment_is_not_called_undone(
    running: Desk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    if where == "flyctl deploy":
        monkeypatch.setattr(Fly, "deploy", interrupt)
    if where == "the smoke test":
        monkeypatch.setattr("infra.smoke.problems", interrupt)
    if where == "going back":
        running.change(lambda state: state["sick_images"].append(BAD))
        monkeypatch.setattr("infra.earlier.configuration", interrupt)
    ended = running.run("deploy", "--image", BAD)
    assert (ended.code, ended.line) == (
        130,
        "interrupted; begun: flyctl deploy (`./dev status` shows what runs, `./dev rollback` goes back). "
        "The same command goes on from there.",
    )


def test_rollback_takes_the_newest_other_image(running: Desk) -> None:
    ended = running.run("rollback", "--yes")
    assert ended.code == 0, ended.err
    assert images(running) == {f"{GOOD}-old"}
    assert ended.line == f"rollback: v1 serves again ({GOOD}-old)"


def test_rollback_does_not_take_what_was_undone(running: Desk) -> None:
    """At Fly that release went through like any other."""
    running.change(lambda state: state.update(ready={BAD: {"http": 503}}))
    assert running.run("deploy", "--image", BAD).code == 1
    assert [each["status"] for each in running.app["releases"]] == ["complete"] * 4
    assert running.run("rollback", "--yes").code == 0
    assert images(running) == {f"{GOOD}-old"}


def test_rollback_again_goes_further_back(running: Desk) -> None:
    assert running.run("deploy", "--image", NEXT).code == 0
    for image in (GOOD, f"{GOOD}-old"):
        assert running.run("rollback", "--yes").code == 0
        assert images(running) == {image}
    ended = running.run("rollback", "--yes")
    assert (ended.code, "there is no earlier release with another image" in ended.line) == (3, True)
    assert running.run("rollback", "--to", "v3", "--yes").code == 0
    assert images(running) == {NEXT}


def test_rollback_to_a_release(running: Desk) -> None:
    assert running.run("deploy", "--image", NEXT).code == 0
    assert running.run("rollback", "--to", "v1", "--yes").code == 0
    assert images(running) == {f"{GOOD}-old"}
    assert running.run("rollback", "--to", "2", "--yes").code == 0
    assert images(running) == {GOOD}


def test_rollback_passes_over_releases_that_failed(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    assert running.run("rollback", "--yes").code == 0
    assert images(running) == {f"{GOOD}-old"}


@pytest.mark.parametrize(
    ("flags", "code", "line"),
    [
        (["--to", "v9"], 2, "there is no v9 among the last 2 releases; `./dev releases` lists them"),
        (["--to", "latest"], 2, "--to 'latest' is no release like v12"),
        (["--to", "v0"], 2, "--to 'v0' is no release like v12"),
    ],
)
def test_rollback_to_nowhere(running: Desk, flags: list[str], code: int, line: str) -> None:
    ended = running.run("rollback", "--yes", *flags)
    assert (ended.code, ended.line) == (code, line)
    assert running.writes() == []


def test_rollback_asks_first(running: Desk) -> None:
    ended = running.run("rollback")
    assert ended.code == 2
    assert running.writes() == []


def test_a_rollback_that_goes_wrong_tells_the_way_back(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(f"{GOOD}-old"))
    ended = running.run("rollback", "--yes")
    assert ended.code == 1
    assert ended.line.endswith("; `./dev rollback --to v2` puts back what served")
    assert running.run("rollback", "--to", "v2", "--yes").code == 0
    assert images(running) == {GOOD}


def test_rollback_without_an_earlier_image(desk: Desk) -> None:
    assert desk.run("setup", "--yes", "--no-github", POE_API_KEYS=KEYS).code == 0
    ended = desk.run("rollback", "--yes")
    assert ended.code == 3
    assert ended.line.startswith("there is no earlier release with another image; `./dev rollback --to vN` takes")


@pytest.mark.parametrize("words", [["deploy", "--image", NEXT], ["secrets", "--yes", "--keys-file", "KEYS"]])
def test_the_gap_of_an_only_machine_is_told(running: Desk, words: list[str]) -> None:
    words = [running.write("keys", KEYS) if word == "KEYS" else word for word in words]
    gap = "has one machine: while its streams come to their end, new requests get 503"
    assert gap not in running.run(*words).err
    assert running.run("scale.count", "--machines", "1", "--yes").code == 0
    assert gap in running.run(*words).err


def stopped(desk: Desk) -> None:
    desk.change(lambda state: [each.update(state="stopped") for each in state["apps"][APP]["machines"]])


def test_stopped_machines_are_woken_to_be_tested(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(running)

    def start(_: Any) -> None:
        running.change(lambda state: state["apps"][APP]["machines"][0].update(state="started"))

    monkeypatch.setattr("infra.smoke.knock", start)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0, ended.err
    assert images(running) == {NEXT}


def test_machines_that_nobody_can_wake_prove_nothing(running: Desk) -> None:
    stopped(running)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 1
    assert "are stopped, as they were before, so that nothing could be tested" in ended.line


def test_machines_that_stop_with_a_new_image_are_a_bad_deployment(
    running: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that ends at once: Fly gives up restarting it."""
    real = Fly.deploy

    def stop(fly: Fly) -> str:
        told = real(fly)
        bad = fly.flags["--image"] == BAD
        for machine in fly.app["machines"]:
            machine["state"] = "stopped" if bad else "started"
        return told

    monkeypatch.setattr(Fly, "deploy", stop)
    ended = running.run("deploy", "--image", BAD)
    assert ended.code == 1
    assert "no machine runs" in ended.line
    assert "v2 serves again" in ended.line
    assert images(running) == {GOOD}


def test_more_machines_than_before_are_told(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fly's API once made machines twice (April 2026)."""
    real = Fly.deploy

    def twice(fly: Fly) -> str:
        told = real(fly)
        fly._launch("nrt")
        return told

    monkeypatch.setattr(Fly, "deploy", twice)
    ended = running.run("deploy", "--image", NEXT)
    assert ended.code == 0
    assert "2 machines before, now 3; `./dev scale.count --machines N` sets it" in ended.err
