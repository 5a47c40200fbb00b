"""Images: single ROIs, labelled sets, how pixels become a network's input, and where sets come from.

`roi` is one image or region, `imageset` a labelled set, `preprocess` makes input of pixels. `formats` decodes files by
content, `readers` turns data sets on disk into image sets, `synthetic` makes them from a seed. Every set names the
patient of each image, and no split cuts through one.

Touch from outside: `read_images`, `READERS`, `imageset.ImageSet`, `roi.read_roi`, `preprocess.Preprocessing` and the
functions of `synthetic`. Nothing here knows networks or training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

if TYPE_CHECKING:
    from desali.data.readers import READERS, read_images

__all__ = ["READERS", "read_images"]

__getattr__, __dir__ = lazily(__name__, dict.fromkeys(__all__, "readers"))
