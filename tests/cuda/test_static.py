"""What nvcc makes of the kernels: the reader of its output, the gate's rules, and (`cuda_full`) the gate itself."""

import json
import re
import shutil
import subprocess

import pytest
from emulated import ROOT, Emulated

from avatar3d.ops import nvrtc
from tools import cuda_static
from tools.cuda_occupancy import ARCHS, occupancy
from tools.cuda_sass import parse, short_name

RECORD = json.loads(cuda_static.RECORD.read_text())

SASS = """
	.section	.nv.info.a3d_toy,"",@"SHT_CUDA_INFO"
	//----- nvinfo : EIATTR_MAX_THREADS
	.align		4
        /*0024*/ 	.word	0x00000040
        /*0028*/ 	.word	0x00000002
        /*002c*/ 	.word	0x00000001
	.section	.text.a3d_toy,"ax",@progbits
	.sectioninfo	@"SHI_REGISTERS=12"
.text.a3d_toy:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   ISETP.GE.AND P0, PT, R2, R3, PT ;
.L_x_1:
        /*0020*/                   LDS.128 R4, [R2] ;
        /*0030*/                   FFMA R8, R4, R5, R6 ;
        /*0040*/                   MUFU.EX2 R9, R8 ;
        /*0050*/              @!P0 SHFL.BFLY PT, R9, R9, 0x1, 0x1f ;
        /*0060*/               @P1 BRA `(.L_x_1) ;
        /*0070*/                   FADD R10, R9, R9 ;
        /*0080*/               @P0 BRA `(.L_x_0) ;
        /*0090*/                   EXIT ;
.L_x_2:
        /*00a0*/                   BRA `(.L_x_2);
"""


def test_machine_code_is_read():
    (kernel,) = parse(SASS)
    assert (kernel.name, kernel.block, len(kernel.instructions)) == ("a3d_toy", 128, 11)
    assert kernel.hottest() == (2, 7)  # the inner loop; neither the outer one nor the trap behind the end
    assert kernel.mix(2, 7) == {"FP32": 1, "MUFU": 1, "control": 1, "shared": 1, "warp": 1}


def test_names_are_short():
    assert short_name("a3d_splat_blend") == "a3d_splat_blend"
    assert short_name("_ZN3a3d12raster_blendILi3ELb1EEEvPKfi") == "raster_blend<3, true>"
    assert short_name("_Z5scaleILin2EfEvv") == "scale<-2, float>"


def test_resources_are_read():
    text = """ptxas info    : Compiling entry function 'a3d_toy' for 'sm_80'
ptxas info    : Function properties for a3d_toy
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 53 registers, used 1 barriers, 21824 bytes smem, 600 bytes cmem[0]"""
    assert cuda_static.ptxas(text) == {"a3d_toy": {"registers": 53, "shared": 21824, "local": 16, "spills": 12}}


@pytest.mark.parametrize(
    ("arch", "registers", "shared", "block", "share"),
    [
        ("sm_80", 40, 10244, 256, 0.75),  # registers: 6 blocks of 8
        ("sm_86", 40, 10244, 256, 1.0),
        ("sm_75", 54, 10244, 256, 1.0),
        ("sm_86", 128, 39940, 256, 2 / 6),
        ("sm_90", 32, 49000, 128, 4 * 4 / 64),  # shared memory: 4 blocks
        ("sm_120", 255, 0, 1024, 0.0),  # no block fits
    ],
)
def test_occupancy(arch, registers, shared, block, share):
    """As `cuda_occupancy.h` of the toolkit says, with which 2,100 random cases were compared."""
    assert occupancy(arch, registers, shared, block) == pytest.approx(share)


@pytest.mark.skipif(not shutil.which("nvcc") or not shutil.which("g++"), reason="no CUDA toolkit for its header")
def test_occupancy_is_that_of_the_toolkit(tmp_path):
    header = re.search(
        r"TOP=(\S*)", subprocess.run(["nvcc", "--dryrun", "x.cu"], capture_output=True, text=True).stderr
    )
    source, program = tmp_path / "occupancy.cpp", tmp_path / "occupancy"
    source.write_text(
        """#include <cuda_occupancy.h>
#include <cstdio>
int main() {
  int major, minor, regs, shared, threads, per_block, registers, block; long smem, reserved, blocks;
  while (scanf("%d %d %ld %ld %ld %d %d %d %d", &major, &minor, &smem, &reserved, &blocks, &threads, &registers,
               &shared, &block) == 9) {
    cudaOccDeviceProp p; p.computeMajor = major; p.computeMinor = minor; p.maxThreadsPerBlock = 1024;
    p.maxThreadsPerMultiprocessor = threads; p.regsPerBlock = p.regsPerMultiprocessor = 65536; p.warpSize = 32;
    p.sharedMemPerBlock = 49152; p.sharedMemPerMultiprocessor = smem; p.numSms = 1;
    p.sharedMemPerBlockOptin = smem - reserved; p.reservedSharedMemPerBlock = reserved;
    cudaOccFuncAttributes f; f.maxThreadsPerBlock = 1024; f.numRegs = registers; f.sharedSizeBytes = shared;
    f.partitionedGCConfig = PARTITIONED_GC_OFF; f.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    f.maxDynamicSharedSizeBytes = smem - reserved; f.numBlockBarriers = 1;
    cudaOccDeviceState s; cudaOccResult r;
    cudaOccMaxActiveBlocksPerMultiprocessor(&r, &p, &f, &s, block, 0);
    printf("%d\\n", r.activeBlocksPerMultiprocessor);
  } }"""
    )
    home = header[1] if header else "/usr/local/cuda"
    command = ["g++", f"-I{home}/include", f"-I{home}/targets/x86_64-linux/include", str(source), "-o", str(program)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("the toolkit has no cuda_occupancy.h")
    cases = [
        (a, r, s, b)
        for a in ARCHS
        for r in range(16, 200, 23)
        for s in (0, 3000, 21824, 47000)
        for b in (64, 128, 256, 512)
    ]
    lines = []
    for arch, registers, shared, block in cases:
        x, number = ARCHS[arch], arch.removeprefix("sm_")
        lines.append(
            f"{number[:-1]} {number[-1]} {x.shared} {x.reserved} {x.blocks} {x.threads} {registers} {shared} {block}"
        )
    done = subprocess.run([str(program)], input="\n".join(lines), capture_output=True, text=True, check=True)
    for case, blocks in zip(cases, done.stdout.split(), strict=True):
        arch, registers, shared, block = case
        assert occupancy(*case) == pytest.approx(int(blocks) * block / ARCHS[arch].threads), case


def test_the_record_covers_every_kernel(library: Emulated):
    """And holds what is forbidden to none of them."""
    kernels = {name for name in library.kernels() if not name.startswith("planted")}
    named = {
        k
        for path in (ROOT / "cuda/gpu").glob("*_api.cpp")
        for k in re.findall(r'"(a3d_(?!gpu_)\w+)"', path.read_text())
    }
    assert named <= set(RECORD["kernels"]) <= kernels
    assert all(set(rows) == set(ARCHS) for rows in RECORD["kernels"].values())
    assert cuda_static.forbidden(RECORD["kernels"]) == []
    assert set(cuda_static.BUDGETS) <= set(RECORD["kernels"])


def test_what_is_gated_is_what_runs():
    flags = [flag for flag in RECORD["flags"] if flag not in ("-I", "cuda")]
    assert flags == list(nvrtc.FLAGS)
    assert f"${{NVCC}} {' '.join(flags)} -I" in (ROOT / "cuda/gpu/gpu.cmake").read_text()
    archs = re.search(r'AVATAR3D_CUDA_ARCHS "([\d;]+)"', (ROOT / "cuda/gpu/gpu.cmake").read_text())
    assert archs and [f"sm_{number}" for number in archs[1].split(";")] == list(ARCHS)


def changed(**change) -> dict:
    row = {"registers": 40, "shared": 1000, "local": 0, "spills": 0, "block": 256, "mix": {}, "occupancy": 1.0}
    return {"a3d_splat_blend": {"sm_80": row | {"loop": {"instructions": 40, "mix": {}}} | change}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registers": 46}, "registers 40 -> 46"),
        ({"registers": 30}, "registers 40 -> 30"),
        ({"shared": 1100}, "shared 1000 -> 1100"),
        ({"loop": {"instructions": 47, "mix": {}}}, "loop 40 -> 47"),
        ({"spills": 8}, "8 bytes of spills"),
        ({"local": 16}, "16 bytes of local"),
        ({"mix": {"FP64": 2}}, "2 float64 instructions"),
        ({"registers": 41}, "41 registers, at most 40 are allowed"),
        ({"occupancy": 0.75}, "occupancy 1.0 -> 0.75"),
        ({"occupancy": 0.0}, "a block does not fit"),
    ],
)
def test_regressions_are_said(change, said):
    assert cuda_static.regressions(changed(), changed()) == []
    lines = cuda_static.regressions(changed(**change), changed())
    assert any(said in line and line.startswith("a3d_splat_blend on sm_80") for line in lines), lines


def test_new_and_lost_kernels_are_said():
    assert cuda_static.regressions({}, changed()) == ["a3d_splat_blend: in the record, but no source has it"]
    assert cuda_static.regressions(changed(), {}) == ["a3d_splat_blend: not in the record"]


@pytest.mark.cuda_full
def test_the_gate():
    """All kernels for all architectures; what differs from perf/cuda_static.json must be recorded with its cause."""
    try:
        found = cuda_static.measure()
    except cuda_static.ToolMissing as error:
        pytest.skip(str(error))
    assert cuda_static.compared(found) == [], "if this is meant: python -m tools.cuda_static --write"
