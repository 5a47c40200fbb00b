"""The pictures of a gallery script: the figures that are the last value of one of its blocks."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any


def figures_of(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Write what the block's last line shows as PNG, as a notebook would; called by sphinx-gallery after every block.

    Returns:
        reStructuredText that shows the picture; nothing if the block ends without a figure.
    """
    from sphinx_gallery.scrapers import figure_rst

    lines = ast.parse(block[1]).body
    shown = block_vars["example_globals"].get("___") if lines and isinstance(lines[-1], ast.Expr) else None
    picture = getattr(shown, "_repr_png_", None)
    if picture is None:
        return ""
    path = Path(next(block_vars["image_path_iterator"]))
    path.write_bytes(picture())
    rst: str = figure_rst([str(path)], gallery_conf["src_dir"], repr(shown).splitlines()[0])
    return rst
