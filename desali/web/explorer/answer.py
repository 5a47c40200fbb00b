"""What the explorer answers, and how it refuses: a status as HTTP numbers them, a kind and bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from desali.errors import DesaliError

JSON, PNG, SVG, RAW = "application/json", "image/png", "image/svg+xml", "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: 200, or that of `Refused`.
        kind: media type of the body.
    """

    status: int
    kind: str
    body: bytes


class Refused(DesaliError):
    """A request that is not answered, with the reason.

    Attributes:
        status: 400 a bad request, 404 there is no such thing, 409 a newer click came, 413 too large, 415 no image or
            another kind of one, 503 too many requests wait.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def of_json(value: Any, status: int = 200) -> Answer:
    """A value as JSON; NaN and infinity become null."""
    from desali.figures.sidecar import plain

    text = json.dumps(plain(value, "the answer"), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Answer(status, JSON, text.encode())


def of_error(error: Exception, status: int = 400) -> Answer:
    """A refusal in one line."""
    return of_json({"error": " ".join(str(error).split())}, getattr(error, "status", status))
