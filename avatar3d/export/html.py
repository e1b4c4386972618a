"""One web page that holds the player and an avatar: opens by double click, without a server or any request."""

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from avatar3d.core import Avatar, AvatarError
from avatar3d.export import spz
from avatar3d.export.bodies import only_splats
from avatar3d.export.formats import ExportOptions, Format
from avatar3d.export.player_pack import PackOptions, pack
from avatar3d.files import write_text

_BUNDLE = Path(__file__).parent / "player.js"

# Nothing may be fetched from anywhere. `blob:` is the player's own worker, and a camera model that the user chooses
# from disk, which may hold WebAssembly.
_POLICY = (
    "default-src 'none'; script-src '{script}' blob: 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src blob:; worker-src blob:; connect-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="avatar3d">
<title>{title}</title>
<link rel="icon" href="data:,">
</head>
<body>
<noscript>This page shows a 3D head with JavaScript and WebGL2; please switch JavaScript on.</noscript>
{data}
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Content:
    """What a page opens at its start."""

    data: bytes
    """A player file (`player_pack.pack`), or a file of splats."""
    kind: str = "avatar"
    """`avatar` or `still`."""
    name: str = "avatar"
    """Title; the file name of a scene, by which its format is known."""


@cache
def bundle() -> str:
    """Returns the player's script.

    Raises:
        AvatarError: It is missing from the installation.
    """
    try:
        return _BUNDLE.read_text(encoding="utf-8")
    except OSError as error:
        raise AvatarError(f"{_BUNDLE}: the player is missing; reinstall avatar3d, or build it in viewer/") from error


def content_of(avatar: Avatar, options: PackOptions | None = None) -> Content:
    """Returns what a page needs of an avatar, or of a scene without a head.

    Raises:
        AvatarError: As `player_pack.pack`; or the avatar has a field, which players do not show.
    """
    only_splats(avatar, "the player")
    name = (options and options.name) or str(avatar.about.get("source", "avatar"))
    if avatar.head == "scene":
        return Content(spz.write(avatar.gaussians, 3), "still", re.sub(r"(\.\w+)?$", ".spz", Path(name).name, count=1))
    return Content(pack(avatar, options), "avatar", name)


def page(content: Content | None = None) -> str:
    """Returns the page, with what it opens inside it, or one that waits for a file."""
    script, data, title = bundle(), "", "avatar3d"
    if content is not None:
        title = f"{content.name} · avatar3d"
        where = f'id="avatar3d-data" data-kind="{content.kind}" data-name="{html.escape(content.name)}"'
        text = base64.b64encode(content.data).decode()
        data = f'<script type="application/octet-stream" {where}>{text}</script>'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = _POLICY.format(script=f"sha256-{digest}")
    return _PAGE.format(policy=policy, title=html.escape(title), data=data, script=script)


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the page of an avatar; returns its size and what is in it."""
    content = content_of(avatar)
    text = page(content)
    write_text(path, text)
    splats = len(avatar.gaussians)
    return {"splats": splats, "bytes": len(text.encode()), "avatar_bytes": len(content.data)}


HTML = Format("a web page with player and avatar inside", (".html", ".htm"), write)
