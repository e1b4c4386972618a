"""One page that shows a mouth beside what is said: phones, waveform, the lips' gap with its closures, and the weights.

A single .html file without requests to anywhere; it plays the sound where that is short enough to carry along.
"""

import base64
import html
import io
import itertools
import json
import wave
from collections.abc import Mapping, Sequence

import numpy as np

from avatar3d.core import Motion
from avatar3d.score.lips import LipScore, Mouth, closures, segments
from avatar3d.score.page_style import SCRIPT, STYLE
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound
from avatar3d.speech.visemes import BILABIALS, viseme_parts

_PLAYED = 180.0
"""Seconds of sound that a page carries at most; 16 kHz in 16 bits is 2.5 MB a minute in the file."""
_SLACK = 0.04
"""Seconds of tolerance of a closure, as in `lips`."""

_ROWS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "jaw and closing": {
        "jaw open": ("jawOpen",),
        "mouth close": ("mouthClose",),
        "press": ("mouthPressLeft", "mouthPressRight"),
        "roll": ("mouthRollLower", "mouthRollUpper"),
    },
    "round and wide": {
        "funnel": ("mouthFunnel",),
        "pucker": ("mouthPucker",),
        "smile": ("mouthSmileLeft", "mouthSmileRight"),
        "stretch": ("mouthStretchLeft", "mouthStretchRight"),
    },
    "lips apart, tongue": {
        "lower down": ("mouthLowerDownLeft", "mouthLowerDownRight"),
        "upper up": ("mouthUpperUpLeft", "mouthUpperUpRight"),
        "shrug": ("mouthShrugUpper", "mouthShrugLower"),
        "tongue": ("tongueOut",),
    },
    "eyes and brows": {
        "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
        "brows up": ("browInnerUp",),
        "wide": ("eyeWideLeft", "eyeWideRight"),
        "squint": ("eyeSquintLeft", "eyeSquintRight"),
    },
}
"""Curves by row; a curve is the mean of its expressions."""
_COLOURS = ("#2f6fde", "#e4572e", "#2e9e6b", "#8a55c9")
_KINDS = {
    "lips": ("PP",),
    "teeth": ("FF",),
    "tongue": ("TH", "DD", "nn", "kk", "RR"),
    "hiss": ("SS", "CH"),
    "open": ("aa",),
    "wide": ("E", "I"),
    "round": ("O", "U"),
}
"""Colour classes of phones, by their visemes."""


def lips_page(
    name: str,
    mouth: Mouth,
    score: LipScore,
    motion: Motion | None = None,
    phones: PhoneTrack | None = None,
    sound: Sound | None = None,
) -> str:
    """Returns the page as HTML.

    Args:
        name: What was scored, for the title.
        mouth: Its curves.
        score: Its figures.
        motion: Gives the rows of weights.
        phones: Give the row of phones and the closures that are due.
        sound: Gives the waveform, and is played.
    """
    seconds = max(mouth.seconds, 0.1)
    rows = []
    if phones is not None:
        rows.append(_phone_row(phones, seconds))
    if sound is not None:
        rows.append(_row("sound", _waveform(sound, seconds), 70))
    rows.append(_gap_row(mouth, phones, seconds))
    if motion is not None:
        rows += [_weight_row(title, curves, motion, seconds) for title, curves in _ROWS.items()]
        rows.append(_head_row(motion, seconds))
    else:
        rows.append(_row("lids", _polyline(mouth.blink, mouth.fps, seconds, 0.0, 1.0, _COLOURS[0]), 60, ("blink",)))
    audio = ""
    if sound is not None and sound.seconds <= _PLAYED:
        audio = f'<audio controls src="data:audio/wav;base64,{_wav(sound)}"></audio>'
    ticks = "".join(
        f'<span style="left:{100 * s / seconds:.4f}%">{s}</span>'
        for s in range(0, int(seconds) + 1, max(1, int(seconds) // 600))
    )
    data = json.dumps({"seconds": round(seconds, 4)})
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; media-src data:\">"
        f"<title>Lips of {html.escape(name)}</title><style>{STYLE}</style>"
        f"<header><h1>Lips of {html.escape(name)}</h1>{_figures(score)}"
        f'<div class="bar">{audio}<label>zoom <input type="range" id="zoom" min="20" max="600" value="120"></label>'
        '<output id="now"></output></div></header>'
        f'<main id="scroll"><div id="strip"><div class="ticks">{ticks}</div>{"".join(rows)}'
        f'<div id="cursor"></div></div></main><script>const DATA={data};{SCRIPT}</script></html>'
    )


def _figures(score: LipScore) -> str:
    shown = []
    for name, value in score.values.items():
        if isinstance(value, bool) or value is None or name in ("frames", "seconds", "fps", "unit", "offset_against"):
            continue
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        if name.endswith("_ms") and isinstance(value, float):
            text = f"{value:.0f} ms"
        if name == "jitter":
            text += f" {score.values.get('unit', '')}"
        if name == "blink_rate":
            name = "blinks a minute"
        shown.append(f"<li><b>{html.escape(text)}</b>{html.escape(name.removesuffix('_ms').replace('_', ' '))}</li>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in score.notes)
    return f'<ul class="figures">{"".join(shown)}</ul>{notes}'


def _row(title: str, svg: str, height: int, legend: Sequence[str] = (), extra: str = "") -> str:
    keys = "".join(
        f'<button style="--c:{colour}" data-curve="{html.escape(key)}">{html.escape(key)}</button>'
        for key, colour in zip(legend, _COLOURS, strict=False)
    )
    return (
        f'<section style="height:{height}px"><h2>{html.escape(title)} {keys}</h2>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none">{svg}</svg>{extra}</section>'
    )


def _polyline(
    curve: np.ndarray, fps: float, seconds: float, low: float, high: float, colour: str, name: str = ""
) -> str:
    x = 1000 * np.arange(len(curve)) / fps / seconds
    y = 100 - 100 * ((curve - low) / max(high - low, 1e-9)).clip(0, 1)
    points = " ".join(f"{a:.2f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<polyline data-curve="{html.escape(name)}" stroke="{colour}" points="{points}"/>'


def _phone_row(phones: PhoneTrack, seconds: float) -> str:
    def box(start: float, end: float, text: str, kind: str) -> str:
        left, width = 100 * start / seconds, 100 * (end - start) / seconds
        style = f"left:{left:.4f}%;width:{width:.4f}%"
        return f'<i class="{kind}" style="{style}" title="{html.escape(text)} {start:.2f} s">{html.escape(text)}</i>'

    def kind_of(phone: str) -> str:
        first = viseme_parts(phone)[0]
        return next((kind for kind, visemes in _KINDS.items() if first in visemes), "silent")

    shown = [p for p in phones.segmented().phones if p.start < seconds]
    words = "".join(box(a, min(b, seconds), word, "word") for word, a, b in phones.word_times() if a < seconds)
    said = "".join(box(p.start, min(p.end, seconds), p.phone, kind_of(p.phone)) for p in shown)
    tall = 52 if words else 30
    return f'<section class="phones" style="height:{tall}px"><div>{words}</div><div>{said}</div></section>'


def _gap_row(mouth: Mouth, phones: PhoneTrack | None, seconds: float) -> str:
    top = max(float(np.percentile(mouth.opening, 99.5)), 4 * mouth.closed, 1e-6)
    marks = ""
    made = closures(mouth)
    for start, end in segments(phones, BILABIALS) if phones is not None else ():
        hit = any(a <= end + _SLACK and b >= start - _SLACK for a, b in made)
        x, width = 1000 * start / seconds, 1000 * (end - start) / seconds
        marks += f'<rect class="{"made" if hit else "missed"}" x="{x:.2f}" width="{width:.2f}" y="0" height="100"/>'
    line = 100 - 100 * mouth.closed / top
    marks += f'<line x1="0" x2="1000" y1="{line:.1f}" y2="{line:.1f}" class="limit"/>'
    curve = _polyline(mouth.opening, mouth.fps, seconds, 0.0, top, _COLOURS[0], "gap")
    unit = "mm" if mouth.contact is not None else "eye distances"
    title = f"lips apart, 0 to {top:.2g} {unit}; dashed: closed; green: p b m closed in time, red: missed"
    return _row(title, marks + curve, 120)


def _weight_row(title: str, curves: Mapping[str, Sequence[str]], motion: Motion, seconds: float) -> str:
    weights = motion.pose.expression.double().numpy()
    svg, top = "", 0.3
    means = {
        key: weights[:, [motion.names.index(n) for n in names if n in motion.names]].mean(1)
        for key, names in curves.items()
        if any(n in motion.names for n in names)
    }
    top = max([top, *(float(curve.max()) for curve in means.values())])
    for (key, curve), colour in zip(means.items(), _COLOURS, strict=False):
        svg += _polyline(curve, motion.fps, seconds, 0.0, top, colour, key)
    return _row(f"{title}, 0 to {top:.2g}", svg, 90, tuple(means))


def _head_row(motion: Motion, seconds: float) -> str:
    turns = np.degrees(motion.pose.joints[:, :2].double().sum(1).numpy())
    top = max(3.0, float(np.abs(turns).max()))
    names = ("nod down", "turn left", "tilt")
    svg = '<line x1="0" x2="1000" y1="50" y2="50" class="zero"/>' + "".join(
        _polyline(turns[:, i], motion.fps, seconds, -top, top, _COLOURS[i], name) for i, name in enumerate(names)
    )
    return _row(f"head, ±{top:.2g}°", svg, 80, names)


def _waveform(sound: Sound, seconds: float) -> str:
    mono = sound.mono[: int(seconds * sound.rate)]
    bins = int(min(max(200, 100 * seconds), 20000))
    edges = np.linspace(0, len(mono), bins + 1).astype(int)
    peak = max(float(np.abs(mono).max(initial=0.0)), 1e-6)
    pieces = [mono[a:b] / peak if b > a else np.zeros(1) for a, b in itertools.pairwise(edges.tolist())]
    x = 1000 * (edges[:-1] / sound.rate) / seconds
    above = [f"{a:.2f},{50 - 48 * float(p.max()):.1f}" for a, p in zip(x.tolist(), pieces, strict=True)]
    below = [f"{a:.2f},{50 - 48 * float(p.min()):.1f}" for a, p in zip(x.tolist(), pieces, strict=True)]
    return f'<polygon class="wave" points="{" ".join([*above, *below[::-1]])}"/>'


def _wav(sound: Sound) -> str:
    mono = sound.at(16000).mono if sound.rate != 16000 else sound.mono
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((mono.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return base64.b64encode(data.getvalue()).decode()
