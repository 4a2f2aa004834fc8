"""The retry budget: ten repeats for nothing, then a fifth of the first attempts of the last minute."""

from __future__ import annotations

from service.routing.budget import FREE_REPEATS, MAX_WAYS, RetryBudget
from service.routing.circuits import Way
from tests.clock import Clock

WAY: Way = ("model", "chat")


def taken(budget: RetryBudget, tries: int, way: Way = WAY) -> int:
    return sum(repeated(budget, way) for _ in range(tries))


def repeated(budget: RetryBudget, way: Way = WAY) -> bool:
    allowed = budget.allows(way)
    if allowed:
        budget.repeat(way)
    return allowed


def test_ten_are_free() -> None:
    assert taken(RetryBudget(clock=Clock()), 100) == FREE_REPEATS


def test_a_fifth_of_the_first_attempts_comes_on_top() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(100):
        budget.first(WAY)
    assert taken(budget, 1000) == FREE_REPEATS + 20


def test_what_is_older_than_a_minute_counts_no_more() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    for _ in range(100):
        budget.first(WAY)
    assert taken(budget, 1000) == 30
    clock.now += 59
    assert taken(budget, 1000) == 0
    clock.now += 2
    assert taken(budget, 1000) == FREE_REPEATS


def test_within_any_minute_the_share_is_kept() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    repeats: list[float] = []
    firsts: list[float] = []
    for step in range(2400):
        clock.now = 5000 + step * 0.25
        budget.first(WAY)
        firsts.append(clock.now)
        if repeated(budget):
            repeats.append(clock.now)
    for end in range(5060, 5600, 7):
        inside = [at for at in repeats if end - 59 < at <= end]
        base = [at for at in firsts if end - 61 < at <= end]
        assert len(inside) <= FREE_REPEATS + 0.2 * len(base) + 1
    assert len(repeats) > 400, "the budget is there to be used"


def test_models_and_wires_have_budgets_of_their_own() -> None:
    budget = RetryBudget(clock=Clock())
    assert taken(budget, 20) == FREE_REPEATS
    assert taken(budget, 20, ("model", "bot")) == FREE_REPEATS
    assert taken(budget, 20, ("other", "chat")) == FREE_REPEATS


def test_names_that_callers_make_up_do_not_pile_up() -> None:
    budget = RetryBudget(clock=Clock())
    for number in range(MAX_WAYS + 10):
        budget.first((f"model-{number}", "bot"))
    assert len(budget) == MAX_WAYS
