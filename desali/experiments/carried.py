"""Weights that the package carries: source stages that take long to train, for `desali demo`.

They lie in `carried/` beside this file, each with its card, and are what this gives with the defaults of this version:

    python -m desali.experiments.carried RUNS

It trains the stages under RUNS, goes on there when it was interrupted, and then writes `carried/`. The cards name
processor, threads, versions and data; the digests in them are checked whenever weights are loaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from desali.errors import WeightsError
from desali.models.checkpoint import find, load, read_card, save
from desali.models.registry import DEFAULT
from desali.training.recipes import RECIPES, Recipe
from desali.training.stage import Domain

FOLDER = Path(__file__).parent / "carried"
COMMAND = "python -m desali.experiments.carried RUNS"
LIMIT = 4_000_000
"""Bytes that all of it may take."""
SOURCES: dict[str, tuple[str, Domain]] = {
    "natural": ("natural", "natural"),
    "texture": ("texture", "texture"),
    "two_stage": ("natural-texture", "texture"),
}
"""Recipe -> the stem of its carried file, and the domain of the last stage before the target."""


def with_carried(recipe: Recipe) -> Recipe:
    """The recipe with the stages before the target taken from the carried weights.

    Raises:
        WeightsError: the package was installed without them, or they are of other weights than their card says.
    """
    if recipe.name not in SOURCES:
        return recipe
    stem, domain = SOURCES[recipe.name]
    file = FOLDER / f"{stem}.safetensors"
    if not file.is_file():
        raise WeightsError(
            f"{file}: the weights that the package carries are missing; install it again, or give --from-nothing"
        )
    load(file)  # checks the digest
    return recipe.from_weights(domain, str(file))


def sources() -> list[Recipe]:
    """What is carried, as recipes that end before the target."""
    return [
        Recipe(stem, f"{RECIPES[name].title}, without the target", RECIPES[name].stages[:-1])
        for name, (stem, _) in SOURCES.items()
    ]


def carry(runs: Path, folder: Path = FOLDER) -> list[Path]:
    """Copy what `sources` left under `runs` into `folder`; returns the files.

    Raises:
        WeightsError: a stage is not trained there, or of another architecture, or all are too large.
    """
    found = {stem: find(stem, runs) for stem, _ in SOURCES.values()}
    for stem, path in found.items():
        own = read_card(path)["architecture"]
        if own != DEFAULT:
            raise WeightsError(f"{path}: {stem} was trained with the architecture {own}, expected {DEFAULT}")
    size = sum(path.stat().st_size for path in found.values())
    if size > LIMIT:
        raise WeightsError(f"{runs}: the weights take {size} bytes, more than {LIMIT}")
    written = []
    for stem, path in found.items():
        loaded = load(path)
        card = {name: value for name, value in loaded.card.items() if name not in ("recipe", "stages")}
        written.append(save(loaded.model, folder / f"{stem}.safetensors", {**card, "command": COMMAND}))
    return written


def main() -> None:
    """Train what is carried and write it."""
    from desali.training import train
    from desali.training.domains import synthetic_datasets

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path, help="folder of the trainings")
    parser.add_argument("--threads", type=int, help="of the processor for torch")
    asked = parser.parse_args()
    if asked.threads is not None:
        import torch

        torch.set_num_threads(asked.threads)
    train(sources(), synthetic_datasets(["natural", "texture"]), asked.runs, device="cpu", progress=True, report=print)
    for path in carry(asked.runs):
        print(path)


if __name__ == "__main__":
    main()
