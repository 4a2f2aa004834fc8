"""Pictures, sound and files: as callers send them, and as answers hold them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from service.contract.models import ChatCompletionRequest
from service.dialects.chat.content import parts_of
from service.dialects.chat.media import address, markdown, part
from service.events import File
from service.prompt import MediaPart, TextPart
from tests.contract.replies import assert_conforms

BYTES = "aGVsbG8="


def sent(*parts: dict[str, Any]) -> tuple[Any, ...]:
    body = {"model": "m", "messages": [{"role": "user", "content": list(parts)}]}
    return parts_of(ChatCompletionRequest.model_validate(body).messages[0].content)


def image(url: str, **members: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **members}}


def file(data: str, **members: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, **members}}


def test_a_picture_may_be_a_url_or_data() -> None:
    assert sent(image("https://example.org/a.png", detail="low"), image(f"data:image/png;base64,{BYTES}")) == (
        MediaPart("image", url="https://example.org/a.png", detail="low"),
        MediaPart("image", url=f"data:image/png;base64,{BYTES}", media_type="image/png"),
    )


def test_a_file_that_is_sent_as_a_picture_is_a_file() -> None:
    assert sent(image(f"data:application/pdf;base64,{BYTES}"))[0].kind == "file"


def test_data_of_no_told_type_is_what_its_part_says() -> None:
    assert [each.kind for each in sent(image(f"data:;base64,{BYTES}"), file(f"data:;base64,{BYTES}"))] == [
        "image",
        "file",
    ]


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [("IMAGE/PNG", "image"), ("audio/wav", "audio"), ("video/mp4", "video"), ("text/plain;charset=utf-8", "file")],
)
def test_the_kind_of_a_file_is_that_of_its_type(media_type: str, kind: str) -> None:
    (found,) = sent(file(f"data:{media_type};base64,{BYTES}", filename="f"))
    assert (found.kind, found.name, found.media_type) == (kind, "f", media_type.partition(";")[0].lower())


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.pdf", "application/pdf"), ("a.unheardof", "application/octet-stream"), (None, "application/octet-stream")],
)
def test_bare_data_gets_the_type_that_its_name_tells(name: str | None, media_type: str) -> None:
    (found,) = sent(file(BYTES, filename=name))
    assert (found.url, found.media_type) == (f"data:{media_type};base64,{BYTES}", media_type)


def test_a_file_may_stand_at_a_url() -> None:
    assert sent(file("https://example.org/a.pdf")) == (MediaPart("file", url="https://example.org/a.pdf"),)


def test_sound_has_its_type_by_its_format() -> None:
    found = sent(
        {"type": "input_audio", "input_audio": {"data": BYTES, "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}},
    )
    assert [(each.kind, each.media_type, each.name) for each in found] == [
        ("audio", "audio/mpeg", "audio.mp3"),
        ("audio", "audio/wav", "audio.wav"),
    ]


def test_cache_marks_and_other_members_of_parts_mean_nothing() -> None:
    assert sent({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}) == (TextPart("x"),)


HTTPS = "https://pfst.cf2.poecdn.net/base"


@pytest.mark.parametrize(
    ("made", "link"),
    [
        (File(f"{HTTPS}/image/ab?w=1&h=2"), f"![image]({HTTPS}/image/ab?w=1&h=2)"),
        (File("https://x.org/a.PNG?b#c"), "![image](https://x.org/a.PNG?b#c)"),
        (File("https://x.org/a", "image/*", "a [b]\nc"), "![a (b) c](https://x.org/a)"),
        (File(f"{HTTPS}/audio/ab"), f"[audio]({HTTPS}/audio/ab)"),
        (File("https://x.org/a", "video/mp4"), "[video](https://x.org/a)"),
        (File("https://x.org/a", "text/csv", "t.csv"), "[t.csv](https://x.org/a)"),
        (File("https://x.org/a"), "[file](https://x.org/a)"),
        (File("https://x.org/a (1) \n<b>.png"), "![image](https://x.org/a%20%281%29%20%0A%3Cb%3E.png)"),
        (File("http://[bad"), "[file](http://[bad)"),
    ],
)
def test_a_file_is_a_link_in_markdown(made: File, link: str) -> None:
    assert markdown(made) == link


def test_a_file_can_be_a_part() -> None:
    assert part(File("https://x.org/a b", "image/png", "n")) == {
        "type": "image_url",
        "image_url": {"url": "https://x.org/a%20b"},
    }
    assert part(File(f"{HTTPS}/audio/ab", "audio/wav")) == {
        "type": "file",
        "file": {"url": f"{HTTPS}/audio/ab", "filename": "audio", "media_type": "audio/wav"},
    }


def test_an_address_is_cleaned_of_what_would_end_it() -> None:
    assert address(File('https://x.org/a"\t\u2028b')) == "https://x.org/a%22%09%E2%80%A8b"


def test_a_part_is_one_of_the_contracts() -> None:
    content = [part(File("https://x.org/a b.gif")), part(File("https://x.org/c\nd", "audio/wav"))]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    usage_details = {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": dict.fromkeys(
            ["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"], 0
        ),
    }
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    written = orjson.dumps({**body, "usage": {**usage, **usage_details}})
    assert_conforms("POST", "/v1/chat/completions", 200, "application/json", written)
