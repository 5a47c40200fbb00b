"""Small files that ask for much: each is refused by name, with the variable that raises the limit, in little memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desali.errors import DataError, DesaliError, ImageError, WeightsError
from desali.limits import LIMITS, NESTING, PATTERN_SECONDS, Limit, expands_too_much

LIMITED = """
import json, resource, sys
from pathlib import Path
import numpy, PIL.Image, pydicom, scipy.io, tifffile, torch
from desali.data.readers import arrays, labels, medgift, table
from desali.data.roi import read_image
from desali.evaluation.predictions import load_predictions
from desali.models.checkpoint import read_state
from desali.training.config import read_config
from desali.training.seen import _marks_of
READ = {
    "image": read_image, "predictions": load_predictions, "array": lambda path: arrays.read(path, "images", None),
    "labels": lambda path: labels.label_table(str(path)), "table": table.find, "contours": medgift.read_contours,
    "config": read_config, "weights": lambda path: read_state(path, path.read_bytes()), "seen": _marks_of,
}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), -1))  # what is mapped before is no answer to a file
for name, kind, path in json.load(sys.stdin):
    try:
        READ[kind](Path(path))
        said = ["", "no error"]
    except Exception as error:
        said = [type(error).__name__, str(error)]
    print(json.dumps([name, *said]), flush=True)
"""


def refusals(files: list[tuple[str, str, Path]]) -> dict[str, tuple[str, str]]:
    """What readers say of files, all in one process with little more memory than its imports take."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], input=json.dumps([(*one[:2], str(one[2])) for one in files]),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (kind, said) for name, kind, said in map(json.loads, done.stdout.splitlines())}


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int = 8, compression: int = 1) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, compression), (262, 3, 1), (273, 4, 200),
            (277, 3, 1), (278, 4, height), (279, 4, 4)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0") + bytes(8)


def npz(shape: str, dtype: str = "<f4", compression: int = zipfile.ZIP_DEFLATED, more: bytes = b"") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode() + more)
    return file.getvalue()


def deflated_dicom(size: int, rows: int) -> bytes:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

    meta, ds = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.file_meta, ds.SOPClassUID, ds.SOPInstanceUID = meta, CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.Rows, ds.Columns, ds.SamplesPerPixel = "CT", rows, rows, 1
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "MONOCHROME2", 16, 16, 15
    ds.PixelRepresentation, ds.RescaleSlope, ds.RescaleIntercept = 0, 1, -1024
    ds.PixelData = bytes(size)
    file = io.BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def jpeg_in_dicom() -> bytes:
    """A frame of 60,000 x 60,000 under a header that says 8 x 8."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage, generate_uid

    meta, ds = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = JPEG2000Lossless
    ds.file_meta, ds.SOPClassUID = meta, SecondaryCaptureImageStorage
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.Rows, ds.Columns, ds.SamplesPerPixel = "OT", 8, 8, 1
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "MONOCHROME2", 8, 8, 7
    ds.PixelRepresentation = 0
    siz = struct.pack(">HHHIIIIIIIIHBBB", 0xFF51, 41, 0, 60000, 60000, 0, 0, 60000, 60000, 0, 0, 1, 7, 1, 1)
    ds.PixelData = encapsulate([b"\xff\x4f" + siz + bytes(64)])
    ds["PixelData"].VR = "OB"
    file = io.BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def torch_file(count: int, stride: int, held: int) -> bytes:
    """A checkpoint whose tensor says `count` numbers, with `held` bytes behind it."""
    import torch

    file = io.BytesIO()
    torch.save({"w": torch.zeros(held // 4)}, file)
    out = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(out, "w") as made:
        for info in archive.infolist():
            data = archive.read(info.filename)
            if info.filename.endswith("data.pkl"):
                numbers = b"K" + bytes([held // 4])  # numel, then size (n,)
                assert data.count(numbers) == 2, data
                big = b"\x8a\x08" + struct.pack("<q", count)
                first, second = data.index(numbers), data.rindex(numbers)
                claimed = big if stride else data[first : first + 2]
                data = data[:first] + claimed + data[first + 2 : second] + big + data[second + 2 :]
                if not stride:
                    data = data.replace(b"K\x01\x85", b"K\x00\x85")
            made.writestr(info.filename, data)
    return out.getvalue()


def legacy(count: int) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"w": torch.zeros(7)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(b"K\x07", b"\x8a\x08" + struct.pack("<q", count))


def safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


SMALL: dict[str, tuple[str, str, Callable[[], bytes], str]] = {
    "PNG of 2^31 pixels": ("image", "a.png", lambda: png(46341, 46341), "DESALI_MAX_PIXELS"),
    "PNG in few bytes": ("image", "a.png", lambda: png(8000, 8000), "DESALI_MAX_EXPANSION"),
    "TIFF without its pixels": ("image", "a.tif", lambda: tiff(8000, 8000, 64), "DESALI_MAX_EXPANSION"),
    "TIFF of 2^32 pixels": ("image", "a.tif", lambda: tiff(65536, 65536, 8, 8), "DESALI_MAX_PIXELS"),
    "deflated DICOM": ("image", "a.dcm", lambda: deflated_dicom(1100 << 20, 64), "unpacks"),
    "DICOM of 65535 x 65535": ("image", "a.dcm", lambda: deflated_dicom(64, 65535), "DESALI_MAX_PIXELS"),
    "JPEG 2000 in DICOM": ("image", "a.dcm", jpeg_in_dicom, "60000 x 60000, the header says 8 x 8"),
    "npz of 2^50 elements": ("array", "a.npz", lambda: npz("(1048576, 1048576, 1024)"), "DESALI_MAX_ARRAY_BYTES"),
    "npz without its elements": ("array", "a.npz", lambda: npz("(4096, 4096, 64)"), "truncated"),
    "npz of elements of no size": ("predictions", "a.npz", lambda: npz("(99999999999,)", "<U0"), "no size"),
    "npz with bzip2": ("array", "a.npz", lambda: npz("(1,1,1)", "<f4", zipfile.ZIP_BZIP2), "compression"),
    "npy of 2^40 marks": ("seen", "a.npy", lambda: zipfile.ZipFile(io.BytesIO(npz("(1099511627776,)", "<u8"))).read(
        "images.npy"), "DESALI_MAX_ARRAY_BYTES"),
    "a storage of 2^40 numbers": ("weights", "a.pt", lambda: torch_file(2**40, 1, 36), "take more bytes than it holds"),
    "a number 2^40 times": ("weights", "a.pt", lambda: torch_file(2**40, 0, 36), "repeats few numbers"),
    "an old file of 2^33 numbers": ("weights", "a.pt", lambda: legacy(2**33), "take more bytes than it holds"),
    "a contour of 2e9 points": ("contours", "CT-1.txt", lambda: (
        b"SpacingX: 1\nSpacingY: 1\nlabel: a\nslice_number: 1\nnb_points_on_contour: 2e9\n"), "DESALI_MAX_POINTS"),
    "a spacing of 1e-300": ("contours", "CT-1.txt", lambda: b"SpacingX: 1e-300\n", "millimetres"),
    "a long integer in TOML": ("config", "a.toml", lambda: b"seed = " + b"9" * 5000, "DESALI_MAX_DIGITS"),
    "a long integer in JSON": ("labels", "a.json", lambda: b'{"a": ' + b"9" * 5000 + b"}", "DESALI_MAX_DIGITS"),
    "deep JSON": ("labels", "a.json", lambda: b"[" * 100_000, "too deep"),
    "JSON of 200 levels": ("labels", "a.json", lambda: b"[" * 200 + b"]" * 200, "DESALI_MAX_NESTING"),
    "deep TOML": ("config", "a.toml", lambda: b"a = " + b"[" * 100_000, "too deep"),
    "dotted TOML": ("config", "a.toml", lambda: b"a" + b".a" * 2000 + b" = 1", "DESALI_MAX_NESTING"),
    "safetensors of 2^40 numbers": ("weights", "a.safetensors", lambda: safetensors(json.dumps(
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()), "unreadable"),
    "a safetensors header of 2^60 bytes": ("weights", "a.safetensors", lambda: safetensors(b"{}", 2**60), "unreadable"),
    "a long cell": ("table", "a.csv", lambda: b"path,label\n" + b"a" * 200_000 + b",b\n", "DESALI_MAX_CELL"),
}  # fmt: skip


def test_small_files_never_ask_for_gigabytes(tmp_path: Path) -> None:
    files = []
    for number, (name, (kind, file, make, _)) in enumerate(SMALL.items()):
        path = tmp_path / str(number) / file
        path.parent.mkdir()
        path.write_bytes(make())
        assert path.stat().st_size < 2 << 20, name
        files.append((name, kind, path))
    found = refusals(files)
    assert list(found) == list(SMALL)
    for name, (kind, said) in found.items():
        assert kind in ("ImageError", "DataError", "WeightsError", "DesaliError"), (name, kind, said)
        assert SMALL[name][3] in said, (name, said)
        assert SMALL[name][1] in said, (name, said)
        assert "\n" not in said


def pipe(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder / name


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    from desali.data.readers import arrays, labels, medgift, table
    from desali.data.roi import read_image
    from desali.evaluation.bundle import load_trainings
    from desali.evaluation.predictions import load_predictions
    from desali.models.checkpoint import load, read_card
    from desali.training.config import read_config
    from desali.training.seen import _marks_of
    from desali.training.state import read_state

    npz_file, card = pipe(tmp_path, "a.npz"), pipe(tmp_path, "c.json")
    readers: list[Callable[[], object]] = [
        lambda: read_image(pipe(tmp_path, "a.png")),
        lambda: load_predictions(npz_file),
        lambda: load_trainings(npz_file),
        lambda: arrays.read(npz_file, "images", None),
        lambda: arrays.length(npz_file, "images"),
        lambda: labels.label_table(str(card)),
        lambda: table.find(pipe(tmp_path, "a.csv")),
        lambda: medgift.read_contours(pipe(tmp_path, "CT-1.txt")),
        lambda: read_config(pipe(tmp_path, "a.toml")),
        lambda: load(pipe(tmp_path, "w.pt")),
        lambda: read_card(card.with_suffix(".pt")),
        lambda: _marks_of(pipe(tmp_path, "a.npy")),
    ]
    for read in readers:
        with pytest.raises(DesaliError, match=r"regular file|is no file"):
            read()
    assert read_state(pipe(tmp_path, "last.ckpt"), "key") is None


def test_commands_refuse_pipes_and_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from desali.cli.main import main

    monkeypatch.chdir(tmp_path)
    fifo, weights = pipe(tmp_path, "pipe"), pipe(tmp_path, "w.pt")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("end")
        for command in (
            ["visualize", "--model", "squeezenet1_0", "--weights", "random", "--roi", str(fifo)],
            ["visualize", "--model", "squeezenet1_0", "--weights", "random", "--roi", "end"],
            ["visualize", "--model", "squeezenet1_0", "--weights", "random", "--roi", "/dev/zero"],
            ["grid", "--rois", str(fifo), "--models", "squeezenet1_0@random"],
            ["train", "scratch", "--config", str(fifo)],
            ["train", "scratch", "--config", "/dev/zero"],
            ["train", "scratch", "--target", f"table:{fifo}"],
            ["data", "check", str(fifo)],
            ["evaluate", "--predictions", str(fifo)],
            ["robustness", "--predictions", str(fifo)],
            ["layers", str(weights)],
        ):
            with pytest.raises(SystemExit) as end:
                main(command)
            said = capsys.readouterr().err
            assert end.value.code == 2, (command, said)
            assert said.startswith("desali: error: "), (command, said)
            assert said.count("\n") == 1, (command, said)
            assert re.search("regular file|is no file|no such file|pipe|device|socket", said), (command, said)


def test_an_output_never_replaces_a_device(tmp_path: Path) -> None:
    from desali.errors import OutputError
    from desali.output.files import check_writable, write_text

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputError, match="not a regular file"):
            write_text(path, "a")
        with pytest.raises(OutputError, match="not a regular file"):
            check_writable(path)


def test_an_expression_of_a_user_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from desali.data.readers import find_images

    folder = tmp_path / "set" / "bark"
    folder.mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / f"{'a' * 40}.png")
    monkeypatch.setenv(PATTERN_SECONDS.variable, "1")
    with pytest.raises(DataError, match=r"longer than 1 seconds.*DESALI_MAX_PATTERN_SECONDS"):
        find_images(f"folder:{tmp_path / 'set'}", patient="((a+)+)+b$")
    with pytest.raises(DataError, match="patient="):
        find_images(f"folder:{tmp_path / 'set'}", patient="(" * 5000)
    found = find_images(f"folder:{tmp_path / 'set'}", patient=r"(?P<patient>a{3})(?=a)")
    assert list(found.selection.patients) == ["aaa"]


def test_limits_are_raised_by_their_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.data.readers.labels import label_table
    from desali.data.roi import read_image

    path = tmp_path / "a.png"
    path.write_bytes(png(100, 100, (b"\0" + bytes(300)) * 100))
    monkeypatch.setenv("DESALI_MAX_PIXELS", "9999")
    with pytest.raises(ImageError, match=r"10000 pixels, more than the 9999 accepted; DESALI_MAX_PIXELS=NUMBER"):
        read_image(path)
    monkeypatch.setenv("DESALI_MAX_PIXELS", "10000")
    assert read_image(path).pixels.shape[:2] == (100, 100)
    monkeypatch.setenv("DESALI_MAX_PIXELS", "many")
    with pytest.raises(DesaliError, match="DESALI_MAX_PIXELS=many: expected a whole number"):
        read_image(path)
    deep = tmp_path / "a.json"
    deep.write_text('{"a": ' * 150 + "null" + "}" * 150)
    with pytest.raises(DataError, match=NESTING.variable):
        label_table(str(deep))
    monkeypatch.setenv(NESTING.variable, "200")
    with pytest.raises(DataError, match="expected an object of labels"):
        label_table(str(deep))


def test_every_limit_says_what_it_counts() -> None:
    assert len({limit.variable for limit in LIMITS}) == len(LIMITS)
    for limit in LIMITS:
        assert limit.variable.startswith("DESALI_MAX_")
        assert limit.exceeded(limit.default) == ""
        assert limit.variable in limit.exceeded(limit.default + 1)
    assert expands_too_much(2**26, 1) == ""
    assert "DESALI_MAX_EXPANSION" in expands_too_much(2**26 + 1, 100)
    assert "1.00e+12" in Limit("DESALI_MAX_X", 1, "things", "").exceeded(10**12)


def test_a_pickle_that_would_run_code_is_never_run(tmp_path: Path) -> None:
    from desali.models.checkpoint import read_state

    class Runs:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(Runs()))
    with pytest.raises(WeightsError):
        read_state(path, path.read_bytes())
    assert not (tmp_path / "ran").exists()


def test_arrays_come_back_as_numpy_reads_them(tmp_path: Path) -> None:
    from desali.input.arrays import read_npy, read_npz

    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "t": np.array(["x", "äöü"]),
        "s": np.array("text"),
        "e": np.zeros((0, 4), np.int16),
        "b": np.array([True, False]),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz", "a.npz", DataError, "")
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)
    np.save(tmp_path / "a.npy", arrays["a"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", "a.npy", DataError, ""), arrays["a"])
