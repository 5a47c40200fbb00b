"""Class folders of any name, from training to evaluation, figures and a folder of pictures, without a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Result

NAMES = ("healthy ", "肺炎", "nan", ".dot", "$x$")


def test_odd_class_folders_work_from_training_to_figures(desali: Callable[..., Result], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for k, name in enumerate(NAMES):
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(40 * k, 40 * k + 60, (64, 64), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
            (folder / "Thumbs.db").write_bytes(b"x")
            (folder / "._0.png").write_bytes(b"x")
    (tmp_path / "set" / "test" / NAMES[0] / "notes.txt").write_text("notes")
    runs = ("--runs", tmp_path / "runs")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trained = desali("train", "scratch", "--target", f"folder:{tmp_path / 'set'}", "--epochs", 1, *runs)
        assert trained.code == 0, trained.err
        assert "1 file is passed over, no image: test/healthy /notes.txt" in trained.err
        assert "Thumbs" not in trained.err
        evaluated = desali("evaluate", "scratch", *runs, "--plots", tmp_path / "plots", "--resamples", 100)
        assert evaluated.code == 0, evaluated.err
        for name in NAMES:
            assert name.strip() in evaluated.out
        again = desali("evaluate", "scratch", *runs, "--target", f"folder:{tmp_path / 'set' / 'test'}")
        assert again.code == 0, again.err
        image = tmp_path / "set" / "test" / "肺炎" / "0.png"
        shown = desali(
            "visualize", "--model", "scratch", *runs, "--roi", image, "--from", "logit:肺炎", "--random-networks", 0,
            "-o", tmp_path / "a.png",
        )  # fmt: skip
        assert shown.code == 0, shown.err
