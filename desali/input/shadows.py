"""Files and folders of the working directory that Python takes for packages: found and named.

Where the working directory stands on the path in front of what is installed (`python -m`, a notebook, PYTHONPATH), a
file `torch.py` there is imported in place of torch. A folder without `__init__.py` hides only what is not installed:
a folder `dl` breaks GDCM, which asks whether there is an old module of that name.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = frozenset(
    {
        "PIL", "captum", "click", "gdcm", "hypothesis", "lightning", "matplotlib", "numpy", "openjpeg", "pyarrow",
        "pydicom", "pylibjpeg", "safetensors", "scipy", "skimage", "sklearn", "tensorboard", "tifffile", "timm",
        "tomli", "torch", "torchmetrics", "torchvision", "tqdm",
    }
)  # fmt: skip
"""What desali imports."""
ASKED = {"dl": "gdcm"}
"""Modules that are not there, and whose package asks for them."""


def shadows() -> list[str]:
    """What in the working directory hides a package or a module of Python's own, each as a sentence."""
    here = Path.cwd()
    if not _is_first(here):
        return []
    found = []
    try:
        names = sorted(os.listdir(here))
    except OSError:
        return []
    for name in names:
        stem = name.removesuffix(".py")
        path = here / name
        package = path.is_dir() and (path / "__init__.py").is_file()
        module = name.endswith(".py") and path.is_file()
        if (package or module) and (stem in PACKAGES or stem in sys.stdlib_module_names):
            found.append(
                f"{name} in the working directory hides the package {stem}; rename it, or work in another folder"
            )
        elif stem in ASKED and (module or path.is_dir()) and _installed(ASKED[stem]):
            found.append(
                f"{name} in the working directory is imported by the package {ASKED[stem]}, which then breaks; rename "
                "it, or work in another folder"
            )
    return found


def _is_first(here: Path) -> bool:
    """Whether the working directory comes before what is installed on the path."""
    for entry in sys.path:
        if entry == "" or os.path.abspath(entry) == str(here):
            return True
        if entry.endswith(("site-packages", "dist-packages")):
            return False
    return False


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
