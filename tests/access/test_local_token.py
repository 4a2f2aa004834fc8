"""A gateway on loopback makes its token once, keeps it to its owner and goes on where it cannot."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from service.access.local_token import local_token
from service.values import specs


def test_it_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    made = local_token(tmp_path / "data")
    assert made.file == tmp_path / "data" / "access-token"
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert made.file.read_text() == made.text + "\n"
    assert local_token(tmp_path / "data") == made
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["access-token"]


def test_it_is_a_token_that_the_settings_would_take(tmp_path: Path) -> None:
    assert specs.tokens(local_token(tmp_path).text)


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    kept = local_token(tmp_path)
    assert kept.file is not None
    kept.file.chmod(0o644)
    assert local_token(tmp_path).text == kept.text
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40, b"two words that are long\n", b"x" * 20 + b"\x01"])
def test_a_file_that_holds_no_token_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "access-token").write_bytes(content)
    made = local_token(tmp_path)
    assert (made.file, len(made.text)) == (None, 43)
    assert (tmp_path / "access-token").read_bytes() == content


def test_where_nothing_can_be_written_it_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        made = local_token(folder)
        assert (made.file, len(made.text)) == (None, 43)


def test_of_two_that_start_together_both_use_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = "first-token-0123456789"
    link = os.link

    def late_link(source: Path, target: Path) -> None:
        target.write_text(first)
        link(source, target)

    monkeypatch.setattr(os, "link", late_link)
    assert local_token(tmp_path).text == first
    assert [file.name for file in tmp_path.iterdir()] == ["access-token"]


def test_its_repr_does_not_show_it(tmp_path: Path) -> None:
    made = local_token(tmp_path)
    assert made.text not in repr(made)


def test_a_token_on_a_file_system_that_is_read_only_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = local_token(tmp_path)

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "chmod", read_only)
    assert local_token(tmp_path) == kept
