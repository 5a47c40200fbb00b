"""The images that two networks are compared on, their patients, and the order in which they are read.

The order follows from the images' own bytes, not from where they stand in the caller's array: the same images in
another order go through the same batches and give the same numbers, bit by bit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.tracing import Units
from desali.data.imageset import ImageSet, pixel_hash
from desali.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from desali.data.preprocess import Preprocessing

Integers = npt.NDArray[np.int64]
LEAST = 4
"""Images below which nothing is computed."""
PER_CLASS = 30
"""Images of a class in a set that `draw` makes."""


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Images, ready to be read in a fixed order.

    Attributes:
        images: float [N, C, *spatial], or an `ImageSet`, which `preprocessing` turns into tensors while it is read.
        hashes: SHA-256 of each image's pixels [N].
        patients: of each image [N]; its own hash where no patients are known.
        known: whether patients are known.
        unit: what `patients` are: "patient", or "view" or "sample" of a set without patients.
        independent: whether they are independent units: not where each image merely counts as its own.
        labels: class of each image [N] in words, or None.
        rows: where in `images` each image stands [N]; None: they are all of them, in order.
    """

    images: Tensor | ImageSet
    preprocessing: Preprocessing | None
    hashes: tuple[str, ...]
    patients: npt.NDArray[np.str_]
    known: bool
    unit: str
    independent: bool
    labels: tuple[str, ...] | None
    rows: Integers | None = None

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def count_of_patients(self) -> int:
        """Number of patients; of images where no patients are known."""
        return len(np.unique(self.patients))

    @property
    def units(self) -> Units:
        """The independent units that the images are of."""
        return Units(self.count_of_patients if self.independent else None, self.unit if self.known else "image")

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all images, whatever their order."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest()

    @property
    def whose(self) -> dict[str, Any]:
        """The set that the images are of, as `ImageSet` names it; nothing of a tensor."""
        if not isinstance(self.images, ImageSet):
            return {}
        return {"name": self.images.name, "origin": self.images.origin, "spec": self.images.parameters.get("spec")}

    @property
    def treatment(self) -> str:
        """What the preprocessing does to an `ImageSet`'s images beside the window, in a sentence; "" for nothing."""
        if not isinstance(self.images, ImageSet) or self.preprocessing is None:
            return ""
        return self.preprocessing.words(self.images.images.shape[1:], self.images.unit, "The images")

    @property
    def repeated(self) -> int:
        """How many images are there once more than once."""
        return len(self) - len(set(self.hashes))

    @property
    def class_counts(self) -> dict[str, int] | None:
        """Images of each class; None where the classes are not known."""
        return None if self.labels is None else dict(sorted(Counter(self.labels).items()))

    def blocks(self, most: int) -> Integers:
        """The block of each image [N], numbered from 0: a patient each, or several where there are more than `most`.

        Patients are dealt out by size, the largest first, always to the smallest block; ties by a hash of their names.
        """
        names, index, sizes = np.unique(self.patients, return_inverse=True, return_counts=True)
        marks = [hashlib.sha256(str(name).encode()).hexdigest() for name in names]
        order = sorted(range(len(names)), key=lambda k: (-sizes[k], marks[k]))
        loads = [0] * min(len(names), most)
        block = np.zeros(len(names), np.int64)
        for k in order:
            block[k] = loads.index(min(loads))
            loads[block[k]] += int(sizes[k])
        return np.asarray(block[index], np.int64)

    def part(self, index: Integers) -> ProbeSet:
        """The images at `index`; their pixels stay where they are."""
        return ProbeSet(
            self.images,
            self.preprocessing,
            tuple(self.hashes[k] for k in index),
            self.patients[index],
            self.known,
            self.unit,
            self.independent,
            None if self.labels is None else tuple(self.labels[k] for k in index),
            self.row(index),
        )

    def row(self, index: Integers) -> Integers:
        """Where in `images` those at `index` stand."""
        return np.asarray(index if self.rows is None else self.rows[index], np.int64)

    def tensor(self, index: Integers) -> Tensor:
        """The images at `index` as a network takes them."""
        import torch

        index = self.row(index)
        if isinstance(self.images, ImageSet):
            assert self.preprocessing is not None
            return self.preprocessing.apply_batch(self.images.images[index], self.images.unit)
        return self.images.detach()[torch.from_numpy(index).to(self.images.device)]

    def sample(self, most: int) -> Integers:
        """Indices of at most `most` images: as many of each class as can be, and within a class patients in turn.

        Which ones is decided by the images' hashes.
        """
        labels = self.labels or ("",) * len(self)
        order = sorted(range(len(self)), key=lambda k: (self.hashes[k], self.patients[k], labels[k]))
        turns: Counter[tuple[str, str]] = Counter()
        turn: dict[int, int] = {}
        for k in order:
            owner = (labels[k], str(self.patients[k]))
            turn[k] = turns[owner]
            turns[owner] += 1
        places: Counter[str] = Counter()
        place: dict[int, int] = {}
        for k in sorted(order, key=turn.__getitem__):
            place[k] = places[labels[k]]
            places[labels[k]] += 1
        return np.array(sorted(sorted(order, key=place.__getitem__)[:most]), np.int64)

    def batches(
        self, parts: Sequence[Integers], blocks: Integers, size: int, device: torch.device, dtype: torch.dtype
    ) -> Iterator[tuple[Tensor, Integers]]:
        """Batches of at most `size` images, part after part and block after block, each with its images' indices.

        Args:
            parts: indices, in any order; no batch has images of two parts.
            blocks: of each image [N].

        Raises:
            DataError: NaN or infinity in an image.
        """
        for part in parts:
            yield from self.read(self.ordered(part, blocks), size, device, dtype)

    def ordered(self, index: Integers, blocks: Integers) -> Integers:
        """The indices in the order in which their images are read: by block, then by hash."""
        return np.array(sorted(index.tolist(), key=lambda k: (blocks[k], self.hashes[k])), np.int64)

    def read(
        self, order: Integers, size: int, device: torch.device, dtype: torch.dtype
    ) -> Iterator[tuple[Tensor, Integers]]:
        """Batches of at most `size` images in the order given, each with its images' places in this set.

        Raises:
            DataError: NaN or infinity in an image.
        """
        for start in range(0, len(order), size):
            index = order[start : start + size]
            batch = self.tensor(index).to(device, dtype)
            if not bool(batch.isfinite().all()):
                bad = int((~batch.isfinite()).flatten(1).any(1).nonzero()[0])
                raise DataError(f"image {self.row(index)[bad]} holds NaN or infinity: leave it out or repair it")
            yield batch, index


def probe_set(
    images: Tensor | ImageSet,
    groups: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    preprocessing: Preprocessing | None = None,
) -> ProbeSet:
    """Check images, patients and labels, and hash the images.

    Args:
        images: float [N, C, *spatial], or an `ImageSet`.
        groups: the patient of each image; None: those of the `ImageSet`, or each image its own.
        labels: the class of each image; None: those of the `ImageSet`; empty: none, also where the set has classes.
        preprocessing: of an `ImageSet`.

    Raises:
        DataError: fewer than four images, another type, or as many labels or groups as do not fit.
    """
    import torch

    unit, independent = "patient", groups is not None
    if isinstance(images, ImageSet):
        if preprocessing is None:
            raise DataError(
                "an ImageSet needs a model's preprocessing, and a plain module has none: give what desali.load "
                "returns, or the images as a tensor"
            )
        if groups is None and images.unit_of_split != "image":
            groups, unit = images.patients.tolist(), images.unit_of_split
        independent = independent or images.independent
        labels = [images.classes[label] for label in images.labels] if labels is None else labels
        pixels: Any = images.images
    elif isinstance(images, torch.Tensor) and images.dim() >= 3 and images.is_floating_point():
        pixels = images.detach()
    else:
        got = f"{images.dtype} {list(images.shape)}" if isinstance(images, torch.Tensor) else type(images).__name__
        raise DataError(f"images must be a float tensor of shape [N, C, *spatial] or an ImageSet, got {got}")
    n = len(pixels)
    if n < LEAST:
        raise DataError(f"{n} images are too few: channels are followed over at least {LEAST}; give more")
    if labels is not None and not len(labels):
        labels = None
    for name, given in (("groups", groups), ("labels", labels)):
        if given is not None and len(given) != n:
            raise DataError(f"{name} must hold one entry for each of the {n} images, got {len(given)}")
    hashes = tuple(_hash(pixels[k]) for k in range(n))
    patients = np.array(hashes if groups is None else [_plain(item) for item in groups], np.str_)
    words = None if labels is None else tuple(_plain(item) for item in labels)
    return ProbeSet(images, preprocessing, hashes, patients, groups is not None, unit, independent, words)


def _hash(pixels: Any) -> str:
    return pixel_hash(pixels.cpu().numpy() if hasattr(pixels, "cpu") else pixels)


def _plain(item: Any) -> str:
    return str(item.item() if hasattr(item, "item") else item)


def draw(images: ImageSet, per_class: int = PER_CLASS, seed: int = 0, balanced: bool = True) -> ImageSet:
    """A balanced part of a set: at most `per_class` images of each class, drawn by seed, spread over the patients.

    Within a class the patients take turns, so that no patient has two images before every other has one.

    Args:
        balanced: False draws as many images in all, whatever their classes.
    """
    return images.subset(draw_index(images, per_class, seed, balanced))


def draw_index(images: ImageSet, per_class: int = PER_CLASS, seed: int = 0, balanced: bool = True) -> Integers:
    """Where the images that `draw` takes stand in the set, in its order."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    parts = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
    if not balanced:
        parts, per_class = [np.arange(len(images))], per_class * len(images.classes)
    for part in parts:
        own = rng.permutation(part)
        turn: dict[str, int] = {}
        rank = []
        for k in own:
            patient = str(images.patients[k])
            rank.append(turn.get(patient, 0))
            turn[patient] = rank[-1] + 1
        chosen += [int(k) for k in own[np.argsort(rank, kind="stable")][:per_class]]
    return np.sort(np.array(chosen, np.int64))
