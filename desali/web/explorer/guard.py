"""Who may ask: the browser that opened the printed address, on the same machine, and no page of anybody else.

A page of another site can make a browser send requests here, and a name that another site owns can be made to point
here (DNS rebinding). So the name that was asked for must be one of ours, a request must come from our own page, and it
must carry a secret. The address holds a key of 256 bits that works once; it is changed for another one in a cookie that
scripts cannot read and that other sites' requests do not carry.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BITS = 256
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
METHODS = ("GET", "HEAD", "POST")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer, refusals too."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    reason: str


class Guard:
    """The secrets and the checks of one server.

    Args:
        port: that is listened on.
        names: host names beside those of the loopback that may be asked for.
        renewed: is told the new key whenever one was used.
    """

    def __init__(
        self, port: int, names: tuple[str, ...] = (), renewed: Callable[[str], None] = lambda key: None
    ) -> None:
        self.cookie = f"desali-{port}"
        self.hosts = frozenset(f"{name.lower()}:{port}" for name in (*LOOPBACK, *names))
        if port == 80:
            self.hosts |= frozenset(name.lower() for name in (*LOOPBACK, *names))
        self._secret = secrets.token_urlsafe(BITS // 8)
        self._key = secrets.token_urlsafe(BITS // 8)
        self._renewed = renewed
        self._lock = threading.Lock()

    @property
    def key(self) -> str:
        """What the address holds; it works once."""
        return self._key

    def exchange(self, key: str) -> str | None:
        """The value of the cookie for a key, which is spent then; None for a key that is none."""
        with self._lock:
            if not _equal(key, self._key):
                return None
            self._key = secrets.token_urlsafe(BITS // 8)
        self._renewed(self._key)
        return self._secret

    def refusal(
        self, method: str, headers: Mapping[str, str], cookies: Mapping[str, str], entering: bool = False
    ) -> Refusal | None:
        """Why a request is refused; None if it may be answered.

        Args:
            headers: names in lower case.
            entering: whether it brings a key in the place of a cookie.
        """
        if method not in METHODS:
            return Refusal(405, f"{method[:20]} is not answered")
        if headers.get("host", "").lower() not in self.hosts:
            return Refusal(421, "this host name is not served here")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and not self._own(origin):
            return Refusal(403, "the request comes from a page of another origin")
        if site is not None and site not in ("same-origin", "none"):
            return Refusal(403, "the request comes from a page of another site")
        if method == "POST" and origin is None and site != "same-origin":
            return Refusal(403, "the request does not say which page it comes from")
        if entering:
            return None
        if not _equal(cookies.get(self.cookie, ""), self._secret):
            return Refusal(401, "open the address that desali explore printed last")
        return None

    def _own(self, origin: str) -> bool:
        scheme, _, host = origin.lower().partition("://")
        return scheme == "http" and host in self.hosts


def _equal(one: str, other: str) -> bool:
    """Compared in a time that says nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())
