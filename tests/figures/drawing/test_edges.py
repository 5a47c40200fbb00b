from __future__ import annotations

import numpy as np
import pytest

from desali.errors import DataError
from desali.figures.drawing.edges import edge_map


def test_a_step_has_its_edge_at_the_step_and_nowhere_else() -> None:
    image = np.zeros((6, 8))
    image[:, 4:] = 1.0
    edges = edge_map(image)
    np.testing.assert_allclose(edges[:, 3:5], 4.0)  # Sobel's weights 1 + 2 + 1 across a unit step
    assert not np.delete(edges, (3, 4), axis=1).any()


def test_edges_turn_with_the_image() -> None:
    image = np.random.default_rng(0).random((9, 9))
    np.testing.assert_allclose(edge_map(np.rot90(image)), np.rot90(edge_map(image)))


def test_colour_is_averaged_first() -> None:
    image = np.random.default_rng(1).random((5, 6, 3))
    np.testing.assert_allclose(edge_map(image), edge_map(image.mean(axis=-1)))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"\[h, w\]"):
        edge_map(np.zeros((3, 4, 4)))
