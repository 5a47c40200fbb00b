"""Mutations of bytes: the same seed and number give the same input."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

NUMBERS = (
    b"0", b"-1", b"1", b"255", b"256", b"65535", b"65536", b"2147483647", b"2147483648", b"4294967296", b"1e308",
    b"-1e308", b"1e-300", b"nan", b"inf", b"9223372036854775807", b"9223372036854775808", b"0.5", b"true", b"null",
    b'""', b"[]", b"{}", b"9" * 400,
)  # fmt: skip
WORDS = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\n", b"\r\n", b",", b'"', b"'", b"[",
    b"]", b"{", b"}", b"[" * 200, b'{"a":' * 120, b"a" * 3000, b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xae",
    b"\xef\xbb\xbf", b"..", b"/", b"=", b"#", b":", b"\t", "ß界".encode(), b"%s%n{0}", b"1,2,3",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to six changes of bytes, numbers and pieces."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice((_flip, _byte, _number, _word, _cut, _drop, _twice, _splice, _swap, _integer))(
            rng, data, others
        )
    return data[: 1 << 20]


def _at(rng: random.Random, data: bytes) -> int:
    """A place, more often near the beginning, where headers are."""
    top = len(data) if rng.random() < 0.6 else min(len(data), 400)
    return rng.randrange(top + 1)


def _flip(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[min(_at(rng, data), len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _byte(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) + data[at + 1 :]


def _number(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    found = list(NUMBER.finditer(data[: 1 << 16]))
    if not found:
        return _byte(rng, data, others)
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]


def _word(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + rng.choice(WORDS) + data[at + rng.choice((0, 0, 1, 4)) :]


def _cut(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: _at(rng, data)]


def _drop(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64)) :]


def _twice(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at, size = _at(rng, data), rng.choice((1, 4, 16, 256))
    return data[: at + size] + data[at : at + size] * rng.choice((1, 1, 8)) + data[at + size :]


def _splice(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(list(others))
    return data[: _at(rng, data)] + other[_at(rng, other) :]


def _swap(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    a, b = sorted((_at(rng, data), _at(rng, data)))
    size = rng.choice((1, 2, 8, 32))
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _integer(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A binary integer at its own place."""
    at, form = _at(rng, data), rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    most = 256 ** struct.calcsize(form) - 1
    value = rng.choice((0, 1, most, most >> 1, (most >> 1) + 1, rng.randrange(most + 1)))
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def in_zip(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Half of the time a member is changed and packed again with the right checksum."""
    if rng.random() < 0.4:
        return mutated(rng, data, others)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as made:
        names = archive.namelist()
        chosen = rng.choice([*names, *(name for name in names if name.endswith((".pkl", ".npy")))])
        for name in names:
            content = archive.read(name)
            if name == chosen:
                if rng.random() < 0.05:
                    continue
                content = mutated(rng, content, [content])
            method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            made.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def in_png(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Changed, with the chunks' checksums put right where the chunks can still be walked."""
    data = mutated(rng, data, others)
    if rng.random() < 0.3:
        return data
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        (size,) = struct.unpack_from(">I", out, at)
        if at + 12 + size > len(out):
            break
        struct.pack_into(">I", out, at + 8 + size, zlib.crc32(out[at + 4 : at + 8 + size]))
        at += 12 + size
    return bytes(out)
