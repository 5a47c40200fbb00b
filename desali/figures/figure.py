"""A finished figure: a grid to draw, and the record in numbers that lies beside it on disk."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from desali.errors import DataError, OutputError
from desali.figures.drawing.panel import Grid
from desali.figures.maps import ORDER
from desali.figures.sidecar import plain, refuse_other, sidecar, write_sidecar
from desali.output.arrays import Array, write_arrays
from desali.output.columns import columns
from desali.output.files import atomic_path

KIND = "desali figure"
SCREEN = 100
"""Pixels per inch where a notebook shows a figure."""


class Figure:
    """What `desali.show`, `desali.compare` and the commands that draw make.

    Attributes:
        grid: what is drawn.
    """

    def __init__(self, grid: Grid, record: Mapping[str, Any], arrays: Callable[[], Iterable[Array]] = tuple) -> None:
        if not isinstance(grid.title, str):
            raise DataError(f"title must be text, got {grid.title!r}")
        self.grid = grid
        self._record = plain(record, "the figure")
        self._arrays = arrays

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dpi: int = 150,
        command: Sequence[str] | None = None,
        key: str | None = None,
    ) -> Path:
        """Write the figure as PNG, PDF or SVG by the suffix, and its record beside it as JSON: both or neither.

        Args:
            dpi: pixels per inch; a full page is 12 inches wide.
            command: the command line that makes the figure again, for the record.
            key: a hash of all that the figure depends on, for the record.

        Raises:
            OutputError: the path cannot be written, is the image itself, or has another file's record beside it.
        """
        from desali.figures.drawing.grid import check
        from desali.figures.drawing.grid import save as save_grid

        target = _target(path)
        side = sidecar(target)
        check(target, dpi)
        image = self._record.get("image") or {}
        if os.path.exists(target) and image.get("path") and target.resolve() == Path(image["path"]).resolve():
            raise OutputError(f"{target}: is the image itself; choose another output path")
        refuse_other(side, KIND)
        known = {"key": key, "command": None if command is None else list(command)}
        known = {name: value for name, value in known.items() if value is not None}
        with atomic_path(target) as temporary:
            save_grid(self.grid, temporary, dpi)
            write_sidecar(target, {**known, "dpi": dpi, **self._record})
        return target

    def save_maps(self, path: str | os.PathLike[str], *, command: Sequence[str] | None = None) -> Path:
        """Write the arrays behind the figure, and beside them (maps.npz.json) what each is, with the figure's record.

        Activations, reconstructions and inputs of every network, the controls included, in float32 as they were
        computed, before anything is scaled for the eye.

        Args:
            path: an .npz file, or a folder .zarr (which needs the package `zarr`).
            command: see `save`.

        Raises:
            OutputError: see `desali.output.arrays.check_arrays`.
        """
        known = {} if command is None else {"command": list(command)}
        return write_arrays(path, self._arrays(), {**known, "order": ORDER, "figure": self._record})

    def to_dict(self) -> dict[str, Any]:
        """The record, JSON-serialisable: image, models, layers, seed, method, controls, and every number printed."""
        copied: dict[str, Any] = json.loads(json.dumps(self._record))
        return copied

    def table(self) -> str:
        """The likeness of the models' maps, a row a layer: every two models, a model and its replicate, and each model
        with its random networks.

        The class contrast comes first. Spearman's rank correlation after a slight blur, as the figure prints it;
        "equal" where activations and maps are the same bit by bit. A dash where there is no such number: a silent map,
        or single neurons of other windows.
        """
        contrast = self._record.get("contrast")
        rows = [*([contrast] if contrast else []), *self._record["rows"]]
        names = list(self._record["rows"][0]["models"])
        again = {label: facts["of"] for label, facts in self._record.get("replicates", {}).items()}
        pairs = [(one, other) for index, one in enumerate(names) for other in names[index + 1 :]]
        pairs += [(one, label) for label, one in again.items()]
        lines = [["layer", *(f"{one} : {other}" for one, other in pairs), *(f"{name} : random" for name in names)]]
        for row in rows:
            layer = row["layer"] if isinstance(row["layer"], str) else " / ".join(row["layer"].values())
            head = ["class contrast"] if row is contrast else [layer]
            image = [row["image"]] if row.get("image") else []
            known = {(pair["first"], pair["second"]): pair["rank_correlation"] for pair in row["pairs"]}
            equal = row["equal"]
            cells = []
            for one, other in pairs:
                same = equal.get(other, other) == equal.get(one, one)
                cells.append("equal" if same else _number(known.get((one, other))))
            for name in names:
                maps = row["models"].get(name, {}).get("reconstructions") or [{}]
                cells.append(_span(maps[0].get("rank_correlation", {}).get("random", [])))
            lines.append([", ".join([*image, *head]), *cells])
        return "\n".join(columns(lines))

    def summary(self) -> str:
        """What the figure says above its rows: where weights and layers are equal, and how alike the contrasts are."""
        return str(self._record.get("lead", ""))

    def _repr_png_(self) -> bytes:
        from desali.figures.drawing.grid import draw

        buffer = io.BytesIO()
        draw(self.grid, SCREEN).savefig(buffer, dpi=SCREEN, format="png", facecolor="white")
        return buffer.getvalue()

    def __repr__(self) -> str:
        names = ", ".join(self._record.get("models", {}))
        count = len(self._record.get("rows", []))
        rows = f"{count} row" if count == 1 else f"{count} rows"
        return f"Figure({self.grid.title!r}, models: {names}; {rows}; .save(path), .to_dict(), .table())"


def _target(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise OutputError(f"a figure is saved to a path, such as 'figure.png', got {path!r}")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise OutputError(f"{str(path)!r}: holds characters that no file name can have") from None
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r}: holds a character that no file name can have")
    return Path(path)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _span(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, high = _number(min(values)), _number(max(values))
    return low if low == high else f"{low} to {high}"
