"""The table and the page of a benchmark."""

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]

_GAIN = 4  # of the difference maps
_COLUMNS = (
    ("PSNR", "psnr", "{:.2f}"),
    ("SSIM", "ssim", "{:.4f}"),
    ("MS-SSIM", "ms_ssim", "{:.4f}"),
    ("LPIPS", "lpips", "{:.4f}"),
    ("face PSNR", "face_psnr", "{:.2f}"),
    ("PSNR by landmarks", "landmarks_psnr", "{:.2f}"),
    ("splats", "splats", "{:.0f}"),
    ("MB", "megabytes", "{:.1f}"),
    ("seconds", "seconds", "{:.0f}"),
    ("steps/s", "steps_per_second", "{:.1f}"),
    ("fps", "fps", "{:.0f}"),
)
"""Head, key in a flat row, format."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #6b6b70; --ground: #f6f6f4; --card: #fff; --line: #e3e3e0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececee; --soft: #9a9aa2; --ground: #141416; --card: #1e1e21; --line: #303036; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 36px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; } h2 { font-size: 20px; margin: 40px 0 10px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 80ch; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
td, th { padding: 6px 12px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; } tr.best td { font-weight: 600; } th { color: var(--soft); }
td.why { text-align: left; white-space: normal; color: #b3402a; }
.row { display: grid; grid-template-columns: 9rem repeat(3, 1fr); gap: 6px; align-items: center; margin: 0 0 6px; }
.row.sides { grid-template-columns: 9rem repeat(5, 1fr); }
.row b { font-weight: 500; font-size: 13px; } .row img { width: 100%; display: block; border-radius: 4px; }
"""


def flat(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns the figures of a result by the keys of the table's columns."""
    row = {key: result.get(key) for _, key, _ in _COLUMNS}
    row["face_psnr"] = (result.get("face") or {}).get("psnr")
    row["landmarks_psnr"] = (result.get("landmarks") or {}).get("psnr")
    return row


def means(results: Results) -> dict[str, dict[str, Any]]:
    """Returns each preset's figures in the mean over the clips, if it came through on all of them."""
    out = {}
    for preset in dict.fromkeys(name for clip in results.values() for name in clip):
        rows = [clip[preset] for clip in results.values() if preset in clip]
        if len(rows) < len(results) or any("error" in r for r in rows):
            continue
        values = [flat(r) for r in rows]
        out[preset] = {}
        for _, key, _ in _COLUMNS:
            column = [v[key] for v in values]
            out[preset][key] = None if any(x is None for x in column) else float(np.mean(column))  # type: ignore[arg-type]
    return out


def markdown(results: Results) -> str:
    """Returns the tables: one in the mean over the clips, one for each clip."""
    parts = []
    averaged = means(results)
    if averaged and len(results) > 1:
        parts.append(_table(f"Mean of {len(results)} clips", averaged))
    for clip, rows in results.items():
        parts.append(_table(clip, {name: r if "error" in r else flat(r) for name, r in rows.items()}))
    return "\n".join(parts)


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"### {title}", "", "| preset | " + " | ".join(head for head, _, _ in _COLUMNS) + " |"]
    lines.append("|---|" + "---:|" * len(_COLUMNS))
    for name, row in rows.items():
        lines.append(
            f"| {name} | " + (f"failed: {row['error']} |" if "error" in row else " | ".join(_cells(row)) + " |")
        )
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    return ["-" if row.get(key) is None else shape.format(row[key]) for _, key, shape in _COLUMNS]


def html(results: Results, folder: Path) -> str:
    """Returns one page with tables, side-by-side pictures and difference maps; pictures are inside it."""
    averaged = means(results)
    body = [_rows("Mean", averaged)] if averaged and len(results) > 1 else []
    for clip, rows in results.items():
        body.append(_rows(clip, {name: r if "error" in r else flat(r) for name, r in rows.items()}))
        body.append(_pictures(folder / clip, rows))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>avatar3d bench fit</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Fits compared</h1>\n"
        "<p>Frames that neither track nor fit saw. All presets share the capture, the matte, the tracked poses, the "
        "head model, the rasterizer and the way held-out poses are refined; baselines are published recipes "
        "re-implemented here and train at least as long as the slowest of our presets.</p>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _rows(title: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head, _, _ in _COLUMNS)
    scores = {name: row["psnr"] for name, row in rows.items() if row.get("psnr") is not None}
    best = max(scores, key=lambda name: scores[name]) if scores else None
    lines = []
    for name, row in rows.items():
        mark = ' class="best"' if name == best else ""
        if "error" in row:
            cells = f'<td class="why" colspan="{len(_COLUMNS)}">{escape(str(row["error"]))}</td>'
        else:
            cells = "".join(f"<td>{cell}</td>" for cell in _cells(row))
        lines.append(f"<tr{mark}><td>{escape(name)}</td>{cells}</tr>")
    table = f"<table><tr><th>preset</th>{heads}</tr>{''.join(lines)}</table>"
    return f'<h2>{escape(title)}</h2>\n<div class="wide">{table}</div>'


def _pictures(folder: Path, rows: Mapping[str, Mapping[str, Any]]) -> str:
    shown = next((row["shown"] for row in rows.values() if "shown" in row), [])
    truths = [folder / "truth" / f"{frame:05d}.png" for frame in shown]
    if not truths or not all(p.is_file() for p in truths):
        return ""
    lines = ["<p>Held-out frames, then each preset with its difference, four times amplified.</p>"]
    lines.append(_row("truth", [_inline(_beside(_read(p), _read(p))) for p in truths]))
    for name, row in rows.items():
        found = [folder / name / p.name for p in truths]
        if "error" in row or not all(p.is_file() for p in found):
            continue
        pairs = [_beside(_read(p), _read(t)) for p, t in zip(found, truths, strict=True)]
        lines.append(_row(name, [_inline(x) for x in pairs]))
    lines.append("<p>At rest, from 60 degrees on one side to 60 on the other.</p>")
    for name, row in rows.items():
        sides = sorted((folder / name).glob("side_*.png"), key=lambda p: float(p.stem.removeprefix("side_")))
        if "error" not in row and sides:
            lines.append(_row(name, [_inline(_read(p)) for p in sides], " sides"))
    return "\n".join(lines)


def _row(name: str, pictures: list[str], kind: str = "") -> str:
    images = "".join(f'<img src="{picture}" alt="{escape(name)}" loading="lazy">' for picture in pictures)
    return f'<div class="row{kind}"><b>{escape(name)}</b>{images}</div>'


def _beside(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns a picture and, to its right, the difference from the truth on grey."""
    if picture.shape != truth.shape:
        return picture
    difference = np.clip(_GAIN * np.abs(picture.astype(int) - truth), 0, 255).astype(np.uint8)
    return np.concatenate([picture, difference], axis=1)


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _inline(picture: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "webp", quality=82)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode()
