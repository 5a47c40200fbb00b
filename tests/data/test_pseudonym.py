"""Pseudonyms: equal on one machine, not to be guessed, and nothing of a header comes out of any command."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from desali.data.pseudonym import _kept, cannot_compare, fingerprint, pseudonym, salt_in_use
from desali.data.readers import find_images, read_images
from desali.data.roi import read_image
from desali.errors import DataError, ImageError
from tests.fuzz.targets import dicom

MARK = "Zmarkz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DESALI_SALT", raising=False)
    _kept.cache_clear()
    return tmp_path / "cache"


def series(folder: Path, identities: list[str]) -> Path:
    for number, identity in enumerate(identities):
        for label in ("a", "b"):
            (folder / label).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 2000, (8, 8)).astype("<u2").tobytes()
            data = dicom(PatientID=identity, InstanceNumber=number, PixelData=pixels)
            (folder / label / f"{number}.dcm").write_bytes(data)
    return folder


def test_pseudonyms_are_equal_over_folders_and_cannot_be_tried_out(tmp_path: Path, own_cache: Path) -> None:
    first = find_images(f"dicom:{series(tmp_path / 'one', ['1234567', '2'])}")
    second = find_images(f"dicom:{series(tmp_path / 'two', ['1234567', '3'])}")
    patients = set(first.selection.patients) & set(second.selection.patients)
    assert len(patients) == 1
    assert patients == {pseudonym("1234567", salt_in_use())}
    assert not patients & {hashlib.sha256(b"1234567").hexdigest()[:digits] for digits in range(6, 64)}
    salt = own_cache / "salt"
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert len(bytes.fromhex(salt.read_text())) >= 16
    images = read_images(f"dicom:{tmp_path / 'one'}")
    assert images.parameters["salt"] == fingerprint(salt_in_use())
    assert salt.read_text().strip() not in json.dumps(images.parameters)


def test_a_salt_that_is_given_wins_and_another_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"dicom:{series(tmp_path / 'one', ['1', '2'])}"
    own = read_images(spec)
    monkeypatch.setenv("DESALI_SALT", "0123456789abcdef0123456789abcdef")
    given = read_images(spec)
    assert not set(own.patients.tolist()) & set(given.patients.tolist())
    assert "patients cannot be compared" in cannot_compare(own.parameters, given.parameters)
    assert cannot_compare(given.parameters, read_images(spec).parameters) == ""
    assert cannot_compare({}, own.parameters) == ""
    monkeypatch.setenv("DESALI_SALT", "short")
    with pytest.raises(DataError, match="DESALI_SALT: has 5 characters, expected at least 16"):
        read_images(spec)


def test_a_damaged_salt_is_said(tmp_path: Path, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "salt").write_text("not hexadecimal")
    with pytest.raises(DataError, match="salt: damaged"):
        find_images(f"dicom:{series(tmp_path / 'one', ['1'])}")


@pytest.mark.parametrize("label", ["PatientName", "PatientSex", "InstitutionName", "StudyDescription", "nothing"])
def test_a_class_is_never_taken_from_what_may_name_somebody(tmp_path: Path, label: str) -> None:
    with pytest.raises(DataError, match=f"label={label}"):
        find_images(f"dicom:{series(tmp_path / 'one', ['1'])}", label=label)


TEXTS = (
    "PatientName", "PatientID", "PatientAddress", "PatientComments", "OtherPatientNames", "EthnicGroup", "Occupation",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "Manufacturer",
    "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "ProtocolName", "StudyDescription",
    "SeriesDescription", "StudyID", "AccessionNumber", "ReferringPhysicianName", "OperatorsName", "ImageComments",
    "AdmittingDiagnosesDescription", "RequestedProcedureDescription", "PhysiciansOfRecord", "DerivationDescription",
    "BodyPartExamined", "ConvolutionKernel", "FilterType", "AcquisitionComments", "WindowCenterWidthExplanation",
)  # fmt: skip


def marked(**tags: object) -> bytes:
    """A slice whose every text, and what should be a code, carries the mark."""
    return dicom(**{**dict.fromkeys(TEXTS, MARK), **tags})


ODD: list[dict[str, object]] = [
    {},
    {"Modality": MARK.upper()},
    {"RescaleType": MARK.upper()},
    {"RescaleSlope": 0, "RescaleType": MARK},
    {"VOILUTFunction": MARK, "Modality": "MR", "WindowCenter": 3, "WindowWidth": 9},
    {"PhotometricInterpretation": MARK, "Modality": "MR"},
    {"NumberOfFrames": 3},
    {"BitsAllocated": 12},
    {"PixelData": b""},
    {"StudyDate": "20200101", "AcquisitionDate": "20200102"},
]


def test_nothing_of_a_header_comes_out_of_any_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from desali.cli.main import main

    monkeypatch.chdir(tmp_path)
    for number, tags in enumerate(ODD):
        (tmp_path / f"{number}.dcm").write_bytes(marked(**tags))
    (tmp_path / "two").mkdir()
    for number in (0, 7):
        (tmp_path / "two" / f"{number}.dcm").write_bytes(marked(**ODD[number]))
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 2000, (64, 64)).astype("<u2").tobytes()
            data = marked(
                PatientID=f"{MARK}{number}", StationName=f"{MARK}{label}", StudyDate=f"2020010{number + 1}",
                InstanceNumber=number, Rows=64, Columns=64, PixelData=pixels,
            )  # fmt: skip
            (tmp_path / "set" / label / f"{number}.dcm").write_bytes(data)
    for number, tags in enumerate(ODD):  # a picture for each that can be read, and an error for each that cannot
        try:
            of_file = repr(read_image(tmp_path / f"{number}.dcm"))
        except ImageError as error:
            of_file = str(error)
        assert MARK.lower() not in of_file.lower(), (tags, of_file)
    commands = [
        ["data", "check", "dicom:set"],
        ["data", "check", "dicom:set?label=PatientName"],
        ["data", "check", "dicom:set?label=Modality"],
        [
            "train",
            "scratch",
            "--target",
            "dicom:set",
            "--epochs",
            "1",
            "--runs",
            "out/runs",
            "--device",
            "cpu",
            "--replicates",
            "1",
        ],
        ["evaluate", "scratch", "--target", "dicom:set", "--runs", "out/runs"],
        ["visualize", "--model", "scratch", "--roi", "set/a/0.dcm", "--runs", "out/runs", "-o", "out/v.png"],
        [
            "compare",
            "--roi",
            "set/a/0.dcm",
            "--models",
            "scratch,out/runs/scratch/replicate-1",
            "--runs",
            "out/runs",
            "-o",
            "out/c.png",
        ],
        ["grid", "--rois", "two", "--models", "scratch", "--runs", "out/runs", "-o", "out/grid", "--skip-unreadable"],
    ]
    ended: list[tuple[object, str, str]] = []
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main(command)
        said = capfd.readouterr()
        ended.append((end.value.code, command[0], said.err[-200:]))
        assert MARK.lower() not in (said.out + said.err).lower(), (command, said)
        assert "Traceback" not in said.err
        assert "20200101" not in said.out + said.err
    worked = {command for code, command, _ in ended if code in (0, 1)}
    assert worked >= {"data", "train", "visualize", "compare", "grid"}, [one[2] for one in ended if one[0] == 2]
    for path in tmp_path.glob("out/**/*"):
        if path.is_file():
            assert MARK.lower().encode() not in path.read_bytes().lower(), path
    assert list(tmp_path.glob("out/runs/scratch/model.json"))
    card = json.loads((tmp_path / "out/runs/scratch/model.json").read_text())
    assert card["data"]["parameters"]["salt"] == fingerprint(salt_in_use())
