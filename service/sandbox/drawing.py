"""The smallest files that are what they say: PNG, WAV, MP4."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
import zlib

_RATE = 8_000
_SAMPLES = 800


def draw_png(seed: str, width: int, height: int) -> bytes:
    """A gradient whose colours depend on `seed`."""
    red, green, blue = hashlib.sha256(seed.encode("utf-8", "replace")).digest()[:3]
    rows = b"".join(
        b"\0" + b"".join(bytes((red, (green + 3 * x) % 256, (blue + 3 * y) % 256)) for x in range(width))
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def sound_wav(seed: str) -> bytes:
    """A tenth of a second of a tone whose pitch depends on `seed`."""
    pitch = 220 + len(seed) % 440
    tone = (int(12_000 * math.sin(2 * math.pi * pitch * n / _RATE)) for n in range(_SAMPLES))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(struct.pack(f"<{_SAMPLES}h", *tone))
    return buffer.getvalue()


def tiny_mp4() -> bytes:
    """An MP4 of no length at all: a file type box and an empty one."""
    brands = b"isom" + struct.pack(">I", 512) + b"isomiso2mp41"
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + struct.pack(">I", 8) + b"free"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
