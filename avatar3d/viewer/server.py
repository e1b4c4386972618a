"""A web server for one page, for this computer only unless asked otherwise."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from avatar3d.core import AvatarError
from avatar3d.export import html, import_avatar

_PAGES = (".html", ".htm")
_LARGEST = 300 << 20  # bytes of a page: browsers refuse strings of half a gigabyte


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    server: ThreadingHTTPServer
    thread: threading.Thread

    def wait(self) -> None:
        """Blocks until the server is closed, or the user interrupts."""
        self.thread.join()

    def close(self) -> None:
        """Stops the server and frees its port."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def player_page(source: Path | None) -> str:
    """Returns the page that shows a file.

    Args:
        source: An avatar, a page made by `avatar3d export --to html`, or any file that `avatar3d import` reads; None
            for a player that waits for a file to be dropped on it.

    Raises:
        AvatarError: The file cannot be read, or is too large for a page.
    """
    if source is None:
        return html.page()
    if source.suffix.lower() in _PAGES:
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise AvatarError(f"{source}: cannot be read ({error})") from error
        if 'id="avatar3d-data"' not in text:
            raise AvatarError(f"{source}: not a page of this player; make one with `avatar3d export --to html`")
        return text
    text = html.page(html.content_of(import_avatar(source)))
    if len(text) > _LARGEST:
        raise AvatarError(f"{source}: {len(text) >> 20} MB are too much for a page; show fewer splats")
    return text


def serve(page: str, port: int = 0, host: str = "127.0.0.1") -> Served:
    """Starts to serve a page and returns at once.

    Args:
        page: HTML.
        port: 0 takes a free one.
        host: Address to listen at. Anything but this computer's own shows the page to others.

    Raises:
        AvatarError: The port is taken, or the address is not of this computer.
    """
    if not 0 <= port <= 65535:
        raise AvatarError(f"port {port}: give a number from 0 to 65535")
    data = page.encode()
    local = host in ("127.0.0.1", "localhost", "::1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            name = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
            if local and name not in ("127.0.0.1", "localhost", "::1"):
                self.send_error(403)  # another site that lets its name point here may not read the page
                return
            if self.path.split("?")[0] not in ("/", "/index.html"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise AvatarError(f"{host}:{port}: cannot be served from ({error.strerror or error}); try --port 0") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="avatar3d-view", daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    return Served(f"http://{shown}:{server.server_address[1]}/", server, thread)
