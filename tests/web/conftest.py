"""A world with hostile names: data sets on disk, a recipe with a replicate, its evaluation, and a report of it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from desali.web.options import ReportOptions
from desali.web.report.report import report
from tests.training.images import stripes

HOSTILE = (
    "<img src=x onerror=document.title='pwned'>",
    "javascript:document.title='pwned'",
    '"><svg onload=document.title=1> & \u2028 ' + "very long " * 8,
)
"""Names of classes, as folders may be called."""
OPTIONS = ReportOptions(rois=12, per_class=8, random_networks=2)
COMMAND = ("desali", "report", "my runs", "--images", "clinic?patient=/(P)_")


def write(folder: Path, classes: tuple[str, ...], parts: tuple[str, ...], seed: int) -> Path:
    """Stripes as PNG files, part/class/patient_number; the parts have other patients."""
    for number, part in enumerate(parts):
        images = stripes(36, len(classes), 4, seed + number)
        for k, pixels in enumerate(images.images):
            name = f"P{int(images.patients[k][1:]) + 10 * number:02d}_{k}.png"
            path = folder / part / classes[images.labels[k]] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


def desali(*arguments: object) -> None:
    """Run a command that must succeed."""
    from desali.cli.main import main

    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    assert not stop.value.code


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`runs` with the recipe natural and a replicate, its evaluation and lineages."""
    pytest.importorskip("lightning")
    root = tmp_path_factory.mktemp("web")
    natural = write(root / "natural", ("a", "b", "c", "d"), ("",), 5)
    target = write(root / "target", HOSTILE, ("train", "test"), 7)
    runs = root / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESALI_CACHE", str(root / "cache"))
        common = ("--runs", runs)
        desali("train", "natural", "--natural", natural, "--target", f"{target}?patient=/(P\\d+)_", *common,
               "--epochs", 1, "--batch-size", 32, "--device", "cpu", "--replicates", 1,
               "--architecture", "caffenet-small")  # fmt: skip
        desali("evaluate", "natural", *common, "--resamples", 100)
        desali("lineage", "natural", *common, "-o", root / "lineage", "--random-networks", 2, "--per-class", 8,
               "--picture", root / "picture" / "what-changed.png")  # fmt: skip
        yield root


@pytest.fixture(scope="session")
def page(world: Path) -> Path:
    """A report of it all."""
    inputs = [world / "runs", world / "lineage", world / "picture" / "what-changed.png"]
    return report(inputs, world / "report.html", OPTIONS)


@pytest.fixture(scope="session")
def other(world: Path) -> Path:
    """Images of the same classes and of other patients, with a file that says whose they are."""
    folder = write(world / "clinic", HOSTILE, ("",), 21)
    (folder / "ATTRIBUTION.txt").write_text("Of the clinic <b>on the hill</b>,\nCC BY 4.0.\n")
    return folder


@pytest.fixture(scope="session")
def mixed(world: Path, other: Path) -> Path:
    """A report of lineages over one image set, with sheets and gallery of another."""
    options = replace(OPTIONS, images=f"{other}?patient=/(P\\d+)_")
    return report([world / "runs", world / "lineage"], world / "mixed.html", options, command=COMMAND)
