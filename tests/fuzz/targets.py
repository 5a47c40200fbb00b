"""What is fuzzed: for each reader valid files to begin with, and how a file is given to it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from desali.errors import DesaliError
from tests.fuzz.mutate import Mutator, in_png, in_zip, mutated


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: in the table.
        file: the name that its file has in the folder of the run.
        seeds: valid contents; made in that folder, with whatever else the reader needs there.
        read: gives the path to the reader; returns nothing of interest.
        mutate: makes an input of a valid content.
        expected: what may be raised.
        share: of the inputs asked for, where one costs a process.
    """

    name: str
    file: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    mutate: Mutator = mutated
    expected: tuple[type[BaseException], ...] = (DesaliError,)
    share: float = 1.0


def _pillow(form: str, modes: Sequence[str], **options: Any) -> Callable[[Path], list[bytes]]:
    def make(folder: Path) -> list[bytes]:
        from PIL import Image

        found = []
        for mode in modes:
            buffer = io.BytesIO()
            channels = {"RGB": 3, "CMYK": 4, "RGBA": 4}.get(mode)
            shape = (9, 11) if channels is None else (9, 11, channels)
            pixels = (np.arange(np.prod(shape)).reshape(shape) * 7 % 251).astype(
                "uint16" if mode == "I;16" else "uint8"
            )
            image = Image.fromarray(pixels) if mode in ("L", "RGB", "I;16") else Image.fromarray(pixels, mode or "L")
            image.save(buffer, form, **options)
            found.append(buffer.getvalue())
        return found

    return make


def _tiffs(folder: Path) -> list[bytes]:
    import tifffile

    found = []
    for dtype, options in (
        ("int16", {}), ("uint8", {"compression": "zlib"}), ("float32", {"tile": (16, 16)}),
        ("uint8", {"rowsperstrip": 2}), ("uint16", {"bigtiff": True}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.arange(32 * 32).reshape(32, 32).astype(dtype), **options)
        found.append(buffer.getvalue())
    return found


def dicom(**tags: Any) -> bytes:
    """A small CT slice."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta, ds = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=["a"])
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    ds.file_meta, ds.SOPClassUID, ds.SOPInstanceUID = meta, CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.PatientID, ds.SeriesInstanceUID, ds.InstanceNumber = "CT", "P1", "1.2.3", 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 1], [1, 0, 0, 0, 1, 0]
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    ds.PixelData = np.arange(64, dtype="<u2").tobytes()
    for name, value in tags.items():
        setattr(ds, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _dicoms(folder: Path) -> list[bytes]:
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

    return [
        dicom(),
        dicom(syntax=ImplicitVRLittleEndian, PixelPaddingValue=0, PixelPaddingRangeLimit=3),
        dicom(syntax=DeflatedExplicitVRLittleEndian),
        dicom(Modality="MR", WindowCenter=[20, 30], WindowWidth=[40, 50], VOILUTFunction="SIGMOID"),
        dicom(NumberOfFrames=2, Rows=4),
        dicom(
            Modality="CR", PhotometricInterpretation="MONOCHROME1", BitsAllocated=8, BitsStored=8, HighBit=7, Rows=16
        ),
    ]


def _npz(folder: Path) -> list[bytes]:
    found = []
    for images in (np.zeros((3, 4, 4), np.int16), np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.float32)):
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, images=images, labels=np.arange(3))
            found.append(buffer.getvalue())
    return found


def _predictions(folder: Path) -> list[bytes]:
    from desali.evaluation.bundle import save_trainings
    from desali.evaluation.predictions import Predictions

    one = Predictions(
        "scratch", np.full((4, 2), 0.5, np.float32), np.array([0, 1, 0, 1]), np.array(["a", "b", "a", "b"]), ("x", "y"),
        "set", "f" * 64, "synthetic", 3, stages=("k1", "k2"),
    )  # fmt: skip
    one.save(folder / "one.npz")
    save_trainings(folder / "all.npz", {1.0: [one], 0.5: [one]})
    return [(folder / name).read_bytes() for name in ("one.npz", "all.npz")]


def _network() -> Any:
    from desali.models.registry import architecture

    return architecture("vgg-small").build(2, 1)


def _small_state() -> dict[str, Any]:
    import torch

    return {"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3, dtype=torch.float16), "n": torch.tensor(3)}


def _torch_files(folder: Path) -> list[bytes]:
    import torch

    found = []
    for content in (_small_state(), {"state_dict": _small_state(), "epoch": 3}, {"w": torch.ones(4, 4)[:, ::2]}):
        for new in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=new)
            found.append(buffer.getvalue())
    return found


def _mutate_torch(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return in_zip(rng, data, others) if data.startswith(b"PK") else mutated(rng, data, others)


def _safetensors(folder: Path) -> list[bytes]:
    from safetensors.torch import save

    return [save(_small_state()), save({"w": _small_state()["n"]}, {"format": "pt"})]


def _read_weights(path: Path) -> None:
    from desali.models.as_saved import Notes, fitted
    from desali.models.checkpoint import check_state, read_state

    expected = _small_state()
    for notes in (None, Notes()):
        state = read_state(path, path.read_bytes(), notes=notes)
        if notes is not None:
            state = fitted(path, state, expected, notes)
        check_state(path, state, expected, "a network", "fetch it again")


def _card(folder: Path) -> list[bytes]:
    from desali.models.checkpoint import save
    from desali.models.registry import architecture

    entry = architecture("vgg-small")
    card = {
        "architecture": "vgg-small", "classes": ["a", "b"], "preprocessing": dict(entry.preprocessing),
        "stage": {"key": "k", "title": "target", "best_epoch": 1, "epochs_trained": 2, "seconds": 1.5}, "seed": 3,
        "data": {"name": "x", "patient_names": ["p"], "parameters": {"salt": "ab"}}, "metrics": {"epoch": 1},
        "recipe": "scratch", "stages": ["k"], "lineage": ["target: x"], "parent": None,
    }  # fmt: skip
    path = save(_network(), folder / "w.safetensors", card)
    text = path.with_suffix(".json").read_text()
    return [text.encode(), json.dumps(json.loads(text)).encode()]


def _read_card(path: Path) -> None:
    from desali.models.checkpoint import load, read_card

    weights = path.with_suffix(".safetensors")
    card = read_card(weights)
    repr(card)
    loaded = load(weights)
    repr(loaded)
    loaded._repr_html_()
    assert loaded.preprocessing.size > 0


def _config(folder: Path) -> list[bytes]:
    return [
        b'recipe = "all"\nseed = 3\nsize = 64\n[data]\ntarget = "synthetic"\nwindow = [-600, 1500]\nshare = 0.5\n'
        b"[stage]\nepochs = 3\nmilestones = [1, 2]\n[stage.target]\nlearning_rate = 1e-3\nbalance = true\n",
        b'recipe = "two_stage"\narchitecture = "caffenet"\ndevice = "cpu"\n[stage.texture]\nmode = "fine_tuning"\n',
    ]


def _read_config(path: Path) -> None:
    from desali.training.config import read_config

    found = read_config(path)
    if ":" not in found.architecture:
        for one in found.recipes:
            found.resolved(one)
        assert found.preprocessing.size > 0


def _labels(form: str) -> Callable[[Path], list[bytes]]:
    texts = {
        "json": [b'{"healthy": "NOR", "fibrosis": null, "emphysema": "EMP"}'],
        "csv": [b"label,class\nhealthy,NOR\nfibrosis,\n", b'"label","class","more"\n"a, b","c",1\n'],
    }
    return lambda folder: texts[form]


def _read_labels(path: Path) -> None:
    from desali.data.readers.labels import label_table

    label_table(str(path))


def _table(folder: Path) -> list[bytes]:
    (folder / "a.npz").write_bytes(_npz(folder)[0])
    return [
        b"path,label,patient,split,box\na.png,x,p1,train,\"1,2,3\"\nb.png,y,p2,test,\"0,0,4\"\n",
        b"path,label,patient,y,x,size\na.png,x,p1,1,2,3\nb.png,y,p2,0,0,4\n",
    ]  # fmt: skip


def _parquet(folder: Path) -> list[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    found = []
    for columns in (
        {"path": ["a.png", "b.png"], "label": ["x", "y"], "patient": ["p", None]},
        {"path": ["a.png"], "label": [1.0], "patient": [7.0], "y": [1], "x": [2], "size": [3]},
    ):
        buffer = io.BytesIO()
        parquet.write_table(pa.table(columns), buffer)
        found.append(buffer.getvalue())
    return found


def _read_table(path: Path) -> None:
    from desali.data.readers.table import find

    find(path)


def _contours(folder: Path) -> list[bytes]:
    (folder / "CT-1-0001.dcm").write_bytes(dicom(Rows=64, Columns=64, PixelData=bytes(8192)))
    square = "".join(f"{x} {y}\n" for x, y in ((2, 2), (60, 2), (60, 60), (2, 60)))
    text = f"SpacingX: 1.0\nSpacingY: 1.0\nlabel: fibrosis\nslice_number: 1\nnb_points_on_contour: 4\n{square}"
    return [text.encode(), (text + text.partition("label")[2].join(("label", ""))).encode()]


def _read_contours(path: Path) -> None:
    from desali.data.readers.medgift import find

    find(path.parent, window="8")


def _boxes(form: str) -> Callable[[Path], list[bytes]]:
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 3, "name": "x"}],
            "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}]}  # fmt: skip
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    texts = {
        "csv": [b"path,label,x_min,y_min,x_max,y_max\na.png,x,1,2,9,8\n", b"image,class,x,y\na.png,x,3,4\n"],
        "json": [json.dumps(coco).encode()],
        "xml": [f"<annotation><filename>a.png</filename><object><name>x</name>{box}</object></annotation>".encode()],
    }
    return lambda folder: texts[form]


def _read_boxes(path: Path) -> None:
    from desali.data.rois.boxes import read_boxes

    read_boxes(path)


def _series(folder: Path) -> list[bytes]:
    (folder / "other.dcm").write_bytes(dicom(InstanceNumber=2))
    return _dicoms(folder)


def _read_series(path: Path) -> None:
    from desali.data.readers.confounding import tags_of
    from desali.data.readers.dicom_series import find

    tags_of(find(path.parent, label="Modality").items)


def _read_image(path: Path) -> None:
    from desali.data.roi import read_image

    try:
        read_image(path)
    except DesaliError:
        read_image(path, hu_offset=-1024.0)


def _arrays(folder: Path) -> list[bytes]:
    found = []
    for array in (np.zeros((5, 6), np.int16), np.zeros((5, 6, 3), np.uint8), np.zeros((2, 5, 6), np.float32)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    return found


def _niftis(folder: Path) -> list[bytes]:
    import gzip

    import nibabel

    volume = (np.arange(4 * 5 * 3).reshape(4, 5, 3) * 9 - 1000).astype(np.int16)
    plain = nibabel.Nifti1Image(volume, np.diag([-1.0, 1, 1, 1])).to_bytes()
    return [plain, nibabel.Nifti2Image(volume, np.eye(4)).to_bytes(), gzip.compress(plain, mtime=0)]


def _read_page(path: Path) -> None:
    from desali.data.roi import read_image

    read_image(path, page=1)


def _read_array(path: Path) -> None:
    from desali.data.readers.arrays import length, read

    length(path, "images")
    read(path, "images", None)


def _read_predictions(path: Path) -> None:
    from desali.evaluation.bundle import load_trainings

    repr(load_trainings(path))


def _seen(folder: Path) -> list[bytes]:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(9, dtype=np.uint64))
    return [buffer.getvalue()]


def _read_seen(path: Path) -> None:
    from desali.training.seen import _marks_of

    _marks_of(path)


def _npz_weights(folder: Path) -> list[bytes]:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones((2, 3), np.float32), b=np.ones(2))
    return [buffer.getvalue()]


def _read_npz_weights(path: Path) -> None:
    from desali.models.sources import read_npz

    read_npz(path, path.read_bytes())


def _state(folder: Path) -> list[bytes]:
    from desali.training.state import TrainingState, write_state

    write_state(TrainingState("k", 2, _small_state(), {"m": 1.0}, 1, 0.5, _small_state(), [{"epoch": 1}]), folder / "s")
    return [(folder / "s").read_bytes()]


def _read_state(path: Path) -> None:
    from desali.training.state import read_state

    read_state(path, "k")


def _emphysema(folder: Path) -> list[bytes]:
    (folder / "patches").mkdir(exist_ok=True)
    for number in (1, 2, 3):
        (folder / "patches" / f"patch{number}.tiff").write_bytes(b"")
    (folder / "patch_subjects.csv").write_text("1\n2\n2\n")
    return [b"1\n2\n3\n", b"1,2,3\n"]


def _read_emphysema(path: Path) -> None:
    from desali.data.readers.emphysema import find

    find(path.parent)


def _imagenet(folder: Path) -> list[bytes]:
    for name in ("train/n00000001/a.JPEG", "val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000002.JPEG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
    return [b"1 n00000001 a\n2 n00000002 b\n", b"1,n00000001\n2,n00000002\n"]


def _read_imagenet(path: Path) -> None:
    from desali.data.readers.imagenet import find

    find(path.parent, synsets=str(path))


def _mat(folder: Path) -> list[bytes]:
    from scipy.io import savemat

    _imagenet(folder)
    rows = np.array(
        [(1, "n00000001", 0), (2, "n00000002", 0)],
        dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")],
    )
    found = []
    for packed in (True, False):
        buffer = io.BytesIO()
        savemat(buffer, {"synsets": rows}, do_compression=packed)
        found.append(buffer.getvalue())
    return found


def _batch(folder: Path) -> list[bytes]:
    return [b"path,label,box\na.png,x,\"1,2,3\"\n", b"path,y,x,size\na.png,1,2,3\nb.png,,,\n"]  # fmt: skip


def _read_batch(path: Path) -> None:
    from desali.figures.batch import entries

    entries(path)


def _lineage(folder: Path) -> list[bytes]:
    (folder / "a.png").write_bytes(b"")
    return [json.dumps({"key": "k", "verdict": "v", "text": "t", "notes": ["n"], "layers": [{"layer": "a", "c": [1]}],
                        "images": {"sha256": "k"}, "kind": "desali lineages"}).encode()]  # fmt: skip


def _read_lineage(path: Path) -> None:
    from desali.experiments.lineages import _kept
    from desali.figures.batch_work import _done
    from desali.figures.sidecar import is_record

    _kept(path, "k")
    is_record(path, "desali lineages")
    _done(path.with_suffix(".png"), "k")


def _cache(folder: Path) -> list[bytes]:
    np.save(folder / "images.npy", np.zeros((2, 4, 4), np.int16))
    size = (folder / "images.npy").stat().st_size
    facts = {"version": 1, "unit": "hu", "kept": [0, 1], "failed": [["a", "b"]], "bytes": size, "crc32": 0}
    return [json.dumps(facts).encode()]


def _read_cache(path: Path) -> None:
    from desali.data.readers.cache import ImageCache

    key = path.parent / "cache" / "key"
    key.mkdir(parents=True, exist_ok=True)
    (key / "images.npy").write_bytes((path.parent / "images.npy").read_bytes())
    (key / "facts.json").write_bytes(path.read_bytes())
    ImageCache(path.parent / "cache", 1 << 30)._open("key")


def _specs(folder: Path) -> list[bytes]:
    (folder / "set" / "a").mkdir(parents=True, exist_ok=True)
    (folder / "set" / "a" / "b.png").write_bytes(b"")
    return [
        b"folder:set?patient=none",
        b"set?size=64&labels=a:b",
        b"table:t.csv?array=a.npz:b",
        b"dicom:set?label=Modality",
    ]


def _read_spec(path: Path) -> None:
    from desali.data.readers import find_images

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if "patient=" not in text:  # an expression costs a process; the limit of its time is tested elsewhere
        find_images(text)


def _seed_texts(folder: Path) -> list[bytes]:
    return [b"neuron:3,1,2", b"channel:5", b"top:9", b"logit:2", b"contrast", b"contrast:1", b"layer", b"top:3@2,2"]


def _read_seed(path: Path) -> None:
    from desali.reversal.seeds import Seed

    Seed.parse(path.read_bytes().decode("utf-8", "surrogateescape"))


TARGETS: dict[str, Target] = {
    one.name: one
    for one in (
        Target("PNG", "a.png", _pillow("PNG", ("L", "RGB", "I;16")), _read_image, in_png),
        Target("JPEG", "a.jpg", _pillow("JPEG", ("L", "RGB")), _read_image),
        Target("BMP", "a.bmp", _pillow("BMP", ("L", "RGB")), _read_image),
        Target("TIFF", "a.tif", _tiffs, _read_image),
        Target("DICOM", "a.dcm", _dicoms, _read_image),
        Target("DICOM series", "a.dcm", _series, _read_series),
        Target("NumPy array", "a.npy", _arrays, _read_page),
        Target("NIfTI", "a.nii", _niftis, _read_page),
        Target("npz of images", "a.npz", _npz, _read_array, in_zip),
        Target("ROI table, CSV", "t.csv", _table, _read_table),
        Target("ROI table, Parquet", "t.parquet", _parquet, _read_table),
        Target("table of a grid", "t.csv", _batch, _read_batch),
        Target("boxes, CSV", "b.csv", _boxes("csv"), _read_boxes),
        Target("boxes, COCO", "b.json", _boxes("json"), _read_boxes),
        Target("boxes, Pascal VOC", "b.xml", _boxes("xml"), _read_boxes),
        Target("labels, JSON", "l.json", _labels("json"), _read_labels),
        Target("labels, CSV", "l.csv", _labels("csv"), _read_labels),
        Target("MedGIFT contours", "CT-1.txt", _contours, _read_contours),
        Target("emphysema tables", "patch_labels.csv", _emphysema, _read_emphysema),
        Target("ILSVRC2012 synsets", "synsets.txt", _imagenet, _read_imagenet),
        Target("ILSVRC2012 meta.mat", "meta.mat", _mat, _read_imagenet, share=0.005),
        Target("specifications", "spec", _specs, _read_spec),
        Target("what is projected (--from)", "seed", _seed_texts, _read_seed),
        Target("configuration", "c.toml", _config, _read_config),
        Target("model card", "w.json", _card, _read_card),
        Target("safetensors", "w.safetensors", _safetensors, _read_weights),
        Target("torch checkpoint", "w.pt", _torch_files, _read_weights, _mutate_torch),
        Target("npz weights", "w.npz", _npz_weights, _read_npz_weights, in_zip),
        Target("state of a training", "last.ckpt", _state, _read_state, _mutate_torch),
        Target("marks of seen images", "images.npy", _seen, _read_seen),
        Target("predictions", "p.npz", _predictions, _read_predictions, in_zip),
        Target("record of a lineage", "a.json", _lineage, _read_lineage),
        Target("cache of images", "facts", _cache, _read_cache),
    )
}
