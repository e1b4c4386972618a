"""Options of `avatar3d edit` for how an avatar looks, and the edits that they ask for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import UseAppendAction

from avatar3d.cli.console import Console
from avatar3d.core import Avatar, AvatarError

if TYPE_CHECKING:
    from avatar3d.edit import Edit


@dataclass(frozen=True, kw_only=True)
class LookFlags:
    """What `avatar3d edit` can be asked for by options; docs/appearance.md shows pictures."""

    recolour: UseAppendAction[tuple[str, ...]] = ()
    """`--recolour iris=#3a7`, `--recolour hair=darkred:0.6` (amount), several with commas."""
    makeup: UseAppendAction[tuple[str, ...]] = ()
    """`--makeup blush`, `--makeup eyeshadow=#446:0.8`, `freckles`, `eyeliner`, `lipstick`."""
    paint: UseAppendAction[tuple[str, ...]] = ()
    """Picture on the skin: `--paint star.png:at=cheek_left,width=0.03,blend=multiply`, `--paint mask.png:by=view`."""
    texture: Path | None = None
    """Texture that was written by `--bake-texture` and changed in a paint program: what differs is taken over."""
    bake_texture: Path | None = None
    """Write the texture of the result as a picture; without edits, no `-o` is needed."""
    texture_size: int = 1024
    """Side of the texture that `--bake-texture` writes, pixels."""
    smooth: UseAppendAction[tuple[str, ...]] = ()
    """Even out a region's colours: `--smooth skin:0.7`."""
    hide: UseAppendAction[tuple[str, ...]] = ()
    """Hide a region: `--hide hair`, `--hide clothes:0.5`."""
    delete: UseAppendAction[tuple[str, ...]] = ()
    """Remove a region's splats: `--delete clothes`."""
    wear: UseAppendAction[tuple[str, ...]] = ()
    """`--wear glasses`, `--wear "sunglasses=#222"`, `beanie`, `cap`, `hat`."""
    attach: UseAppendAction[tuple[str, ...]] = ()
    """Mesh (.obj, .glb) to put on: `--attach crown.glb:place=crown,size=1.1,up=0.01`."""
    light: UseAppendAction[tuple[str, ...]] = ()
    """`--light left`, `--light top:strength=2,colour=#ffd`, `--light point:at=0.2/0.1/0.3`, `--light room.jpg`."""
    like: UseAppendAction[tuple[str, ...]] = ()
    """Colours of another avatar or of the person in a photo: `--like her.a3d`, `--like photo.jpg:lips,hair`."""


def asks(given: LookFlags) -> bool:
    """Returns whether any of the options asks for an edit."""
    names = ("recolour", "makeup", "paint", "smooth", "hide", "delete", "wear", "attach", "light", "like", "texture")
    return any(getattr(given, name) for name in names)


def look_edits(given: LookFlags, avatar: Avatar, console: Console) -> "list[Edit]":
    """Returns the edits that the options ask for, in the order in which they are listed above.

    Args:
        given: The options.
        avatar: What is edited; `--texture` is compared with its own texture.
        console: Takes notes and progress.

    Raises:
        AvatarError: Unknown names, values out of range, files that cannot be read.
    """
    from avatar3d.edit.look.hide import Hide
    from avatar3d.edit.look.recolour import Recolour
    from avatar3d.edit.look.smooth import Smooth

    out: list[Edit] = []
    for part in _split(given.recolour):
        region, colour, amount = _assigned("--recolour", part, "iris=#3a7")
        out.append(Recolour(region, colour, amount))
    for part in _split(given.makeup):
        style, _, rest = part.partition("=")
        style, amount = _amount("--makeup", style, 0.6) if not rest else (style, 0.6)
        colour, amount = _amount("--makeup", rest, amount) if rest else ("", amount)
        out.append(_made("makeup", style=style.strip(), colour=colour.strip(), amount=amount))
    out += [_painted(text) for text in given.paint]
    if given.texture is not None:
        out += _textured(given.texture, avatar, console)
    out += [Smooth(amount, region) for region, amount in (_amount("--smooth", p, 0.6) for p in _split(given.smooth))]
    out += [Hide(region, amount) for region, amount in (_amount("--hide", p) for p in _split(given.hide))]
    out += [Hide(part, 1.0, delete=True) for part in _split(given.delete)]
    for text in given.wear:
        thing, _, colour = text.partition("=")
        out.append(_made("wear", thing=thing.strip(), colour=colour.strip()))
    out += [_attached(text) for text in given.attach]
    out += [_lit(text) for text in given.light]
    out += [_liked(text, console) for text in given.like]
    return out


def bake(avatar: Avatar, path: Path, size: int, console: Console) -> Mapping[str, Any]:
    """Writes the avatar's texture as a picture."""
    from PIL import Image

    from avatar3d.files import replacing

    if path.suffix.lower() != ".png":
        raise AvatarError(f"{path}: a texture is written without loss; give a name that ends in .png")
    if not 64 <= size <= 2048:
        raise AvatarError(f"--texture-size {size}: give 64 to 2048 pixels")
    pixels = _baked(avatar, size, console)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")
    console.note(f"{path}: texture of {size}x{size}; change it and give it back with --texture")
    return {"texture": str(path), "size": size}


def _baked(avatar: Avatar, size: int, console: Console):
    import numpy as np

    from avatar3d import heads
    from avatar3d.edit.look.surface import at_rest
    from avatar3d.export.formats import ExportOptions
    from avatar3d.export.texture import bake as bake_texture
    from avatar3d.heads import AnnyHead

    head = heads.load(avatar.head)
    if not isinstance(head, AnnyHead):
        raise AvatarError(f"head '{avatar.head}' has no texture; only fitted avatars have one")
    image = bake_texture(avatar, head, at_rest(avatar), ExportOptions(size=size, progress=console.progress))
    return np.round(image * 255).astype(np.uint8)


def _textured(path: Path, avatar: Avatar, console: Console) -> "list[Edit]":
    from avatar3d.edit.look.packed import read_image
    from avatar3d.edit.look.texture import difference

    pixels = read_image(path)
    if pixels.shape[0] != pixels.shape[1] or not 64 <= pixels.shape[0] <= 2048:
        raise AvatarError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels; give the size that it was written with")
    made = difference(_baked(avatar, pixels.shape[0], console), pixels[..., :3])
    if made is None:
        console.note(f"{path}: nothing was changed")
    return [] if made is None else [made]


def _painted(text: str) -> "Edit":
    from avatar3d.edit.look.packed import pack_image, read_image

    path, fields = _file_and_fields("--paint", text)
    side = int(_number("--paint", "side", fields.pop("side", "1024")))
    return _made("paint", image=pack_image(read_image(path, max(1, min(side, 2048)))), **fields)


def _attached(text: str) -> "Edit":
    import numpy as np

    from avatar3d.capture.synthetic.files import read
    from avatar3d.edit.look.attach import packed

    path, fields = _file_and_fields("--attach", text)
    if Path(path).is_file() and Path(path).stat().st_size > 64 << 20:
        raise AvatarError(f"{path}: {Path(path).stat().st_size >> 20} MB; simplify the mesh")
    if not Path(path).is_file():
        raise AvatarError(f"--attach {path}: no such file")
    mesh = read(Path(path))
    colours = np.full((len(mesh.faces), 3), 0.7)
    fixed = fields.pop("colour", None)
    if fixed is not None:
        from avatar3d.edit.look.colour import parse_colour

        colours[:] = parse_colour(fixed)
    elif mesh.uv is not None and mesh.texture is not None:
        h, w = mesh.texture.shape[:2]
        at = mesh.uv.mean(1)
        column = np.clip((at[:, 0] % 1.0) * w, 0, w - 1).astype(int)
        row = np.clip((1 - at[:, 1] % 1.0) * h, 0, h - 1).astype(int)
        colours = mesh.texture[row, column]
    return packed(mesh.points, mesh.faces, colours, **_typed("attach", fields))


def _lit(text: str) -> "Edit":
    from avatar3d.edit.look.light import SIDES, panorama
    from avatar3d.edit.look.packed import read_image

    name, fields = _file_and_fields("--light", text)
    if name in SIDES:
        return _made("light", direction="/".join(str(x) for x in SIDES[name]), **fields)
    if name == "point":
        return _made("light", **{"point": fields.pop("at", "0.25/0.15/0.35"), **fields})
    if name == "direction":
        return _made("light", **{"direction": fields.pop("to", "1/0.3/0.4"), **fields})
    if name == "even":
        return _made("light", **{"ambient": "1", **fields})
    if Path(name).is_file():
        shading = panorama(read_image(name)[..., :3] / 255.0)
        return _made("light", **{"ambient": "0", **fields}, sh=tuple(round(float(x), 6) for x in shading.reshape(-1)))
    raise AvatarError(f"--light {name}: give {', '.join(SIDES)}, point, direction, even, or a panorama's file")


def _liked(text: str, console: Console) -> "Edit":
    from avatar3d import store
    from avatar3d.edit.look.style import REGIONS, Like, statistics

    path, _, wanted = _path_and_rest(text)
    names = tuple(x.strip() for x in wanted.split(",") if x.strip()) or REGIONS
    if not Path(path).is_file():
        raise AvatarError(f"--like {path}: no such file")
    if Path(path).suffix.lower() == ".a3d":
        example = store.load(path)
    else:
        from avatar3d.pipeline import make

        console.note(f"{path}: making an avatar of the example, to know its skin from its hair")
        example = make(Path(path), progress=console.progress).avatar
    found = statistics(example, names)
    if not found:
        raise AvatarError(f"--like {path}: none of {', '.join(names)} is to be seen in it")
    console.note(f"{path}: colours of {', '.join(found)}")
    return Like(found)


def _made(kind: str, **fields: Any) -> "Edit":
    """Returns an edit from texts by field name."""
    from avatar3d.edit import from_json

    return from_json({"kind": kind, **_typed(kind, fields)}, f"--{kind}")


def _typed(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields with numbers instead of their texts, as the kind's own fields want them."""
    import dataclasses

    from avatar3d.core import first_of
    from avatar3d.edit.look.kinds import EDITS

    made = next(e for e in EDITS if e.kind == kind)
    types = {f.name: str(f.type) for f in dataclasses.fields(made)}
    out: dict[str, Any] = {}
    for name, value in fields.items():
        first_of(tuple(types), name)
        if not isinstance(value, str) or "str" in types[name] or "Literal" in types[name]:
            out[name] = value
        elif "bool" in types[name]:
            out[name] = value.lower() in ("1", "true", "yes", "on")
        elif "tuple" in types[name]:
            out[name] = tuple(_number(f"--{kind}", name, x) for x in value.split("/"))
        else:
            out[name] = _number(f"--{kind}", name, value)
    return out


def _number(option: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise AvatarError(f"{option}: {name}={text}: give a number") from error
    if not math.isfinite(value):
        raise AvatarError(f"{option}: {name}={text}: give a finite number")
    return value


def _split(texts: tuple[str, ...]) -> list[str]:
    """Returns the parts between commas; those inside of brackets, as in rgb(1, 2, 3), do not count."""
    out: list[str] = []
    for text in texts:
        depth, part = 0, ""
        for letter in text:
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth == 0:
                out.append(part)
                part = ""
            else:
                part += letter
        out.append(part)
    return [part.strip() for part in out if part.strip()]


def _assigned(option: str, part: str, example: str) -> tuple[str, str, float]:
    name, equals, value = part.partition("=")
    if not equals or not value.strip():
        raise AvatarError(f"{option} {part}: write region=colour, as in {example}")
    colour, amount = _amount(option, value)
    return name.strip(), colour.strip(), amount


def _amount(option: str, text: str, default: float = 1.0) -> tuple[str, float]:
    """Returns a name and the amount after its colon, if there is one."""
    name, colon, amount = text.rpartition(":")
    if not colon:
        return text.strip(), default
    return name.strip(), _number(option, "amount", amount)


def _path_and_rest(text: str) -> tuple[str, str, str]:
    """Splits at the last colon that is not a drive's."""
    path, colon, rest = text.rpartition(":")
    if not colon or len(path) < 2 or rest.startswith(("/", "\\")):
        return text, "", ""
    return path, colon, rest


def _file_and_fields(option: str, text: str) -> tuple[str, dict[str, str]]:
    path, _, rest = _path_and_rest(text)
    fields = {}
    for part in filter(None, (x.strip() for x in rest.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise AvatarError(f"{option} {part}: write name=value, as in width=0.03")
        fields[name.strip()] = value.strip()
    return path, fields
