"""The synthetic domains: what they hold, that a seed fixes every bit, and that phantoms have the HU of their tissue."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from desali.data.imageset import ImageSet
from desali.data.synthetic import DOMAINS, NATURAL_CLASSES, TARGET_CLASSES, TEXTURE_CLASSES, natural, target, texture
from desali.data.synthetic.anatomy import Point, blank, capsule, tree
from desali.data.synthetic.cohort import SPLITS, class_counts, patients_of, roi_patients
from desali.data.synthetic.fields import fractal_noise, smooth_noise, voronoi
from desali.data.synthetic.materials import MATERIALS
from desali.data.synthetic.randomness import Stream
from desali.data.synthetic.scanner import FIELD, STEP_MM, Scan, acquire, scan_of
from desali.data.synthetic.sheet import sheet
from desali.data.synthetic.solids import SOLIDS
from desali.errors import DataError, OutputError

PLAIN = Scan(blood=40, lung=-860, texture=15, offset=0, gain=1, noise=0, blur=0.4, edge=0, slice=1, severity=0.5)


@pytest.fixture(scope="module")
def lungs() -> tuple[ImageSet, ImageSet]:
    return target(seed=3, train=0.06, evaluation=0.5)


@pytest.fixture(scope="module")
def scenes() -> ImageSet:
    return natural(seed=3, images_per_class=3)


@pytest.fixture(scope="module")
def surfaces() -> ImageSet:
    return texture(seed=3, samples_per_class=2, views_per_sample=3)


def same(a: ImageSet, b: ImageSet) -> bool:
    return a.fingerprint == b.fingerprint


def test_domains_are_registered_by_name() -> None:
    assert dict(DOMAINS) == {"natural": natural, "texture": texture, "target": target}
    assert set(SOLIDS) == set(NATURAL_CLASSES)
    assert set(MATERIALS) == set(TEXTURE_CLASSES)


def test_class_names_need_no_scipy() -> None:
    code = "import sys, desali.data.synthetic as s; print(len(s.TARGET_CLASSES), 'scipy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["7", "False"]


def test_natural_set(scenes: ImageSet) -> None:
    assert len(NATURAL_CLASSES) >= 10
    assert (scenes.images.shape, scenes.images.dtype) == ((3 * len(NATURAL_CLASSES), 64, 64, 3), np.uint8)
    assert np.bincount(scenes.labels).tolist() == [3] * len(NATURAL_CLASSES)
    assert len(set(scenes.patients)) == len(scenes)
    assert "synthetic" in scenes.origin
    assert scenes.images.std((1, 2)).mean(1).min() > 5  # no picture is blank


def test_texture_set(surfaces: ImageSet) -> None:
    assert len(TEXTURE_CLASSES) >= 12
    assert (surfaces.images.shape, surfaces.images.dtype) == ((6 * len(TEXTURE_CLASSES), 64, 64, 3), np.uint8)
    assert np.bincount(surfaces.labels).tolist() == [6] * len(TEXTURE_CLASSES)
    names, sizes = np.unique(surfaces.patients, return_counts=True)
    assert len(names) == 2 * len(TEXTURE_CLASSES)
    assert set(sizes) == {3}
    for name in names:
        assert len(set(surfaces.labels[surfaces.patients == name])) == 1
    assert "synthetic" in surfaces.origin
    assert surfaces.images.std((1, 2)).mean(1).min() > 2


def test_light_changes_a_sample_more_than_noise_does(surfaces: ImageSet) -> None:
    views = surfaces.images[surfaces.patients == "sample-brick-000"].astype(float)
    assert np.abs(views[0] - views[1]).mean() > 10


def test_target_sets(lungs: tuple[ImageSet, ImageSet]) -> None:
    train, evaluation = lungs
    for part in lungs:
        assert part.images.shape == (len(part), 32, 32)
        assert part.images.dtype == np.int16
        assert part.images.min() >= -1024
        assert part.images.max() <= 3071
        assert part.classes == TARGET_CLASSES
        assert part.unit == "hu"
        assert "synthetic" in part.origin
    assert not set(train.patients) & set(evaluation.patients)
    assert len(set(train.patients) | set(evaluation.patients)) >= 20
    assert all(name[0] == "P" and name[1:].isdigit() for name in train.patients)


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_imbalance_follows_the_published_table(lungs: tuple[ImageSet, ImageSet], split: str) -> None:
    part = lungs[("train", "evaluation").index(split)]
    counts = np.bincount(part.labels, minlength=7)
    published = np.array(list(SPLITS[split].rois.values()))
    order = np.argsort(published)
    assert (np.diff(counts[order]) >= 0).all()
    assert counts.min() >= 20
    assert counts[order[-1]] > 4 * counts[order[0]]
    for c, name in enumerate(TARGET_CLASSES):
        assert len(set(part.patients[part.labels == c])) == SPLITS[split].patients[name]


def test_published_totals() -> None:
    assert sum(class_counts("train", 1.0, 1).values()) == 11783
    assert sum(class_counts("evaluation", 1.0, 1).values()) == 927


@given(seed=st.integers(0, 2**40), split=st.sampled_from(["train", "evaluation"]))
@settings(max_examples=60, deadline=None)
def test_every_patient_shows_something_and_few_show_everything(seed: int, split: str) -> None:
    cohort, plan = patients_of(seed, split), SPLITS[split]
    assert {name: len(who) for name, who in cohort.items()} == plan.patients
    shown = [sum(number in who for who in cohort.values()) for number in range(plan.first, plan.first + plan.size)]
    assert min(shown) >= 1
    assert shown.count(len(TARGET_CLASSES)) <= 1  # a patient with every class is rare: seed 49 has one
    assert sum(shown) == sum(plan.patients.values())


@given(seed=st.integers(0, 2**31), few=st.integers(1, 60), more=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_fewer_rois_are_a_prefix_of_more(seed: int, few: int, more: int) -> None:
    patients = list(range(1, 11))
    short, long = (roi_patients(seed, "train", "HCM", patients, n) for n in (few, few + more))
    assert long[:few] == short
    assert len(set(long)) == min(10, few + more)


def test_hounsfield_units_lie_where_the_tissue_lies(lungs: tuple[ImageSet, ImageSet]) -> None:
    part = lungs[1]
    rois = {name: part.images[part.labels == c].astype(float) for c, name in enumerate(TARGET_CLASSES)}
    # medians: a third of the ROIs or more hold some chest wall
    middle = {name: float(np.median(roi)) for name, roi in rois.items()}
    assert middle["EMP"] < middle["NOR"] < middle["GGO"] < middle["CON"]
    assert middle["NOR"] < middle["RET"] < middle["CON"]
    for name, low, high in (
        ("EMP", -980, -840),
        ("NOR", -900, -760),
        ("GGO", -760, -480),
        ("RET", -800, -560),
        ("HCM", -880, -520),
        ("NOD", -880, -680),
        ("CON", -350, 40),
    ):
        assert low < middle[name] < high, name
    low_attenuation = {name: float((roi < -950).mean()) for name, roi in rois.items()}
    assert low_attenuation["EMP"] > 3 * low_attenuation["NOR"]


def test_patients_differ_in_breath_noise_slice_and_contrast_medium() -> None:
    scans = [scan_of(3, patient) for patient in range(60)]
    for name, least in (("lung", 35), ("noise", 8), ("slice", 0.3), ("blood", 80), ("severity", 0.15)):
        assert np.std([getattr(scan, name) for scan in scans]) > least, name
    assert scan_of(3, 7) == scan_of(3, 7)


def test_mean_deviation_and_extremes_hardly_tell_the_classes(lungs: tuple[ImageSet, ImageSet]) -> None:
    from sklearn.svm import SVC

    from desali.training.baseline import first_order_statistics

    train, evaluation = lungs
    x, y = first_order_statistics(train), first_order_statistics(evaluation)
    centre, scale = x.mean(0), x.std(0)
    machine = SVC(C=10, gamma=0.25, class_weight="balanced").fit((x - centre) / scale, train.labels)
    guess = machine.predict((y - centre) / scale)
    recall = [(guess[evaluation.labels == c] == c).mean() for c in range(7)]
    assert np.mean(recall) < 0.62
    assert recall[TARGET_CLASSES.index("CON")] > 0.5  # consolidation stays dense


SMALL: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
    ("natural", natural, {"images_per_class": 1}),
    ("texture", texture, {"samples_per_class": 1, "views_per_sample": 1}),
    ("target", lambda seed, **sizes: target(seed, **sizes)[0], {"train": 0.001, "evaluation": 0.001, "floor": 2}),
]


@pytest.mark.parametrize(("name", "make", "sizes"), SMALL, ids=[case[0] for case in SMALL])
def test_a_seed_fixes_every_bit(name: str, make: Callable[..., ImageSet], sizes: dict[str, Any]) -> None:
    first, again, other = make(5, **sizes), make(5, **sizes), make(6, **sizes)
    assert same(first, again)
    assert (first.images != other.images).any(axis=tuple(range(1, first.images.ndim))).all()
    assert json.loads(json.dumps(first.parameters)) == first.parameters
    assert first.parameters["seed"] == 5
    assert first.parameters["domain"] == name


def test_parameters_make_the_set_again(scenes: ImageSet, surfaces: ImageSet) -> None:
    for part in (scenes, surfaces):
        arguments = dict(part.parameters)
        assert same(DOMAINS[arguments.pop("domain")](**arguments), part)
    for k, part in enumerate(target(seed=9, train=0.002, evaluation=0.02, floor=2)):
        arguments = {name: part.parameters[name] for name in ("seed", "train", "evaluation", "floor")}
        assert part.parameters["split"] == ("train", "evaluation")[k]
        assert same(target(**arguments)[k], part)


def test_first_images_do_not_depend_on_how_many_follow(
    scenes: ImageSet, surfaces: ImageSet, lungs: tuple[ImageSet, ImageSet]
) -> None:
    few = natural(seed=3, images_per_class=1)
    assert np.array_equal(few.images, scenes.images[::3])
    few = texture(seed=3, samples_per_class=1, views_per_sample=2)
    for c in range(len(TEXTURE_CLASSES)):
        assert np.array_equal(few.images[few.labels == c], surfaces.images[surfaces.labels == c][:2])
    for small, large in zip(target(seed=3, train=0.0001, evaluation=0.0001, floor=3), lungs, strict=True):
        for c in range(7):
            assert np.array_equal(small.images[small.labels == c], large.images[large.labels == c][:3])
            assert np.array_equal(small.patients[small.labels == c], large.patients[large.labels == c][:3])


@pytest.mark.parametrize(
    ("make", "arguments", "names"),
    [
        (natural, {"seed": -1}, "seed=-1"),
        (natural, {"seed": 1.5}, "seed=1.5"),
        (natural, {"images_per_class": 0}, "images_per_class=0"),
        (natural, {"size": 8}, "size=8"),
        (texture, {"samples_per_class": 0}, "samples_per_class=0"),
        (texture, {"views_per_sample": True}, "views_per_sample=True"),
        (texture, {"size": 500}, "size=500"),
        (target, {"train": 0}, "train=0"),
        (target, {"train": 1.01}, "train=1.01"),
        (target, {"evaluation": float("nan")}, "evaluation=nan"),
        (target, {"evaluation": "all"}, "evaluation='all'"),
        (target, {"floor": 0}, "floor=0"),
        (target, {"seed": None}, "seed=None"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[..., Any], arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(DataError) as caught:
        make(**arguments)
    assert names in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scanner_keeps_uniform_tissue_and_blurs_an_edge() -> None:
    rng = Stream(0)
    uniform = np.full((FIELD, FIELD), -700.0)
    assert (acquire(uniform, PLAIN, rng) == -700).all()
    assert (acquire(uniform, PLAIN._replace(edge=0.8), rng) == -700).all()
    assert (acquire(uniform, PLAIN._replace(gain=1.1, offset=5), rng) == -665).all()  # 1.1 * (-700 + 1000) - 1000 + 5
    step = uniform.copy()
    step[:, FIELD // 2 :] = 0
    profile = acquire(step, PLAIN, rng)[16].astype(int)
    assert profile[0] == -700
    assert profile[-1] == 0
    assert (np.diff(profile) >= 0).all()
    assert np.count_nonzero((profile > -690) & (profile < -10)) in range(2, 7)
    sharp = acquire(step, PLAIN._replace(edge=0.8), rng)[16]
    assert sharp.max() > 20  # overshoot of an edge-enhancing kernel


@pytest.mark.parametrize("edge", [0.0, 0.8])
def test_noise_has_the_asked_deviation_and_the_kernel_colours_it(edge: float) -> None:
    rng = Stream(1)
    uniform = np.full((FIELD, FIELD), -500.0)
    scan = PLAIN._replace(noise=30, edge=edge)
    noise = np.stack([acquire(uniform, scan, rng) for _ in range(60)]).astype(float) + 500
    assert noise.std() == pytest.approx(30, rel=0.06)
    neighbours = float((noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var())
    assert (0.55 < neighbours < 0.9) if edge == 0 else (0.3 < neighbours < 0.75)


def test_a_rod_covers_its_volume_in_the_slice_at_any_place() -> None:
    radius, length = 1.5, 4.0
    volume = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3  # two half balls at the ends
    for start, end in (((0.0, -2.0), (0.0, 2.0)), ((-1.2, 3.0), (2.8, 3.0)), ((2.0, 2.0), (-0.4, -1.2))):
        coverage = blank()
        capsule(coverage, Point(*start), Point(*end), radius, radius, 2 * radius)
        assert coverage.max() == pytest.approx(1, abs=0.01)
        assert coverage.sum() * STEP_MM**2 * 2 * radius == pytest.approx(volume, rel=0.02)
    outside = blank()
    capsule(outside, Point(40.0, 40.0), Point(50.0, 40.0), 1, 1, 1)
    assert not outside.any()


def test_a_thick_slice_and_a_distant_body_are_faint() -> None:
    peaks = []
    for thickness, height in ((0.5, 0.0), (4.0, 0.0), (4.0, 2.0), (1.0, 2.0)):
        coverage = blank()
        capsule(coverage, Point(0, 0, height), Point(0, 0, height), 1.0, 1.0, thickness)
        peaks.append(float(coverage.max()))
    assert peaks == pytest.approx([1, 0.5, 0.25, 0], abs=0.02)


def test_a_tree_tapers() -> None:
    thick, thin = [], []
    for k in range(20):
        coverage = blank()
        tree(Stream(4, k), coverage, 1.2, 1.5)
        opened = coverage > 0.3
        thick.append(coverage.max())
        thin.append(opened.mean())
        assert (coverage >= 0).all()
        assert (coverage <= 1 + 1e-12).all()
    assert np.mean(thick) > 0.9
    assert 0.03 < np.mean(thin) < 0.35


def test_voronoi_distances_agree_with_a_search_over_all_centres() -> None:
    y, x = np.meshgrid(np.linspace(-2.9, 3.9, 90), np.linspace(0.1, 6.9, 90), indexing="ij")
    cells = voronoi(Stream(2), x, y, jitter=0.5)
    # first^2 - |p|^2 = |c|^2 - 2 p.c inside the cell of c: three unknowns, solved by least squares
    centres = []
    for cell in np.unique(cells.nearest):
        inside = cells.nearest == cell
        if inside.sum() >= 12:
            rows = np.stack([-2 * x[inside], -2 * y[inside], np.ones(inside.sum())], 1)
            known = cells.first[inside].astype(float) ** 2 - x[inside] ** 2 - y[inside] ** 2
            centres.append(np.linalg.lstsq(rows, known, rcond=None)[0][:2])
    assert 40 < len(centres) < 80
    away = np.stack([np.hypot(x - cx, y - cy) for cx, cy in centres]).reshape(len(centres), -1)
    away.sort(0)
    middle = ((np.abs(x - 3.5) < 2) & (np.abs(y - 0.5) < 2)).ravel()
    assert np.allclose(cells.first.ravel()[middle], away[0, middle], atol=1e-4)
    assert np.allclose(cells.second.ravel()[middle], away[1, middle], atol=1e-4)


@given(cells=st.integers(4, 40), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_noise_is_smooth_and_of_unit_variance(cells: int, seed: int) -> None:
    noise = np.stack([smooth_noise(Stream(seed, k), 96, cells) for k in range(20)])
    assert noise.std() == pytest.approx(1, abs=0.35)
    step = float(np.diff(noise, axis=2).std())
    assert step < 2.2 * cells / 96  # a finer grid gives steeper noise, in proportion
    assert fractal_noise(Stream(seed), 96, cells).shape == (96, 96)


def test_sheet_shows_every_class(scenes: ImageSet, lungs: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    for part, columns in ((scenes, 3), (lungs[0], 5)):
        path = tmp_path / f"{part.name}.png"
        sheet(part, path, per_class=5)
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
        assert pixels.ndim == 3
        height = (pixels.shape[0] - 28) // len(part.classes)
        for row in range(len(part.classes)):
            tiles = pixels[28 + row * height :][: height - 4, 120 : 120 + 100 * columns]
            assert tiles.std() > 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".png", ".png"]  # no temporary file is left


def test_sheet_refuses_what_it_cannot_draw(scenes: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="per_class=0"):
        sheet(scenes, tmp_path / "a.png", per_class=0)
    with pytest.raises(DataError, match="holds no images"):
        sheet(scenes.subset(np.array([], int)), tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        sheet(scenes, tmp_path / "file" / "a.png")
    assert not (tmp_path / "a.png").exists()
