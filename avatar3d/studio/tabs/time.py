"""The timeline, what drives the avatar by words, and camera paths."""

import dataclasses
import time
from typing import Any

from avatar3d.core import AvatarError
from avatar3d.studio import tasks
from avatar3d.studio.cameras import Keyframe, added, between
from avatar3d.studio.desk import Desk, put, shown
from avatar3d.studio.intake import Brought, plain_name

_NONE = "(no keyframes)"


def build(desk: Desk) -> None:
    """Adds the timeline, speech and keyframes."""
    _timeline(desk)
    _speech(desk)
    _path(desk)


def _timeline(desk: Desk) -> None:
    gui, document = desk.gui, desk.document
    perform = gui.add_checkbox("Perform", True, hint="Do what the timeline says; sliders are added to it")
    told = gui.add_markdown("")
    frame = gui.add_slider("Frame", 0, 1, 1, 0)
    play = gui.add_button("Play", icon="player-play")
    step = gui.add_button_group("Go", ("⏮", "◀ 1", "1 ▶", "⏭"))
    loop = gui.add_checkbox("Loop", True)
    speed = gui.add_slider("Speed", 0.1, 4.0, 0.05, 1.0)

    def run(**changes: Any) -> None:
        document.run(dataclasses.replace(document.timeline, **changes))

    def go(value: str, client: Any) -> None:
        line = document.timeline
        where = {"⏮": 0, "◀ 1": line.frame - 1, "1 ▶": line.frame + 1, "⏭": line.frames - 1}[value]
        document.run(line.played(False).moved(where))

    def toggled(value: Any, client: Any) -> None:
        line = document.timeline
        if line.frames < 2:
            raise AvatarError(
                "nothing to play: bring a video, a sound or a motion file, or open an avatar with a motion"
            )
        document.set_performing(True)
        document.run(line.played(not line.playing))

    desk.heard(perform, lambda value, client: document.set_performing(bool(value)))
    desk.heard(frame, lambda value, client: document.run(document.timeline.moved(frame.value)))
    desk.heard(play, toggled)
    desk.heard(step, go)
    desk.heard(loop, lambda value, client: run(loop=bool(value)))
    desk.heard(speed, lambda value, client: document.run(document.timeline.timed(speed.value)))

    def refresh() -> None:
        line = document.timeline
        if line.frames > 1 and frame.max != line.frames - 1:
            frame.max = line.frames - 1
        put(frame, min(line.frame, frame.max))
        put(perform, document.performing)
        put(loop, line.loop)
        put(speed, line.speed)
        label = "Pause" if line.playing else "Play"
        if play.label != label:
            play.label, play.icon = label, "player-pause" if line.playing else "player-play"
        for handle in (frame, play, step, loop, speed, perform):
            shown(handle, line.frames > 1)
        text = f"frame {line.frame + 1} of {line.frames}, {line.seconds:.2f} s of {line.frames / line.fps:.2f} s"
        text = text if line.frames > 1 else "No performance: drop a video, a sound or a motion file on the page."
        if told.content != text:
            told.content = text

    desk.refreshes.append(refresh)


def _speech(desk: Desk) -> None:
    gui, document, jobs = desk.gui, desk.document, desk.jobs
    with gui.add_folder("Speak", expand_by_default=False):
        text = gui.add_text("Words", "", multiline=True)
        voice = gui.add_text("Voice", "en-us", hint="Any of espeak-ng's languages: de, fr, en-us+f3, ...")
        say = gui.add_button("Say it", icon="message")

    def spoken(value: Any, client: Any) -> None:
        document.known()
        words, kind = text.value.strip(), voice.value.strip() or "en-us"
        if not words:
            raise AvatarError("what shall be said? write some words")
        jobs.start("speech", lambda jobs: tasks.say(document, words, kind, jobs))

    desk.heard(say, spoken)


def _path(desk: Desk) -> None:
    gui, document, jobs = desk.gui, desk.document, desk.jobs
    with gui.add_folder("Camera path", expand_by_default=False):
        at = gui.add_number("Time (s)", 0.0, min=0.0, max=600.0, step=0.1, hint="When the path reaches this view")
        add = gui.add_button("Add keyframe of my view", icon="camera-plus")
        listed = gui.add_dropdown("Keyframe", (_NONE,))
        each = gui.add_button_group("Keyframe", ("Go to", "Delete", "Clear all"))
        preview = gui.add_button("Play the path", icon="player-play")
    with gui.add_folder("Film (mp4)", expand_by_default=False):
        what = gui.add_dropdown("Camera", ("camera path", "my view", "the clip's camera"))
        size = gui.add_dropdown("Height", ("256", "512", "720", "1080"), initial_value="512")
        wide = gui.add_dropdown("Shape", ("1:1", "16:9", "9:16", "4:3"))
        fps = gui.add_slider("Frames a second", 1, 60, 1, 25, hint="Of a camera path; a performance has its own")
        film = gui.add_button("Make the film", icon="movie")

    def named(k: Keyframe) -> str:
        return f"{k.seconds:.2f} s"

    def eye_of(client: Any) -> Any:
        visitor = desk.stream.visitor(client.client_id)
        if visitor is None or visitor.eye is None:
            raise AvatarError("your view is not known yet; move the camera once")
        return visitor.eye

    def keep(value: Any, client: Any) -> None:
        key = Keyframe(eye_of(client), round(float(at.value), 3), dict(document.values), document.timeline.frame)
        document.note(keyframes=added(document.keyframes, key))
        put(at, round(key.seconds + 2.0, 3))

    def chosen() -> Keyframe:
        found = [k for k in document.keyframes if named(k) == listed.value]
        if not found:
            raise AvatarError("no keyframe is chosen")
        return found[0]

    def handled(value: str, client: Any) -> None:
        if value == "Clear all":
            desk.confirm(
                client,
                "Clear",
                f"Delete {len(document.keyframes)} keyframes?",
                "Delete",
                lambda: document.note(keyframes=()),
            )
        elif value == "Delete":
            gone = chosen()
            document.note(keyframes=tuple(k for k in document.keyframes if k is not gone))
        else:
            key = chosen()
            _look_from(client, key)
            document.set_all(key.values)
            document.run(document.timeline.moved(key.frame))

    def previewed(value: Any, client: Any) -> None:
        keyframes = document.keyframes
        if len(keyframes) < 2:
            raise AvatarError("a path needs two keyframes or more")
        start = time.monotonic()
        while (passed := time.monotonic() - start) <= keyframes[-1].seconds - keyframes[0].seconds:
            if desk.stream.visitor(client.client_id) is None:
                return
            _look_from(client, between(keyframes, keyframes[0].seconds + passed))
            time.sleep(1 / 15)
        _look_from(client, keyframes[-1])

    def filmed(value: Any, client: Any) -> None:
        height = int(size.value)
        across, down = (int(n) for n in wide.value.split(":"))
        width = round(height * across / down)
        visitor = desk.stream.visitor(client.client_id)
        red, green, blue = visitor.look.background if visitor is not None else (255, 255, 255)
        colour = (red / 255, green / 255, blue / 255)
        if what.value == "camera path":
            shots = tasks.of_path(document, document.keyframes, (width, height), float(fps.value), colour)
        elif what.value == "my view":
            camera = eye_of(client).camera(width + width % 2, height + height % 2)
            shots = tasks.of_performance(document, camera, colour)
        else:
            camera = document.camera()
            if camera is None:
                raise AvatarError("the clip's camera is not known; the avatar was not fitted to a clip")
            shots = tasks.of_performance(document, camera.scaled(height / camera.height), colour)
        stem = document.path.stem if document.path is not None else "avatar"
        path = desk.inbox.path / f"{plain_name(stem)}.mp4"

        def work(jobs: Any) -> str:
            note = tasks.film(document, path, shots, jobs)
            client.send_file_download(path.name, path.read_bytes())
            return note

        jobs.start("film", work)

    desk.heard(add, keep)
    desk.heard(each, handled)
    desk.heard(preview, previewed)
    desk.heard(film, filmed)

    def refresh() -> None:
        names = tuple(named(k) for k in document.keyframes) or (_NONE,)
        if listed.options != names:
            listed.options = names

    desk.refreshes.append(refresh)


def _look_from(client: Any, key: Keyframe) -> None:
    with client.atomic():
        client.camera.wxyz = key.eye.wxyz
        client.camera.position = key.eye.position
        client.camera.fov = key.eye.fov


def brought(desk: Desk, file: Brought) -> None:
    """Lets a file drive the avatar."""
    desk.document.known()
    desk.jobs.start(f"driving by {file.path.name}", lambda jobs: tasks.drive(desk.document, file, jobs))
