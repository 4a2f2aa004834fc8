"""The scorecard: this gateway passes it, a bad one does not, and every rule can be broken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench.failover import report
from bench.failover.answer import ANSWER, PIECES, WORDS, left_of
from bench.failover.caller import Endpoint, Seen
from bench.failover.card import WIRES, Scorecard, of_ours, of_yours
from bench.failover.faults import FAULTS, LEAVING, OK, SIXTEEN, Fault
from bench.failover.judge import Verdict, judged
from bench.failover.profile import FULL, SHORT, Profile
from bench.failover.rules import Sight, honest
from bench.failover.upstream import Call
from bench.forked import gateway
from bench.processes import BenchError
from tests.bench.bad_gateway import Eager, Naive, serving
from tests.ports import Port

ROOT = Path(__file__).parent.parent.parent
TINY = Profile("short", 1 / 100, word_seconds=0, outage_seconds=0.4, interval_seconds=0.02)
BY_ID = {fault.id: fault for fault in FAULTS}

forking = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="made for Linux")


@forking
def test_this_gateway_passes(tmp_path: Path) -> None:
    card = asyncio.run(of_ours(SHORT, tmp_path))
    assert card.clean, report.markdown(card)
    assert [card.passes(wire) for wire in WIRES] == [16, 16]


@forking
@pytest.mark.long
def test_this_gateway_passes_with_the_published_waits(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    card = asyncio.run(of_ours(FULL, tmp_path))
    record_property("told", report.markdown(card))
    assert card.clean, report.markdown(card)
    assert [card.passes(wire) for wire in WIRES] == [16, 16]


def card_of(kind: type[Naive], *ids: str) -> Mapping[str, Verdict]:
    """What a bad gateway gets, each fault after the other."""

    async def measured() -> Scorecard:
        with Port() as port:
            async with serving(kind, port.number) as url:
                faults = [BY_ID[id_] for id_ in ids or BY_ID]
                return await of_yours(TINY, Endpoint(url), port.number, lambda _: None, faults=faults)

    return asyncio.run(measured()).columns["chat"]


def test_a_gateway_that_passes_everything_through_fails() -> None:
    found = {id_: verdict.word for id_, verdict in card_of(Naive).items()}
    passes = {"S13"}  # which wants the provider's refusal passed on
    safe = {"S01", "S02", "S03", "S04", "S05", "S12"}
    partial = {"S07", "L01"}
    assert {id_ for id_, word in found.items() if word == "pass"} == passes
    assert {id_ for id_, word in found.items() if word == "safe"} == safe
    assert {id_ for id_, word in found.items() if word == "partial"} == partial
    assert {id_ for id_, word in found.items() if word == "fail"} == BY_ID.keys() - passes - safe - partial


def test_a_gateway_that_does_whatever_it_takes_fails() -> None:
    reasons = {
        "S02": "asked 10 times in 3 s",
        "S04": "asked 10 times",
        "S08": "the text is not the answer",
        "S10": "an event that is no JSON",
        "S11": "the text is not the answer",
        "S12": "asked 10 times instead of once",
        "S13": "asked 10 times instead of once",
        "S14": "the text is not the answer",
        "S16": "the answer names failover-s16",
        "L01": "those who left opened its circuit",
    }
    found = card_of(Eager, "S01", *reasons)
    for id_, reason in reasons.items():
        assert found[id_].word == "fail", (id_, found[id_])
        assert found[id_].reason.startswith(reason), (id_, found[id_])
    assert found["S01"].word == "partial"
    assert found["S01"].reason.startswith("asked again after 0.0 s")


def seen(**members: object) -> Seen:
    """The whole answer as it should reach a caller, but for `members`."""
    usual: dict[str, object] = {
        "asked_at": 100.0,
        "seconds": 0.1,
        "status": 200,
        "text": ANSWER,
        "reasons": ["stop"],
        "models": {OK},
        "done": True,
        "usage": True,
    }
    return Seen(**{**usual, **members})  # type: ignore[arg-type]


CUT = seen(text=" ".join(WORDS[:40]), reasons=[], done=False)
TOLD = replace(CUT, errors=["The connection broke."])
REFUSED = Seen(100.0, 0.1, status=400, errors=["no"])


def sight(fault: Fault, got: Seen, *calls_at: float, after: Seen | None = None) -> Sight:
    calls = tuple(Call(at, left_at=at, over=True) for at in calls_at or (100.0,))
    outage, sequence = (100.0, 160.0), (got,) if fault.course == "sequence" else ()
    return Sight(FULL, got, calls, after or seen(), fault.fallback, sequence=sequence, outage=outage, left_at=100.0)


GOOD_CALLS: Mapping[str, tuple[float, ...]] = {
    "S01": (100.0, 102.1),
    "S03": (100.0, 100.4),
    "S15": (100.0, 101.0, 175.0),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_what_is_right_passes(fault: Fault) -> None:
    got = REFUSED if fault.ideal == "error" else seen()
    assert judged(fault, sight(fault, got, *GOOD_CALLS.get(fault.id, ()))).word == "pass"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
@pytest.mark.parametrize(
    "got",
    [
        pytest.param(CUT, id="cut"),
        pytest.param(replace(CUT, done=True), id="cut with an end"),
        pytest.param(replace(CUT, reasons=["stop"], done=True), id="cut with a finish reason"),
        pytest.param(replace(TOLD, done=True), id="end after an error"),
        pytest.param(seen(text=f"{CUT.text} {ANSWER}"), id="glued"),
        pytest.param(seen(text=f"{CUT.text} {ANSWER}", reasons=["stop", "stop"]), id="glued with two ends"),
        pytest.param(seen(junk=["half an event"]), id="junk"),
        pytest.param(seen(hung=True), id="hung"),
        pytest.param(seen(done=False), id="whole without an end"),
        pytest.param(seen(errors=["late"]), id="whole with an error"),
        pytest.param(Seen(100.0, status=500, junk=["a 500 without an error in JSON"]), id="a page"),
    ],
)
def test_nothing_excuses_a_dishonest_answer(fault: Fault, got: Seen) -> None:
    verdict = judged(fault, sight(fault, got, *GOOD_CALLS.get(fault.id, ())))
    assert verdict.word == "fail" or (fault.ideal == "error" and verdict.word == "partial")
    assert verdict.reason


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_an_honest_error_is_safe_and_no_pass(fault: Fault) -> None:
    words = {"S13": "pass", "S15": "fail"}
    assert judged(fault, sight(fault, TOLD, *GOOD_CALLS.get(fault.id, ()))).word == words.get(fault.id, "safe")
    assert honest(TOLD) is None


@pytest.mark.parametrize(
    ("id_", "calls", "word"),
    [
        ("S01", (100.0, 100.2), "partial"),
        ("S01", (100.0,), "partial"),
        ("S01", (100.0, 100.1, 100.2, 102.5), "fail"),
        ("S02", (100.0, 100.1, 100.2, 100.3, 100.4), "fail"),
        ("S02", (100.0, 104.0, 108.0, 112.0, 116.0, 120.0, 124.0), "fail"),
        ("S03", (100.0,), "partial"),
        ("S04", tuple(range(100, 107)), "fail"),
        ("S06", (100.0, 112.0), "partial"),
        ("S12", (100.0, 100.3), "fail"),
        ("S13", (100.0, 100.3), "fail"),
        ("S15", (100.0, 101.0), "fail"),
        ("S15", (100.0, 195.0), "fail"),
        ("S16", tuple(range(100, 107)), "fail"),
    ],
)
def test_how_often_a_failing_model_may_be_asked(id_: str, calls: tuple[float, ...], word: str) -> None:
    got = REFUSED if id_ == "S13" else seen()
    assert judged(BY_ID[id_], sight(BY_ID[id_], got, *calls)).word == word


@pytest.mark.parametrize(
    ("id_", "seconds", "word"),
    [("S06", 101.0, "fail"), ("S07", 16.0, "partial"), ("S09", 46.0, "fail"), ("S11", 8.5, "fail")],
)
def test_how_long_an_answer_may_take(id_: str, seconds: float, word: str) -> None:
    assert judged(BY_ID[id_], sight(BY_ID[id_], seen(seconds=seconds))).word == word


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_the_gateway_has_to_be_well_afterwards(fault: Fault) -> None:
    got = REFUSED if fault.ideal == "error" else seen()
    verdict = judged(fault, sight(fault, got, *GOOD_CALLS.get(fault.id, ()), after=TOLD))
    assert verdict.word == ("fail" if fault.id in ("S09", "S10") else "partial")


def test_the_rules_of_single_faults() -> None:
    assert judged(BY_ID["S13"], sight(BY_ID["S13"], seen())).word == "partial"
    assert judged(BY_ID["S14"], sight(BY_ID["S14"], replace(TOLD, errors=["no prefill"]))).word == "fail"
    assert judged(BY_ID["S11"], sight(BY_ID["S11"], seen(usage=False))).word == "partial"
    assert judged(BY_ID["S16"], sight(BY_ID["S16"], seen(models={"failover-s16"}))).word == "fail"
    assert judged(LEAVING, sight(LEAVING, seen(), 99.0)).word == "fail"
    held = replace(sight(LEAVING, seen()), calls=(Call(99.0), Call(99.0, left_at=100.2), Call(101.0)))
    assert judged(LEAVING, held).reason.startswith("1 of 2 calls open")
    late = (Call(99.0, left_at=100.0), Call(100.1, left_at=100.2))
    trusted = judged(LEAVING, replace(sight(LEAVING, seen(asked_at=101.0)), calls=late))
    assert trusted.reason.startswith("those who left opened its circuit")


def test_the_answer_is_sixty_words_and_can_be_gone_on_with() -> None:
    assert len(WORDS) == 60
    assert "".join(PIECES) == ANSWER
    assert "".join(left_of(" ".join(WORDS[:7]))) == ANSWER.removeprefix(" ".join(WORDS[:7]))
    assert left_of("Something else") == PIECES


@pytest.fixture
def port() -> Iterator[Port]:
    with Port() as held:
        yield held


@forking
def test_a_gateway_that_runs_already_is_measured_on_both_wires(tmp_path: Path, port: Port) -> None:
    token = "a-token-of-the-scorecards-test"
    environment = {
        "POE_BASE_URL": f"http://127.0.0.1:{port.number}",
        "POE_API_KEYS": "only:poe-key-of-the-scorecards-test",
        "ACCESS_TOKENS": f"tests:{token}",
    }
    with gateway(environment, tmp_path / "log") as listening:
        endpoint = Endpoint(f"http://127.0.0.1:{listening}/v1", token)
        faults = [BY_ID["S12"], BY_ID["S13"]]
        card = asyncio.run(of_yours(SHORT, endpoint, port.number, lambda _: None, wires=WIRES, faults=faults))
    assert card.clean, card.columns
    assert {wire: list(column) for wire, column in card.columns.items()} == {wire: ["S12", "S13"] for wire in WIRES}


def failover(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.failover", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=50)


def test_a_gateway_that_is_not_there_is_one_line(port: Port) -> None:
    with Port() as upstream:
        done = failover("--url", f"http://127.0.0.1:{port.number}/v1", "--upstream-port", str(upstream.number))
    assert (done.returncode, done.stdout) == (3, "")
    assert "no request came through" in done.stderr.splitlines()[-1]


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BenchError, match="POE_API_KEYS"), gateway({}, tmp_path / "log"):
        pytest.fail("it started")
    assert time.monotonic() - began < 10


def a_card(**words: str) -> Scorecard:
    columns = {
        wire: {fault.id: Verdict(words.get(fault.id, "pass"), "a | b" * (fault.id in words), 0.1) for fault in FAULTS}  # type: ignore[arg-type]
        for wire in WIRES
    }
    return Scorecard(SHORT, columns)


def test_the_table_counts_passes_alone() -> None:
    table = report.markdown(a_card(S03="partial", S08="safe", L01="fail"))
    assert "chat wire 14/16, bot wire 14/16" in table
    assert r"| S03 | 500 once, then healthy | **partial**: a \| b | **partial**: a \| b |" in table
    assert "| S04 | 503 for ever | pass, 0.1 s | pass, 0.1 s |" in table
    assert len([line for line in table.splitlines() if line.startswith("| S")]) == len(SIXTEEN) == 16
    assert not a_card(L01="fail").clean
    assert a_card().clean


def test_the_table_has_a_place_in_a_document() -> None:
    card = a_card()
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    placed = report.placed(card, document)
    assert placed == report.placed(card, placed)
    assert placed.startswith("before\n")
    assert placed.endswith("after\n")
    assert report.markdown(card) in placed
    assert "old" not in placed
    with pytest.raises(ValueError, match="no place"):
        report.placed(card, "nothing here")


@forking
def test_one_gateway_that_does_not_start_ends_the_whole_run(tmp_path: Path) -> None:
    broken = replace(SHORT, scale=0.0)  # a timeout of no seconds at all is refused
    with pytest.raises(BenchError, match="must be above 0"):
        asyncio.run(of_ours(broken, tmp_path, faults=[BY_ID["S12"], BY_ID["S13"]]))


def test_the_documents_table_has_the_faults_of_today() -> None:
    _, _, table = (ROOT / "docs/failures.md").read_text().partition(report.BEGIN)
    told = [
        line.split(" | ")[:2] for line in table.partition(report.END)[0].splitlines() if line.startswith(("| S", "| L"))
    ]
    assert told == [[f"| {fault.id}", fault.title] for fault in FAULTS]
