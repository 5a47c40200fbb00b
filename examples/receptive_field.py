"""
What a neuron can see
=====================

A neuron sees a window of the image and nothing else, and the window grows with depth.
``receptive_field`` says where it lies; it may reach outside the image.
"""

import desali
from networks import after, image, preprocessing

recording = desali.record(after, image)
for number in range(1, 6):
    layer = f"features.conv{number}"
    _, height, width = recording.shape(layer)
    window = recording.receptive_field(layer, (height // 2, width // 2))
    print(f"{layer}, {height} x {width} neurons; the middle one sees {window}")

# %%
# The reconstruction of one neuron is exactly zero elsewhere, and a figure shows the window
# alone.

top, left, height, width = recording.receptive_field("features.conv3", (3, 3))
(image_map,) = recording.reconstruct("features.conv3", desali.Seed.neuron(0, 3, 3), "saliency")[0]
inside = image_map[:, max(top, 0) : top + height, max(left, 0) : left + width]
print(
    "not zero in the image:",
    int(image_map.count_nonzero()),
    "- in the window:",
    int(inside.count_nonzero()),
)

desali.show(
    recording,
    "features.conv3",
    desali.Seed.neuron(0, 3, 3),
    "saliency",
    preprocessing=preprocessing,
)
