"""One file per avatar or track: safetensors with a JSON header, checked on the way in and out.

Layout of an `.a3d` file: the safetensors metadata holds one entry, `avatar3d`: a JSON object with `version`, `kind`
("avatar" or "track") and `value`, everything that is not a tensor. (One entry, because safetensors writes several in a
random order, and the same value shall give the same bytes.) Nothing in the file is ever executed.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from avatar3d.core import Avatar, AvatarError, Basis, Bearing, Binding, Camera, Gaussians, Motion, Pose, Track
from avatar3d.field_file import axes_of, field_of, tensors_of
from avatar3d.files import replacing as replacing
from avatar3d.files import write_bytes
from avatar3d.tensor_file import FORMAT, VERSION, check, header, plainly

# Tensor name -> axes. Letters must agree within one file, digits are exact sizes.
_MOTION = {"motion.expression": "t e", "motion.joints": "t j 3", "motion.root": "t 4 4"}
_SOFT = {"motion.soft": "t o 3", "motion.heard": "t a"}
_AVATAR = {
    "identity": "s",
    "gaussians.means": "n 3",
    "gaussians.quats": "n 4",
    "gaussians.log_scales": "n 3",
    "gaussians.logits": "n",
    "gaussians.sh": "n d 3",
    "binding.face": "n",
    "binding.bary": "n 3",
}
_BEARING = {"bearing.gain": "e", "bearing.offset": "e", "bearing.swing": "j", "bearing.turn": "j 3"}
_SHAPE = {"shape": "v 3"}
_ORIGINAL = "original."
"""Before the name of a tensor of the avatar before its first edit; those that no edit changed are not repeated."""
_BASIS = {"basis.means": "k n 3", "basis.quats": "k n 4", "basis.sh": "k n 3"}
_TRACK = {"identity": "s", "quality": "t", "camera.w2c": "4 4", "camera.K": "3 3", **_MOTION}
_CAMERAS = {"camera.w2c": "c 4 4", "camera.K": "c 3 3", "world": "4 4"}


def save(value: Avatar | Track, path: Path | str) -> None:
    """Writes an avatar or a track to one file, completely or not at all.

    Raises:
        AvatarError: A tensor holds NaN or infinity, shapes disagree, `about` is not JSON-able, or the disk is full.
    """
    if isinstance(value, Avatar):
        kind, tensors, plain = "avatar", *_avatar_parts(value)
    elif isinstance(value, Track):
        kind, tensors, plain = "track", *_track_parts(value)
    else:
        raise AvatarError(f"cannot save a {type(value).__name__}; give an Avatar or a Track")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    where = f"{path}: cannot save"
    _check_all(kind, tensors, plain, where)
    version = VERSION if _edited(tensors, plain) else 1
    try:
        text = json.dumps({"version": version, "kind": kind, "value": plain}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AvatarError(f"{where}: `about` and `edits` must be plain JSON values ({error})") from error
    write_bytes(path, safetensors.save(tensors, {FORMAT: text}))


def load(path: Path | str) -> Avatar:
    """Returns the avatar in a file.

    Raises:
        AvatarError: No such file, not an avatar, written by a newer version, truncated, or holding NaN or wrong shapes.
    """
    tensors, plain = _read(Path(path), "avatar")
    where = str(path)
    avatar = _avatar(tensors, plain, where)
    if plain.get("original") is None:
        return avatar
    before = _avatar(_before(tensors, plain), {**plain, "edits": []}, where)
    return replace(avatar, original=replace(before, motion=avatar.motion))


def _avatar(tensors: Mapping[str, Tensor], plain: Mapping[str, Any], where: str) -> Avatar:
    """Returns the avatar of a file without the one before its edits."""
    gaussians = Gaussians(*(tensors[f"gaussians.{x}"] for x in ("means", "quats", "log_scales", "logits", "sh")))
    if gaussians.sh.shape[-2] not in (1, 4, 9, 16):
        raise AvatarError(f"{where}: gaussians.sh has {gaussians.sh.shape[-2]} coefficients; 1, 4, 9 or 16 are known")
    binding = Binding(tensors["binding.face"], tensors["binding.bary"])
    if len(gaussians) and int(binding.face.min()) < 0:
        raise AvatarError(f"{where}: binding.face holds a negative face; the file is damaged")
    basis = None
    if "basis.means" in tensors:
        layers = tuple(tensors[name] for name in _layers(tensors))
        means = tensors["basis.means"]
        quats, sh = (
            x if len(x) else x.new_zeros(len(means), *x.shape[1:])
            for x in (tensors["basis.quats"], tensors["basis.sh"])
        )
        basis = Basis(means, quats, sh, layers)
    with plainly(where):
        return Avatar(
            head=_text(plain["head"]),
            identity=tensors["identity"],
            gaussians=gaussians,
            binding=binding,
            basis=basis,
            edits=tuple(dict(edit) for edit in plain["edits"]),
            about=dict(plain["about"]),
            motion=_motion(tensors, plain["motion"]) if plain["motion"] else None,
            shape=tensors.get("shape"),
            bearing=Bearing(*(tensors[name] for name in _BEARING)) if "bearing.gain" in tensors else None,
            field=field_of(tensors, plain.get("field") or {}),
        )


def load_track(path: Path | str) -> Track:
    """Returns the track in a file.

    Raises:
        AvatarError: As `load`.
    """
    tensors, plain = _read(Path(path), "track")
    with plainly(str(path)):
        camera = Camera(tensors["camera.w2c"], tensors["camera.K"], _size(plain["width"]), _size(plain["height"]))
        motion = _motion(tensors, plain["motion"])
        head, world = _text(plain["head"]), tensors.get("world")
        return Track(head, tensors["identity"], motion, camera, tensors["quality"], world)


def kind_of(path: Path | str) -> str:
    """Returns what a file holds, "avatar" or "track", without reading its tensors.

    Raises:
        AvatarError: As `load`.
    """
    return header(Path(path)).kind


def _avatar_parts(avatar: Avatar) -> tuple[dict[str, Tensor], dict[str, Any]]:
    g = avatar.gaussians
    tensors = {
        "identity": avatar.identity,
        "gaussians.means": g.means,
        "gaussians.quats": g.quats,
        "gaussians.log_scales": g.log_scales,
        "gaussians.logits": g.logits,
        "gaussians.sh": g.sh,
        "binding.face": avatar.binding.face,
        "binding.bary": avatar.binding.bary,
    }
    if avatar.basis is not None:
        basis = avatar.basis
        # Imported shapes move splats and neither turn nor colour them: zeros are not written.
        turns, tones = (x if bool(x.any()) else x[:0] for x in (basis.quats, basis.sh))
        tensors |= {"basis.means": basis.means, "basis.quats": turns, "basis.sh": tones}
        tensors |= {f"basis.weights.{i}": layer for i, layer in enumerate(basis.weights)}
    plain: dict[str, Any] = {"head": avatar.head, "about": dict(avatar.about), "edits": list(avatar.edits)}
    plain["motion"] = None
    if avatar.motion is not None:
        tensors |= _motion_tensors(avatar.motion)
        plain["motion"] = {"fps": avatar.motion.fps, "names": list(avatar.motion.names)}
    if avatar.shape is not None:
        tensors["shape"] = avatar.shape
    if avatar.bearing is not None:
        tensors |= {name: getattr(avatar.bearing, name.partition(".")[2]) for name in _BEARING}
    if avatar.field is not None:
        tensors |= tensors_of(avatar.field)
        plain["field"] = dict(avatar.field.settings)
    if avatar.original is not None:
        before = _avatar_parts(replace(avatar.original, original=None, motion=avatar.motion))[0]
        tensors |= {_ORIGINAL + k: v for k, v in before.items() if not _same(v, tensors.get(k))}
        plain["original"] = {"without": sorted(set(tensors) - set(before) - {_ORIGINAL + k for k in before})}
    return tensors, plain


def _same(one: Tensor, other: Tensor | None) -> bool:
    """Whether two tensors hold the same bits."""
    return other is one or (other is not None and one.dtype == other.dtype and torch.equal(one, other))


def _before(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns the tensors of the avatar before its first edit."""
    gone = set(plain["original"]["without"])
    kept = {k: v for k, v in tensors.items() if k not in gone and not k.startswith(_ORIGINAL)}
    return kept | {k.removeprefix(_ORIGINAL): v for k, v in tensors.items() if k.startswith(_ORIGINAL)}


def _edited(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> bool:
    """Whether a file holds what version 1 does not know."""
    known = {"shape", "motion.heard", "field.canonical", *_BEARING}
    bare = any(name in tensors and not len(tensors[name]) for name in ("basis.quats", "basis.sh"))
    return bare or bool(known & set(tensors)) or plain.get("original") is not None


def _track_parts(track: Track) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {
        "identity": track.identity,
        "quality": track.quality,
        "camera.w2c": track.camera.w2c,
        "camera.K": track.camera.K,
        **_motion_tensors(track.motion),
    }
    if track.world is not None:
        tensors["world"] = track.world
    motion = {"fps": track.motion.fps, "names": list(track.motion.names)}
    plain = {"head": track.head, "width": track.camera.width, "height": track.camera.height, "motion": motion}
    return tensors, plain


def _motion_tensors(motion: Motion) -> dict[str, Tensor]:
    pose = motion.pose
    tensors = {"motion.expression": pose.expression, "motion.joints": pose.joints, "motion.root": pose.root}
    more = {"motion.soft": pose.soft, "motion.heard": pose.heard}
    return tensors | {name: x for name, x in more.items() if x is not None}


def _motion(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> Motion:
    names = tuple(_text(name) for name in plain["names"])
    expression = tensors["motion.expression"]
    if len(names) != expression.shape[1]:
        raise ValueError(f"{len(names)} expression names for {expression.shape[1]} columns")
    fps = float(plain["fps"])
    if not 0 < fps < 1e4:
        raise ValueError(f"a frame rate of {fps}")
    more = (tensors.get("motion.soft"), tensors.get("motion.heard"))
    pose = Pose(expression, tensors["motion.joints"], tensors["motion.root"], *more)
    return Motion(pose, fps, names)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("a name that is not a short text")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value <= 1 << 16:
        raise ValueError(f"an image side of {value}")
    return value


def _layers(tensors: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of the network's layers in order."""
    names = [name for name in tensors if name.startswith("basis.weights.")]
    return [f"basis.weights.{i}" for i in range(len(names))]


def _axes(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns which tensors a file of this kind holds, with their axes."""
    soft = {name: form for name, form in _SOFT.items() if name in tensors}
    if kind == "track":
        return _TRACK | soft | (_CAMERAS if "world" in tensors else {})
    axes = dict(_AVATAR)
    if any(name.startswith("motion.") for name in tensors):
        axes |= _MOTION | soft
    axes |= {name: form for name, form in (_SHAPE | _BEARING).items() if name in tensors} | axes_of(tensors)
    if any(name.startswith("basis.") for name in tensors):
        empty = [x for x in _BASIS if x in tensors and tensors[x].shape[:1] == (0,)]
        axes |= _BASIS | {name: _BASIS[name].replace("k", "0") for name in empty if name != "basis.means"}
        for i, name in enumerate(_layers(tensors)):  # (W0, b0, W1, b1, ...): W_i is h_i+1 by h_i, the last gives k
            layer, last = i // 2, i // 2 == len(_layers(tensors)) // 2 - 1
            rows = "k" if last else f"h{layer + 1}"
            axes[name] = rows if i % 2 else f"{rows} h{layer}"
    return axes


def _check_all(kind: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any], where: str) -> None:
    """Raises an `AvatarError` unless a file's tensors are right, and those of the avatar before its edits, too."""
    with plainly(where):
        if plain.get("original") is not None:
            before = _before(tensors, plain)
            check(before, _axes(kind, before), f"{where}: before its edits")
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(_ORIGINAL)}
        check(tensors, _axes(kind, tensors), where)


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    start = header(path)
    if start.kind != kind:
        raise AvatarError(f"{path}: its kind is '{start.kind}', expected '{kind}'")
    try:
        tensors = safetensors.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise AvatarError(f"{path}: truncated or damaged; copy or make it again") from error
    _check_all(kind, tensors, start.plain, str(path))
    return tensors, start.plain
