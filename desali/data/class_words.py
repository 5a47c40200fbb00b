"""What the codes of a data set's classes stand for, as far as the data set is known to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from desali.data.synthetic.classes import TARGET_WORDS


def class_words(name: str, classes: Sequence[str], parameters: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Class -> what it is called in full; without those of which nothing is known.

    Args:
        name: of the image set.
        classes: its classes.
        parameters: what read or made it, as `ImageSet.parameters` keeps it.
    """
    from desali.data.readers import emphysema

    given = parameters or {}
    options = given.get("options")
    table = str(options.get("labels") or "") if isinstance(options, Mapping) else ""
    known: dict[str, str] = {}
    if name.startswith("synthetic-target") or given.get("domain") == "target" or table.split(",")[0] == "seven":
        known = TARGET_WORDS
    elif given.get("reader") == "emphysema" or name == "emphysema":
        known = emphysema.WORDS
    return {one: known[one] for one in classes if one in known}
