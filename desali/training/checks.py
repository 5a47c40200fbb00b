"""What `train` refuses before it begins: missing packages, images that cannot be trained on, too small an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from desali.errors import DataError, DesaliError
from desali.training.recipes import Recipe

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.models.registry import Architecture


def check_datasets(recipes: Sequence[Recipe], datasets: Mapping[str, ImageSet], preprocessing: Preprocessing) -> None:
    """Raise a DataError if a domain is missing or of fewer than two classes, or a stage does not fit its images."""
    from desali.training.augmentation import augmentation_of

    for one in recipes:
        for stage in one.stages:
            if stage.weights is not None:
                continue
            if stage.domain not in datasets:
                raise DataError(
                    f"recipe {one.name} needs images of the domain {stage.domain!r}, "
                    f"got only {', '.join(sorted(datasets)) or 'none'}"
                )
            data = datasets[stage.domain]
            if len(np.unique(data.labels)) < 2:
                raise DataError(f"{data.name}: training needs images of at least two classes, got {len(data)} images")
            augmentation_of(stage, preprocessing, data.unit, data.name)


def check_size(architecture: Architecture, preprocessing: Preprocessing) -> None:
    """Raise a DesaliError if the network cannot take images of another size than its own: they shrink to nothing."""
    import torch

    size, channels = preprocessing.size, preprocessing.channels
    if size == architecture.input_size:
        return
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = architecture.build(2, architecture.in_channels).eval()
        try:
            model(torch.zeros(1, channels, size, size))
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise DesaliError(
                f"size {size}: {architecture.name} cannot take images of {size} pixels ({reason}); "
                f"its own size is {architecture.input_size}"
            ) from error


def check_weights(recipes: Sequence[Recipe]) -> None:
    """Raise a DesaliError if the weights file of a stage is not there, before images are read."""
    for stage in (stage for one in recipes for stage in one.stages):
        if stage.weights is not None and not Path(stage.weights).is_file():
            raise DesaliError(f"--{stage.domain}-weights {stage.weights}: no such file; check the path")


def require_packages(tensorboard: bool = False) -> None:
    """Raise a DesaliError that says how to install it if a package of the extra `train`, or TensorBoard, is missing."""
    from importlib.util import find_spec

    for name in ("lightning", "sklearn", "torchmetrics"):
        if find_spec(name) is None:
            raise DesaliError(f"training needs the package {name!r}: pip install 'desali[train]'")
    if tensorboard and find_spec("tensorboard") is None:
        raise DesaliError("--tensorboard needs the package 'tensorboard': pip install 'desali[tensorboard]'")
