"""`doctor --cuda` and the golden data with the emulator in the device's place: all but the device is executed."""

import json
import re
from dataclasses import replace

import pytest
import torch
from emulated import Emulated

from avatar3d import doctor_cuda, selftest
from avatar3d.cli import main
from avatar3d.core import AvatarError
from avatar3d.ops import backends, gpu
from avatar3d.ops.backends import registry


@pytest.fixture
def emulator(library: Emulated, monkeypatch):
    """Lets the package find the emulated library that the tests have built."""
    monkeypatch.setenv("AVATAR3D_EMULATED", library._library._name)
    gpu.library.cache_clear()
    registry._gpu.cache_clear()
    yield
    gpu.library.cache_clear()
    registry._gpu.cache_clear()


def test_every_op_of_the_cuda_backend_has_a_case():
    assert {case.op for case in selftest.CASES.values()} == set(backends.named("cuda"))
    assert selftest.GOLDEN.stat().st_size < 600_000


@pytest.mark.parametrize("name", selftest.CASES)
@pytest.mark.parametrize("backend", ["emulated", "cpu", "reference"])
def test_backends_give_the_stored_answers(emulator, name, backend):
    """The CPU library and the twin pass the same limits, which stand for any right implementation."""
    rows = selftest.compare(name, backend)
    assert rows and all(row["ok"] for row in rows), [row for row in rows if not row["ok"]]
    assert max(row["limit"] for row in rows) < 1e-3


def test_wrong_answers_are_found(emulator, monkeypatch):
    case = selftest.CASES["splat_rgb"]

    def wrong(inputs, backend):
        outputs = case.run(inputs, backend)
        return outputs | {"grad_quats": outputs["grad_quats"] * 1.001}

    monkeypatch.setitem(selftest.CASES, "splat_rgb", replace(case, run=wrong))
    failed = [row["output"] for row in selftest.compare("splat_rgb", "emulated") if not row["ok"]]
    assert failed == ["grad_quats"]
    assert selftest.error(torch.tensor([1.0, float("nan")]), torch.ones(2)) == float("inf")
    assert selftest.error(torch.ones(3), torch.ones(2)) == float("inf")


def test_the_whole_report(emulator):
    report = doctor_cuda.doctor_cuda("emulated", repeat=1)
    assert report["ok"] and report["device"].startswith("emulated")
    assert {row["case"] for row in report["errors"]} == set(selftest.CASES)
    timed = {row["what"]: row for row in report["times"]}
    assert {"forward, emulated", "forward, loss and backward, emulated", "a3d_splat_blend"} <= set(timed)
    assert all(row["ms"] >= 0 for row in report["times"]) and timed["a3d_splat_blend"]["launches"] == 1
    block = report["block"].splitlines()
    assert block[0] == block[-1] == "```" and block[1] == "avatar3d doctor --cuda"
    kernels = {name for name in timed if name.startswith("a3d_")}  # one at least of each family
    for family in ("splat_blend_backward", "sort", "pose_backward", "loss", "adam", "grid", "mlp", "ray", "volume"):
        assert any(name.startswith(f"a3d_{family}") for name in kernels), family
    assert "golden data: all right" in report["block"] and re.search(r"splats +32 px +\d+\.\d+", report["block"])
    json.dumps(report)


def test_failures_are_in_the_block(emulator, monkeypatch):
    """One case that is wrong and one that does not run leave the others to be seen, and nothing is timed."""
    case = selftest.CASES["adam"]
    wrong = replace(case, run=lambda inputs, backend: {k: v + 1 for k, v in case.run(inputs, backend).items()})

    def fails(inputs, backend):
        raise AvatarError("a3d_mlp_forward: CUDA error 700")

    monkeypatch.setitem(selftest.CASES, "adam", wrong)
    monkeypatch.setitem(selftest.CASES, "mlp", replace(selftest.CASES["mlp"], run=fails))
    report = doctor_cuda.doctor_cuda("emulated", repeat=1)
    assert not report["ok"] and not report["times"]
    assert re.search(r"WRONG value: \d", report["block"]) and "mlp          FAILED: a3d_mlp" in report["block"]
    assert "  encode       " in report["block"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_is_one_line(capsys):
    assert main(["doctor", "--cuda"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("avatar3d: no CUDA device to test: ")
