"""Sentences that are broken between words."""

from __future__ import annotations

import pytest

from infra.wrap import whole, wrapped

LONG = "one two three four five six seven eight nine ten eleven"


def test_lines_are_no_longer_than_the_terminal_and_lose_nothing() -> None:
    for width in range(40, 61):
        lines = wrapped(LONG, width, "  ").split("\n")
        assert max(map(len, lines)) <= width
        assert " ".join(line.strip() for line in lines) == LONG


def test_what_stands_before_counts_and_is_not_shown() -> None:
    assert wrapped(LONG, 45, " " * 5, first=5) == f"{LONG[:39]}\n     {LONG[40:]}"


@pytest.mark.parametrize("width", [0, 12])
def test_without_room_nothing_is_broken(width: int) -> None:
    assert wrapped(f"{LONG} {whole('a b')}", width, " " * 8) == f"{LONG} a b"


def test_a_command_and_an_address_stay_whole() -> None:
    command, address = "`./dev rollback --to v17`", f"https://{'a' * 50}.fly.dev"
    shown = wrapped(f"when nothing else is of any help: {command} or {address}", 44)
    assert [command in line for line in shown.split("\n")] == [False, True, False]
    assert address in shown.split("\n")[2]


def test_indentation_at_the_beginning_stays() -> None:
    assert wrapped("      a b", 60, " " * 6) == "      a b"
    assert wrapped("", 60) == ""
