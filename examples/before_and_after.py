"""
Before and after
================

The question that desali is made for: what did fine-tuning change? The two lowest convolutions
were frozen, so everything that they compute is the same bit by bit; it is drawn once and called
so. Above them both networks show the same channel where it can be followed, beside their
controls. The first row shows what speaks for one class of each network and what against it.
"""

import desali
from networks import after, before, held_out, honeycomb, images, lungs, materials, preprocessing

figure = desali.compare(
    {"before": before, "after": after},
    held_out.images[honeycomb],
    ["features.relu1", "features.relu2", "features.relu3", "features.relu5"],
    preprocessing=preprocessing,
    classes={"before": materials.classes, "after": lungs.classes},
    images=images,
    title="Materials, then lung textures",
)
figure

# %%
# In words and in numbers: where the weights are equal, and the rank correlations of the maps. The
# columns on the right say how much networks that have learned nothing draw the same: two models'
# maps say little of what they share unless they are more alike than that.

print(figure.summary())
print(figure.table())
