"""What a lineage rests on and what it lacks, in sentences that stand under every table and figure of it."""

from __future__ import annotations

from collections.abc import Sequence

from desali.comparison.ancestry import LayerLineage
from desali.comparison.controls import too_few
from desali.comparison.following import Followed
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet
from desali.data.imageset import ImageSet
from desali.data.pseudonym import cannot_compare
from desali.evaluation.results import LEAST_PATIENTS


def notes(
    followed: Followed,
    probe: ProbeSet,
    subjects: Sequence[Subject],
    not_drawn: Sequence[str],
    layers: Sequence[LayerLineage],
) -> list[str]:
    """The sentences.

    Args:
        subjects: every network but the random ones.
        not_drawn: weights that the random networks have in common with the network after.
        layers: those that are shown.
    """
    why = probe.units.why
    found = [_patients(followed, probe), *([why] if why else []), *([probe.treatment] if probe.treatment else [])]
    count = len(followed.random)
    if not count:
        found.append(
            "No random networks: nothing shows what chance would give but 1/C, and strangers may go unnoticed."
        )
    elif few := too_few(count):
        found.append(few)
    if len(followed.sample) < len(probe):
        found.append(
            f"The random networks were run on {len(followed.sample)} of the images, classes as even as can be, and the "
            "numbers by layer are of these in all networks."
        )
    if not_drawn:
        found.append(
            f"The random networks keep {len(not_drawn)} weights of the network after ({not_drawn[0]}, ...), which no "
            "layer draws anew: they are less random than they should be."
        )
    replicates = len(followed.replicates)
    if not replicates and not all(layer.equal for layer in layers):
        found.append(
            "No replicates (the same stage from the same parent with another seed): what another seed would change is "
            "not known, so kept and reshaped channels are not told apart."
        )
    if probe.repeated:
        found.append(f"{probe.repeated} of the {len(probe)} images occur more than once.")
    classes = probe.class_counts
    if classes is not None and len(classes) == 1:
        found.append(f"All images are of one class ({next(iter(classes))}): what tells classes apart may not show.")
    if followed.left_out:
        names = ", ".join(followed.left_out)
        found.append(f"Left out, because the networks' classifiers differ: {names}.")
    return found + seen_in_training(probe, subjects)


def _patients(followed: Followed, probe: ProbeSet) -> str:
    patients, blocks = probe.count_of_patients, followed.blocks
    if not probe.independent:
        return (
            f"{len(probe)} images of unknown patients: each counts as its own, so the intervals are too narrow if "
            "several are of one patient."
        )
    unit = probe.units.name
    text = f"{len(probe)} images of {patients} {unit}{'s' if patients > 1 else ''}"
    text = text if probe.known else f"{len(probe)} images, each by itself"
    if patients == 1:
        return f"{text}: one {unit} has no interval."
    text += "; intervals: 95 %, leaving out "
    text += f"one {unit} at a time" if blocks == patients else f"one of {blocks} groups of {unit}s at a time"
    return f"{text}{'' if probe.units.decided else f', with fewer than {LEAST_PATIENTS} {unit}s wide and rough'}."


def seen_in_training(probe: ProbeSet, subjects: Sequence[Subject]) -> list[str]:
    """Who was trained on these images or patients, as far as cards tell."""
    if not isinstance(probe.images, ImageSet):
        return []
    patients = set(probe.images.patients.tolist())
    found = []
    for one in subjects:
        data = one.card.get("data") or {}
        if data.get("fingerprint") == probe.images.fingerprint:
            found.append(f"{one.name} was trained on these very images: what it shows may not hold for others.")
        elif said := cannot_compare(data.get("parameters") or {}, probe.images.parameters):
            found.append(f"{one.name}: {said}.")
        elif data.get("name") == probe.images.name and patients & set(data.get("patient_names") or ()):
            found.append(f"{one.name} was trained on some of these patients.")
    return found
