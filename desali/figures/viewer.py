"""From one region of interest and some trained models to the figure and its record."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.data.preprocess import Preprocessing
from desali.data.roi import Roi
from desali.errors import DataError, OutputError, SeedError
from desali.figures.drawing.panel import Grid
from desali.figures.sources import check_one_architecture, default_layers, in_rgb, provenance
from desali.models.checkpoint import LoadedModel
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor

    from desali.comparison.views import Look

KIND = "desali figure"
NOTE = (
    "Activations: mean of |activation| over all channels, or the one channel that the caption names. rho: rank "
    "correlation, after a slight blur, with the map of the same network with random weights, with the input, and "
    "(magnitudes) with the edge detector. A map that is like the input and like the random network's shows the image, "
    "not what was learned; a low rho alone shows nothing. No picture here explains a decision. Not a medical device."
)


@dataclass(frozen=True)
class Settings:
    """What is shown and how.

    Attributes:
        layers: names; None: the architecture's own choice.
        method: a name of `METHODS` or a `Method`.
        window: (level, width) in HU instead of the model's own; None keeps it.
        scale: "panel" or "row".
        random_seed: of the control's weights.
        device: where the networks run, as `desali.ops.device.resolve` takes it.
    """

    layers: tuple[str, ...] | None = None
    seed: Seed = field(default_factory=Seed.layer)
    method: str | Method = "desalinet"
    window: tuple[float, float] | None = None
    scale: str = "panel"
    random_seed: int = 1
    device: str = "cpu"
    backend: str = "auto"


class Viewer:
    """Trained models and their random twin, ready to look at one image after the other.

    Raises:
        UnknownNameError: a layer or method that does not exist. DataError: no models. DesaliError: a device that is not
            there.
    """

    def __init__(self, models: Mapping[str, LoadedModel], settings: Settings) -> None:
        from desali.comparison.controls import randomised
        from desali.ops.device import moved, resolve

        if not models:
            raise DataError("nothing to show: give at least one model")
        self.device = resolve(settings.device)
        find_method(settings.method)
        self.models = dict(models)
        self.settings = settings
        first = next(iter(self.models.values()))
        self.architecture = check_one_architecture(self.models)
        self.layers = settings.layers or default_layers(first, settings.seed)
        self.networks = {name: moved(model.model, self.device) for name, model in self.models.items()}
        self.control = moved(randomised(first.model, settings.random_seed), self.device)

    @property
    def origins(self) -> str:
        """What the models were trained on, in sentences."""
        return provenance(self.models)

    def preprocessing(self, model: LoadedModel) -> Preprocessing:
        """The model's own, with the window that was asked for."""
        window = self.settings.window
        return model.preprocessing if window is None else replace(model.preprocessing, window=window)

    def looks(self, roi: Roi, layers: Sequence[str] | None = None) -> tuple[dict[str, Look], Look]:
        """Views by every model, and by the network with random weights."""
        from desali.comparison.views import look
        from desali.reversal.graph.share import adopt

        settings = self.settings
        found: dict[str, Look] = {}
        names = layers or self.layers
        first = next(iter(self.models.values()))
        like = next(iter(self.networks.values()))
        for name, model in self.models.items():
            network = self.networks[name]
            adopt(network, like)
            image = self.preprocessing(model).apply(roi.pixels, roi.unit).to(self.device)
            found[name] = in_rgb(look(network, image, names, settings.seed, settings.method, settings.backend), model)
        adopt(self.control, like)
        image = self.preprocessing(first).apply(roi.pixels, roi.unit).to(self.device)
        control = look(self.control, image, names, settings.seed, settings.method, settings.backend)
        return found, in_rgb(control, first)

    def picture(self, roi: Roi) -> Any:
        """The network's input as a picture: [h, w] or [h, w, 3] in [0, 1]."""
        first = next(iter(self.models.values()))
        own = self.preprocessing(first)
        plain = Preprocessing(own.size, channels=3, window=own.window, resize=own.resize)
        image: Tensor = plain.apply(roi.pixels, roi.unit)
        return image.permute(1, 2, 0).numpy() if roi.pixels.ndim == 3 else image[0].numpy()

    def figure(
        self, roi: Roi, title: str = "", looks: tuple[dict[str, Look], Look] | None = None
    ) -> tuple[Grid, dict[str, Any]]:
        """The figure of one image, and the record that goes beside it; `looks` spares looking again."""
        from desali.figures.comparison import Comparison, grid

        start = time.perf_counter()
        found, control = looks or self.looks(roi)
        settings = self.settings
        seeds = next(iter(found.values())).views[0].maps.shape[0]
        if seeds > 1 and len(self.models) > 1:
            raise SeedError(
                f"seed '{settings.seed.describe()}' gives {seeds} maps per layer, but compare shows one: "
                "use visualize, or top:1"
            )
        comparison = Comparison(self.picture(roi), found, control, roi.pixels.ndim == 3)
        rule = find_method(settings.method)
        name = settings.method if isinstance(settings.method, str) else rule.corner
        heading = title or f"{roi.path.name}: {name} from {self._seed()}"
        shared = "The models' reconstructions of a row share one scale, and so do their activations. "
        footnote = f"{self._shrunk(roi)}{shared if settings.scale == 'row' else ''}{self.origins} {NOTE}"
        figure = grid(comparison, settings.scale, heading, footnote)  # type: ignore[arg-type]
        record = {
            "kind": KIND,
            "image": self._image_record(roi),
            "models": {name: self._model_record(model, found[name]) for name, model in self.models.items()},
            "control": {"random_seed": settings.random_seed, "architecture": self.architecture},
            "title": heading,
            "layers": list(self.layers),
            "seed": settings.seed.to_dict(),
            "seed_in_words": self._seed(),
            "method": rule.to_dict(),
            "method_in_words": name,
            "window": settings.window,
            "scale": settings.scale,
            "device": str(self.device),
            "backend": settings.backend,
            "rows": comparison.numbers,
            "note": footnote,
            "seconds": round(time.perf_counter() - start, 3),
        }
        return figure, record

    def _seed(self) -> str:
        """The seed in words; a class by its name."""
        seed = self.settings.seed
        classes = next(iter(self.models.values())).classes
        if seed.kind == "logit" and seed.channel_index < len(classes):
            return f"{seed.describe()} ({classes[seed.channel_index]})"
        return seed.describe()

    def _shrunk(self, roi: Roi) -> str:
        """A sentence for an image that loses pixels on its way into the network, else nothing."""
        size = next(iter(self.models.values())).preprocessing.size
        height, width = roi.pixels.shape[:2]
        if max(height, width) <= size:
            return ""
        return f"The image of {height} x {width} pixels was shrunk to {size} x {size}; a box would keep its detail. "

    def _image_record(self, roi: Roi) -> dict[str, Any]:
        first = next(iter(self.models.values()))
        return {
            "path": str(roi.path),
            "sha256": roi.sha256,
            "box": roi.box,
            "hu_offset": roi.hu_offset,
            "window": self.preprocessing(first).window if roi.unit == "hu" else None,
            "unit": roi.unit,
            "origin": roi.origin,
        }

    def _model_record(self, model: LoadedModel, look: Look) -> dict[str, Any]:
        probabilities = None
        if look.probabilities is not None and len(model.classes) == len(look.probabilities):
            probabilities = dict(zip(model.classes, look.probabilities.tolist(), strict=True))
        return {
            "path": None if model.path is None else str(model.path),
            "weights": "random" if model.path is None else "file",
            "weights_sha256": model.card.get("weights_sha256"),
            "architecture": model.card["architecture"],
            "recipe": model.card.get("recipe"),
            "preprocessing": self.preprocessing(model).to_dict(),
            "preprocessing_origin": model.card.get("preprocessing_origin", "the model's card"),
            "softmax": probabilities,
        }


def save(figure: Grid, record: dict[str, Any], path: Path, command: Sequence[str], dpi: int = 150) -> Path:
    """Write the figure and the record beside it, both or neither; `command` would make both again.

    Raises:
        OutputError: the path cannot be written, is the image itself, or has another file's record beside it.
    """
    from desali.figures.drawing.grid import save as save_grid
    from desali.figures.sidecar import sidecar, write_sidecar
    from desali.models.checkpoint import versions
    from desali.output.files import atomic_path

    side = sidecar(path)
    if path.exists() and path.resolve() == Path(record["image"]["path"]).resolve():
        raise OutputError(f"{path}: is the image itself; choose another output path")
    if side.exists() and not _is_record(side):
        raise OutputError(f"{side}: exists and is not the record of a figure; choose another output path")
    with atomic_path(path) as temporary:
        save_grid(figure, temporary, dpi)
        write_sidecar(path, {"command": list(command), "dpi": dpi, "versions": versions(), **record})
    return path


def _is_record(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND
