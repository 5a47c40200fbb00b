"""
What a neuron can see
=====================

A neuron sees a window of the image and nothing else, and the window grows with depth. ``receptive_field``
says where it lies; it may reach outside the image.
"""

from networks import after, images

import desali

recording = desali.record(after, images[20:21])
for layer in recording.layers:
    shape = recording.shape(layer)
    if layer.startswith("features.conv"):
        middle = tuple(side // 2 for side in shape[1:])
        print(
            layer,
            "neurons",
            shape,
            "middle one sees (top, left, height, width)",
            recording.receptive_field(layer, middle),
        )

# %%
# The reconstruction of one neuron is exactly zero elsewhere.

top, left, height, width = recording.receptive_field("features.conv3", (3, 3))
(image_map,) = recording.reconstruct("features.conv3", desali.Seed.neuron(0, 3, 3), "saliency")[0]
inside = image_map[:, max(top, 0) : top + height, max(left, 0) : left + width]
print("not zero in the image:", int(image_map.count_nonzero()), "- in the window:", int(inside.count_nonzero()))
