"""The same arrays everywhere: golden hashes under every set of instructions, and nothing but exact arithmetic."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import desali.data.synthetic as package
from desali.data.synthetic import exact
from desali.data.synthetic.randomness import Stream

ROOT = Path(package.__file__).parent

GOLDEN = {
    "natural": "30142fb636abb3671607bdc1aaaadac2a6c6d7e7ac76e47f3d44989bc2f6c250",
    "texture": "8c707c08c4febda0a74dd6c774ed6ba232aeb290dc80927f39b5b3f53ba3f062",
    "target": "cb1ec0fd29623ecad43549a6e28cd46334f9c3633c0d155a8096bcbe859b4517",
}
"""SHA-256 of the pixels that `HASHES` prints; they change only when a domain is changed on purpose."""

HASHES = """
import hashlib, json
from desali.data import synthetic
sets = {
    "natural": synthetic.natural(5, images_per_class=2),
    "texture": synthetic.texture(5, samples_per_class=1, views_per_sample=2),
    "target": synthetic.target(5, train=0.0001, evaluation=0.0001, floor=6)[0],
}
print(json.dumps({name: hashlib.sha256(one.images.tobytes()).hexdigest() for name, one in sets.items()}))
"""

ALLOWED = {
    # exact, or rounded correctly by IEEE 754
    "abs", "arange", "argsort", "array", "asarray", "ascontiguousarray", "broadcast_to", "concatenate", "copyto",
    "cumsum", "empty", "flatnonzero", "floor", "frexp", "full", "full_like", "ldexp", "maximum", "meshgrid", "minimum",
    "repeat", "rint", "roll", "sort", "sqrt", "square", "stack", "unique", "where", "zeros", "zeros_like", "linspace",
    # types and streams of bits
    "bool_", "float64", "generic", "int16", "int32", "int64", "ndarray", "random", "str_", "uint64", "uint8",
}  # fmt: skip
MATH = {"floor", "frexp", "isqrt", "ldexp", "sqrt"}
METHODS = {"dot", "mean", "prod", "std", "sum", "var", "trace"}
"""Methods whose order of additions is the library's own."""
COUNTING = {"cohort", "exact", "target_rois"}
"""Files that may sum: they add whole numbers."""


def variants() -> list[str]:
    """What to switch off in NumPy: nothing, then one group of instructions after another, the newest first."""
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    except ImportError:  # NumPy 1
        from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    here = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    return [" ".join(here[k:]) for k in range(len(here), -1, -1)]


@pytest.mark.parametrize("off", variants())
def test_the_domains_are_the_same_arrays_under_every_set_of_instructions(off: str) -> None:
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": off}
    run = subprocess.run([sys.executable, "-c", HASHES], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(run.stdout) == GOLDEN


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=lambda path: path.stem)
def test_only_exact_operations_are_used(path: Path) -> None:
    """Powers, matrix products, library sums and transcendental functions may differ between machines.

    A contact sheet is a picture of the arrays and no part of them, so `sheet.py` may do as it likes.
    """
    if path.stem == "sheet":
        return
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.MatMult):
            constant = isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant | ast.UnaryOp)
            found += [] if constant else [f"{node.lineno}: operator"]
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if (owner == "np" and node.attr not in ALLOWED) or (owner == "math" and node.attr not in MATH):
                found.append(f"{node.lineno}: {owner}.{node.attr}")
            counts = node.attr == "sum" and path.stem in COUNTING
            if owner not in ("np", "math") and node.attr in METHODS and not counts:
                found.append(f"{node.lineno}: .{node.attr}")
        elif isinstance(node, ast.Name) and node.id == "sum" and path.stem not in COUNTING:
            found.append(f"{node.lineno}: sum")  # Python's own, which changed in 3.12 for floating-point numbers
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            found += [f"{node.lineno}: {name}" for name in names if name.split(".")[0] in ("scipy", "skimage", "torch")]
    assert not found


@pytest.mark.parametrize("name", ["sin", "cos", "exp", "tanh", "log", "sqrt"])
@given(value=st.floats(-600, 600))
def test_functions_are_right_and_a_number_gives_what_an_array_gives(name: str, value: float) -> None:
    value = abs(value) + 1e-12 if name in ("log", "sqrt") else value
    function: Callable[..., float] = getattr(exact, name)
    expected = getattr(math, name)(value)
    assert function(value) == pytest.approx(expected, rel=1e-13, abs=1e-13)
    assert isinstance(function(value), float)
    assert function(np.array([value]))[0] == function(value)


def test_power_and_clip() -> None:
    x = np.linspace(0, 9, 50)
    assert np.allclose(exact.power(x, 0.7), x**0.7, rtol=1e-13)
    assert exact.power(0.0, 3.0) == 0.0
    assert exact.clip(5.0, 0, 1) == 1.0
    assert exact.hypot(3.0, 4.0) == 5.0
    assert exact.total(np.array([0.1] * 10)) == pytest.approx(1.0, abs=1e-8)


def test_streams_have_the_distributions_they_name() -> None:
    rng = Stream(1, "test")
    normal = rng.normal(2.0, 3.0, 40_000)
    assert normal.mean() == pytest.approx(2, abs=0.06)
    assert normal.std() == pytest.approx(3, rel=0.02)
    assert np.mean(((normal - 2) / 3) ** 4) == pytest.approx(3, abs=0.15)
    poisson = [rng.poisson(4.0) for _ in range(4000)]
    assert np.mean(poisson) == pytest.approx(4, abs=0.15)
    assert np.var(poisson) == pytest.approx(4, rel=0.1)
    assert np.mean([rng.exponential(2.0) for _ in range(4000)]) == pytest.approx(2, rel=0.08)
    assert rng.skewed(20_000).mean() == pytest.approx(1.5, rel=0.03)
    assert sorted(rng.permutation(20)) == list(range(20))
    assert set(np.bincount([rng.below(5) for _ in range(500)])) <= set(range(60, 141))
    uniform = rng.random(20_000)
    assert 0 < uniform.min() < uniform.max() < 1


def test_streams_are_numpys_bits() -> None:
    raw = np.random.PCG64(np.random.SeedSequence(3, spawn_key=[7])).random_raw(4)
    assert Stream(3, 7).random(4).tolist() == (((raw >> 12) + 0.5) * 2.0**-52).tolist()
    assert hashlib.sha256(Stream(0, "a", 1).random(100).tobytes()).hexdigest()[:16] == "3c1ad50463f4fb8d"
