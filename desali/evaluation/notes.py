"""What a reader must know of the data behind a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from desali.evaluation.models import Model

FEW_PATIENTS = 2
DOMINATES = 0.9


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
                f"{name}: all of its {total} ROIs are of {owners} patient{'s' if owners > 1 else ''}; its figures are "
                "those of single patients, and its intervals are too narrow"
            )
        elif most >= DOMINATES * total:
            notes.append(
                f"{name}: {most} of its {total} ROIs are of one patient ({one.patients[support[:, c].argmax()]}); its "
                "figures are nearly those of one patient"
            )
    notes += _folds(models)
    return tuple(notes)


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
