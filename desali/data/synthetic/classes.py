"""Class names of the three embedded domains (light: imports nothing heavy)."""

from __future__ import annotations

NATURAL_CLASSES = (
    "arrow",
    "ball",
    "box",
    "chair",
    "cone",
    "cross",
    "cylinder",
    "grid",
    "ladder",
    "mug",
    "ring",
    "star",
)

TEXTURE_CLASSES = (
    "brick",
    "brushed_metal",
    "cloth",
    "cork",
    "corrugated",
    "fur",
    "knit",
    "leather",
    "marble",
    "pebbles",
    "plaster",
    "sponge",
    "tiles",
    "wood",
)

# Order and abbreviations of the published table:
# consolidation, ground-glass opacity, reticular, honeycomb, emphysema, nodular, normal.
TARGET_CLASSES = ("CON", "GGO", "RET", "HCM", "EMP", "NOD", "NOR")
TARGET_WORDS = {
    "CON": "consolidation",
    "GGO": "ground-glass opacity",
    "RET": "reticular",
    "HCM": "honeycomb",
    "EMP": "emphysema",
    "NOD": "nodular",
    "NOR": "normal",
}
