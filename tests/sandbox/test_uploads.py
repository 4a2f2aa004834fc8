"""Uploads are taken as Poe's endpoint takes them, given back byte by byte, and forgotten after ten minutes."""

from __future__ import annotations

import asyncio
from typing import Any

import fastapi_poe
import httpx
import pytest

from service.sandbox.accounts import SandboxAccount
from service.sandbox.state import Sandbox
from tests.running import sandboxed
from tests.sandbox.talking import KEY, ask_bot, get, message_of, post, post_chat, text_of

PICTURE = b"\x89PNG\r\n\x1a\n\r\n--almost-a-boundary\r\n\x00\r"


def upload(url: str, *, key: str = KEY, **form: Any) -> httpx.Response:
    return post(f"{url}/poe_api/file_upload_3RD_PARTY_POST", headers={"authorization": key}, **form)


def look(url: str, attachment: dict[str, str]) -> str:
    turns = [{"role": "user", "content": "What is it?", "attachments": [attachment]}]
    return text_of(ask_bot(url, "Sandbox-Vision", turns))


def test_the_librarys_own_upload_works_and_its_attachment_is_seen(url: str) -> None:
    async def run() -> fastapi_poe.Attachment:
        return await fastapi_poe.upload_file(PICTURE, file_name="cat.png", api_key=KEY, base_url=f"{url}/poe_api/")

    attachment = asyncio.run(run())
    assert attachment.content_type == "image/png"
    assert get(attachment.url).content == PICTURE
    seen = look(url, attachment.model_dump(include={"url", "content_type", "name"}))
    assert seen == f"I got 1 attachment:\n1. image cat.png (image/png, {len(PICTURE)} bytes)"


@pytest.mark.parametrize("form", ["multipart", "urlencoded"])
def test_a_download_url_is_taken_without_fetching_it(url: str, form: str) -> None:
    fields = {"download_url": "https://example.com/a/paper.pdf", "download_filename": "p.pdf"}
    body = (
        {"data": fields} if form == "urlencoded" else {"files": {name: (None, text) for name, text in fields.items()}}
    )
    response = upload(url, **body)
    assert response.status_code == 200
    assert response.json()["mime_type"] == "application/pdf"


def test_a_file_of_the_sandbox_is_its_own_download_url(url: str) -> None:
    picture = message_of(post_chat(url, "sandbox-image", "a cat"))["content"].split()[-1]
    again = upload(url, data={"download_url": picture}).json()
    assert again["attachment_url"] == picture.partition("?")[0]
    assert "image.png (image/png" in look(url, {"url": picture, "content_type": "image/png", "name": "image.png"})


def test_an_attachment_that_was_never_uploaded_is_refused(url: str) -> None:
    for address in ("https://example.com/cat.png", f"{url}/base/image/{'0' * 64}", "http://[", ""):
        with pytest.raises(fastapi_poe.BotError, match="user_caused_error"):
            look(url, {"url": address, "content_type": "image/png", "name": "cat.png"})


def test_an_upload_lives_for_ten_minutes() -> None:
    now = [1_000_000.0]
    with sandboxed(clock=lambda: now[0]) as (url, _):
        address = upload(url, files={"file": ("a.txt", b"words", "text/plain")}).json()["attachment_url"]
        attachment = {"url": address, "content_type": "text/plain", "name": "a.txt"}
        now[0] += 599
        assert get(address).content == b"words"
        assert "a.txt" in look(url, attachment)
        now[0] += 1
        assert get(address).status_code == 404
        with pytest.raises(fastapi_poe.BotError):
            look(url, attachment)


def test_forgetting_uploads_makes_bots_refuse_them(url: str, state: Sandbox) -> None:
    address = upload(url, files={"file": ("a.txt", b"words")}).json()["attachment_url"]
    state.files.clear()
    with pytest.raises(fastapi_poe.BotError):
        look(url, {"url": address, "content_type": "text/plain", "name": "a.txt"})


@pytest.mark.parametrize(
    "form",
    [
        {"content": b"raw"},
        {"data": {"other": "field"}},
        {"files": {"other": ("a", b"b")}},
        {"content": b"x", "headers": {"authorization": KEY, "content-type": "multipart/form-data"}},
    ],
    ids=str,
)
def test_a_form_without_a_file_is_refused_as_text(url: str, form: dict[str, Any]) -> None:
    response = post(f"{url}/poe_api/file_upload_3RD_PARTY_POST", **{"headers": {"authorization": KEY}, **form})
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain")


def test_an_unknown_key_may_not_upload() -> None:
    with sandboxed(keys={"k": SandboxAccount()}) as (url, _):
        form = {"files": {"file": ("a.txt", b"words")}}
        assert upload(url, key="other", **form).status_code == 401
        assert upload(url, key="k", **form).status_code == 200
        assert upload(url, key="Bearer k", **form).status_code == 200


def test_files_are_told_under_the_public_url_where_there_is_one() -> None:
    with sandboxed(public_url="https://sandbox.example/") as (url, _):
        content = message_of(post_chat(url, "sandbox-speech", "a word"))["content"]
        address = upload(url, files={"file": ("a.txt", b"words")}).json()["attachment_url"]
    assert content.startswith("https://sandbox.example/base/audio/")
    assert address.startswith("https://sandbox.example/base/file/")
