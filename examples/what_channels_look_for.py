"""
What channels look for
======================

The nine regions that a channel answers to most strongly, each with its reconstruction, before
and after the stage that made a network of lung textures of one of materials. The channels follow
a rule that stands below the figure; the lowest row is a network with random weights.
"""

import desali
from networks import after, before, held_out, images

labels = [held_out.classes[label] for label in held_out.labels]
figure = desali.channels(before, after, images, "conv4", groups=held_out.patients, labels=labels)
figure

# %%
# Two channels by their numbers.

desali.channels(before, after, images, "conv3", [3, 25], groups=held_out.patients, labels=labels)

# %%
# Which channels of one network speak for the right class, and where.

desali.channels(
    after,
    None,
    images,
    "conv5",
    groups=held_out.patients,
    labels=held_out.labels,
    by="relevance",
)
