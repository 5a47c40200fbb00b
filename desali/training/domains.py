"""The images that recipes are trained on: read from where a specification says, or synthetic ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from desali.data.preprocess import RESIZES
from desali.errors import DataError
from desali.models.checkpoint import find, read_card
from desali.training.config import SYNTHETIC, DataConfig
from desali.training.recipes import Recipe
from desali.training.splits import check_fraction, first_of_each_class
from desali.training.stage import Domain

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.readers.finding import Found, Listings

CALLED = {"natural": "rendered scenes (for natural images)", "texture": "materials", "target": "lung phantoms"}
"""What the synthetic images of a domain are."""


def domains_of(recipes: Iterable[Recipe]) -> list[Domain]:
    """The domains whose images the recipes' stages need, each once; a stage that comes from weights needs none."""
    stages = (stage for recipe in recipes for stage in recipe.stages)
    return list(dict.fromkeys(stage.domain for stage in stages if stage.weights is None))


def datasets_of(
    domains: Iterable[Domain],
    data: DataConfig,
    size: int,
    *,
    resize: str = "bicubic",
    listings: Listings | None = None,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
) -> dict[str, ImageSet]:
    """The training images of each domain.

    Of a data set that states parts the part "train" is read, unless its specification names another ("?split=...").

    Args:
        domains: which to read or make.
        data: where they come from.
        size: natural images and textures are resized and cut to so many pixels; images of the target stay as they are,
            unless their specification says otherwise ("?size=...").
        resize: of the preprocessing.
        listings: see `find_images`.
        progress: show progress bars on stderr.
        report: called with a line of text on each data set, and on images that are left out.

    Raises:
        DataError: see `read_images` and `synthetic_datasets`. UnknownNameError: no such reader or option.
    """
    needed = list(domains)
    made = [domain for domain in needed if getattr(data, domain) == SYNTHETIC]
    listings = {} if listings is None else listings
    read = {
        domain: _read(domain, data, size, resize, listings, progress, report) for domain in needed if domain not in made
    }
    if made and report is not None:
        report(f"making the synthetic images: {', '.join(CALLED[domain] for domain in made)}")
    sets = synthetic_datasets(made, data.seed, data.share)
    return {domain: sets[domain] if domain in sets else read[domain] for domain in needed}


def _read(
    domain: Domain,
    data: DataConfig,
    size: int,
    resize: str,
    listings: Listings,
    progress: bool,
    report: Callable[[str], None] | None,
) -> ImageSet:
    return read_domain(domain, training_part(find_domain(domain, data, size, listings, resize)), data, progress, report)


def find_domain(domain: Domain, data: DataConfig, size: int, listings: Listings, resize: str = "bicubic") -> Found:
    """List the data set that `data` names for a domain; see `datasets_of`."""
    from desali.data.readers import find_images

    spec: str = getattr(data, domain)
    sized = domain == "target" or "size=" in spec.partition("?")[2]
    given: dict[str, Any] = {} if sized else {"size": size}
    if given and resize != RESIZES[0]:
        given["resize"] = resize
    return find_images(spec, listings=listings, hu_offset=data.hu_offset, **given)


def training_part(found: Found) -> Found:
    """The part "train" of a data set that states parts, unless another was asked for."""
    return found.choose(split="train") if "split" not in found.options and "train" in found.selection.splits else found


def read_domain(
    domain: Domain,
    found: Found,
    data: DataConfig,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
) -> ImageSet:
    """Decode what `find_domain` listed; see `datasets_of`."""
    from desali.data.readers.reading import read_found

    images = read_found(
        found,
        skip_unreadable=data.skip_unreadable,
        cache=True if data.cache is None else data.cache,
        progress=progress,
        report=report,
    )
    if report is not None:
        part = found.options.get("split")
        said = "" if part is None or "split=" in found.spec else f" (its part {part!r})"
        report(f"{domain}: {len(images)} images of {found.spec}{said}")
    return images


def synthetic_datasets(domains: Iterable[Domain], seed: int = 0, share: float = 1.0) -> dict[str, ImageSet]:
    """Synthetic training images of each domain: 3,600 rendered scenes, 1,680 views of materials, 1,573 lung phantoms.

    Args:
        domains: which to make.
        seed: of the images.
        share: of each target class, this share is kept, but at least 2 ROIs; the other domains stay whole.

    Raises:
        DataError: `share` is not in (0, 1].
    """
    from desali.data import synthetic
    from desali.data.drawn import drawn_target

    check_fraction(share)
    make = {
        "natural": lambda: synthetic.natural(seed),
        "texture": lambda: synthetic.texture(seed),
        "target": lambda: first_of_each_class(drawn_target("train", seed=seed), share),
    }
    return {domain: make[domain]() for domain in domains}


def synthetic_target(recipes: Sequence[str], runs: Path, split: Literal["train", "evaluation"]) -> ImageSet:
    """The synthetic target that `recipes` under `runs` were trained on, or the evaluation images that belong to it.

    Raises:
        WeightsError: a recipe is not trained. DataError: the recipes were trained on different or other data.
    """
    from desali.data.drawn import drawn_target

    found: dict[str, dict[str, Any]] = {}
    for name in recipes:
        parameters = read_card(find(name, runs)).get("data", {}).get("parameters", {})
        if parameters.get("domain") != "target" or not {"seed", "train", "evaluation", "floor"} <= set(parameters):
            raise DataError(f"{name}: its card names no synthetic target to evaluate on; train it with `desali train`")
        found[name] = {key: parameters[key] for key in ("seed", "train", "evaluation", "floor")}
        found[name]["share"] = parameters.get("share", 1.0)
    first = next(iter(found.values()))
    for name, parameters in found.items():
        if parameters != first:
            other = next(iter(found))
            raise DataError(f"{name} was trained on other data than {other}; train both with the same options")
    share = first.pop("share")
    images = drawn_target(split, **first)
    return first_of_each_class(images, share) if split == "train" else images
