"""Avatars to the files that other tools read, and back: one registry, two verbs.

    avatar3d.export(avatar, "me.glb")                 # animated, with 52 shapes and a skeleton
    avatar3d.export(avatar, "me.ply")                 # splats of one pose, for any splat tool
    scene = avatar3d.import_avatar("garden.spz")      # any splats, or an avatar of another program

What each format keeps and loses: docs/formats.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, first_of
from avatar3d.export import (
    avatar_glb,
    baked,
    compressed_ply,
    html,
    lam,
    media,
    mesh_glb,
    ply,
    sog,
    splat_file,
    spz,
    usd,
)
from avatar3d.export.bodies import only_splats
from avatar3d.export.formats import ExportOptions, Format, SplatFormat
from avatar3d.export.reading import import_avatar
from avatar3d.export.splats import posed_splats, turned
from avatar3d.files import write_bytes
from avatar3d.render.path import neutral

__all__ = ["FORMATS", "ExportOptions", "Format", "export", "format_of", "import_avatar"]

SPLATS: dict[str, SplatFormat] = {
    "ply": SplatFormat("3D Gaussian splatting, every number a float", (".ply",), True, lambda g, o: ply.write(g)),
    "compressed-ply": SplatFormat(
        "PlayCanvas' compressed ply", (".compressed.ply",), True, lambda g, o: compressed_ply.write(g)
    ),
    "splat": SplatFormat("antimatter15's rows of 32 bytes", (".splat",), True, lambda g, o: splat_file.write(g)),
    "spz": SplatFormat("Niantic's spz, versions 3 and 4", (".spz",), False, lambda g, o: spz.write(g, o.version or 3)),
    "sog": SplatFormat("PlayCanvas' sog, version 2", (".sog",), True, lambda g, o: sog.write(g)),
}
"""Formats that hold splats of one pose, by name on the command line."""


def _writer(kind: SplatFormat):
    def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
        pose = neutral(heads.load(avatar.head)) if options.pose is None else options.pose
        splats = posed_splats(avatar, pose)
        down = kind.y_down if options.axes == "auto" else options.axes == "y-down"
        data = kind.pack(turned(splats) if down else splats, options)
        write_bytes(path, data)
        return {"splats": len(splats), "bytes": len(data), "axes": "y-down" if down else "y-up"}

    return write


FORMATS: dict[str, Format] = {
    **{name: Format(kind.what, kind.suffixes, _writer(kind)) for name, kind in SPLATS.items()},
    "glb": Format("glTF: splats with 52 shapes, a skin and an animation", (".glb",), avatar_glb.write),
    "html": html.HTML,
    "usd": Format("OpenUSD's particle field of splats", (".usda", ".usdc", ".usd", ".usdz"), usd.write),
    "baked": Format("base mesh, splats and each frame's shift of the mesh", (".baked.ply",), baked.write),
    "lam": Format("LAM's zip, for its web renderer and OpenAvatarChat", (".lam.zip", ".zip"), lam.write),
    "mp4": Format("video on white", (".mp4",), media.write_mp4),
    "webm": Format("video with transparency", (".webm",), media.write_webm_file),
    "png": Format("a folder of transparent pictures", (), media.write_pngs),
    "mesh-glb": Format("glTF: textured mesh with 52 shapes and a skin", (".mesh.glb",), mesh_glb.write),
}
"""What `export` writes, by name on the command line."""
PICTURES = ("mp4", "webm", "png")
"""Those that are rendered here, whatever an avatar's body is."""


def format_of(path: Path) -> str:
    """Returns the format that a file's name asks for.

    Raises:
        AvatarError: No format has this ending.
    """
    name = path.name.lower()
    fitting = [key for key, kind in FORMATS.items() if any(name.endswith(x) for x in kind.suffixes)]
    if not fitting:
        raise AvatarError(f"{path}: no format ends so; name one of {', '.join(FORMATS)} with --to")
    return max(fitting, key=lambda key: max(len(x) for x in FORMATS[key].suffixes if name.endswith(x)))


def export(
    avatar: Avatar, path: Path | str, to: str | None = None, options: ExportOptions | None = None
) -> Mapping[str, Any]:
    """Writes an avatar as another tool's file, completely or not at all.

    Args:
        avatar: Who; also a scene without a head, for formats of splats.
        path: The file to write.
        to: A name in `FORMATS`; None chooses by the file's ending.
        options: Pose, axes, version, size.

    Returns:
        What was written: `format`, `output`, and what the format tells (`splats`, `bytes`, ...).

    Raises:
        AvatarError: No such format, or one that the avatar cannot be written in.
    """
    path, options = Path(path), options or ExportOptions()
    to = to or format_of(path)
    first_of(tuple(FORMATS), to)
    if to not in PICTURES:
        only_splats(avatar, f"'{to}'")
    return {"format": to, "output": str(path), **FORMATS[to].write(avatar, path, options)}
