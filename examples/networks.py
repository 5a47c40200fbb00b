"""
The networks of this gallery
============================

``before`` learns fourteen invented materials. ``after`` starts from its weights and learns
seven invented lung textures; its two lowest convolutions are frozen. Both take seconds, and the
other scripts import them from here.
"""

import copy

import torch

from desali.data import synthetic
from desali.data.preprocess import Preprocessing
from desali.models import CaffeNetSmall

preprocessing = Preprocessing(
    64, channels=3
)  # a 32 x 32 region in Hounsfield units becomes a tensor [3, 64, 64]


def tensors(data):
    """Images as the networks take them, and labels."""
    return torch.stack(
        [preprocessing.apply(image, data.unit) for image in data.images]
    ), torch.from_numpy(data.labels)


def fit(model, data, epochs):
    """Train in plain PyTorch; desali needs nothing of it."""
    images, labels = tensors(data)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


torch.manual_seed(0)
materials = synthetic.texture(samples_per_class=3, views_per_sample=6)
before = fit(CaffeNetSmall(len(materials.classes)), materials, epochs=10)

lungs, held_out = synthetic.target(train=0.04, evaluation=0.05)
after = copy.deepcopy(before).train()
after.classifier.fc8 = torch.nn.Linear(256, len(lungs.classes))
for name, parameter in after.named_parameters():
    parameter.requires_grad_(not name.startswith(("features.conv1", "features.conv2")))
after = fit(after, lungs, epochs=6)

# of patients that neither network has seen; one honeycomb region is what the other scripts look
# at
images, labels = tensors(held_out)
honeycomb = int((held_out.labels == held_out.classes.index("HCM")).argmax())
image = images[honeycomb : honeycomb + 1]

# %%
# What they learn from, a picture of each class, and how well ``after`` has learned it. All of
# it is invented.

if __name__ == "__main__":
    import matplotlib.pyplot as plt

    with torch.inference_mode():
        right = (after(images).argmax(1) == labels).double().mean()
    chance = 1 / len(held_out.classes)
    print(f"{right:.0%} of {len(images)} held-out regions right, chance is {chance:.0%}")

    figure, axes = plt.subplots(3, 7, figsize=(9, 4.2), layout="constrained")
    for row, data in zip((axes[:2].flat, axes[2]), (materials, lungs), strict=True):
        for number, panel in enumerate(row):
            shown = preprocessing.apply(data.images[(data.labels == number).argmax()], data.unit)
            panel.imshow(shown.permute(1, 2, 0))
            panel.set_title(data.classes[number], fontsize=8)
            panel.axis("off")
