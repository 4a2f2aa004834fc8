"""The cells of the matrix: every fault × wire × shape × moment × whether another key is good, and a pairwise cover."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from itertools import combinations, product
from typing import Literal

from service.errors import Kind
from tests.faults.table import FATES, FAULTS, Fate, Fault, Maker

BY_NAME = {fault.name: fault for fault in FAULTS}
assert len(BY_NAME) == len(FAULTS)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination, by words alone so that two can be compared and printed."""

    fault_name: str
    wire: Literal["bot", "chat"]
    shape: Literal["whole", "streamed"]
    moment: Literal["before", "after"]
    others: Literal["other_good", "none_good"]

    def __str__(self) -> str:
        return "-".join(astuple(self))

    @property
    def fault(self) -> Fault:
        return BY_NAME[self.fault_name]

    @property
    def rest_body(self) -> bool:
        """Whether the upstream answers with one JSON body."""
        return self.wire == "chat" and self.shape == "whole"

    @property
    def maker(self) -> Maker | None:
        """What makes the upstream's script."""
        if self.rest_body:
            return self.fault.whole
        return self.fault.before if self.moment == "before" else self.fault.after

    @property
    def fates(self) -> dict[Kind, Fate]:
        """What may come of it, by the word for it; one member for nearly all."""
        return {kind: FATES[kind] for kind in self.fault.kinds}

    def why_not(self) -> str:
        """Why there is no such cell; empty where there is one."""
        fault = self.fault
        reasons = dict(fault.never)
        if self.wire not in fault.wires:
            return fault.why_one_wire
        if not fault.kinds and self.others == "none_good":
            return "it does no harm, so that no other key is asked"
        if self.rest_body and self.moment == "after":
            return "a whole answer of the chat wire shows nothing before its end"
        return "" if self.maker is not None else reasons["whole" if self.rest_body else self.moment]


def every_combination() -> list[Cell]:
    """All of them, the impossible ones too."""
    return [
        Cell(*words)
        for words in product(
            BY_NAME, ("bot", "chat"), ("whole", "streamed"), ("before", "after"), ("other_good", "none_good")
        )
    ]


def possible() -> list[Cell]:
    """The cells that there are."""
    return [cell for cell in every_combination() if not cell.why_not()]


def pairs(cell: Cell) -> set[tuple[tuple[int, str], ...]]:
    """The pairs of values that a cell shows together."""
    return set(combinations(enumerate(astuple(cell)), 2))


def pairwise() -> list[Cell]:
    """A few cells that show every pair of values which any cell shows, in the order of the table."""
    shown = {cell: pairs(cell) for cell in possible()}
    left = set().union(*shown.values())
    chosen: set[Cell] = set()
    for fault_name in BY_NAME:  # the longest column: its cells are all that a pair can need
        cells = [cell for cell in shown if cell.fault_name == fault_name]
        while wanted := {pair for cell in cells for pair in shown[cell] if (0, fault_name) in pair} & left:
            best = max(cells, key=lambda cell: (len(shown[cell] & wanted), len(shown[cell] & left)))
            chosen.add(best)
            left -= shown[best]
    assert not left, "a pair without a fault in it needs a cell of its own"
    return [cell for cell in shown if cell in chosen]
