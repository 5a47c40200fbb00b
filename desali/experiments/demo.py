"""The main job in minutes: synthetic data, four models, an evaluation table and the figure that compares them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from desali.output.files import atomic_path, check_writable, write_json, write_text

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.training.recipes import Recipe

SHOWN_CLASS = "HCM"
SHEET = 8
"""Images of each class on a sheet."""
REPLICATED = "two_stage"
"""The recipe whose last stage is trained once more: what another seed would change."""
EPOCHS = 8
"""Of each target stage, so that five of them fit into two minutes; `desali train` takes more."""


@dataclass
class DemoResult:
    """What the demo left behind.

    Attributes:
        table: the evaluation as text.
        verdict: what the last stage of `REPLICATED` changed, in words.
        files: what was written, by what it is.
        seconds: how long each part took.
        held_out: the images that the models are evaluated on.
    """

    table: str = ""
    verdict: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    held_out: ImageSet | None = None


def demo(
    folder: Path,
    seed: int = 0,
    *,
    device: str = "auto",
    from_nothing: bool = False,
    fresh: bool = False,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
    command: Sequence[str] = ("desali", "demo"),
) -> DemoResult:
    """Draw a sheet of each domain, train the target stage of the four recipes and a replicate, evaluate and compare.

    What comes before the target (scenes, materials, scenes then materials) is taken from weights that the package
    carries, see `desali.experiments.carried`. The ROI is the first honeycomb image of the evaluation set, whatever the
    models make of it.

    Args:
        folder: for everything that is written; what is already trained there is reused.
        seed: of the target's images and trainings, and with `from_nothing` of all.
        device: where the networks run, as `desali.ops.device.resolve` takes it.
        from_nothing: make the images of all domains and train all seven stages, with as many epochs as `desali train`.
        fresh: train every stage anew.
        progress: show progress bars on stderr.
        report: called with a line of text for each step.

    Raises:
        OutputError: the folder cannot be written. WeightsError: the package came without its weights. DesaliError:
            Lightning is not installed, or the device is not there.
    """
    from desali.evaluation import evaluate_recipes, format_table
    from desali.models.checkpoint import machine, versions
    from desali.ops.device import resolve
    from desali.training import RECIPES, train
    from desali.training.checks import require_packages

    require_packages()
    resolve(device)
    check_writable(folder, folder=True)
    recipes = list(RECIPES.values()) if from_nothing else [_quick(recipe) for recipe in RECIPES.values()]
    result = DemoResult()
    runs = folder / "runs"
    with _timed(result, "sheets", report, "drawing a sheet of each domain"):
        result.files = {f"{name} sheet": _sheet(images, folder) for name, images in _samples(seed).items()}
        report(f"first pictures: {', '.join(str(path) for path in result.files.values())}")
    with _timed(result, "data", report, "generating " + ("three domains" if from_nothing else "the target")):
        from desali.data.drawn import drawn_target
        from desali.training.domains import synthetic_datasets

        training, held_out = (drawn_target(split, seed=seed) for split in ("train", "evaluation"))
        result.held_out = held_out
        datasets = {"target": training}
        if from_nothing:
            datasets |= synthetic_datasets(["natural", "texture"], seed)
    what = "seven stages" if from_nothing else "four target stages; what comes before them is carried"
    with _timed(result, "training", report, f"training {what}"):
        train(recipes, datasets, runs, seed=seed, device=device, fresh=fresh, progress=progress, report=report)
    with _timed(result, "replicate", report, f"training the last stage of {REPLICATED} again with another seed"):
        again = [recipe for recipe in recipes if recipe.name == REPLICATED]
        train(again, datasets, runs, seed=seed, replicates=1, device=device, progress=progress, report=report)
    with _timed(result, "evaluation", report, f"evaluating on {len(held_out)} ROIs of other synthetic patients"):
        result.table = format_table(evaluate_recipes(list(RECIPES), held_out, runs, device=device))
        write_text(folder / "evaluation.txt", result.table)
    with _timed(result, "figure", report, "comparing the four models on one ROI"):
        roi, compared = _compared(held_out, runs, folder, device, command)
    with _timed(result, "what changed", report, f"following the channels of {REPLICATED} through its last stage"):
        picture, result.verdict = _what_changed(held_out, runs, folder, device, command)
    result.files |= {"what changed": picture, "side by side": compared}
    result.files |= {"table": folder / "evaluation.txt", "ROI": roi, "models": runs}
    facts = {"seed": seed, "from_nothing": from_nothing, "seconds": result.seconds, "command": list(command)}
    write_json(folder / "demo.json", {**facts, "versions": versions(), "machine": machine()})
    return result


def _quick(recipe: Recipe) -> Recipe:
    """The recipe with the carried weights before the target, and a short target stage."""
    from desali.experiments.carried import with_carried

    return with_carried(recipe).with_options(domains={"target": {"epochs": EPOCHS}})


def _samples(seed: int) -> dict[str, ImageSet]:
    """A few images of each class of each domain; they are the first ones of the whole sets."""
    from desali.data import synthetic

    return {
        "target": synthetic.target(seed, train=0.0001, evaluation=0.0001, floor=SHEET)[0],
        "texture": synthetic.texture(seed, samples_per_class=SHEET // 2, views_per_sample=2),
        "natural": synthetic.natural(seed, images_per_class=SHEET),
    }


def _sheet(images: ImageSet, folder: Path) -> Path:
    from desali.data.synthetic.sheet import sheet

    path = folder / f"{images.name}.png"
    sheet(images, path, SHEET)
    return path


def _compared(held_out: ImageSet, runs: Path, folder: Path, device: str, command: Sequence[str]) -> tuple[Path, Path]:
    """The ROI as a file, and the figure that shows it through the four models."""
    import tifffile

    from desali.data.roi import read_image
    from desali.figures.settings import Settings
    from desali.figures.viewer import Viewer
    from desali.models.checkpoint import WEIGHTS_NAME, load
    from desali.training import RECIPES

    shown = int((held_out.labels == held_out.classes.index(SHOWN_CLASS)).argmax())
    roi = folder / "roi.tif"
    with atomic_path(roi) as temporary:
        tifffile.imwrite(temporary, held_out.images[shown])
    models = {name: load(runs / name / WEIGHTS_NAME) for name in RECIPES}
    settings = Settings(device=device, label=SHOWN_CLASS)
    figure = Viewer(models, settings, images=held_out).figure(
        read_image(roi), f"A synthetic {SHOWN_CLASS} (honeycomb) ROI: class contrast, and one channel of each layer"
    )
    return roi, figure.save(folder / "compare.png", command=command)


def _what_changed(
    held_out: ImageSet, runs: Path, folder: Path, device: str, command: Sequence[str]
) -> tuple[Path, str]:
    """The main picture, and its verdict in words."""
    from desali.experiments.lineages import pairs_of
    from desali.experiments.options import LineageOptions
    from desali.experiments.overview import overview
    from desali.models.checkpoint import WEIGHTS_NAME, load
    from desali.training import RECIPES

    pairs, _ = pairs_of([REPLICATED], runs)
    others = {name: load(runs / name / WEIGHTS_NAME) for name in RECIPES if name != REPLICATED}
    figure = overview(pairs[-1], held_out, LineageOptions(device=device), others)
    return figure.save(folder / "what-changed.png", command=command), figure.change.verdict


@contextmanager
def _timed(result: DemoResult, name: str, report: Callable[[str], None], what: str) -> Iterator[None]:
    report(f"[{name}] {what}")
    start = time.perf_counter()
    yield
    result.seconds[name] = round(time.perf_counter() - start, 1)
    report(f"[{name}] {result.seconds[name]} s")
