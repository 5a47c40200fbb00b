"""
Many images
===========

Images that are recorded together stand below each other. Here: one region of each of four
classes, one layer, its whole activations. On the command line ``desali grid`` makes a figure
for each image of a folder.
"""

import desali
from networks import after, held_out, images, lungs, preprocessing

chosen = [
    int((held_out.labels == held_out.classes.index(name)).argmax())
    for name in ("NOR", "GGO", "HCM", "EMP")
]
recording = desali.record(after, images[chosen])
desali.show(
    recording,
    "features.relu3",
    preprocessing=preprocessing,
    classes=lungs.classes,
    title="NOR, GGO, HCM and EMP",
)
