"""All trainings of an experiment in one file: what comes back, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desali.errors import DataError
from desali.evaluation import compare
from desali.evaluation.bundle import all_of, load_trainings, save_trainings, together
from tests.evaluation.cases import changed, random_predictions


def trainings() -> dict[float, list]:
    return {
        fraction: [
            changed(random_predictions(name, seed, skill=2 * fraction), stages=(f"natural-{seed}",) if seed else ())
            for name in ("one", "two")
            for seed in (0, 3)
        ]
        for fraction in (0.2, 1.0)
    }


def test_trainings_come_back_bit_by_bit_and_give_the_same_tables(tmp_path: Path) -> None:
    path, given = tmp_path / "predictions.npz", trainings()
    save_trainings(path, given, "patients")
    found, by = load_trainings(path)
    assert by == "patients"
    assert list(found) == [0.2, 1.0]
    for fraction, ones in given.items():
        for one, back in zip(ones, found[fraction], strict=True):
            for name, value in vars(one).items():
                assert np.array_equal(np.asarray(value), np.asarray(getattr(back, name))), name
    first, again = (compare(ones, resamples=100).to_dict() for ones in (given[1.0], all_of([path])))
    assert again == first
    given[1.0][0].save(tmp_path / "one.npz")
    assert len(all_of([tmp_path / "one.npz"])) == 1
    alone = sum(one.probabilities.nbytes for ones in given.values() for one in ones)
    assert path.stat().st_size < 1.2 * alone


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    with pytest.raises(DataError, match="no predictions to keep"):
        save_trainings(path, {})
    other = changed(random_predictions("two"), fingerprint="1" * 64)
    with pytest.raises(DataError, match="two was evaluated on other images than one"):
        save_trainings(path, {1.0: [random_predictions("one"), other]})
    assert not path.exists()
    save_trainings(path, {0.2: trainings()[0.2]})
    with pytest.raises(DataError, match=r"holds trainings on 20 % of the training data; `desali robustness"):
        all_of([path])
    whole = path.read_bytes()
    for damaged in (b"", whole[:200], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="not a file of predictions"):
            load_trainings(path)
    np.savez(path, recipes=np.array(["one"]))
    with pytest.raises(DataError, match="not a file of predictions"):
        load_trainings(path)


def test_what_is_given_twice_is_named_with_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "predictions.npz", tmp_path / "robustness.npz"
    save_trainings(first, {1.0: trainings()[1.0]})
    save_trainings(second, trainings())
    with pytest.raises(DataError) as error:
        all_of([first, second])
    assert str(error.value).startswith(f"{second}: one with seed 0 is given twice, also in {first};")
    found = [(path, one) for path in (first, second) for one in load_trainings(path)[0][1.0]]
    assert len(together(found, same_is_one=True)) == 4
    found[4] = second, changed(found[4][1], probabilities=found[5][1].probabilities)
    with pytest.raises(DataError, match="with other answers"):
        together(found, same_is_one=True)
    found[4] = second, changed(found[4][1], fingerprint="1" * 64)
    with pytest.raises(DataError) as error:
        together(found)
    assert str(error.value).startswith(f"{second}: one was evaluated on other images (made up) than one in {first}")
