"""What every comparison checks of how it is asked, before any network runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from desali.errors import DataError


def check_asked(
    random_networks: Any, seed: Any, layers: Any = None, replicates: Any = (), least_random_networks: int = 0
) -> None:
    """Refuse what is no request.

    Raises:
        DataError: a number that is not whole or too small, layers that are no list of names, replicates that are no
            list.
    """
    for name, value, least in (("random_networks", random_networks, least_random_networks), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DataError(f"{name} must be a whole number of at least {least}, got {value!r}")
    named = isinstance(layers, Sequence) and not isinstance(layers, str) and all(isinstance(one, str) for one in layers)
    if layers is not None and not (named and len(layers)):
        raise DataError(f"layers must be a list of at least one name, got {layers!r}")
    if not isinstance(replicates, list | tuple):
        raise DataError(f"replicates must be a list of networks, got {type(replicates).__name__}")
