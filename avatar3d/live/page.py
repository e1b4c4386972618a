"""The page that shows a live avatar: pictures one after the other over HTTP, to this machine only."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from avatar3d.core import AvatarError

_HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>avatar3d live</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline';
 script-src 'unsafe-inline'">
<style>
 body{margin:0;min-height:100vh;display:grid;place-content:center;justify-items:center;gap:.7rem;
  font:15px/1.4 system-ui,sans-serif;background:#f4f4f2;color:#333}
 img{max-width:96vw;max-height:86vh;border-radius:12px;box-shadow:0 4px 30px #0002;background:#fff}
 @media(prefers-color-scheme:dark){body{background:#151515;color:#bbb}}
</style>
<img src="/stream.mjpg" alt="The avatar, live">
<div id="said" role="status">waiting for the first pictures</div>
<script>
 setInterval(async()=>{try{const s=await(await fetch("/stats.json")).json();
  document.getElementById("said").textContent=
   `${s.frames_per_second??"-"} pictures a second, ${s.latency_ms??"-"} ms behind`}
  catch{document.getElementById("said").textContent="ended"}},1000)
</script></html>"""


class Page:
    """Serves the newest picture to whoever looks; use it as a context."""

    def __init__(self, port: int, stats: Callable[[], dict[str, Any]]):
        """Args: `port` on 127.0.0.1, 0 for any that is free; `stats` is called for `/stats.json`.

        Raises:
            AvatarError: The port is in use.
        """
        self._newest = threading.Condition()
        self._jpeg, self._number, self._over = b"", 0, False
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A page elsewhere could name a host that resolves to this machine: only our own address is answered.
                if self.headers.get("Host", "").rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
                    self.send_error(403)
                elif self.path == "/":
                    self._answer("text/html; charset=utf-8", _HTML.encode())
                elif self.path == "/stats.json":
                    self._answer("application/json", json.dumps(stats()).encode())
                elif self.path == "/stream.mjpg":
                    self._stream()
                else:
                    self.send_error(404)

            def _answer(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
                self.end_headers()
                try:
                    for jpeg in page._pictures():
                        head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass  # whoever looked went away

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise AvatarError(f"--port {port}: cannot be used ({error.strerror}); give another") from error
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> "Page":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._newest:
            self._over = True
            self._newest.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, jpeg: bytes) -> None:
        """Puts up the next picture."""
        with self._newest:
            self._jpeg, self._number = jpeg, self._number + 1
            self._newest.notify_all()

    def _pictures(self):
        last = 0
        while True:
            with self._newest:
                while self._number == last and not self._over:
                    self._newest.wait()
                if self._over:
                    return
                last, jpeg = self._number, self._jpeg
            yield jpeg
