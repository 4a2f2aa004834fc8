"""The matrix as a page, out of the data that the tests hold the service to."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.cells import every_combination, pairwise, possible
from tests.faults.table import FAULTS, Fate, Fault

WIRES, SHAPES = ("chat", "bot"), ("whole", "streamed")


def page() -> str:
    """Markdown: a sentence on its size, and a row for each fault."""
    cells, ordinary, combinations = len(possible()), len(pairwise()), len(every_combination())
    head = ("Fault", "Kind", "Before the commit point, another key works", "… and none does", "After it", "Played on")
    return "\n".join(
        [
            f"{len(FAULTS)} faults, {cells} cells of {combinations} combinations; the others cannot be, each for a "
            f"reason that the tests name. `./dev test` plays {ordinary} of them, in which every pair of values meets, "
            "and `./dev test --long` all.",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
            *[f"| {' | '.join(row)} |" for row in map(_row, FAULTS)],
        ]
    )


def _row(fault: Fault) -> tuple[str, ...]:
    name = fault.name.replace("_", " ")
    if not fault.kinds:
        return name, "none", "answered, with one call", "–", "–", ", ".join(_places(fault))
    cells = [cell for cell in possible() if cell.fault is fault]
    fates = [fate for cell in cells[:1] for fate in cell.fates.values()]
    moments = {cell.moment for cell in cells}
    answered = "answered by it" if all(fate.moves for fate in fates) else _told(fates)
    return (
        name,
        ", ".join([f"`{kind}`" for kind in fault.kinds]),
        answered if "before" in moments else "–",
        _told(fates) if "before" in moments else "–",
        _told([fate.after_the_commit_point() for fate in fates]) if "after" in moments else "–",
        ", ".join(_places(fault)),
    )


def _told(fates: list[Fate]) -> str:
    return " or ".join(dict.fromkeys([f"{fate.status} `{fate.code or fate.type}`" for fate in fates]))


def _places(fault: Fault) -> Iterator[str]:
    there = {(cell.wire, cell.shape) for cell in possible() if cell.fault is fault}
    for wire in WIRES:
        shapes = [shape for shape in SHAPES if (wire, shape) in there]
        if shapes:
            yield f"{wire} {' and '.join(shapes)}"


if __name__ == "__main__":
    print(page())
