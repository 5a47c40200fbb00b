"""The four paths of transfer learning, as data: a recipe is a chain of stages, each on one domain of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from desali.errors import DesaliError, UnknownNameError, look_up
from desali.models.registry import ARCHITECTURES, DEFAULT
from desali.output.options import options_of
from desali.training.stage import DOMAINS, STAGE_OPTIONS, TARGET_OPTIONS, TRANSFER_OPTIONS, Domain, Stage


@dataclass(frozen=True)
class Recipe:
    """A named chain of stages; each stage starts from the feature layers of the one before.

    Attributes:
        name: its name on the command line and under `runs`.
        title: what it is called in tables.
        stages: first to last; the last is on the target.
    """

    name: str
    title: str
    stages: tuple[Stage, ...]

    def with_options(
        self, mode: str | None = None, *, domains: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
    ) -> Recipe:
        """The recipe with fields of `Stage` set in every stage; `domains` (domain -> fields) win over `options`.

        `mode` and the other `TRANSFER_OPTIONS` go to the last stage alone, or to the stage that `domains` names, and
        only where a stage went before: a network without a parent has no features to keep or to unfreeze.
        `TARGET_OPTIONS` go to the target alone unless `domains` says otherwise. "weights" belongs in `domains` and does
        what `from_weights` does.

        Raises:
            UnknownNameError: no such field or domain. DesaliError: a value out of range.
        """
        if mode is not None:
            options["mode"] = mode
        for domain in domains or {}:
            if domain not in DOMAINS:
                raise UnknownNameError("domain", domain, DOMAINS)
        for table in (options, *(domains or {}).values()):
            known = STAGE_OPTIONS if table is options else (*STAGE_OPTIONS, "weights")
            for name in table:
                if name not in known:
                    raise UnknownNameError("stage option", name, known)
        stages = []
        for number, stage in enumerate(self.stages):
            last = number == len(self.stages) - 1
            given = {
                name: value
                for name, value in options.items()
                if (last or name not in TRANSFER_OPTIONS) and (stage.domain == "target" or name not in TARGET_OPTIONS)
            }
            given |= {name: v for name, v in (domains or {}).get(stage.domain, {}).items() if name != "weights"}
            stages.append(
                replace(stage, **{name: v for name, v in given.items() if number or name not in TRANSFER_OPTIONS})
            )
        made = replace(self, stages=tuple(stages))
        for stage in self.stages:
            weights = (domains or {}).get(stage.domain, {}).get("weights")
            made = made if weights is None else made.from_weights(stage.domain, weights)
        return made

    def from_weights(self, domain: Domain, weights: str) -> Recipe:
        """The recipe with its stage on `domain`, if any, taken from a weights file; those before it fall away."""
        if domain == "target":
            raise DesaliError(
                "the target stage is what a recipe trains; only natural and texture can come from weights"
            )
        for number, stage in enumerate(self.stages):
            if stage.domain == domain:
                return replace(self, stages=(replace(stage, weights=weights), *self.stages[number + 1 :]))
        return self


_RATE = ARCHITECTURES[DEFAULT].learning_rate
_NATURAL = Stage("natural", epochs=50, learning_rate=_RATE, augmentation="mirror", gain=0.3, offset=0.15)
_TEXTURE = Stage("texture", epochs=60, learning_rate=_RATE, gain=0.3, offset=0.15)
_TARGET = Stage("target", learning_rate=_RATE)

RECIPES: dict[str, Recipe] = {
    entry.name: entry
    for entry in (
        Recipe("scratch", "no transfer", (_TARGET,)),
        Recipe("texture", "one stage, texture", (_TEXTURE, _TARGET)),
        Recipe("natural", "one stage, natural images or scenes", (_NATURAL, _TARGET)),
        Recipe("two_stage", "two stages, natural images or scenes, then texture", (_NATURAL, _TEXTURE, _TARGET)),
    )
}
"""The recipes of Suzuki et al. (arXiv 1810.06282), with the learning rate of the default architecture."""


def recipe_names(text: str) -> list[str]:
    """The recipes in "scratch, texture" or "scratch texture", each once; all of them for "all"."""
    names = list(dict.fromkeys(text.replace(",", " ").split())) or [text]
    return list(RECIPES) if "all" in names else names


def recipe(name: str, architecture: str = DEFAULT) -> Recipe:
    """The recipe of that name, with the learning rate that suits the architecture.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    known = look_up("recipe", name, RECIPES)
    entry = ARCHITECTURES.get(architecture)  # others are built to be known, and get the plain default
    rate = entry.learning_rate if entry else options_of(Stage)["learning_rate"].default
    return replace(known, stages=tuple(replace(stage, learning_rate=rate) for stage in known.stages))
