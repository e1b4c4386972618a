"""Times the player beside other players of splats in one run: CPU milliseconds a frame, without a graphics card.

    python tools/bench_player.py me.a3d      # the table of docs/player.md; viser takes part if it is installed

All show the same splats of one pose, 800 x 600, by a camera that swings; ours moves all 52 expressions in every frame
as well. `ours-webgl` draws by WebGL as on a graphics card, `ours` as it does without one. Counted is the time of all
the browser's processes (and of viser's server), because without a graphics card most of a frame is drawn by another
process than the page's. Every player is timed in several rounds, and the median is told: what else the machine does
changes from round to round. Ends with 1 if ours is not the best in SwiftShader, or over 1.5 times the best in llvmpipe.
"""

import argparse
import functools
import http.server
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from avatar3d import store
from avatar3d.core import Avatar
from avatar3d.export import export, html
from avatar3d.export.splats import posed_splats
from avatar3d.geometry import quat_to_matrix
from avatar3d.heads import load
from avatar3d.render.path import neutral

BENCH = Path(__file__).resolve().parents[1] / "viewer" / "bench"
FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
BACKENDS = {"SwiftShader": (), "llvmpipe": ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist")}
OTHERS = ("spark", "playcanvas", "gsplatjs")

# A frame counts when it was posed and sorted anew; the camera moves in every one.
OURS = """async (animated) => {
  await player.ready;
  const names = player.names.slice(0, 52);
  let t = 0;
  const loop = () => {
    t += 1 / 30;
    const values = {};
    if (animated) names.forEach((name, i) => (values[name] = 0.3 + 0.25 * Math.sin(3 * t + i)));
    player.set(values);
    player.apply({ yaw: (0.3 * Math.sin(0.7 * t) * 180) / Math.PI });
    window.drawnFrames = Math.min(player.stats.posed, player.stats.drawn);
    requestAnimationFrame(loop);
  };
  loop();
}"""
# viser draws on demand: draws of many instances are its frames.
COUNT = """window.drawnFrames = 0;
const P = WebGL2RenderingContext.prototype, draw = P.drawElementsInstanced;
P.drawElementsInstanced = function (...a) { if (a[4] > 1000) window.drawnFrames++; return draw.apply(this, a); };"""


@dataclass(frozen=True)
class Row:
    """One player in one renderer."""

    player: str
    renderer: str
    milliseconds: float
    frames: int


def processes(root: int) -> list[int]:
    """Returns a process and all that it started."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = stat(int(name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def stat(process: int) -> list[str]:
    """Returns the fields of /proc/PID/stat after the command's name; none if it has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_seconds(root: int) -> float:
    ticks = sum(int(f[11]) + int(f[12]) for f in map(stat, processes(root)) if f)
    return ticks / os.sysconf("SC_CLK_TCK")


def thin(avatar: Avatar, count: int) -> Avatar:
    """Returns the avatar with so many of its splats."""
    n = len(avatar.gaussians)
    kept = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:count].sort().values
    basis = None if avatar.basis is None else avatar.basis.gather(kept)
    return replace(avatar, gaussians=avatar.gaussians.gather(kept), binding=avatar.binding.gather(kept), basis=basis)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def build(folder: Path) -> None:
    """Bundles the other players' pages."""
    esbuild = BENCH / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=BENCH, check=True)
    for name in OTHERS:
        out = f"--outfile={folder / name}.js"
        options = ("--bundle", "--minify", "--format=esm", "--log-level=error")
        subprocess.run([esbuild, BENCH / f"{name}.mjs", *options, out], check=True)
        page = f"<!doctype html><body style='margin:0;background:#000'><script type=module src='/{name}.js'></script>"
        (folder / f"{name}.html").write_text(page)


def measure(page: Any, frames: int, between: Callable[[], None]) -> tuple[float, int]:
    """Returns CPU milliseconds a frame, and how many frames were drawn: so many, or as many as a minute allows."""

    def drawn() -> int:
        return int(page.evaluate("window.drawnFrames || 0"))

    def until(count: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while drawn() < count and time.monotonic() < end:
            between()
            page.wait_for_timeout(100)

    until(8, 60)  # loading, compiling, the first frames, which some players draw without splats
    first, start = drawn(), cpu_seconds(os.getpid())
    until(first + frames, 60)
    count = drawn() - first
    return 1000 * (cpu_seconds(os.getpid()) - start) / max(count, 1), count


@contextmanager
def viser_page(avatar: Avatar) -> Iterator[tuple[str, Callable[[], None]]]:
    """Starts viser with the same splats; gives its address and what moves its camera."""
    import viser  # pyright: ignore[reportMissingImports]

    g = posed_splats(avatar, neutral(load(avatar.head)))
    spread = quat_to_matrix(g.quats) * g.scales[:, None]
    server = viser.ViserServer(host="127.0.0.1", port=8971, verbose=False)
    server.scene.add_gaussian_splats(
        "/head",
        centers=(10 * g.means).numpy(),
        covariances=(100 * spread @ spread.mT).numpy(),
        rgbs=(0.5 + 0.2820948 * g.sh[:, 0]).clamp(0, 1).numpy(),
        opacities=g.opacities[:, None].numpy(),
    )
    steps = iter(range(10**9))

    def move() -> None:
        yaw = 0.3 * math.sin(next(steps) / 30 * 0.7)
        for client in server.get_clients().values():
            client.camera.fov = math.radians(30)
            client.camera.up_direction = (0.0, 1.0, 0.0)
            client.camera.position = (7.5 * math.sin(yaw), -0.45, 7.5 * math.cos(yaw) - 0.2)
            client.camera.look_at = (0.0, -0.45, -0.2)

    yield "http://127.0.0.1:8971", move
    server.stop()


def run(avatar: Avatar, frames: int, wanted: list[str], chromium: str) -> Iterator[Row]:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        folder = Path(temporary)
        build(folder)
        export(avatar, folder / "scene.ply")
        (folder / "ours.html").write_text(html.page(html.content_of(avatar)))
        with served(folder) as address, viser_page(avatar) if "viser" in wanted else nullcontext() as viser:
            for renderer, flags in BACKENDS.items():
                for name in wanted:
                    browser = driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])
                    page = browser.new_page(viewport={"width": 800, "height": 600})
                    between: Callable[[], None] = lambda: None  # noqa: E731
                    if name == "viser" and viser is not None:
                        page.add_init_script(COUNT)
                        page.goto(viser[0])
                        between = viser[1]
                    else:
                        ours = name.startswith("ours")
                        query = "?ui=0&adapt=0&background=black" + ("&renderer=gpu" if "webgl" in name else "")
                        file = f"ours.html{query}" if ours else f"{name}.html"
                        page.goto(f"{address}/{file}")
                        if ours:
                            while not page.evaluate("!!window.player"):
                                page.wait_for_timeout(50)
                            page.evaluate(OURS, "still" not in name)
                    spent, count = measure(page, frames, between)
                    yield Row(name, renderer, spent, count)
                    browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--splats", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--players", default=",".join(("ours", "ours-webgl", *OTHERS, "viser")), help="also: ours-still"
    )
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    avatar = thin(store.load(given.avatar), given.splats)
    wanted = [x for x in given.players.split(",") if x != "viser" or importlib.util.find_spec("viser")]
    rows = []
    for _ in range(given.rounds):
        for row in run(avatar, given.frames, wanted, given.chromium):
            rows.append(row)
            print(f"{row.renderer:12} {row.player:12} {row.milliseconds:6.0f} ms  ({row.frames} frames)", flush=True)
    if given.json:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    sys.exit(told(rows, wanted))


def told(rows: list[Row], wanted: list[str]) -> int:
    """Prints the table; returns 1 where ours costs more than it may."""
    missed = 0
    print(f"\n| CPU milliseconds a frame | {' | '.join(BACKENDS)} |\n|---|{'---|' * len(BACKENDS)}")
    median = {
        (name, backend): statistics.median(found)
        for name in wanted
        for backend in BACKENDS
        if (found := [r.milliseconds for r in rows if (r.player, r.renderer) == (name, backend) and r.frames > 1])
    }
    for name in wanted:
        cells = [f"{median[name, b]:.0f}" if (name, b) in median else "-" for b in BACKENDS]
        print(f"| {name} | {' | '.join(cells)} |")
    for backend, most in (("SwiftShader", 1.0), ("llvmpipe", 1.5)):
        others = [x for (name, b), x in median.items() if b == backend and not name.startswith("ours")]
        if others and ("ours", backend) in median:
            ratio = median["ours", backend] / min(others)
            missed |= ratio > most
            print(f"{backend}: ours is {ratio:.2f} of the best of the others; at most {most:g}")
    return int(missed)


if __name__ == "__main__":
    main()
