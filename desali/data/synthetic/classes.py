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

TARGET_WORDS = {
    "CON": "consolidation",
    "GGO": "ground-glass opacity",
    "RET": "reticular",
    "HCM": "honeycomb",
    "EMP": "emphysema",
    "NOD": "nodular",
    "NOR": "normal",
}
"""Codes of the published table (Suzuki et al.), in its order, and what they stand for."""
TARGET_CLASSES = tuple(TARGET_WORDS)
