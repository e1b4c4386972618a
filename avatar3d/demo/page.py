"""The demo's page: one HTML file beside its pictures, without scripts and without anything from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Shown:
    """What the page shows of one head. Names are of files beside the page."""

    title: str
    name: str
    side: str
    orbit: str
    strip: str
    numbers: Mapping[str, Any]


_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #6b6b70; --ground: #f6f6f4; --card: #fff; --line: #e3e3e0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececee; --soft: #9a9aa2; --ground: #141416; --card: #1e1e21; --line: #303036; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 60px; }
h1 { font-size: 28px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 44px 0 12px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 70ch; }
.row { display: grid; grid-template-columns: 2fr 1fr; gap: 14px; align-items: start; }
figure { margin: 0 0 14px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
figure { overflow: hidden; }
figure img, figure video { display: block; width: 100%; background: #fff; }
figcaption { padding: 8px 12px; font-size: 13px; color: var(--soft); }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
td { padding: 5px 24px 5px 0; border-bottom: 1px solid var(--line); } td:first-child { color: var(--soft); }
a { color: inherit; } code { font: 13px ui-monospace, monospace; }
@media (max-width: 720px) { .row { grid-template-columns: 1fr; } }
"""

_FOOT = """
<h2>Next</h2>
<p>Every file on this page came from <code>avatar3d demo</code>. Move the sliders yourself:</p>
<p><code>avatar3d render portrait.a3d --set jawOpen=0.5,headYaw=20 --yaw 15 -o face.png</code></p>
<p>The heads are synthetic pictures of real people. Make avatars only of people who agreed to it, and say that a picture
is synthetic where you show it.</p>
"""


def html(heads: Sequence[Shown]) -> str:
    """Returns the page."""
    parts = "\n".join(_head(head) for head in heads)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>avatar3d demo</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        "<h1>avatar3d</h1>\n<p>From a photo or a video to a head that can be posed and seen from any side.</p>\n"
        f"{parts}{_FOOT}</main>\n</body>\n</html>\n"
    )


def _head(head: Shown) -> str:
    rows = "\n".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in _rows(head.numbers))
    file = escape(f"{head.name}.a3d")
    return f"""<h2>{escape(head.title)}: {escape(str(head.numbers["source"]))}</h2>
<div class="row">
{_figure(head.side, "Left: the input. Right: the avatar in the same pose.")}
{_figure(head.orbit, "The camera moves around the head.")}
</div>
{_figure(head.strip, "Expressions and views by name, as the command line sets them.")}
<table>
{rows}
<tr><td>avatar</td><td><a href="{file}">{file}</a></td></tr>
</table>
"""


def _figure(file: str, caption: str) -> str:
    name, caption = escape(file), escape(caption)
    shown = f'<img src="{name}" alt="{caption}">'
    if file.endswith(".mp4"):
        shown = f'<video src="{name}" autoplay muted loop playsinline controls></video>'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _rows(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns names and values of the table."""
    seconds = numbers["seconds"]
    total = sum(seconds.values())
    each = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    rows = [
        ("time", f"{total:.0f} s ({each})"),
        ("splats", f"{numbers['splats']:,}"),
        ("file", f"{numbers['megabytes']} MB"),
        ("frames", str(numbers["frames"])),
    ]
    score = numbers.get("score")
    if score:
        rows.append(("held-out frames", str(score["frames"])))
        rows.append(("whole frame", _figures(score)))
        rows.append(("head box", _figures(score["head"])))
        rows.append(("inside the face", _figures(score["face"])))
    if "fitted_psnr" in numbers:
        rows.append(("likeness to the photo itself", f"PSNR {numbers['fitted_psnr']:.1f} dB (the fitted view)"))
    return rows


def _figures(values: Mapping[str, Any]) -> str:
    parts = [("PSNR", "psnr", ".1f", " dB"), ("SSIM", "ssim", ".3f", ""), ("LPIPS", "lpips", ".3f", "")]
    shown = [f"{label} {values[key]:{form}}{unit}" for label, key, form, unit in parts if values.get(key) is not None]
    return ", ".join(shown) or "no face found"
