"""Checkpoints: what is saved comes back, and every kind of broken file gives one line that says what to do."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from desali.errors import WeightsError
from desali.models import find, load, save
from desali.models.caffenet import CaffeNetSmall

CARD: dict[str, Any] = {
    "architecture": "caffenet-small",
    "classes": ["a", "b", "c"],
    "preprocessing": {"size": 64, "window": [-600, 1500]},
    "origin": "synthetic",
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    return save(CaffeNetSmall(3), tmp_path / "two_stage" / "model.safetensors", CARD)


def error_of(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.stem in message
    return message


def test_weights_and_card_come_back(saved: Path) -> None:
    torch.manual_seed(1)
    original, state = CaffeNetSmall(3), torch.get_rng_state()
    loaded = load(saved)
    assert torch.equal(state, torch.get_rng_state())
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name]), name
    assert not loaded.model.training
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.classes == ("a", "b", "c")
    assert loaded.preprocessing.size == 64
    assert loaded.card["origin"] == "synthetic"
    assert {"torch", "python", "desali", "lightning"} <= set(loaded.card["versions"])


def test_channels_last_weights_are_saved_by_value(tmp_path: Path) -> None:
    model = CaffeNetSmall(3)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save(model.to(memory_format=torch.channels_last), tmp_path / "m.safetensors", CARD)  # type: ignore[call-overload]
    for name, tensor in load(tmp_path / "m.safetensors").model.state_dict().items():
        assert torch.equal(tensor, expected[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_plain_state_dict_is_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in CaffeNetSmall(3).state_dict().items()}
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "m.json").write_text(json.dumps(CARD))
    model = load(tmp_path / "m.pt").model
    assert all(torch.equal(tensor, state[name].float()) for name, tensor in model.state_dict().items())


def test_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    assert "desali train two_stage" in error_of(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_truncated_file(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    assert "unreadable or truncated" in error_of(saved)


def test_changed_weights_do_not_pass_for_those_of_the_card(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(bytes(data))
    assert "SHA-256" in error_of(saved)


def test_truncated_pickle(tmp_path: Path) -> None:
    torch.save(CaffeNetSmall(3).state_dict(), tmp_path / "m.pth")
    (tmp_path / "m.json").write_text(json.dumps(CARD))
    (tmp_path / "m.pth").write_bytes((tmp_path / "m.pth").read_bytes()[:5000])
    assert "unreadable or truncated" in error_of(tmp_path / "m.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (target,))

    (tmp_path / "m.pt").write_bytes(pickle.dumps({"weight": Evil()}))
    (tmp_path / "m.json").write_text(json.dumps(CARD))
    error_of(tmp_path / "m.pt")
    assert not target.exists()


def test_foreign_keys(saved: Path) -> None:
    save_file({"encoder.weight": torch.zeros(3)}, saved)
    card = json.loads(saved.with_suffix(".json").read_text())
    del card["weights_sha256"]
    saved.with_suffix(".json").write_text(json.dumps(card))
    assert "unknown 'encoder.weight'" in error_of(saved)


def test_mismatching_shapes(saved: Path) -> None:
    side = saved.with_suffix(".json")
    side.write_text(json.dumps({**json.loads(side.read_text()), "classes": ["a", "b"]}))
    assert "classifier.fc8.weight must have shape [2, 256] in caffenet-small, got [3, 256]" in error_of(saved)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "is missing"),
        ("{", "is broken"),
        ("[]", "expected a JSON object"),
        (json.dumps({**CARD, "classes": []}), "'classes'"),
        (json.dumps({**CARD, "data": 5}), "'data'"),
        (json.dumps({**CARD, "data": {"parameters": 5}}), "'parameters'"),
        (json.dumps({**CARD, "architecture": "vgg"}), "unknown architecture 'vgg'"),
    ],
)
def test_missing_or_broken_card(saved: Path, text: str | None, part: str) -> None:
    side = saved.with_suffix(".json")
    side.unlink()
    if text is not None:
        side.write_text(text)
    with pytest.raises(WeightsError, match=r"model\.json") as caught:
        load(saved)
    assert part in str(caught.value)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"\.safetensors"):
        save(CaffeNetSmall(3), tmp_path / "m.bin", CARD)
    (tmp_path / "m.bin").write_bytes(b"")
    assert "not a weights file" in error_of(tmp_path / "m.bin")


def test_find_takes_a_recipe_a_folder_or_a_file(saved: Path) -> None:
    runs = saved.parent.parent
    assert find("two_stage", runs) == saved
    assert find(saved.parent, runs) == saved
    assert find(str(saved), runs) == saved


def test_find_says_what_is_there_and_what_to_do(saved: Path) -> None:
    runs = saved.parent.parent
    with pytest.raises(
        WeightsError, match=r"trained there: two_stage.*did you mean 'two_stage'.*desali train two_stage"
    ):
        find("two_stag", runs)
    with pytest.raises(WeightsError, match="nothing is trained there"):
        find("natural", runs / "elsewhere")
