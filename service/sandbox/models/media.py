"""Models that make files, and the one that looks at them."""

from __future__ import annotations

from service.sandbox.answer import Answer, Report, Show, Wait, say
from service.sandbox.ask import Ask, ReceivedFile
from service.sandbox.drawing import draw_png, sound_wav, tiny_mp4
from service.sandbox.models.model import SandboxModel

_PROGRESS_STEPS = 3
_PROGRESS_SECONDS = 0.05
_SIDE = 64
_LONGEST_TITLE = 100


def image(ask: Ask, model: SandboxModel) -> Answer:
    """A small picture; `aspect_ratio` sets its shape."""
    width, height = _shape(str(ask.parameters.get("aspect_ratio", "1:1")))
    title = f"{_title(ask)}_image_1"
    picture = draw_png(ask.text, width, height)
    made = Show(picture, "image", "image/png", "image.png", title=title, query=f"w={width}&h={height}")
    return Answer((*_progress("image"), made))


def speech(ask: Ask, model: SandboxModel) -> Answer:
    """A short tone, with no text beside it."""
    return Answer((Show(sound_wav(ask.text), "audio", "audio/wav", "speech.wav"),))


def video(ask: Ask, model: SandboxModel) -> Answer:
    """A file that is an MP4 by its first bytes."""
    return Answer((*_progress("video"), Show(tiny_mp4(), "video", "video/mp4", "video.mp4")))


def vision(ask: Ask, model: SandboxModel) -> Answer:
    """Says what files came with the conversation."""
    if not ask.files:
        return say("I see no attachment.")
    lines = [f"{number}. {_described(file)}" for number, file in enumerate(ask.files, 1)]
    return say("\n".join([f"I got {len(ask.files)} attachment{'s' * (len(ask.files) > 1)}:", *lines]))


def _described(file: ReceivedFile) -> str:
    size = "not fetched" if file.size is None else f"{file.size} bytes"
    return f"{file.kind} {file.name or 'without a name'} ({file.content_type or 'unknown type'}, {size})"


def _progress(what: str) -> tuple[Report | Wait, ...]:
    """Progress lines with a running count of seconds, as Poe's own example bot sends them (poe.md 1.4)."""
    lines: list[Report | Wait] = []
    for second in range(1, _PROGRESS_STEPS + 1):
        lines += [Report(f"Generating {what} ({second}s elapsed)"), Wait(_PROGRESS_SECONDS)]
    return tuple(lines)


def _title(ask: Ask) -> str:
    return " ".join(ask.text.replace("[", "(").replace("]", ")").split())[:_LONGEST_TITLE] or "untitled"


def _shape(ratio: str) -> tuple[int, int]:
    wide, _, high = ratio.partition(":")
    if not (wide.isdigit() and high.isdigit() and int(wide) and int(high)):
        return _SIDE, _SIDE
    scale = _SIDE / max(int(wide), int(high))
    return max(1, round(int(wide) * scale)), max(1, round(int(high) * scale))
