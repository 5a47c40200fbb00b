"""CUReT: 61 materials, one physical sample each, under 205 conditions of view and light.

Dana, van Ginneken, Nayar and Koenderink, "Reflectance and texture of real-world surfaces", ACM ToG 18(1), 1999.
"""

from __future__ import annotations

import re
from pathlib import Path

from desali.data.readers.listing import Item, Listing, folders_in, images_in, need_folder, relative
from desali.errors import DataError

SAMPLE = re.compile(r"sample(\d\d)", re.IGNORECASE)
VIEW = re.compile(r"(\d+)-(\d+)")
CROPS = {"curetgrey": False, "curetcol": True}
"""The published 200 x 200 crops of 92 views: their folder, and whether they are in colour."""


def claims(root: Path) -> bool:
    """Folders called sample01, sample02, ..., directly or in one of the published crops."""
    return root.is_dir() and bool(_homes(root))


def find(root: Path) -> Listing:
    """List CUReT; a view takes a patient's place, so that a view held out is held out for all materials.

    Raises:
        DataError: no folders sampleNN, both crops under one path, or none of them holds a view.
    """
    expected = "folders sample01 ... sample61 of BMP or PNG images (or curetgrey or curetcol with these)"
    need_folder(root, expected)
    homes = _homes(root)
    if not homes:
        raise DataError(f"{root}: holds no folder sampleNN; expected {expected}")
    if len(homes) > 1:
        raise DataError(
            f"{root}: holds the same images several times ({', '.join(home.name for home in homes)}); "
            f"choose one, for instance curet:{homes[0]}"
        )
    home = homes[0]
    items, labels, strays = [], [], []
    for folder in folders_in(home):
        if SAMPLE.fullmatch(folder.name) is None:
            continue
        labels.append(folder.name)
        for path in images_in(folder, (".bmp", ".png")):
            match = VIEW.fullmatch(path.stem)
            if match is None:
                strays.append(relative(path, root))
            else:
                items.append(Item(path, relative(path, root), folder.name, f"view {int(match.group(2)):03d}"))
    crop = home.name.lower()
    return Listing(
        name="curet" if crop not in CROPS else crop,
        items=items,
        labels=tuple(labels),
        kind="CUReT, original images" if crop not in CROPS else f"CUReT, the crops {crop}",
        patients="one physical sample per material, so views take the place of patients: held-out metrics are about "
        "new views of known samples, not about new samples",
        unit_of_split="view",
        colour=CROPS.get(crop),
        strays=tuple(strays),
    )


def _homes(root: Path) -> list[Path]:
    candidates = [root, *(one for one in folders_in(root) if one.name.lower() in CROPS)]
    return [home for home in candidates if any(SAMPLE.fullmatch(one.name) for one in folders_in(home))]
