"""What a reader must know of the data behind a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from desali.evaluation.models import Model

FEW_PATIENTS = 2
DOMINATES = 0.9
TIED = 0.01


def notes_on(models: Sequence[Model]) -> tuple[str, ...]:
    """Classes that do not occur, live in one or two patients or almost all in one, or that a fold did not train on."""
    one = models[0]
    support = one.matrices[0].sum(2)  # [patients, classes]
    notes = []
    for c, name in enumerate(one.classes):
        total, most, owners = int(support[:, c].sum()), int(support[:, c].max()), int((support[:, c] > 0).sum())
        if not total:
            notes.append(f"{name}: no ROI here; it takes no part in the averages")
        elif owners <= FEW_PATIENTS:
            notes.append(
                f"{name}: all of its {total} ROIs are of {owners} patient{'s' if owners > 1 else ''}; its metrics are "
                f"those of single patients{', and its intervals are too narrow' if owners > 1 else ''}"
            )
        elif most >= DOMINATES * total:
            notes.append(
                f"{name}: {most} of its {total} ROIs are of one patient ({one.patients[support[:, c].argmax()]}); its "
                "metrics are nearly those of one patient"
            )
    notes += _folds(models)
    notes += _trainings(models)
    notes += _degenerate(models)
    return tuple(notes)


def _trainings(models: Sequence[Model]) -> list[str]:
    """Trainings that are copies, trainings of one recipe that share a stage, and recipes trained unequally often."""
    notes = []
    for model in models:
        for seed, other in model.repeated:
            notes.append(
                f"{model.recipe}: seed {seed} has the probabilities of seed {other} and is counted as the same training"
            )
        owners: dict[str, list[int]] = {}
        for one in model.trainings:
            for key in one.stages:
                owners.setdefault(key, []).append(one.seed)
        shared = {tuple(seeds) for seeds in owners.values() if len(seeds) > 1}
        for seeds in sorted(shared):
            notes.append(
                f"{model.recipe}: the trainings of {_seeds(seeds)} share an earlier stage; how another training of "
                "that stage would differ is not in the intervals and tests"
            )
    counts = {model.recipe: len(model.trainings) for model in models}
    if len(set(counts.values()) - {1}) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        notes.append(f"recipes have unequal numbers of trainings ({said}); all are used, and seeds are not paired")
    return notes


def _degenerate(models: Sequence[Model]) -> list[str]:
    """Trainings that answer with one class alone, or whose best two classes are often exactly equal."""
    notes = []
    for model in models:
        single = [one.seed for one in model.trainings if len(np.unique(one.predicted)) == 1 and len(one.labels) > 1]
        if single:
            notes.append(
                f"{model.recipe}: predicts one class for every ROI ({_seeds(single)}); it has learned nothing, and its "
                "narrow intervals mean nothing"
            )
        tied = [one.seed for one in model.trainings if _tied(one.probabilities) > TIED and one.seed not in single]
        if tied:
            notes.append(
                f"{model.recipe}: for more than {100 * TIED:.0f} % of the ROIs the best two classes are exactly equal "
                f"({_seeds(tied)}), and the first is counted; the outputs of a class may be dead"
            )
    return notes


def _tied(probabilities: npt.NDArray[np.float32]) -> float:
    """Share of the rows whose two largest values are equal."""
    if probabilities.shape[1] < 2:
        return 0.0
    two = np.sort(probabilities, 1)[:, -2:]
    return float((two[:, 0] == two[:, 1]).mean())


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _folds(models: Sequence[Model]) -> list[str]:
    """Pooling over folds, and classes all of whose ROIs one fold held out."""
    notes = []
    count = max(len(np.unique(one.fold)) for model in models for one in model.trainings)
    if count > 1:
        notes.append(
            f"predictions are pooled over {count} folds: each ROI is predicted by a model that did not train on its "
            "patient; the intervals do not include that the folds share training patients"
        )
    unseen: dict[str, set[str]] = {}
    for model in models:
        for one in model.trainings:
            if len(np.unique(one.fold)) > 1:
                for c, name in enumerate(one.classes):
                    folds = np.unique(one.fold[one.labels == c])
                    if len(folds) == 1:
                        unseen.setdefault(name, set()).add(str(folds[0]))
    for name, held in unseen.items():
        notes.append(
            f"{name}: all of its ROIs are in fold {' or '.join(sorted(held))}, so the models that "
            "predict them trained on none; they are counted all the same"
        )
    return notes
