"""The dashboard: fresh, about series that exist, and complete."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra import dashboard, generated
from tests.infra.promql import faults, measured, selectors

BOARD: dict[str, Any] = json.loads(dashboard.overview())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_the_committed_dashboard_is_fresh() -> None:
    assert generated.stale(dashboard.files()) == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_asks_for_what_the_service_measures(expression: str) -> None:
    assert faults(expression) == []


def test_every_metric_of_ours_is_shown() -> None:
    shown = {re.sub(r"_bucket$", "", each.name) for expression in EXPRESSIONS for each in selectors(expression)}
    ours = {name for name in measured() if name.startswith("poe_proxy_")}
    families = {re.sub(r"_(?:bucket|sum|count|created)$", "", name) for name in ours}
    assert {name for name in families if f"{name}_total" not in ours} <= shown


def test_every_panel_can_be_read() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_source_and_app_are_the_readers_choice() -> None:
    assert [each["name"] for each in BOARD["templating"]["list"]] == ["source", "app"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${source}"}
    assert BOARD["uid"] == dashboard.UID
