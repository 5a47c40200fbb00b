"""The predictions of all trainings of an experiment in one compact file, from which its tables can be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from desali.errors import DataError
from desali.evaluation.predictions import NOT_PREDICTIONS, TEXTS, Predictions, about_arrays, about_of, load_predictions
from desali.input.arrays import read_npz
from desali.input.values import one_line
from desali.output.files import atomic_path

NAME = "predictions.npz"
BY = ("rois", "patients")


def save_trainings(path: Path, trainings: Mapping[float, Sequence[Predictions]], by: str = "rois") -> None:
    """Write trainings at each fraction of the training data, all on the same images; atomic.

    Labels, patients and classes are kept once, probabilities as they are (float32).

    Args:
        path: an .npz file.
        trainings: fraction -> predictions.
        by: what the fractions are of, "rois" or "patients".

    Raises:
        DataError: nothing given, or predictions of different images. OutputError: it cannot be written.
    """
    rows = [(fraction, one) for fraction, found in trainings.items() for one in found]
    if not rows:
        raise DataError(f"{path}: no predictions to keep")
    first = rows[0][1]
    for _, one in rows:
        same = one.fingerprint == first.fingerprint and one.classes == first.classes
        if not same or not np.array_equal(one.labels, first.labels) or not np.array_equal(one.patients, first.patients):
            raise DataError(f"{path}: {one.recipe} was evaluated on other images than {first.recipe}")
    arrays: dict[str, Any] = {
        "recipes": np.array([one.recipe for _, one in rows], np.str_),
        "seeds": np.array([one.seed for _, one in rows], np.int64),
        "fractions": np.array([fraction for fraction, _ in rows], np.float64),
        "stages": np.array([" ".join(one.stages) for _, one in rows], np.str_),
        "probabilities": np.stack([one.probabilities for _, one in rows]).astype(np.float32),
        "folds": np.stack([one.fold for _, one in rows]).astype(np.int16),
        "labels": first.labels.astype(np.int16),
        "patients": first.patients,
        "classes": np.array(first.classes, np.str_),
        "by": np.array(by),
        **about_arrays(first),
        **{name: np.array(getattr(first, name)) for name in TEXTS if name != "recipe"},
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_trainings(path: Path) -> tuple[dict[float, list[Predictions]], str]:
    """What `save_trainings` wrote: fraction -> predictions, and what the fractions are of.

    A file of one training is one at fraction 1.

    Raises:
        DataError: missing, damaged, or no such file.
    """
    values = read_npz(
        path,
        str(path),
        DataError,
        "`desali crossvalidate` and `desali evaluate` write such files",
        said=NOT_PREDICTIONS,
    )
    if "recipes" not in values:
        return {1.0: [load_predictions(path)]}, BY[0]
    found: dict[float, list[Predictions]] = {}
    try:
        texts = {name: str(values[name]) for name in TEXTS if name != "recipe"}
        common: dict[str, Any] = {
            "labels": values["labels"].astype(np.int64),
            "patients": values["patients"],
            "classes": tuple(map(str, values["classes"])),
            **texts,
            **about_of(values),
        }
        for k, recipe in enumerate(values["recipes"]):
            one = Predictions(
                recipe=str(recipe),
                probabilities=values["probabilities"][k],
                seed=int(values["seeds"][k]),
                fold=values["folds"][k].astype(np.int64),
                stages=tuple(str(values["stages"][k]).split()),
                **common,
            )
            found.setdefault(float(values["fractions"][k]), []).append(one)
        return found, str(values["by"])
    except (KeyError, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise DataError(
            f"{path}: not a file of predictions ({one_line(error)}); `desali crossvalidate` and "
            "`desali robustness` write one"
        ) from error


def all_of(paths: Sequence[Path]) -> list[Predictions]:
    """The predictions in several files that are of all of the training data.

    Raises:
        DataError: a file that is missing or damaged, or that holds other fractions alone; and see `together`.
    """
    result: list[tuple[Path, Predictions]] = []
    for path in paths:
        found, _ = load_trainings(path)
        if 1.0 not in found:
            shares = ", ".join(f"{100 * fraction:g} %" for fraction in sorted(found))
            raise DataError(
                f"{path}: holds trainings on {shares} of the training data; "
                f"`desali robustness --predictions {path}` draws their curves"
            )
        result += [(path, one) for one in found[1.0]]
    return together(result)


def together(found: Sequence[tuple[Path, Predictions]], same_is_one: bool = False) -> list[Predictions]:
    """Predictions out of several files, to be compared.

    Args:
        found: with the file that each stands in.
        same_is_one: take the same training with the same answers once; else it is an error too.

    Raises:
        DataError: one recipe and seed in two places, or other images than those of the first; it names both files.
    """
    result: dict[tuple[str, int], tuple[Path, Predictions]] = {}
    for path, one in found:
        home, first = found[0]
        if one.fingerprint != first.fingerprint or one.classes != first.classes:
            raise DataError(
                f"{path}: {one.recipe} was evaluated on other images ({one.data}) than {first.recipe} in {home} "
                f"({first.data}); give files of one evaluation, or evaluate both again"
            )
        place, other = result.get((one.recipe, one.seed), (None, None))
        if place is None or other is None:
            result[one.recipe, one.seed] = path, one
        elif not same_is_one or not np.array_equal(one.probabilities, other.probabilities):
            answers = "" if np.array_equal(one.probabilities, other.probabilities) else ", with other answers"
            raise DataError(
                f"{path}: {one.recipe} with seed {one.seed} is given twice, also in {place}{answers}; leave one of the "
                "two files out"
            )
    return [one for _, one in result.values()]
