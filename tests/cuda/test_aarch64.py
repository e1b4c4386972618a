"""The emulated kernels on aarch64, under qemu: recorded calls give what they give here."""

import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import small_scenes
import torch
from emulated import ROOT, Emulated, build_default

pytestmark = [pytest.mark.cuda_full, pytest.mark.xdist_group("aarch64")]

TOOLS = ("aarch64-linux-gnu-g++", "qemu-aarch64")
CROSS = (
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    f"-DCMAKE_CXX_COMPILER={TOOLS[0]}",
)


class Recorder(Emulated):
    """Writes every call to a file for replay.cpp; `buffers` are the tensors by number."""

    def __init__(self, path: Path, *headers: Path) -> None:
        super().__init__(path, *headers)
        self.calls = bytearray()
        self.buffers: list[torch.Tensor] = []

    def call(self, name, *arguments):
        """Calls and writes down a function; the emulator's counters and planted functions are left out."""
        if not name.startswith("a3d_emulator_counters"):
            self.calls += struct.pack("=i", len(name)) + name.encode() + struct.pack("=i", len(arguments))
            for argument, kind in zip(arguments, self._types[name], strict=True):
                self.calls += self._packed(argument, kind)
        super().call(name, *arguments)

    def _packed(self, argument, kind: str) -> bytes:
        if argument is None:
            return b"n"
        if isinstance(argument, torch.Tensor):
            number = next((i for i, b in enumerate(self.buffers) if b is argument), len(self.buffers))
            content = b"" if number < len(self.buffers) else argument.contiguous().numpy().tobytes()
            known = number < len(self.buffers)
            if not known:
                self.buffers.append(argument)
            return b"b" + struct.pack("=qqb", number, argument.nbytes, not known) + content
        if kind in ("float", "double"):
            return kind[0].encode() + struct.pack("=" + kind[0], argument)
        return b"i" + struct.pack("=q", argument)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this is an aarch64 machine: all other tests run on it")
@pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no {' or '.join(TOOLS)}: packages g++-aarch64-linux-gnu and qemu-user"
)
def test_gives_the_same(tmp_path):
    planted = ROOT / "tests/cuda/planted/planted.h"
    recorder = Recorder(build_default(), planted)
    small_scenes.main(recorder)
    (tmp_path / "calls").write_bytes(recorder.calls + struct.pack("=i", 0))

    library = build_default(ROOT / "build/emulator-aarch64", *CROSS)
    replay = tmp_path / "replay"
    source = Path(__file__).with_name("replay.cpp")
    subprocess.run([TOOLS[0], "-std=c++20", "-O1", str(source), "-o", str(replay), "-ldl"], check=True)
    run = [TOOLS[1], "-L", "/usr/aarch64-linux-gnu", str(replay), str(library), "calls", "out"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    there = memoryview((tmp_path / "out").read_bytes())
    compared = 0
    for here in recorder.buffers:
        part, there = there[: here.nbytes], there[here.nbytes :]
        if here.dtype == torch.uint8 or not here.numel():  # workspaces hold padding, and addresses decide their layout
            continue
        other = torch.frombuffer(bytearray(part), dtype=here.dtype).view(here.shape)
        if here.dtype.is_floating_point:  # libm and the order of rounding differ a little
            assert (other - here).norm() <= 1e-4 * here.norm() + 1e-6
        else:
            assert torch.equal(other, here)
        compared += 1
    assert not there and compared > 50
