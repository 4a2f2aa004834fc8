"""The sandbox starts fast and brings fastapi_poe along only when it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from service.sandbox.app import make_sandbox, sandbox_of
from service.sandbox.state import Sandbox

PROGRAM = """
import sys
import service.sandbox.app as app
assert "fastapi_poe" not in sys.modules
app.make_sandbox()
assert "fastapi_poe" in sys.modules
"""


def test_fastapi_poe_is_imported_when_a_sandbox_is_made_and_not_before(root: Path) -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "Warning" not in run.stderr, "the library's warnings about settings would alarm whoever starts it"


def test_two_sandboxes_share_nothing() -> None:
    first, second = sandbox_of(make_sandbox()), sandbox_of(make_sandbox())
    assert isinstance(first, Sandbox)
    first.account("k").points = 1
    assert second.account("k").points != 1
