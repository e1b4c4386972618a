"""Damaged and hostile files: refused in one line, before much memory is taken; no other exception, no hang."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from splat_samples import random_splats

import avatar3d
from avatar3d import heads
from avatar3d.core import AvatarError, Gaussians
from avatar3d.export import avatar_glb, baked, compressed_ply, glb_reading, gltf, lam, ply, sog, splat_file, spz
from avatar3d.export.archives import gunzip, read_zip, write_zip


def _glb(g: Gaussians) -> bytes:
    glb = gltf.Glb()
    primitive = {"mode": 0, "attributes": avatar_glb._attributes(glb, g), "extensions": {"KHR_gaussian_splatting": {}}}
    glb.top |= {"meshes": [{"primitives": [primitive]}], "nodes": [{"mesh": 0}]}
    return glb.to_bytes()


def _face_glb(g: Gaussians) -> bytes:
    """As our exporter writes a head: shapes, bonds and identity."""
    glb, names = gltf.Glb(), ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"]
    bonds = {
        "_TRIANGLE": glb.add(np.arange(len(g), dtype=np.float32)[:, None], "SCALAR"),
        "_BARYCENTRIC": glb.add(np.full((len(g), 2), 0.3, np.float32), "VEC2"),
    }
    primitive = {
        "mode": 0,
        "attributes": avatar_glb._attributes(glb, g) | bonds,
        "extensions": {"KHR_gaussian_splatting": {}},
        "targets": [{"POSITION": glb.sparse(g.means.numpy() * 0.1, 1e-3)} for _ in names],
    }
    note = {"head": "anny", "identity": [0.1] * len(heads.load("anny").identities)}
    mesh = {"primitives": [primitive], "extras": {"targetNames": names, "avatar3d": note}}
    glb.top |= {"meshes": [mesh], "nodes": [{"mesh": 0, "name": "avatar"}]}
    return glb.to_bytes()


def _baked(g: Gaussians) -> bytes:
    body = ply.table(g)
    rows = np.zeros(len(g), [*body.dtype.descr, ("binding", "<u4")])
    for name in body.dtype.names or ():
        rows[name] = body[name]
    points = np.zeros(3, [(x, "<f4") for x in "xyz"])
    points["x"], points["z"] = [0, 1, 0], [0, 0, -1]
    faces = np.zeros(1, [(f"index_{i}", "<u4") for i in range(3)])
    faces["index_1"], faces["index_2"] = 1, 2
    one = points[:1]
    frame = {"meta_delta_min_00000": one, "meta_delta_max_00000": one, "delta_vertex_00000": points}
    return ply.pack({"faces": faces, "base_vertex": points, "vertex": rows, **frame})


def _lam(g: Gaussians) -> bytes:
    glb = gltf.Glb()
    names = ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"]
    attributes = {"POSITION": glb.add(g.means.numpy(), "VEC3", bounds=True)}
    targets = [{"POSITION": glb.sparse(g.means.numpy() * 0.1, 1e-3)} for _ in names]
    glb.top |= {
        "meshes": [{"primitives": [{"attributes": attributes, "targets": targets}], "extras": {"targetNames": names}}]
    }
    return write_zip([("a/", b""), ("a/offset.ply", ply.write(g)), ("a/skin.glb", glb.to_bytes())], packed=True)


SMALL, HIGH = random_splats(40, 0), random_splats(40, 1)
READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "ply": (ply.write(HIGH), lambda d: ply.read(d, "f")),
    "compressed-ply": (compressed_ply.write(HIGH), lambda d: compressed_ply.read(d, "f")),
    "splat": (splat_file.write(SMALL), lambda d: splat_file.read(d, "f")),
    "spz3": (spz.write(HIGH, 3), lambda d: spz.read(d, "f")),
    "spz4": (spz.write(HIGH, 4), lambda d: spz.read(d, "f")),
    "sog": (sog.write(HIGH), lambda d: sog.read(d, "f")),
    "glb": (_glb(HIGH), lambda d: glb_reading.read(d, "f")),
    "face glb": (_face_glb(SMALL), lambda d: glb_reading.read_avatar(d, "f", "f")),
    "baked": (_baked(SMALL), lambda d: baked.from_tables(ply.unpack(d, "f"), "f")),
    "lam": (_lam(SMALL), lambda d: lam.from_files(read_zip(d, "f"), "f", "f")),
}


def refused_or_read(read: Callable[[bytes], object], data: bytes) -> bool:
    """Reads; returns whether it was refused. Any exception but ours fails the test."""
    try:
        read(data)
    except AvatarError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_the_sample_is_read(name):
    data, read = READERS[name]
    read(data)


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_anywhere_is_refused(name):
    data, read = READERS[name]
    for cut in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
        if name == "splat" and cut % 32 == 0 and cut:
            continue  # the format cannot tell
        if name in ("sog", "lam") and cut > len(data) - 3:
            continue
        assert refused_or_read(read, data[:cut]), f"cut at {cut} of {len(data)}"


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=6), head=st.booleans())
def test_bytes_changed_anywhere_are_survived(name, edits, head):
    data, read = bytearray(READERS[name][0]), READERS[name][1]
    reach = min(len(data), 600) if head else len(data)
    for at, value in edits:
        data[int(at * reach)] = value
    refused_or_read(read, bytes(data))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(noise=st.binary(max_size=300))
def test_noise_is_survived(name, noise):
    start = {"ply": b"ply\n", "glb": b"glTF", "spz4": b"NGSP", "spz3": b"\x1f\x8b", "sog": b"PK\x03\x04"}.get(name, b"")
    refused_or_read(READERS[name][1], start + noise)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_inside_gltf_is_survived(data):
    """Numbers and lists of a glTF file's JSON replaced by anything: no index leaves the file, nothing loops."""
    top, buffer = gltf.parse(READERS["glb"][0], "f")
    places = []

    def walk(value, path):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((*path, key))
            if isinstance(inner, dict | list):
                walk(inner, (*path, key))

    walk(top, ())
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places))
        anything = st.one_of(
            st.none(),
            st.integers(-10, 1 << 40),
            st.floats(),
            st.text(max_size=5),
            st.just([7, -1]),
        )
        holder = top
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = data.draw(anything)
        except (TypeError, KeyError, IndexError):
            continue
    text = json.dumps(top).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(buffer), 0x004E4942) + buffer
    refused_or_read(READERS["glb"][1], struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)


@pytest.mark.parametrize("name", ["ply", "glb", "baked", "lam"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_is_refused(name, bad):
    means = SMALL.means.clone()
    means[7, 1] = bad
    damaged = Gaussians(means, SMALL.quats, SMALL.log_scales, SMALL.logits, SMALL.sh)
    if name == "glb":
        data = READERS["glb"][0]
        at = data.index(HIGH.means[7].numpy().tobytes())
        data = data[:at] + struct.pack("<f", bad) + data[at + 4 :]
    elif name == "lam":
        data = write_zip([("a/offset.ply", ply.write(damaged)), ("a/skin.glb", b"")], packed=False)
    else:
        data = ply.write(damaged) if name == "ply" else _baked(damaged)
    with pytest.raises(AvatarError, match="splat 7 holds NaN or infinity in its position"):
        READERS[name][1](data)


def peak(call: Callable[[], object]) -> int:
    """Returns the bytes that a refused call takes at most."""
    tracemalloc.start()
    try:
        with pytest.raises(AvatarError):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_huge_counts_take_no_memory():
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n"
    many = struct.pack("<IIIBBBB", 0x5053474E, 3, 15_000_000, 3, 12, 0, 0)
    four = struct.pack("<IIIBBBBI12x", 0x5053474E, 4, 15_000_000, 3, 12, 0, 6, 32) + bytes(96)
    top = {"accessors": [{"count": 1 << 27, "type": "VEC4", "componentType": 5126}], "meshes": []}
    attributes = {"POSITION": 0}
    top["meshes"] = [{"primitives": [{"attributes": attributes, "extensions": {"KHR_gaussian_splatting": {}}}]}]
    text = json.dumps(top).encode()
    glb = struct.pack("<III", 0x46546C67, 2, 20 + len(text)) + struct.pack("<II", len(text), 0x4E4F534A) + text
    for data, read in (
        (header, READERS["ply"][1]),
        (gzip.compress(many), READERS["spz3"][1]),
        (four, READERS["spz4"][1]),
        (glb, READERS["glb"][1]),
    ):
        assert peak(lambda data=data, read=read: read(data)) < 8 << 20


def test_bombs_are_refused():
    zeros = gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, 10_000_000, 3, 12, 0, 0) + bytes(1 << 24))
    assert peak(lambda: spz.read(zeros, "f")) < 8 << 20
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("meta.json", bytes(100 << 20))
    with pytest.raises(AvatarError, match="would unpack"):
        read_zip(held.getvalue(), "f")
    with pytest.raises(AvatarError, match="would unpack"):
        gunzip(zeros, 8 << 30, "f")


def test_a_zip_that_lies_about_its_size_is_refused():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", bytes(50 << 20))
    data = held.getvalue().replace(struct.pack("<I", 50 << 20), struct.pack("<I", 1000))
    assert peak(lambda: read_zip(data, "f")) < 16 << 20


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_a_zip_with_paths_that_leave_it_is_refused(name):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(AvatarError, match="outside of itself"):
        read_zip(held.getvalue(), "f")


def test_a_sog_file_names_its_pictures_inside_the_zip(tmp_path):
    files = read_zip(READERS["sog"][0], "f")
    meta = json.loads(files["meta.json"])
    meta["means"]["files"][0] = "../../secret.webp"
    files["meta.json"] = json.dumps(meta).encode()
    with pytest.raises(AvatarError, match="missing"):
        sog.from_files(files, "f")
    meta["count"] = 10_000_000
    meta["means"]["files"][0] = "means_l.webp"
    files["meta.json"] = json.dumps(meta).encode()
    with pytest.raises(AvatarError, match="pixels for 10000000 splats"):
        sog.from_files(files, "f")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither an avatar"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n", "text PLY"),
        (
            b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n\0\0\0\0",
            "no column 'y'",
        ),
        (b"hello, world", "neither an avatar"),
    ],
)
def test_what_is_no_avatar_is_said_to_be_none(content, said, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(AvatarError, match=said):
        avatar3d.import_avatar(path)
    with pytest.raises(AvatarError, match="no such file"):
        avatar3d.import_avatar(tmp_path / "none.ply")


def test_a_binding_to_a_triangle_that_is_not_there_is_refused():
    data = bytearray(READERS["baked"][0])
    tables = ply.unpack(bytes(data), "f")
    rows = tables["vertex"].copy()
    rows["binding"][3] = 9
    with pytest.raises(AvatarError, match="names number 9 of 1"):
        baked.from_tables({**tables, "vertex": rows}, "f")


def test_an_import_that_fails_leaves_no_file(tmp_path):
    from avatar3d.cli import main

    (tmp_path / "a.ply").write_bytes(READERS["ply"][0][:-5])
    assert main(["import", str(tmp_path / "a.ply"), "-o", str(tmp_path / "a.a3d"), "--quiet"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ply"]
