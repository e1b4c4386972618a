"""The only door to viser: a server for this computer, that answers no other site's pages.

viser listens on every address by default, asks nobody where a connection comes from, takes the next port where one is
taken, and lets any visitor open a public tunnel. Here it listens on this computer alone unless asked otherwise, refuses
requests that name another host and sockets that come from another site's page (both are how a page on the internet
reaches servers on one's own computer), takes the port it is told, and has no tunnel.
"""

import contextlib
import gzip
import http
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from typing import Any, cast

from avatar3d.core import AvatarError

LOCAL = ("127.0.0.1", "localhost", "::1")
_TITLE = "avatar3d studio"
_PATCHING = threading.Lock()


def check_viser() -> None:
    """Checks that viser is installed.

    Raises:
        AvatarError: It is not; says how to install it.
    """
    if importlib.util.find_spec("viser") is None:
        raise AvatarError("the studio needs viser: pip install 'avatar3d[studio]' (or pip install 'viser>=1.0')")


def open_server(host: str, port: int, script: str) -> Any:
    """Returns a running viser server.

    Args:
        host: Address to listen at.
        port: 0 takes a free one.
        script: JavaScript that the page runs besides viser's own.

    Raises:
        AvatarError: viser is missing, the port is taken, or the address is not of this computer.
    """
    check_viser()
    if not 0 <= port <= 65535:
        raise AvatarError(f"port {port}: give a number from 0 to 65535")
    _check_free(host, port)
    import viser
    from viser import _messages

    with _PATCHING, _guarded(host in LOCAL, script), contextlib.redirect_stdout(sys.stderr), _silent():
        server = viser.ViserServer(host=host, port=port, label=_TITLE, verbose=False)
    taken = server.get_port()
    if port and taken != port:
        close_server(server)
        raise AvatarError(f"{host}:{port}: cannot be served from (taken); try --port 0")
    for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
        with contextlib.suppress(AssertionError):  # a visitor's click must not open a tunnel to the internet
            server._websock_server.unregister_handler(message)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
    return server


def close_server(server: Any) -> None:
    """Stops a server and frees its port."""
    with contextlib.redirect_stdout(sys.stderr), _silent():
        server.stop()


def address_of(server: Any, host: str) -> str:
    """Returns the page's address."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.get_port()}/"


def allowed(headers: dict[str, str | None], local: bool) -> bool:
    """Returns whether a request may be answered.

    Args:
        headers: `Host` and `Origin`, None where they are not given.
        local: Whether this computer's names alone are good.
    """
    host = (headers.get("Host") or "").lower()
    name = (host.rsplit(":", 1)[0] if not host.endswith("]") else host).strip("[]")
    if local and name not in LOCAL:
        return False  # another site that lets its name point here
    origin = headers.get("Origin")
    if not origin:
        return True  # not a page: a program
    return origin.lower().partition("://")[2] == host


class _Reusing(TCPServer):
    allow_reuse_address = True


def _check_free(host: str, port: int) -> None:
    """Raises where nobody can listen: viser would try a thousand ports and then hang."""
    try:
        with _Reusing((host, port), BaseRequestHandler):
            pass
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AvatarError(f"{host}:{port}: cannot be served from ({reason}); try --port 0") from error


@contextlib.contextmanager
def _guarded(local: bool, script: str) -> Iterator[None]:
    """Puts our check before viser's answer to every request, and our script into its page.

    viser has no setting for either; it passes its answer to `websockets.asyncio.server.serve` as `process_request`:
    there they are put, for the moment in which a server is made.
    """
    import websockets.asyncio.server as sockets

    serve = sockets.serve

    def served(*arguments: Any, process_request: Callable[..., Any], **others: Any) -> Any:
        def answer(connection: Any, request: Any) -> Any:
            headers = {name: request.headers.get(name) for name in ("Host", "Origin")}
            if not allowed(headers, local):
                return connection.respond(http.HTTPStatus.FORBIDDEN, "this page is for this computer alone\n")
            response = process_request(connection, request)
            if response is not None and request.path.split("?")[0] in ("/", "/index.html"):
                _extend(response, script)
            return response

        return serve(*arguments, process_request=answer, **others)

    sockets.serve = cast(Any, served)
    try:
        yield
    finally:
        sockets.serve = serve


def _extend(response: Any, script: str) -> None:
    """Adds the script to a page."""
    body, packed = response.body, response.headers.get("Content-Encoding") == "gzip"
    text = gzip.decompress(body) if packed else body
    text = text.replace(b"<title>Viser</title>", b"<title>" + _TITLE.encode() + b"</title>")
    text = text.replace(b"</body>", b"<script>" + script.encode() + b"</script></body>")
    response.body = gzip.compress(text, 3) if packed else text
    for name, value in (
        ("Content-Length", str(len(response.body))),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
    ):
        if name in response.headers:
            del response.headers[name]
        response.headers[name] = value


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps viser's frames about addresses to itself: rich's console remembers the stream it was made with."""
    import rich

    console = rich.get_console()
    quiet, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = quiet


def script_of(name: str) -> str:
    """Returns one of our scripts for the page."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
