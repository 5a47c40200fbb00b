"""`desali.show`: pictures of one recording, a row for each layer of each image."""

from __future__ import annotations

import time
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.figures.block import Block, Seen
from desali.figures.facts import control_facts, method_words, model_facts, predicted, prediction_words, seed_words
from desali.figures.figure import KIND, Figure
from desali.figures.footnote import NOTE
from desali.figures.inputs import Plain, image_facts, prepare
from desali.figures.layers import layer_names
from desali.figures.maps import of_block
from desali.figures.rows import table
from desali.figures.sources import RANDOM, controls, in_rgb, kept_words, spread_relus
from desali.figures.subjects import Shown, class_names
from desali.models.checkpoint import versions
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch

    from desali.data.preprocess import Preprocessing
    from desali.reversal.recording import Recording, Seeds

MOST_ROWS, MOST_SEEDS = 24, 24
MODEL = "model"


def show(
    recording: Recording,
    layers: str | Sequence[str] | None = None,
    seed: Seeds | None = None,
    method: str | Method | None = None,
    *,
    control: bool = True,
    random_seed: int = 1,
    device: str | torch.device | None = None,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] = (),
    colour: bool = False,
    scale: str = "panel",
    title: str = "",
) -> Figure:
    """Show what one recording holds: a row a layer, with the input, the activations, a map a seed, and the controls.

    Several recorded images stand below each other. The controls are the same network with random weights and an edge
    detector: what they show too was not learned.

    Args:
        recording: what `desali.record` returns, of two-dimensional images.
        layers: a name or several; None: five ReLUs spread evenly over the depth.
        seed: a `desali.Seed` or several; None: the whole layer's activations.
        method: a name of `desali.METHODS` or a `desali.Method`; None: "desalinet".
        control: whether the random network stands beside.
        random_seed: of its weights.
        device: "cpu", "cuda", "cuda:N" or "auto": where a copy of the model is recorded anew; None: the recording's.
        preprocessing: how the images were made, to show them and the classes' maps as they were before.
        classes: names in the order of the logits.
        colour: show images whose three channels are equal in colour; else they are grey, and so are their maps.
        scale: "panel" normalises every panel by itself, "row" all of a row together.
        title: instead of the method and the seed.

    Raises:
        DataError: more rows or seeds than fit. UnknownNameError: a layer, method or device that does not exist.
        SeedError: a seed that does not fit a layer. DesaliError: the model or the images changed since the recording.
    """
    from desali.comparison.views import looks
    from desali.reversal.graph.share import adopt
    from desali.reversal.recording import Recording, record
    from desali.reversal.values import Need

    start = time.perf_counter()
    if not isinstance(recording, Recording):
        raise DataError(f"show takes what desali.record returns, got {type(recording).__name__}; see desali.compare")
    if scale not in ("panel", "row"):
        raise DataError(f"scale must be 'panel' or 'row', got {scale!r}")
    chosen = "desalinet" if method is None else method
    rule = find_method(chosen)
    recording = recording if device is None else record(recording.model, recording.images, device=device)
    seeds = Seed.layer() if seed is None else seed
    network, images = recording.network, recording.images
    architecture = type(recording.model).__name__
    if layers is None:
        names = list(spread_relus(network, architecture))
    else:
        none = isinstance(layers, Sized) and not layers
        names = [layers] if isinstance(layers, str) else [] if none else list(layer_names(layers))
    classes = class_names(classes)
    _check_rows(len(images), names)
    input_rule = Plain(None) if preprocessing is None else preprocessing
    card = {"architecture": architecture}
    subject = Shown(MODEL, recording.model, card, None, input_rule, "as recorded", classes, None, True)
    seen = [in_rgb(one, input_rule) for one in looks(recording, names, seeds, rule)]
    count = seen[0].views[0].maps.shape[0]
    if count > MOST_SEEDS:
        raise DataError(f"show draws at most {MOST_SEEDS} maps in a row, the seeds give {count}: take fewer")
    made, missing = controls([subject] if control else [], random_seed)
    random = []
    for (one,) in made.values():
        adopt(one.model, recording.model)
        again = record(one.model, images, Need(tuple(names), ((rule, tuple(names)),)))
        random = [in_rgb(found, input_rule) for found in looks(again, names, seeds, rule)]
    control_of = {name: [RANDOM] for name in made}
    blocks, predictions = [], []
    for index, (image, look) in enumerate(zip(images, seen, strict=True)):
        own = Seen(look, prepare(image.detach(), input_rule, colour=colour), classes)
        predictions.append(predicted(subject, own))
        twins = {RANDOM: Seen(random[index], own.input)} if random else {}
        label = f"image {index + 1}" if len(images) > 1 else ""
        blocks.append(Block({MODEL: own}, twins, control_of, {}, label, prediction_words(predictions[-1])))
    laid = table(blocks, scale)  # type: ignore[arg-type]
    name = method_words(chosen)
    words = seed_words(seeds, classes)
    listed = [seeds] if isinstance(seeds, Seed) else list(seeds)
    incomplete = kept_words(recording.model) if made else ""
    said = [*dict.fromkeys(block.models[MODEL].input.words for block in blocks), missing, incomplete]
    footnote = " ".join(part for part in [*said, NOTE] if part)
    facts = model_facts(subject, blocks[0].models[MODEL])
    heading = title or f"{architecture}: {name} from {words}"
    record_ = {
        "kind": KIND,
        "title": heading,
        "images": [image_facts(image, input_rule, None) for image in images],
        "models": {MODEL: {**facts, "softmax": None, "predictions": predictions}},
        "control": control_facts(random_seed, len(control_of), architecture, control_of),
        "layers": names,
        "seed": [one.to_dict() for one in listed] if len(listed) > 1 else listed[0].to_dict(),
        "seed_in_words": words,
        "method": rule.to_dict(),
        "method_in_words": name,
        "scale": scale,
        "device": str(images.device),
        "rows": laid.numbers,
        "note": footnote,
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 3),
    }
    many = len(blocks) > 1
    return Figure(
        laid.grid(heading, footnote),
        record_,
        lambda: (
            array
            for number, block in enumerate(blocks, 1)
            for array in of_block(block, listed, f"image-{number}" if many else "")
        ),
    )


def _check_rows(images: int, layers: Sequence[Any]) -> None:
    if not layers:
        raise DataError("show needs at least one layer: name one, or leave layers out")
    if images * len(layers) > MOST_ROWS:
        raise DataError(
            f"show draws at most {MOST_ROWS} rows, {images} images x {len(layers)} layers are {images * len(layers)}: "
            "record fewer images (images[:4]) or name fewer layers"
        )
