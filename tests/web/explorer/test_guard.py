"""Who may ask: the checks one by one, and attacks on a running server, whose outcomes stand in the docs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from desali.web.explorer.guard import HEADERS, Guard
from tests.web.explorer.attacks import ATTACKS, BEGIN, END, PAGE, Attack, Server, running, table, written

OWN = {"host": "127.0.0.1:8765"}


def test_a_key_works_once_and_the_next_is_told() -> None:
    told: list[str] = []
    guard = Guard(8765, (), told.append)
    key = guard.key
    assert len(key) >= 43, "256 bits"
    assert guard.exchange("wrong") is None
    cookie = guard.exchange(key)
    assert cookie is not None
    assert cookie != key
    assert guard.exchange(key) is None
    assert told == [guard.key]
    assert guard.exchange(guard.key) == cookie
    assert guard.exchange("ü\udcff") is None


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", OWN, None),
        ("GET", {"host": "LOCALHOST:8765"}, None),
        ("GET", {"host": "[::1]:8765"}, None),
        ("GET", {"host": "127.0.0.1"}, 421),
        ("GET", {"host": "127.0.0.1.evil.example:8765"}, 421),
        ("GET", {}, 421),
        ("GET", {**OWN, "origin": "http://127.0.0.1:8765"}, None),
        ("GET", {**OWN, "origin": "http://127.0.0.1:8765.evil.example"}, 403),
        ("GET", {**OWN, "origin": "null"}, 403),
        ("GET", {**OWN, "sec-fetch-site": "none"}, None),
        ("GET", {**OWN, "sec-fetch-site": "same-site"}, 403),
        ("POST", OWN, 403),
        ("POST", {**OWN, "sec-fetch-site": "none"}, 403),
        ("POST", {**OWN, "sec-fetch-site": "same-origin"}, None),
        ("OPTIONS", OWN, 405),
    ],
)
def test_checks(method: str, headers: dict[str, str], status: int | None) -> None:
    guard = Guard(8765)
    cookie = guard.exchange(guard.key) or ""
    found = guard.refusal(method, headers, {guard.cookie: cookie})
    assert (found and found.status) == status
    if status is None:
        assert guard.refusal(method, headers, {}).status == 401  # type: ignore[union-attr]
        assert guard.refusal(method, headers, {guard.cookie: cookie[:-1]}).status == 401  # type: ignore[union-attr]
        assert guard.refusal(method, headers, {}, entering=True) is None


def test_other_names_are_served_where_they_were_named() -> None:
    guard = Guard(8765, ("scanner.clinic",))
    assert guard.refusal("GET", {"host": "Scanner.clinic:8765"}, {}, True) is None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("uvicorn", reason="NOT ATTACKED: uvicorn is not installed. This test has checked NOTHING.")
    pytest.importorskip("starlette", reason="NOT ATTACKED: starlette is not installed. This test has checked NOTHING.")
    with running() as one:
        status, headers, _ = one.enter()
        assert status == 303
        assert headers["location"] == "/"
        assert one.alive()
        yield one


FOUND: dict[str, str] = {}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.name)
def test_attack(server: Server, attack: Attack) -> None:
    FOUND[attack.name] = attack.run(server)
    assert server.alive()


def test_every_answer_has_the_headers(server: Server) -> None:
    for path, cookie in (
        ("/", True),
        ("/", False),
        ("/api/nothing", True),
        ("/nowhere", True),
        ("/view/view.css", True),
    ):
        headers = server.ask(path, cookie=cookie)[1]
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value, path
        assert "server" not in headers


def test_outcomes_stand_in_the_docs() -> None:
    if len(FOUND) < len(ATTACKS):
        pytest.skip("not all attacks were run in this process")
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, table(FOUND)) == page, "python -m tests.web.explorer.attacks writes it"
    assert BEGIN in page
    assert END in page
