"""A watched fit: curves, pause, stop, and what is left of one that fails."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avatar3d import pipeline, store
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.fit import Step
from avatar3d.studio.document import Document
from avatar3d.studio.jobs import Jobs
from avatar3d.studio.monitor import FitRequest, Monitor

TOTAL = 60


class Frames(list):
    """Pictures in a list."""


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def fits(small, tmp_path, monkeypatch):
    """A fit that takes no time; the test says at which step it breaks."""
    size, count = 64, len(small.motion)
    clip = Clip(tmp_path / "me.mp4", size, size, 25.0, Frames(np.zeros((count, size, size, 3), np.uint8)))
    w2c = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    camera = Camera(w2c, torch.tensor([[90.0, 0, 32], [0, 90, 32], [0, 0, 1]]), size, size)
    track = Track("anny", small.identity, small.motion, camera, torch.ones(count))
    told = SimpleNamespace(breaks=None, error=AvatarError("frame 7: no face"), checkpoint=None)

    def make(source, preset, hold_out, about, checkpoint, progress, watch):
        told.checkpoint = checkpoint
        progress("capture", 1, 1)
        for i in range(1, TOTAL + 1):
            if i == told.breaks:
                checkpoint.write_bytes(b"state")
                raise told.error
            grown = replace(small, about={**small.about, "steps": i})
            if not watch(Step(i, TOTAL, 1 / i, 20.0 + i / 10, 0.1 * i, lambda grown=grown: grown), clip, track):
                return pipeline.Made(grown, clip, track)
            progress("fit", i, TOTAL)
        return pipeline.Made(replace(small, about={**small.about, **about, "steps": TOTAL}), clip, track)

    monkeypatch.setattr(pipeline, "make", make)
    (tmp_path / "me.mp4").write_bytes(b"x")
    return told


def start(small, tmp_path):
    document, jobs = Document(small), Jobs()
    monitor = Monitor(document, jobs)
    request = FitRequest(tmp_path / "me.mp4", tmp_path / "me.a3d", about={"consent": "yes"})
    return document, jobs, monitor, request


def test_a_fit_ends_saved_and_shown(small, tmp_path, fits) -> None:
    document, jobs, monitor, request = start(small, tmp_path)
    monitor.start(request)
    assert jobs.wait(30)
    assert jobs.report.state == "done" and "me.a3d" in jobs.report.note
    saved = store.load(request.output)
    assert saved.about["steps"] == TOTAL and saved.about["consent"] == "yes"
    assert document.path == request.output and not document.unsaved
    assert document.source is not None and document.source.frame(0).shape == (64, 64, 3)
    steps, losses, psnrs = monitor.curves()
    assert len(steps) == TOTAL and losses[0] > losses[-1] and psnrs[-1] > psnrs[0]
    assert document.undo() and document.avatar is small  # what was open before is one step back


def test_a_fit_pauses_and_goes_on(small, tmp_path, fits) -> None:
    document, jobs, monitor, request = start(small, tmp_path)
    inner = monitor.watch

    def watch(step, clip, track):
        if step.index == 10:
            monitor.pause(True)
        return inner(step, clip, track)

    monitor.watch = watch
    monitor.start(request)
    until(lambda: monitor.paused)
    time.sleep(0.1)
    assert monitor.step.index == 10 and jobs.running
    until(lambda: document.avatar.about.get("steps") == 10)  # what is seen is the step where it waits
    document.set("jawOpen", 0.3)  # the window lives meanwhile
    monitor.pause(False)
    assert jobs.wait(30) and jobs.report.state == "done"


def test_a_fit_that_fails_leaves_everything_alive_and_saved(small, tmp_path, fits) -> None:
    fits.breaks = 25
    document, jobs, monitor, request = start(small, tmp_path)
    document.set("jawOpen", 0.5)
    monitor.start(request)
    assert jobs.wait(30)
    assert jobs.report.state == "failed" and jobs.report.note == "frame 7: no face"
    assert not request.output.exists()
    assert store.load(request.unfinished).about["steps"] < 25  # the last avatar it had
    assert request.checkpoint.exists()  # the next one goes on from here
    assert document.values == {"jawOpen": 0.5} and document.scene() is not None
    assert document.undo() and document.avatar is small
    fits.breaks = None
    monitor.start(request)
    assert jobs.wait(30) and jobs.report.state == "done" and not request.checkpoint.exists()


def test_a_mistake_in_the_program_is_no_end_either(small, tmp_path, fits) -> None:
    fits.breaks, fits.error = 3, ZeroDivisionError("oh")
    document, jobs, monitor, request = start(small, tmp_path)
    monitor.start(request)
    assert jobs.wait(30)
    assert jobs.report.state == "failed" and "ZeroDivisionError" in jobs.report.note
    assert document.scene() is not None


def test_a_fit_that_is_stopped_is_kept(small, tmp_path, fits) -> None:
    document, jobs, monitor, request = start(small, tmp_path)
    inner = monitor.watch

    def watch(step, clip, track):
        if step.index == 10:
            monitor.stop()
        return inner(step, clip, track)

    monitor.watch = watch
    monitor.start(request)
    assert jobs.wait(30)
    assert jobs.report.state == "stopped" and "10 steps" in jobs.report.note
    assert store.load(request.unfinished).about["steps"] == 10 and not request.output.exists()
    assert document.avatar.about["steps"] == 10


def test_only_one_thing_at_a_time_and_bad_requests_at_once(small, tmp_path, fits) -> None:
    _, jobs, monitor, request = start(small, tmp_path)
    with pytest.raises(AvatarError, match="preset"):
        monitor.start(replace(request, preset="fsat"))
    assert not jobs.running
    jobs.start("something", lambda jobs: [time.sleep(0.01) or jobs.check() for _ in range(3000)] and "")
    with pytest.raises(AvatarError, match="something is still running"):
        monitor.start(request)
    jobs.stop()
    assert jobs.wait(30) and jobs.report.state == "stopped"
    monitor.start(request)
    assert jobs.wait(30) and jobs.report.state == "done"


def test_a_long_curve_is_thinned(small, tmp_path) -> None:
    _, _, monitor, _ = start(small, tmp_path)
    monitor._curve.extend((i, float(i), 0.0) for i in range(5000))
    steps, losses, _ = monitor.curves()
    assert len(steps) == 400 and (np.diff(steps) > 0).all() and np.allclose(steps, losses)


def test_who_watches_may_end_a_fit_and_changes_nothing_else(small, tmp_path, monkeypatch) -> None:
    from avatar3d import fit
    from avatar3d.fit import FitOptions
    from avatar3d.pipeline import _fitted, quiet

    seen = []

    def steps(clip, track, options, checkpoint):
        checkpoint.write_bytes(b"state")
        for i in range(1, 6):
            yield Step(i, 5, 1.0, 20.0, 0.0, lambda i=i: replace(small, about={"steps": i}))

    monkeypatch.setattr(fit, "steps", steps)
    clip = Clip(tmp_path / "me.mp4", 8, 8, 25.0, Frames(np.zeros((1, 8, 8, 3), np.uint8)))
    camera = Camera(torch.eye(4), torch.eye(3), 8, 8)
    track = Track("anny", small.identity, small.motion, camera, torch.ones(len(small.motion)))
    path = tmp_path / "fit-checkpoint"

    def until_three(step, clip, track):
        seen.append(step.index)
        return step.index < 3

    stopped = _fitted(clip, track, FitOptions(), path, quiet, until_three)
    assert stopped.about["steps"] == 3 == seen[-1] and path.exists()
    whole = _fitted(clip, track, FitOptions(), path, quiet, lambda step, clip, track: True)
    assert whole.about["steps"] == 5 and not path.exists()
