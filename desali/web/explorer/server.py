"""Listening, printing the address, opening a browser, and ending cleanly."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any

from desali.errors import DesaliError
from desali.output.interrupts import heard
from desali.web.explorer.decoding import stop
from desali.web.explorer.guard import Guard
from desali.web.explorer.session import Session
from desali.web.options import ExploreOptions

PORT = 8765
CONNECTIONS = 128
Say = Callable[[str], None]
REMOTE = (
    "Other machines may ask: {host} is not this machine alone. Whoever can read the network can read the address, the "
    "images and all that you see, since nothing is encrypted. Stop with Ctrl-C when you are done."
)


def check_installed() -> None:
    """Refuse to begin without the packages of the server.

    Raises:
        DesaliError: one is missing.
    """
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise DesaliError(f"the explorer needs {error.name}: pip install 'desali[explore]'") from None
    del starlette, uvicorn


def listening(options: ExploreOptions) -> socket.socket:
    """A socket that listens where the options say.

    Raises:
        DesaliError: another address than the loopback without `remote`, an unknown one, or a port in use.
    """
    host = options.host.strip("[]")
    if not options.remote and not _loopback(host):
        raise DesaliError(
            f"--host {options.host}: other machines could ask, and nothing is encrypted; say that you want it with "
            "--remote, or leave --host out"
        )
    wanted = [PORT, 0] if options.port is None else [options.port]
    for port in wanted:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            # Named, because asyncio sends small answers at once (TCP_NODELAY) on connections of this protocol alone.
            made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as error:
            raise DesaliError(f"--host {options.host}: no such address ({error})") from error
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(CONNECTIONS)
            return made
        except OSError as error:
            made.close()
            if port == wanted[-1]:
                raise DesaliError(
                    f"port {port} at {host} cannot be listened on ({error.strerror or error}): another program has it; "
                    "give another one with --port, or leave it out"
                ) from error
    raise AssertionError


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(host: str) -> tuple[str, ...]:
    """Names beside the loopback's that may be asked for, of a server that others may ask."""
    if _loopback(host):
        return ()
    own = {host, socket.gethostname(), socket.getfqdn()}
    with contextlib.suppress(OSError):
        own |= {str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None)}
    return tuple(f"[{name}]" if ":" in name else name for name in own if name not in ("0.0.0.0", "::"))


def serve(
    session: Session,
    options: ExploreOptions,
    sock: socket.socket,
    say: Say,
    begun: Callable[[Any], None] = lambda server: None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        say: prints a line.
        begun: gets the server before it begins; `should_exit` ends it.
    """
    import uvicorn

    from desali.web.explorer.app import HEAD, application

    host, port = options.host.strip("[]"), int(sock.getsockname()[1])
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):
        shown = socket.gethostname()

    def address(key: str) -> str:
        return f"http://{shown}:{port}/?token={key}"

    guard = Guard(port, _names(host), lambda key: say(f"for another browser: {address(key)}"))
    if not _loopback(host):
        say(REMOTE.format(host=host))
    if options.port is None and port != PORT:
        say(f"port {PORT} is in use; {port} is taken")
    say(f"{address(guard.key)}\nCtrl-C ends it. The address works once, for one browser.")
    made = application(session, guard, say)
    config = uvicorn.Config(
        made, log_level="critical", access_log=False, server_header=False, date_header=False, lifespan="off",
        limit_concurrency=CONNECTIONS, timeout_keep_alive=10, timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEAD, ws="none", http="h11", loop="asyncio",
    )  # fmt: skip
    threading.Thread(target=session.warm, name="desali-warm").start()
    if options.browser:
        threading.Thread(target=_open, args=(address(guard.key), say), daemon=True).start()
    try:
        server = uvicorn.Server(config)
        begun(server)
        server.run(sockets=[sock])
    except KeyboardInterrupt:
        heard()
    finally:
        session.close()
        stop()
        for queue in made.state.queues:
            queue.close()
        sock.close()


def _open(address: str, say: Say) -> None:
    import webbrowser

    opened: Any = False
    try:
        opened = webbrowser.open(address)
    except Exception:  # whatever a browser's starter does, the address stands above
        opened = False
    if not opened:
        say("no browser could be opened; copy the address into one")
