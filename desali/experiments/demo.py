"""The main job from nothing: synthetic data, four models, an evaluation table and the figure that compares them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from desali.output.files import atomic_path, check_writable, write_json, write_text

SHOWN_CLASS = "HCM"
REPLICATED = "two_stage"
"""The recipe whose last stage is trained once more: what another seed would change."""


@dataclass
class DemoResult:
    """What the demo left behind.

    Attributes:
        table: the evaluation as text.
        files: what was written, by what it is.
        seconds: how long each part took.
    """

    table: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    folder: Path,
    seed: int = 0,
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
    command: Sequence[str] = ("desali", "demo"),
) -> DemoResult:
    """Generate the data, train the four recipes (seven stages and a replicate), evaluate and compare them on one ROI.

    The ROI is the first honeycomb image of the evaluation set, whatever the models make of it.

    Args:
        folder: for everything that is written; what is already trained there is reused.
        seed: of the data and the training.
        device: where the networks run, as `desali.ops.device.resolve` takes it.
        fresh: train every stage anew.
        progress: show progress bars on stderr.
        report: called with a line of text for each step.

    Raises:
        OutputError: the folder cannot be written. DesaliError: Lightning is not installed, or the device is not there.
    """
    from desali.evaluation import evaluate_recipes, format_table
    from desali.ops.device import resolve
    from desali.training import RECIPES, train
    from desali.training.checks import require_packages

    require_packages()
    resolve(device)
    check_writable(folder, folder=True)
    result = DemoResult()
    runs = folder / "runs"
    with _timed(result, "data", report, "generating three synthetic domains"):
        from desali.data import synthetic

        natural = synthetic.natural(seed)
        texture = synthetic.texture(seed)
        target, held_out = synthetic.target(seed)
    with _timed(result, "training", report, "training seven stages for four recipes"):
        datasets = {"natural": natural, "texture": texture, "target": target}
        train(list(RECIPES), datasets, runs, seed=seed, device=device, fresh=fresh, progress=progress, report=report)
    with _timed(result, "replicate", report, f"training the last stage of {REPLICATED} again with another seed"):
        train([REPLICATED], datasets, runs, seed=seed, replicates=1, device=device, progress=progress, report=report)
    with _timed(result, "evaluation", report, f"evaluating on {len(held_out)} ROIs of other synthetic patients"):
        result.table = format_table(evaluate_recipes(list(RECIPES), held_out, runs, seed=seed, device=device))
        write_text(folder / "evaluation.txt", result.table)
    with _timed(result, "figure", report, "comparing the four models on one ROI"):
        from desali.data.roi import read_image
        from desali.figures.settings import Settings
        from desali.figures.viewer import Viewer
        from desali.models.checkpoint import WEIGHTS_NAME, load

        shown = int((held_out.labels == held_out.classes.index(SHOWN_CLASS)).argmax())
        roi = folder / "roi.tif"
        with atomic_path(roi) as temporary:
            import tifffile

            tifffile.imwrite(temporary, held_out.images[shown])
        models = {name: load(runs / name / WEIGHTS_NAME) for name in RECIPES}
        settings = Settings(device=device, label=SHOWN_CLASS)
        figure = Viewer(models, settings, images=held_out).figure(
            read_image(roi), f"A synthetic {SHOWN_CLASS} (honeycomb) ROI: class contrast, and one channel of each layer"
        )
        compared = figure.save(folder / "compare.png", command=command)
    with _timed(result, "sheets", report, "drawing a sheet of each domain"):
        from desali.data.synthetic.sheet import sheet

        for images in (natural, texture, target):
            sheet(images, folder / f"{images.name}.png")
    result.files = {
        "figure": compared,
        "table": folder / "evaluation.txt",
        "ROI": roi,
        "models": runs,
        "samples of the data": folder,
    }
    write_json(folder / "demo.json", {"seed": seed, "seconds": result.seconds, "command": list(command)})
    return result


@contextmanager
def _timed(result: DemoResult, name: str, report: Callable[[str], None], what: str) -> Iterator[None]:
    report(f"[{name}] {what}")
    start = time.perf_counter()
    yield
    result.seconds[name] = round(time.perf_counter() - start, 1)
    report(f"[{name}] {result.seconds[name]} s")
