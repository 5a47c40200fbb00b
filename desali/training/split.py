"""Holding out whole groups (patients, material samples) for early stopping."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def hold_out(
    labels: npt.NDArray[np.int64],  # [n]
    groups: npt.NDArray[np.str_],  # [n]
    share: float,
    seed: int,
) -> npt.NDArray[np.bool_] | None:
    """Mask [n] of the images to hold out: whole groups, about `share` of the images, classes kept as even as can be.

    Folds come from scikit-learn's StratifiedGroupKFold. Only those qualify that leave every class in the training part;
    among them the one with most classes held out wins, then the one whose size is nearest to `share`. None if no fold
    qualifies (for instance if each class is a single group) or if `share` is 0.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    if share <= 0:
        return None
    classes, count = len(np.unique(labels)), len(np.unique(groups))
    most = min(count, int(np.bincount(labels).max(initial=0)))  # more folds than that cannot be made
    best: tuple[tuple[int, float], npt.NDArray[np.bool_]] | None = None
    for folds in sorted({min(most, folds) for folds in (max(2, round(1 / share)), 10, 20)}):
        if folds < 2:
            continue
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds; checked below
            candidates = [held for _, held in splitter.split(labels, labels, groups)]
        for held in candidates:
            mask = np.zeros(len(labels), bool)
            mask[held] = True
            if not mask.any() or len(np.unique(labels[~mask])) < classes:
                continue
            merit = (len(np.unique(labels[mask])), -abs(float(mask.mean()) - share))
            if best is None or merit > best[0]:
                best = (merit, mask)
        if best is not None and best[0][0] == classes:
            break
    return None if best is None else best[1]
