"""Attacks on a running explorer, each with what happened; `python -m tests.web.explorer.attacks` writes the docs."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"


@dataclass
class Server:
    """A running explorer and the cookie of the browser that may ask it.

    Attributes:
        said: lines that it printed.
        mib: its memory now, in MiB.
    """

    port: int
    key: str
    mib: Callable[[], float]
    cookie: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, cookie: bool = True, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """A request as a browser or something worse sends it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            sent["Cookie"] = self.cookie
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def drop(self, name: str, body: bytes) -> tuple[int, str]:
        """Drop a file into the page."""
        status, _, answer = self.ask(f"/api/images?name={name}", "POST", body, Origin=self.origin)
        return status, answer.decode()

    def enter(self) -> tuple[int, dict[str, str], bytes]:
        """Open the printed address."""
        answer = self.ask(f"/?token={self.key}", cookie=False)
        self.cookie = answer[1].get("set-cookie", "").partition(";")[0]
        return answer

    def alive(self) -> bool:
        """Whether it still answers the page that may ask."""
        return self.ask("/api/session")[0] == 200


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: what is tried.
        run: tries it and says what happened; it raises AssertionError where the attack got through.
    """

    name: str
    run: Callable[[Server], str]


def refused(answer: tuple[int, dict[str, str], bytes], status: int) -> str:
    assert answer[0] == status, answer
    assert "access-control-allow-origin" not in answer[1]
    return f"refused, {status}: {_words(answer[2])}"


def _words(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def no_token(server: Server) -> str:
    return refused(server.ask("/api/session", cookie=False), 401)


def wrong_token(server: Server) -> str:
    assert server.ask("/?token=" + "A" * 43, cookie=False)[0] == 403
    return refused(server.ask("/api/session", cookie=False, Cookie=f"desali-{server.port}={'A' * 43}"), 401)


def replay(server: Server) -> str:
    status, headers, _ = server.ask(f"/?token={server.key}", cookie=False)
    assert status == 403
    assert "set-cookie" not in headers
    return "refused, 403: the address works once; no cookie is given"


def the_cookie(server: Server) -> str:
    key = server.said[-1].rpartition("token=")[2]
    given = server.ask(f"/?token={key}", cookie=False)[1]["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=strict" in given
    assert key not in given
    return "HttpOnly and SameSite=Strict: no script reads it, no request from another site carries it"


def host(server: Server) -> str:
    return refused(server.ask("/", Host=f"evil.example:{server.port}"), 421)


def other_port(server: Server) -> str:
    return refused(server.ask("/", Host="127.0.0.1:1"), 421)


def origin(server: Server) -> str:
    refused(server.ask("/api/session", Origin="null"), 403)
    refused(server.ask("/api/session", Origin=f"https://127.0.0.1:{server.port}"), 403)
    return refused(server.ask("/api/session", Origin="http://evil.example"), 403)


def cross_site(server: Server) -> str:
    refused(server.ask("/view/explore.js", Sec_Fetch_Site="same-site"), 403)
    return refused(server.ask("/api/image?image=0", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="image"), 403)


def forged_post(server: Server) -> str:
    return refused(server.ask("/api/images?name=a.png", "POST", b"x"), 403)


def preflight(server: Server) -> str:
    return refused(server.ask("/api/images", "OPTIONS", Origin="http://evil.example",
                              Access_Control_Request_Method="POST"), 405)  # fmt: skip


def framed(server: Server) -> str:
    headers = server.ask("/")[1]
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    return "forbidden: frame-ancestors 'none', default-src 'none', nothing unsafe; nosniff, no-store"


def traversal(server: Server) -> str:
    for path in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "....//app.py", "%00explore.js", "..%5capp.py", "explore",
                 "/etc/passwd", "explore.js%00.css"):  # fmt: skip
        status, _, body = server.ask(f"/view/{path}")
        assert status == 404, path
        assert b"starlette" not in body
    return "404: files of the view alone are served, by name"


def model_string(server: Server) -> str:
    from urllib.parse import quote

    spec = quote("os:system")
    for path in (f"/api/session?model={spec}&models={spec}", f"/api/view?image=0&layer=relu&channel=0&models={spec}",
                 f"/api/channels?image=0&layer=relu&model={spec}"):  # fmt: skip
        status, _, body = server.ask(path)
        assert status in (200, 400)
        if "session" not in path:
            assert status == 400, path
            assert b"expected a whole number" in body
    return "refused, 400: models are places in what the command line named, whole numbers"


def image_path(server: Server) -> str:
    return refused(server.ask("/api/image?image=/etc/passwd"), 404)


def html(server: Server) -> str:
    from tests.web.conftest import HOSTILE

    status, headers, body = server.ask("/api/session")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["models"][0]["classes"] == list(HOSTILE)
    assert HOSTILE[0].encode() not in server.ask("/")[2]
    return "text in JSON, never markup: the page holds no names, and its script makes text of them"


def html_name(server: Server) -> str:
    from urllib.parse import quote

    status, text = server.drop(quote("../../<script>alert(1)</script>\n.png"), picture(4))
    assert status == 200
    assert json.loads(text)["name"] == "script>.png"
    return "the last part of the name, without control characters, as text in JSON"


def picture(side: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (side, side), 7).save(buffer, "PNG")
    return buffer.getvalue()


def bomb(server: Server) -> str:
    """A PNG of 60,000 x 60,000 pixels in some kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 60_000
    rows = zlib.compress(bytes(1000 * side), 9) * 1
    body = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    body += chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    before = server.mib()
    status, text = server.drop("bomb.png", body)
    assert status == 415
    assert "pixels" in text
    assert server.mib() - before < 100
    return "refused, 415: 3,600 million pixels are too many; its header alone was read"


def gzip_bomb(server: Server) -> str:
    """A compressed volume that unpacks to gigabytes."""
    import gzip

    data = gzip.compress(bytes(348) + bytes(400 * 2**20), 9)
    before = server.mib()
    status, text = server.drop("bomb.nii.gz", data)
    assert status == 415, text
    assert server.mib() - before < 100
    return "refused, 415, by the process that decodes; the server's memory did not grow"


def hungry(server: Server) -> str:
    """A decoder that would eat time."""
    from desali.web.explorer import decoding

    kept = decoding._CHILD, decoding.SECONDS
    decoding._CHILD, decoding.SECONDS = "while True: pass", 1.0
    try:
        status, text = server.drop("slow.png", picture(4))
    finally:
        decoding._CHILD, decoding.SECONDS = kept
    assert status == 415
    assert "not decoded within" in text
    return "the decoder's process is killed after its time; 415"


def crash(server: Server) -> str:
    """A decoder that dies."""
    from desali.web.explorer import decoding

    kept = decoding._CHILD
    decoding._CHILD = "import os; os.abort()"
    try:
        status, text = server.drop("crash.png", picture(4))
    finally:
        decoding._CHILD = kept
    assert status == 415
    assert "ended without a word" in text
    return "its process dies alone; 415"


def huge(server: Server) -> str:
    from desali.web.explorer.dropped import UPLOAD

    connection = socket.create_connection(("127.0.0.1", server.port))
    with connection:
        head = f"POST /api/images?name=a HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {server.origin}\r\n"
        head += f"Cookie: {server.cookie}\r\nContent-Length: {UPLOAD + 1}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413"), answer
    return f"refused, 413, before a byte of it was read: at most {UPLOAD >> 20} MiB"


def unsaid(server: Server) -> str:
    """An upload in chunks that does not say how long it is."""
    from desali.web.explorer.dropped import UPLOAD

    before = server.mib()

    def parts() -> Iterator[bytes]:
        for _ in range(UPLOAD // 2**20 + 2):
            yield bytes(2**20)

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/api/images?name=a", parts(),
                           {"Cookie": server.cookie, "Origin": server.origin}, encode_chunked=True)  # fmt: skip
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it hung up
    finally:
        connection.close()
    assert status == 413
    assert server.mib() - before < 300
    return "refused, 413, as soon as it is longer than that"


def no_image(server: Server) -> str:
    status, text = server.drop("a.png", b"MZ\x90\x00 not an image")
    assert status == 415
    return f"refused, 415: {json.loads(text)['error']}"


def damaged(server: Server) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    whole = buffer.getvalue()
    for cut in (9, 30, len(whole) // 2):
        assert server.drop("a.png", whole[:cut])[0] == 415, cut
    return "refused, 415: truncated or damaged"


def slow(server: Server) -> str:
    """An upload of a byte now and then."""
    from desali.web.explorer import app

    kept = app.UPLOAD_SECONDS
    app.UPLOAD_SECONDS = 1.0
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            head = f"POST /api/images?name=a HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {server.origin}\r\n"
            connection.sendall(f"{head}Cookie: {server.cookie}\r\nContent-Length: 1000\r\n\r\n".encode())
            for _ in range(4):
                connection.sendall(b"x")
                time.sleep(0.1)
            assert server.alive(), "others are served meanwhile"
            answer = connection.recv(1000)
    finally:
        app.UPLOAD_SECONDS = kept
    assert answer.startswith(b"HTTP/1.1 408"), answer
    return f"408 after {kept:g} s; others are served meanwhile, and two files at most come at once"


def flood(server: Server) -> str:
    """A hundred clicks at once, of one page."""
    found: list[int] = []

    def click(number: int) -> None:
        path = f"/api/view?image={number % 12}&layer=layer2.relu:1&from=channel&channel=1&models=0,1&page=flood"
        found.append(server.ask(f"{path}&click={number}")[0])

    threads = [threading.Thread(target=click, args=(k,)) for k in range(100)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert len(found) == 100
    assert set(found) <= {200, 204, 503}, set(found)
    assert 204 in found or 503 in found
    return "two are computed at a time; the stale ones are cancelled (204), beyond the queue 503"


def connections(server: Server) -> str:
    """Many connections that say nothing."""
    from desali.web.explorer.server import CONNECTIONS

    opened = []
    try:
        for _ in range(CONNECTIONS + 40):
            opened.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        time.sleep(0.2)
        answers = [server.ask("/api/session")[0]]
    finally:
        for one in opened:
            one.close()
    assert set(answers) <= {200, 503}
    time.sleep(0.5)
    return f"503 beyond {CONNECTIONS} connections; served again as soon as they are closed"


def long_query(server: Server) -> str:
    return refused(server.ask("/api/view?image=" + "1" * 8000), 414)


def long_head(server: Server) -> str:
    with contextlib.suppress(ConnectionError):  # it hangs up
        assert server.ask("/api/session", X_Long="x" * 400_000)[0] in (400, 431)
    return refused(server.ask("/api/session", X_Long="x" * 40_000), 431)


def numbers(server: Server) -> str:
    for params in ("image=0&layer=relu&channel=99999999999999999999", "image=0&layer=relu&from=top&k=100000",
                   "image=0&window=1e999,1", "image=0&layer=relu&channel=1&y=-1&x=1"):  # fmt: skip
        status, _, body = server.ask(f"/api/view?{params}")
        assert status == 400, (params, body)
    return "refused, 400: every number has a range"


def garbage(server: Server) -> str:
    """Bytes that are no HTTP."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(bytes(range(256)) + b"\r\n\r\n")
        answer = connection.recv(100)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer
    return "400"


def methods(server: Server) -> str:
    for method in ("PUT", "DELETE", "TRACE", "PATCH", "CONNECT"):
        assert server.ask("/api/session", method)[0] in (400, 405), method
    assert server.ask("/api/session", "POST", b"", Origin=server.origin)[0] == 405
    return "405: GET, HEAD and POST of files alone"


ATTACKS = (
    Attack("no token", no_token),
    Attack("a guessed token or cookie", wrong_token),
    Attack("the address again (token replay)", replay),
    Attack("stealing the cookie by a script or from another site", the_cookie),
    Attack("a name of others that points here (DNS rebinding, wrong Host)", host),
    Attack("another port in Host", other_port),
    Attack("a request from a page of another origin", origin),
    Attack("a picture or script in a page of another site", cross_site),
    Attack("a forged upload that says no origin", forged_post),
    Attack("a CORS preflight", preflight),
    Attack("the page in a frame, scripts from elsewhere", framed),
    Attack("path traversal in /view/", traversal),
    Attack("a model's string from the browser", model_string),
    Attack("a path in the place of an image", image_path),
    Attack("HTML in the names of classes", html),
    Attack("HTML and a path in the name of a dropped file", html_name),
    Attack("a decompression bomb (PNG)", bomb),
    Attack("a decompression bomb (compressed volume)", gzip_bomb),
    Attack("a file that keeps its decoder busy", hungry),
    Attack("a file that crashes its decoder", crash),
    Attack("a huge upload", huge),
    Attack("a huge upload that does not say its length", unsaid),
    Attack("a file that is no image", no_image),
    Attack("a damaged image", damaged),
    Attack("a slow upload", slow),
    Attack("a flood of clicks", flood),
    Attack("a flood of connections", connections),
    Attack("an endless query", long_query),
    Attack("an endless header", long_head),
    Attack("numbers out of range", numbers),
    Attack("bytes that are no HTTP", garbage),
    Attack("other methods", methods),
)


@contextmanager
def running() -> Iterator[Server]:
    """An explorer of small networks, served in a thread."""
    from desali.web.explorer import server as serving
    from desali.web.options import ExploreOptions
    from tests.web.explorer.explored import session

    options = ExploreOptions(port=0, browser=False)
    sock = serving.listening(options)
    said: list[str] = []
    made = session()
    servers: list[Any] = []
    thread = threading.Thread(target=serving.serve, args=(made, options, sock, said.append, servers.append))
    thread.start()
    while not any("token=" in line for line in said):
        time.sleep(0.05)
    key = said[-1].partition("token=")[2].split()[0]
    try:
        yield Server(sock.getsockname()[1], key, _mib, said=said)
    finally:
        servers[0].should_exit = True
        thread.join()


def _mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * 4096 / 2**20


def table(found: dict[str, str]) -> str:
    """What happened, as Markdown."""
    rows = ["| attack | what happened |", "|---|---|"]
    return "\n".join([*rows, *(f"| {name} | {happened} |" for name, happened in found.items())])


def written(page: str, made: str) -> str:
    """The page with the table in it."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Attack, and write the page."""
    with running() as server:
        server.enter()
        found = {one.name: one.run(server) for one in ATTACKS}
        assert server.alive()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
