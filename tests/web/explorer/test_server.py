"""The explorer's socket."""

from __future__ import annotations

import asyncio
import socket

from desali.web.explorer.server import listening
from desali.web.options import ExploreOptions


def test_answers_leave_at_once() -> None:
    """Nagle's algorithm would hold the second part of an answer for 40 ms."""
    found: list[int] = []

    async def serve() -> None:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        sock = listening(ExploreOptions(port=0))
        async with await asyncio.start_server(accepted, sock=sock):
            reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
            assert await reader.read() == b""
            writer.close()

    asyncio.run(serve())
    assert found
    assert all(found)
