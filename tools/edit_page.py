"""Makes a page of before and after, for every kind of edit: `python tools/edit_page.py OUT [--avatar A.a3d]`.

Each example of each registered kind is shown from three sides at rest and in three moments of a motion, with the
distance of a face-recognition network to the face before it. Without an avatar, the public-domain astronaut is fitted
first (kept in OUT). Edits that the avatar cannot take say why.
"""

import argparse
import html
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from avatar3d import assets, heads, pipeline, store
from avatar3d.capture.landmarks import Landmarker
from avatar3d.core import Avatar, AvatarError, Camera, Pose
from avatar3d.edit import KINDS, Edit, describe, edit
from avatar3d.files import write_text
from avatar3d.render import frames
from avatar3d.render.path import neutral, view
from avatar3d.score import identity

SIDES = (-45.0, 0.0, 45.0)
"""Degrees around the head."""
MOMENTS = (
    {"jawOpen": 0.35, "mouthSmileLeft": 0.3, "mouthSmileRight": 0.3},
    {"mouthPucker": 0.6, "browInnerUp": 0.7, "headYaw": -18},
    {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9, "mouthFrownLeft": 0.4, "mouthFrownRight": 0.4, "headPitch": 12},
)
BACKGROUND = (1.0, 1.0, 1.0)
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }
h2 { margin: 2.5rem 0 .25rem; border-bottom: 1px solid #8884; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .3rem; } code { font-size: 13px; overflow-wrap: anywhere; }
.rows { display: grid; grid-template-columns: 4rem 1fr; align-items: center; }
.rows span { color: #888; font-size: 13px; } img { width: 100%; display: block; background: #fff; }
.note { color: #888; }
"""


def poses(avatar: Avatar) -> list[tuple[Pose, Camera]]:
    """Returns what each row of pictures shows: three sides, then three moments of a motion from the front."""
    from avatar3d.render.path import posed

    rest = neutral(heads.of(avatar))
    at_rest = [(rest, yaw) for yaw in SIDES]
    moving = [(posed(avatar.head, moment), 0.0) for moment in MOMENTS]
    return [(pose, view(yaw, 0.0, (args.size, args.size), 1.5)) for pose, yaw in (*at_rest, *moving)]


def row(avatar: Avatar, shown: list[tuple[Pose, Camera]]) -> np.ndarray:
    """Returns the pictures of an avatar side by side, h w 3."""
    seen = [next(frames(avatar, pose.map(lambda x: x[None]), camera, BACKGROUND)) for pose, camera in shown]
    return np.concatenate(seen, axis=1)


def face(picture: np.ndarray, finder: Landmarker) -> torch.Tensor | None:
    """Returns the embedding of the frontal picture of a row, or None where no face is seen."""
    front = np.ascontiguousarray(picture[:, args.size : 2 * args.size])
    found = finder.find(front)
    return identity.embed([(front, found[0].landmarks)]) if found else None


def fitted(out: Path) -> Avatar:
    """Returns the avatar to edit."""
    if args.avatar:
        return store.load(args.avatar)
    kept = out / "astronaut.a3d"
    if not kept.is_file():
        store.save(pipeline.make(assets.path("astronaut"), "fast").avatar, kept)
    return store.load(kept)


def section(kind: type[Edit], avatar: Avatar, before: np.ndarray, finder: Landmarker, out: Path) -> tuple[str, list]:
    """Returns the part of the page for one kind, and its figures."""
    told = describe(kind)
    parts, figures = [f"<h2>{kind.kind}</h2><p>{html.escape(told['what'])}</p>"], []
    shown = poses(avatar)
    start = face(before, finder)
    for i, (name, one) in enumerate(kind.examples().items()):
        try:
            after = row(edit(avatar, one), shown)
        except AvatarError as error:
            parts.append(f"<p class=note>{html.escape(name)}: {html.escape(str(error))}</p>")
            figures.append({"kind": kind.kind, "example": name, "error": str(error)})
            continue
        file = f"{kind.kind}-{i}.jpg"
        Image.fromarray(after).save(out / file, quality=88)
        end = face(after, finder)
        away = None if start is None or end is None else identity.distance(start, end)
        figures.append({"kind": kind.kind, "example": name, "identity": away})
        shown_away = "no face is found" if away is None else f"identity distance {away:.2f}"
        text = json.dumps(one.to_json(), ensure_ascii=False)
        text = text if len(text) < 220 else text[:217] + "..."
        parts.append(
            f"<figure><figcaption><b>{html.escape(name)}</b> <span class=note>{shown_away}</span><br>"
            f"<code>{html.escape(text)}</code></figcaption><div class=rows>"
            f'<span>before</span><img src="before.jpg" alt="before" loading=lazy>'
            f'<span>after</span><img src="{file}" alt="{html.escape(name)}" loading=lazy></div></figure>'
        )
        print(f"{kind.kind}: {name}: {shown_away}", flush=True)
    return "\n".join(parts), figures


def main() -> None:
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clock = time.perf_counter()
    avatar = replace(fitted(out), motion=None)
    before = row(avatar, poses(avatar))
    Image.fromarray(before).save(out / "before.jpg", quality=88)
    finder = Landmarker()
    wanted = [kind for name, kind in KINDS.items() if not args.kinds or name in args.kinds]
    sections, figures = [], []
    for kind in wanted:
        text, found = section(kind, avatar, before, finder, out)
        sections.append(text)
        figures += found
    links = " &middot; ".join(f'<a href="#{kind.kind}">{kind.kind}</a>' for kind in wanted)
    sections = [text.replace("<h2>", f'<h2 id="{k.kind}">', 1) for text, k in zip(sections, wanted, strict=True)]
    page = (
        f"<!doctype html><meta charset=utf-8><title>Edits</title><style>{STYLE}</style>"
        "<h1>Every edit, before and after</h1>"
        "<p>Three sides at rest, then three moments of a motion. The identity distance is to the face before the edit; "
        f"below {identity.SAME} counts as one person.</p><p>{links}</p>" + "\n".join(sections)
    )
    write_text(out / "index.html", page)
    write_text(out / "figures.json", json.dumps(figures, indent=1))
    print(f"{out / 'index.html'}: {len(figures)} edits in {math.ceil(time.perf_counter() - clock)} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder to write")
    parser.add_argument("--avatar", help="avatar to edit, .a3d")
    parser.add_argument("--kinds", nargs="*", help="only these kinds")
    parser.add_argument("--size", type=int, default=208, help="side of each picture, pixels")
    args = parser.parse_args()
    main()
