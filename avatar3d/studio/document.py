"""What all who look at a studio share: the avatar with its history, sliders, timeline, keyframes. Knows no window."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry, heads, store
from avatar3d.core import Avatar, AvatarError, Camera, Motion, Pose, first_of
from avatar3d.drive.retarget import rest_of
from avatar3d.heads.arkit import mirrored
from avatar3d.render.path import TURNS, posed
from avatar3d.studio.cameras import Keyframe
from avatar3d.studio.scene import Scene, kept_keyframes, remembered
from avatar3d.studio.source import Source
from avatar3d.studio.timeline import Timeline

_KEPT = 100
"""Steps that can be undone."""


class Document:
    """The shared state. Every change adds one to `version` and wakes those who wait for it."""

    def __init__(self, avatar: Avatar | None = None, path: Path | None = None) -> None:
        """Opens an avatar, if there is one."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 0
        self.avatar: Avatar | None = None
        self.path: Path | None = None
        """The file it came from, or was saved to."""
        self.values: dict[str, float] = {}
        """Sliders that are not at 0: ARKit weights and `TURNS`."""
        self.linked = True
        """Whether left and right move together."""
        self.timeline = Timeline()
        self.performing = False
        """Whether the avatar does what the timeline says; sliders are added to it."""
        self.keyframes: tuple[Keyframe, ...] = ()
        self.region: str | None = None
        self.unsaved = False
        self.sound: Any = None
        """What is heard with the timeline: a `speech.sound.Sound` or `SoundFile`, or None."""
        self._opened: Avatar | None = None
        self._motion: Motion | None = None
        self._source: Source | None = None
        self._home: Tensor = torch.eye(4)
        self._tried: Avatar | None = None
        self._past: list[Avatar] = []
        self._future: list[Avatar] = []
        if avatar is not None:
            self.open(avatar, path)

    # -- avatars -----------------------------------------------------------------------------------------------------

    def open(self, avatar: Avatar, path: Path | None = None, unsaved: bool = False) -> None:
        """Shows another avatar; the one before can be had back by `undo`."""
        with self.lock:
            self._push()
            self._take(avatar)
            self._opened, self.path, self.unsaved = avatar, path, unsaved
            self._source, self.sound = None, None
            self.keyframes = kept_keyframes(avatar)
            self._touch()

    def change(self, avatar: Avatar) -> None:
        """Takes over a changed avatar: one step that can be undone."""
        with self.lock:
            self._push()
            self._take(avatar)
            self.unsaved = True
            self._touch()

    def grow(self, avatar: Avatar, source: Source | None = None, first: bool = False) -> None:
        """Shows the avatar of a running fit: all of them are one step."""
        with self.lock:
            if first:
                self._push()
                self._opened, self.path = avatar, None
            place = self.timeline
            self._take(avatar)
            if source is not None:
                self._source = source
            self.timeline = replace(self.timeline, playing=place.playing, loop=place.loop, speed=place.speed)
            self.timeline = self.timeline.moved(place.at)
            self.unsaved = True
            self._touch()

    def attempt(self, avatar: Avatar | None) -> None:
        """Shows a change that is not decided yet; None drops it."""
        with self.lock:
            if self._tried is not avatar:
                self._tried = avatar
                self._touch()

    def undo(self) -> bool:
        """Goes back one step; past the first, drops the last edit that the file holds. Returns whether it did."""
        with self.lock:
            if self.avatar is None:
                return False
            if self._past:
                back = self._past.pop()
            elif self.avatar.edits:
                from avatar3d.edit import undo

                back = undo(self.avatar)
            else:
                return False
            self._future.append(self.avatar)
            self._take(back)
            self.unsaved = True
            self._touch()
            return True

    def redo(self) -> bool:
        """Goes forward one step again."""
        with self.lock:
            if self.avatar is None or not self._future:
                return False
            self._past.append(self.avatar)
            self._take(self._future.pop())
            self.unsaved = True
            self._touch()
            return True

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps can be undone, and redone."""
        held = len(self.avatar.edits) if self.avatar is not None and not self._past else 0
        return len(self._past) or held, len(self._future)

    def known(self) -> Avatar:
        """Returns the avatar.

        Raises:
            AvatarError: There is none.
        """
        if self.avatar is None:
            raise AvatarError("no avatar is open; open one, or fit one to a video or photo")
        return self.avatar

    # -- performance -------------------------------------------------------------------------------------------------

    @property
    def motion(self) -> Motion | None:
        """What the timeline plays, in the studio's world."""
        return self._motion

    @property
    def source(self) -> Source | None:
        """The clip beside it."""
        return self._source

    @property
    def home(self) -> Float[Tensor, "4 4"]:
        """From the avatar's own world to the studio's."""
        return self._home

    def perform(self, motion: Motion, sound: Any = None) -> None:
        """Puts a motion of the avatar's world (a clip's, a driven one) on the timeline, with its sound."""
        with self.lock:
            self._play(motion)
            self._source, self.sound = None, sound
            self.performing = True
            self._touch()

    def compare(self, source: Source | None, motion: Motion | None = None) -> None:
        """Puts a clip beside the avatar, and on the timeline what is done in it: by default the avatar's own motion."""
        with self.lock:
            own = self.avatar.motion if self.avatar is not None else None
            if motion is not None or own is not None:
                self._play(motion or own)
                self.performing = True
            self._source = source
            self.sound = source.sound if source is not None else None
            self._touch()

    def run(self, timeline: Timeline) -> None:
        """Moves on the timeline."""
        with self.lock:
            if timeline != self.timeline:
                self.timeline = timeline
                self._touch()

    def tick(self, seconds: float) -> None:
        """Lets time pass."""
        with self.lock:
            if self.timeline.playing and self.performing:
                self.run(self.timeline.advanced(seconds))

    def set_performing(self, on: bool) -> None:
        """Lets the avatar do what the timeline says, or the sliders alone."""
        with self.lock:
            self.performing = on and self._motion is not None
            self._touch()

    # -- sliders -----------------------------------------------------------------------------------------------------

    def set(self, name: str, value: float | int) -> dict[str, float]:
        """Moves a slider, and its other side where they are linked; returns what moved.

        Raises:
            AvatarError: Nobody has this name.
        """
        with self.lock:
            avatar = self.known()
            names = heads.load(avatar.head).expressions
            first_of((*names, *TURNS), name)
            limit = TURNS[name].limit if name in TURNS else 1.0
            value = min(max(float(value), -limit if name in TURNS else 0.0), limit)
            both = {name} | ({mirrored(name)} & set(names) if self.linked and name not in TURNS else set())
            both = {name} if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight") else both  # directions
            for each in both:
                self.values.pop(each, None)
                if value:
                    self.values[each] = value
            self._touch()
            return dict.fromkeys(sorted(both), value)

    def set_all(self, values: Mapping[str, float | int]) -> None:
        """Replaces all sliders; names that the head does not have are left out."""
        with self.lock:
            head = heads.load(self.known().head)
            self.values = {k: v for k, v in values.items() if v and (k in head.expressions or k in TURNS)}
            self._touch()

    def note(self, **fields: object) -> None:
        """Sets `keyframes`, `region` or `linked`."""
        with self.lock:
            for name, value in fields.items():
                if name not in ("keyframes", "region", "linked"):
                    raise AttributeError(name)
                setattr(self, name, value)
            if "keyframes" in fields:
                self.unsaved = True
            self._touch()

    # -- pictures and files ------------------------------------------------------------------------------------------

    def scene(self) -> Scene | None:
        """Returns what there is to see."""
        with self.lock:
            if self.avatar is None or self._opened is None:
                return None
            shown = self._tried or self.avatar
            before = (self.avatar if self._tried is not None else None) or (self._past or [self._opened])[-1]
            if before.head != shown.head:
                before = shown
            opened = self._opened if self._opened.head == shown.head else shown
            pose = self.pose_at(self.timeline.frame)
            return Scene(shown, pose, opened, before, self._source, self.timeline.frame, self.region)

    def pose_at(self, frame: int, values: Mapping[str, float] | None = None) -> Pose:
        """Returns the pose of a frame with the sliders (or others) added."""
        with self.lock:
            avatar = self.known()
            hand = posed(avatar.head, self.values if values is None else values)
            if not self.performing or self._motion is None:
                return hand
            seen = self._motion.pose[min(frame, len(self._motion) - 1)]
            expression = (seen.expression + hand.expression).clamp(0, 1)
            return replace(seen, expression=expression, joints=seen.joints + hand.joints)

    def camera(self) -> Camera | None:
        """Returns the camera that saw the frame shown, in the studio's world: the clip's, or the one the avatar
        remembers."""
        with self.lock:
            if self._source is not None:
                return self._source.camera(self.timeline.frame)
            if self.avatar is None or "camera" not in self.avatar.about:
                return None
            return remembered(self.avatar, self._home)

    def to_save(self) -> Avatar:
        """Returns the avatar as it is saved, with the keyframes."""
        with self.lock:
            avatar = self.known()
            about = {k: v for k, v in avatar.about.items() if k != "studio"}
            if self.keyframes:
                about["studio"] = {"keyframes": [k.to_json() for k in self.keyframes]}
            return replace(avatar, about=about)

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Writes the avatar.

        Raises:
            AvatarError: The file is there already and `overwrite` is not given, or it cannot be written.
        """
        if path.exists() and not overwrite:
            raise AvatarError(
                f"{path.name}: is there already; confirm that it shall be replaced, or choose another name"
            )
        with self.lock:
            avatar, version = self.to_save(), self.version
        store.save(avatar, path)
        with self.lock:
            self.path = path
            self.unsaved = self.version != version and self.unsaved
            self._touch()

    # -- within ------------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        if self.avatar is not None:
            self._past = [*self._past, self.avatar][-_KEPT:]
        self._future = []

    def _take(self, avatar: Avatar) -> None:
        """Makes an avatar the current one; its performance goes on the timeline unless that plays it already."""
        before, self.avatar, self._tried = self.avatar, avatar, None
        if before is None or before.head != avatar.head or (before.motion is not avatar.motion):
            self._home = geometry.rigid_inverse(rest_of(avatar).root)
            self._play(avatar.motion)
            names = heads.load(avatar.head).expressions
            self.values = {k: v for k, v in self.values.items() if k in names or k in TURNS}
            self.performing = self._motion is not None and (before is None or self.performing)
            self.region = self.region if self.region in heads.load(avatar.head).regions else None

    def _play(self, motion: Motion | None) -> None:
        if motion is None or not len(motion):
            self._motion, self.timeline, self.performing = None, Timeline(), False
            return
        root = self._home.to(motion.pose.root) @ motion.pose.root
        self._motion = replace(motion, pose=replace(motion.pose, root=root))
        old = self.timeline
        self.timeline = replace(
            old, frames=len(motion), fps=motion.fps, at=0.0, playing=old.playing and len(motion) > 1
        )

    def _touch(self) -> None:
        self.version += 1
        self.changed.notify_all()
