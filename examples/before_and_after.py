"""
Before and after
================

The question that desali is made for: what did fine-tuning change? The two lowest convolutions were frozen, so
everything that they compute is the same bit by bit; it is drawn once and called so. Above them both networks
stand beside their controls.
"""

from networks import after, before, held_out, lungs, materials, preprocessing

import desali

figure = desali.compare(
    {"before": before, "after": after},
    held_out.images[20],
    ["features.relu1", "features.relu2", "features.relu3", "features.relu5"],
    preprocessing=preprocessing,
    classes={"before": materials.classes, "after": lungs.classes},
    title="Materials, then lung textures",
)
figure

# %%
# In numbers: rank correlations of the maps. Where "before : after" is no lower than "after : random", the
# picture does not show what was learned.

print(figure.table())
