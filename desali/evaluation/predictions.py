"""What one trained model says about a set of images, kept on disk as .npz."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.input.arrays import read_npz
from desali.input.values import one_line
from desali.output import summary
from desali.output.files import atomic_path

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet

NOT_PREDICTIONS = "not a file of predictions"
OPTIONAL = ("stages", "unit_of_split", "parameters")
"""Fields that an earlier file may lack."""
KEPT = ("domain", "reader", "spec", "options")
"""Of an image set's parameters what predictions keep."""
TEXTS = ("recipe", "data", "fingerprint", "origin")


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """What one model, or the models of one cross-validation, say about a set of images.

    In cross-validation every ROI is predicted by the model that did not train on its patient, and one `Predictions`
    covers all ROIs, pooled over the folds. Trainings of one recipe with several seeds are several `Predictions`.

    Attributes:
        recipe: the model's name.
        probabilities: float32 [n, classes], each row sums to 1.
        labels: int64 [n], the true classes.
        patients: str [n]; whom each ROI is of.
        classes: class names.
        data: name of the image set.
        fingerprint: SHA-256 of the image set.
        origin: where the images come from, e.g. "synthetic ...".
        seed: the training's seed.
        fold: int64 [n], the fold that held the ROI out; all 0 where there is one training and one held-out set.
        stages: keys of the stages before the last, which trainings may share; empty where they are not known.
        unit_of_split: what `patients` are, see `ImageSet`.
        parameters: what made or read the image set, as far as it says whose its images are and what its classes mean.

    Raises:
        DataError: shapes that do not fit, an unknown label, a probability that is NaN or outside [0, 1], or rows that
            do not sum to 1.
    """

    recipe: str
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    patients: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    data: str
    fingerprint: str
    origin: str
    seed: int = 0
    fold: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    stages: tuple[str, ...] = ()
    unit_of_split: str = "patient"
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, classes = len(self.labels), len(self.classes)
        if len(self.fold) == 0:
            object.__setattr__(self, "fold", np.zeros(n, np.int64))
        for name, shape in (("probabilities", (n, classes)), ("labels", (n,)), ("patients", (n,)), ("fold", (n,))):
            if np.shape(getattr(self, name)) != shape:
                got = list(np.shape(getattr(self, name)))
                raise DataError(f"predictions of {self.recipe}: {name} must have shape {list(shape)}, got {got}")
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise DataError(f"predictions of {self.recipe}: labels must lie in [0, {classes})")
        unknown = np.isnan(self.probabilities).any(1)
        if unknown.any():
            raise DataError(
                f"predictions of {self.recipe}: the probabilities of {int(unknown.sum())} of {n} images are NaN (the "
                f"first is image {int(unknown.argmax())}); the model's output was not finite, train or predict again"
            )
        within = (self.probabilities >= 0) & (self.probabilities <= 1 + 1e-6)
        if not within.all() or not np.allclose(self.probabilities.sum(1), 1, atol=1e-3):
            raise DataError(
                f"predictions of {self.recipe}: every row of the probabilities must hold numbers in [0, 1] that sum "
                "to 1; give softmax outputs, not logits"
            )

    @classmethod
    def of(
        cls,
        images: ImageSet,
        recipe: str,
        probabilities: npt.NDArray[np.float32],
        seed: int,
        fold: npt.NDArray[np.int64] | None = None,
        stages: tuple[str, ...] = (),
    ) -> Predictions:
        """What `recipe` says about all of `images`, in their order."""
        return cls(
            recipe,
            probabilities,
            images.labels,
            images.patients,
            tuple(images.classes),
            images.name,
            images.fingerprint,
            images.origin,
            seed,
            np.zeros(len(images), np.int64) if fold is None else fold,
            stages,
            images.unit_of_split,
            {name: images.parameters[name] for name in KEPT if name in images.parameters},
        )

    def _facts(self) -> summary.Facts:
        return [
            ("images", str(len(self.labels))),
            ("classes", str(len(self.classes))),
            ("patients", str(len(set(self.patients.tolist())))),
            ("folds", str(len(set(self.fold.tolist())))),
            ("seed", f"{self.seed}"),
        ]

    def __repr__(self) -> str:
        return summary.line("Predictions", f"{self.recipe} on {self.data}", self._facts())

    def _repr_html_(self) -> str:
        more = [("names", summary.names(self.classes)), ("origin", self.origin)]
        return summary.table("Predictions", f"{self.recipe} on {self.data}", [*self._facts(), *more])

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class [n]; the first of equals."""
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI is classified correctly [n]."""
        return np.asarray(self.predicted == self.labels)

    def save(self, path: Path) -> None:
        """Write an .npz file that `load_predictions` reads; atomic."""
        with atomic_path(path) as temporary:
            arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(self).items()}
            texts = {"stages": np.array(self.stages, np.str_), **about_arrays(self)}
            np.savez_compressed(temporary, **{**arrays, **texts})


def about_arrays(one: Predictions) -> dict[str, Any]:
    """What predictions keep of their image set's nature, as arrays of text."""
    return {"unit_of_split": np.array(one.unit_of_split), "parameters": np.array(json.dumps(one.parameters))}


def about_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that `about_arrays` wrote; nothing of a file without them.

    Raises:
        ValueError: it is no such text.
    """
    if "unit_of_split" not in stored:
        return {}
    parameters = json.loads(str(stored["parameters"]))
    if not isinstance(parameters, dict):
        raise ValueError("parameters is no object")
    return {"unit_of_split": str(stored["unit_of_split"]), "parameters": parameters}


def load_predictions(path: Path) -> Predictions:
    """Read what `Predictions.save` wrote.

    Raises:
        DataError: missing, damaged, or not such a file.
    """
    stored = read_npz(path, str(path), DataError, "`desali evaluate` writes one", said=NOT_PREDICTIONS)
    try:
        earlier = "groups" in stored
        if not earlier:
            needed = [name for name in Predictions.__dataclass_fields__ if name not in OPTIONAL]
            values: dict[str, Any] = {name: stored[name] for name in needed}
            values["stages"] = tuple(map(str, stored.get("stages", ())))
            check_columns(values, path)
            values |= {name: str(values[name]) for name in TEXTS} | about_of(stored)
            return Predictions(**{**values, "classes": tuple(map(str, values["classes"])), "seed": int(values["seed"])})
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        reason = one_line(error)
        raise DataError(f"{path}: not a file of predictions ({reason}); `desali evaluate` writes one") from error
    raise DataError(
        f"{path}: predictions of an earlier version of desali, which called the patients 'groups'; run the command "
        "that made the file again"
    )


def check_columns(values: Mapping[str, Any], path: Path) -> None:
    """Refuse arrays of other types than `Predictions.save` writes.

    Raises:
        DataError: they are.
    """
    for name, kinds in (("probabilities", "f"), ("labels", "iu"), ("patients", "U"), ("fold", "iu"), ("classes", "U")):
        if values[name].dtype.kind not in kinds or values[name].ndim < 1:
            raise DataError(f"{path}: {name} holds {values[name].dtype}; `desali evaluate` writes files of predictions")


def file_name(recipe: str) -> str:
    """A model's name with every run of characters that file names should not hold as one hyphen."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", recipe).strip("-.") or "model"


def pool(parts: Sequence[tuple[npt.NDArray[Any], Predictions]], images: ImageSet) -> Predictions:
    """The folds of one cross-validation as one `Predictions` in the order of `images`.

    Args:
        parts: for each fold, in order, the held-out images (integers or a boolean mask) and their predictions, in that
            order; fold k of the result is parts[k]. All of one recipe and one seed.
        images: the whole set.

    Raises:
        DataError: an image in no fold or in two, or predictions of several recipes, seeds or sets of classes.
    """
    if not parts:
        raise DataError(f"{images.name}: no folds to pool")
    first = parts[0][1]
    probabilities = np.zeros((len(images), len(images.classes)), np.float32)
    fold = np.full(len(images), -1, np.int64)
    for number, (held, part) in enumerate(parts):
        index = np.arange(len(images))[held]
        if (part.recipe, part.seed, part.classes) != (first.recipe, first.seed, tuple(images.classes)):
            raise DataError(
                f"{images.name}: fold {number} is of {part.recipe} (seed {part.seed}), expected {first.recipe} "
                f"(seed {first.seed}) and the classes {', '.join(images.classes)}"
            )
        if len(index) != len(part.labels) or not np.array_equal(images.labels[index], part.labels):
            raise DataError(f"{images.name}: the predictions of fold {number} are of other images than it holds out")
        if (fold[index] >= 0).any():
            raise DataError(f"{images.name}: fold {number} holds out images that another fold holds out too")
        probabilities[index], fold[index] = part.probabilities, number
    if (fold < 0).any():
        raise DataError(f"{images.name}: {int((fold < 0).sum())} images are held out by no fold")
    stages = tuple(dict.fromkeys(key for _, part in parts for key in part.stages))
    return Predictions.of(images, first.recipe, probabilities, first.seed, fold, stages)
