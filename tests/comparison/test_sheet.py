"""Sheets of channels in numbers: the right channels, the right regions, and nothing that scale or order changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import desali
from desali.comparison.answering import answers, own_correlation
from desali.comparison.choice import DRAWN
from desali.comparison.networks import subject
from desali.comparison.probe_set import probe_set
from desali.comparison.sheet import Asked, Sheet, StrangersError, sheet
from tests.comparison.related import Mobile, Plain, Residual, made, patients, pictures, plain, shaken

N = 40
IMAGES, PATIENTS = pictures(N), patients(N, 20)
LABELS = [k % 4 for k in range(N)]
LAYER = "features.6"


def asked(layer: str = LAYER, channels: Any = None, by: str = "activation", **more: Any) -> Asked:
    return Asked(layer, channels, by, "desalinet", more.pop("random_networks", 5), more.pop("seed", 0))


def numbers(before: Any, after: Any = None, again: Any = (), ask: Asked | None = None, **data: Any) -> Sheet:
    pair = [subject("before", before), *([] if after is None else [subject("after", after)])]
    probe = probe_set(
        data.get("images", IMAGES), data.get("groups", PATIENTS), data.get("labels", LABELS), data.get("preprocessing")
    )
    return sheet(pair, [subject(f"replicate {k}", one) for k, one in enumerate(again)], probe, ask or asked())


def facts(made_: Sheet) -> Any:
    """Every number of a sheet that does not depend on where images stand."""
    record = copy.deepcopy(made_.record)
    for column in record["columns"]:
        for shown in column["shown"].values():
            for tile in shown["strongest"]:
                tile.pop("image")
    return {key: record[key] for key in ("columns", "rule", "lineage", "tile", "layer")}


@pytest.fixture(scope="module")
def pair() -> tuple[Plain, Any, Any]:
    before = plain()
    return before, shaken(before, 0.5, 1), shaken(before, 0.5, 2)


@pytest.fixture(scope="module")
def shown(pair: Any) -> Sheet:
    return numbers(pair[0], pair[1], [pair[2]])


def test_tiles_are_the_strongest_of_the_half_that_is_shown(pair: Any, shown: Sheet) -> None:
    probe = shown.drawn_from
    rows = probe.row(np.arange(len(probe)))
    for band, model in zip(shown.bands[:2], pair[:2], strict=True):
        values = model.features[:6](IMAGES[torch.from_numpy(rows)]).detach()  # what the ReLU reads
        best = values.flatten(2).max(2).values.numpy()
        deviation = values.double().transpose(0, 1).flatten(1).std(1, correction=0).numpy()
        for column, tiles in zip(shown.columns, band.tiles, strict=True):
            c = column.choice.channel
            owners: dict[str, float] = {}
            for k, patient in enumerate(probe.patients):
                owners[patient] = max(owners.get(patient, -np.inf), float(best[k, c]))
            firsts = sorted((value for value in owners.values() if value > 0), reverse=True)[:9]
            chosen = {str(probe.patients[tile.place]) for tile in tiles}
            assert len(chosen) == min(len(firsts), 9)
            top = sorted((tile.value for tile in tiles), reverse=True)
            assert [tile.value for tile in tiles] == top
            assert top[0] == pytest.approx(firsts[0] / deviation[c], rel=1e-4)
            for tile in tiles:
                assert rows[tile.place] == tile.row
                value = float(values[tile.place, c, tile.position[0], tile.position[1]])
                assert tile.value == pytest.approx(value / deviation[c], rel=1e-4)
                assert value == pytest.approx(float(best[tile.place, c]), rel=1e-5)
    assert len(set(probe.patients)) == 10
    assert shown.record["images"]["chosen_on"]["patients"] == 10


def test_reconstructions_are_those_of_the_neurons(pair: Any, shown: Sheet) -> None:
    for band, model in zip(shown.bands[:2], pair[:2], strict=True):
        values = model.features[:6](IMAGES[torch.from_numpy(shown.drawn_from.row(np.arange(len(shown.drawn_from))))])
        deviation = values.detach().double().transpose(0, 1).flatten(1).std(1, correction=0)
        for column, tiles in list(zip(shown.columns, band.tiles, strict=True))[::3]:
            c = column.choice.channel
            for tile in tiles[::4]:
                seed = desali.Seed.neuron(c, *tile.position)
                alone = desali.reconstruct(model, IMAGES[tile.row : tile.row + 1], LAYER, seed)[0, 0]
                torch.testing.assert_close(band.maps[tile.map], (alone / deviation[c]).float(), rtol=1e-3, atol=1e-6)
                field = desali.record(model, IMAGES[:1]).receptive_field(LAYER, tile.position)
                assert tile.window[2:] == shown.size
                inside = max(field[0], 0) >= tile.window[0], field[2] <= tile.window[2]
                assert all(inside)


def test_r_is_that_of_the_signals(pair: Any, shown: Sheet) -> None:
    rows = torch.from_numpy(shown.drawn_from.row(np.arange(len(shown.drawn_from))))
    first, second = (model.features[:6](IMAGES[rows]).detach().transpose(0, 1).flatten(1).numpy() for model in pair[:2])
    for column in shown.columns:
        c = column.choice.channel
        assert column.r == pytest.approx(np.corrcoef(first[c], second[c])[0, 1], abs=1e-4)
        assert column.interval is not None
        assert column.interval[0] <= column.r <= column.interval[1]


def test_r_is_that_of_lineage_where_all_images_are_used(pair: Any) -> None:
    made_ = numbers(pair[0], pair[1], ask=asked(channels=[3, 60]))
    change = desali.lineage(pair[0], pair[1], IMAGES, PATIENTS)[LAYER]
    for column in made_.columns:
        assert column.r == pytest.approx(change.correlation[column.choice.channel], abs=1e-6)
        assert column.state == change.state[column.choice.channel]
    assert len(made_.drawn_from) == N
    assert "Drawn from 40 images of 20 patients." in made_.notes


def test_the_interval_leaves_out_patients(pair: Any) -> None:
    probe = probe_set(IMAGES, PATIENTS)
    found, products = answers([subject("a", pair[0]), subject("b", pair[1])], probe, LAYER)
    r, intervals = own_correlation(found[0].moments, found[1].moments, products)
    signals = [model.features[:6](IMAGES).detach().double() for model in pair[:2]]
    names = sorted(set(PATIENTS))
    c = 5
    without = []
    for name in names:
        keep = torch.tensor([patient != name for patient in PATIENTS])
        without.append(np.corrcoef(*(signal[keep, c].flatten().numpy() for signal in signals))[0, 1])
    error = np.sqrt(19 / 20 * ((np.array(without) - np.mean(without)) ** 2).sum())
    from scipy.stats import t

    assert intervals[c] == pytest.approx((r[c] - t.ppf(0.975, 19) * error, r[c] + t.ppf(0.975, 19) * error), abs=1e-4)


def test_shared_are_counted_and_so_are_other_channels(shown: Sheet) -> None:
    before, after = shown.bands[:2]
    for k, column in enumerate(shown.columns):
        both = {tile.row for tile in before.tiles[k]} & {tile.row for tile in after.tiles[k]}
        assert column.shared == len(both)
        assert column.others is not None
        assert 0 <= column.others <= 9


def test_the_rule(pair: Any, shown: Sheet) -> None:
    change = desali.lineage(pair[0], pair[1], IMAGES, PATIENTS)  # any lineage: states differ by half, words do not
    why = [column.choice.why for column in shown.columns]
    assert why.count(DRAWN) == 2
    assert set(why) <= {"kept", "reshaped", "silenced", "woken", DRAWN}
    assert len({column.choice.channel for column in shown.columns}) == len(shown.columns)
    for column in shown.columns:
        if column.choice.why != DRAWN:
            assert column.state == column.choice.why
    assert set(change[LAYER].counts) >= {"traceable"}
    alone = numbers(pair[0], pair[1])
    assert {column.choice.why for column in alone.columns} <= {
        "traceable, highest r", "traceable, lowest r", "silenced", "woken", DRAWN,
    }  # fmt: skip
    assert any("not told apart" in note for note in alone.notes)
    assert not any("not told apart" in note for note in shown.notes)
    drawn = [[c.choice.channel for c in one.columns if c.choice.why == DRAWN] for one in (alone, shown)]
    assert drawn[0] == drawn[1], "the two at random do not depend on the rule"


def test_few_patients_leave_every_state_undecided(pair: Any, shown: Sheet) -> None:
    few = numbers(pair[0], pair[1], [pair[2]], groups=patients(N, 10))  # five are left to choose on
    assert {column.state for column in few.columns} == {"undecided"}
    assert {column.choice.why for column in few.columns} <= {
        *(f"{state} in these images" for state in ("kept", "reshaped", "silenced", "woken")), DRAWN,
    }  # fmt: skip
    assert any(note.startswith("Fewer than 10 patients (5)") for note in few.notes)
    assert "as they are found in these images, and undecided" in few.rule
    assert {column["state"] for column in few.record["columns"]} == {"undecided"}
    assert few.record["lineage"]["decided"] is False
    assert "undecided" not in {column.state for column in shown.columns}
    assert not any("ewer than 10" in note for note in shown.notes)
    assert shown.record["lineage"]["decided"] is True


def test_reshaped_are_the_lowest_over_all_trainings(pair: Any, shown: Sheet) -> None:
    from desali.comparison.halves import halves

    probe = probe_set(IMAGES, PATIENTS, LABELS)
    rows = halves(probe, 0).chosen_on.rows
    assert rows is not None
    part = IMAGES[torch.from_numpy(rows)]
    groups = [PATIENTS[k] for k in rows]
    layer = desali.lineage(pair[0], pair[1], part, groups, replicates=[pair[2]])[LAYER]
    mean = (layer.correlation + layer.repeated_correlation[0]) / 2
    again = desali.lineage(pair[0], pair[2], part, groups)[LAYER]
    np.testing.assert_allclose(layer.repeated_correlation[0], again.correlation, atol=1e-9)
    for state, sign in (("kept", -1), ("reshaped", 1)):
        shown_ = [column.choice.channel for column in shown.columns if column.choice.why == state]
        random = [column.choice.channel for column in shown.columns if column.choice.why == DRAWN]
        inside = [c for c in np.flatnonzero(layer.state == state) if c not in random]
        assert shown_ == sorted(inside, key=lambda c: sign * mean[c])[: len(shown_)]
        assert len(shown_) == min(len(inside), 2 if state == "kept" else 3)


def test_silenced_and_woken_channels(pair: Any) -> None:
    before = copy.deepcopy(pair[0])
    after = copy.deepcopy(pair[1])
    with torch.no_grad():
        after.convolutions[2].bias[7] = -99
        before.convolutions[2].bias[9] = -99
    made_ = numbers(before, after)
    found = {column.choice.why: k for k, column in enumerate(made_.columns)}
    assert made_.columns[found["silenced"]].choice.channel == 7
    assert made_.columns[found["woken"]].choice.channel == 9
    assert made_.bands[1].tiles[found["silenced"]] == []
    assert made_.bands[0].tiles[found["woken"]] == []
    assert made_.bands[1].firing[found["silenced"]] == 0
    assert len(made_.bands[0].tiles[found["silenced"]]) > 0


def test_a_rescaling_changes_nothing(pair: Any, shown: Sheet) -> None:
    scaled = []
    for number, model in enumerate(pair):
        twin = copy.deepcopy(model)
        factor = torch.exp(torch.randn(64, generator=torch.Generator().manual_seed(number)))
        with torch.no_grad():
            twin.convolutions[2].weight *= factor.view(-1, 1, 1, 1)
            twin.convolutions[2].bias *= factor
            twin.convolutions[3].weight /= factor.view(1, -1, 1, 1)
        scaled.append(twin)
    again = numbers(scaled[0], scaled[1], [scaled[2]])
    one, other = facts(shown), facts(again)
    for first, second in zip(one["columns"], other["columns"], strict=True):
        assert first["channel"] == second["channel"]
        assert first["r"] == pytest.approx(second["r"], abs=1e-5)
        assert first["shared"] == second["shared"]
        for name in ("before", "after"):
            tiles = [[tile["sha256"] for tile in side["shown"][name]["strongest"]] for side in (first, second)]
            assert tiles[0] == tiles[1]
            assert first["shown"][name]["firing"] == pytest.approx(second["shown"][name]["firing"], abs=1e-5)
    for band, twin_band in list(zip(shown.bands, again.bands, strict=True))[:2]:
        torch.testing.assert_close(band.maps, twin_band.maps, rtol=1e-3, atol=1e-5)


def test_the_order_of_the_images_changes_nothing(pair: Any, shown: Sheet) -> None:
    order = np.random.default_rng(5).permutation(N)
    again = numbers(
        pair[0], pair[1], [pair[2]], images=IMAGES[torch.from_numpy(order)], groups=[PATIENTS[k] for k in order],
        labels=[LABELS[k] for k in order],
    )  # fmt: skip
    assert facts(again) == facts(shown)


def test_one_network(pair: Any) -> None:
    by_activation = numbers(pair[0])
    assert [column.choice.why for column in by_activation.columns].count("sharpest") == 7
    assert all(column.r is None and column.state is None for column in by_activation.columns)
    assert [band.name for band in by_activation.bands] == ["before", "random weights"]
    relevant = numbers(pair[0], ask=asked(by="relevance"))
    assert [column.choice.why for column in relevant.columns].count("most relevant") == 7
    for (mean, interval), tiles in zip(relevant.bands[0].relevance, relevant.bands[0].tiles, strict=True):
        assert interval is not None
        assert interval[0] <= mean <= interval[1]
        assert all(tile.value > 0 for tile in tiles)


def test_at_most_two_recordings_a_network(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.reversal import recording

    made_: list[Any] = []
    record = recording.record

    def counted(model: Any, *arguments: Any, **options: Any) -> Any:
        made_.append(model)
        return record(model, *arguments, **options)

    monkeypatch.setattr(recording, "record", counted)
    numbers(pair[0], pair[1])
    assert max(made_.count(model) for model in made_) == 1
    assert len(made_) == 3


def test_strangers_and_equal_layers(pair: Any) -> None:
    with pytest.raises(StrangersError, match=r"share no ancestor.*mutual partner.*after=None") as error:
        numbers(pair[0], plain(9))
    assert "\n" not in str(error.value)
    equal = copy.deepcopy(pair[0])
    with torch.no_grad():
        equal.convolutions[4].weight += 0.1
    with pytest.raises(desali.DesaliError, match="equal, bit by bit"):
        numbers(pair[0], equal)
    permuted = shaken(pair[0], 0.01)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        permuted.convolutions[2].weight.copy_(permuted.convolutions[2].weight[order])  # type: ignore[attr-defined]
        permuted.convolutions[2].bias.copy_(permuted.convolutions[2].bias[order])  # type: ignore[attr-defined]
    with pytest.raises(StrangersError, match="stand in another order"):
        numbers(pair[0], permuted)


def test_bad_input(pair: Any) -> None:
    for words, call in (
        ("fewer|too few", lambda: numbers(pair[0], pair[1], images=IMAGES[:3], groups=None, labels=None)),
        ("outside layer", lambda: numbers(pair[0], pair[1], ask=asked(channels=[64]))),
        ("named twice", lambda: numbers(pair[0], pair[1], ask=asked(channels=[3, 3]))),
        ("whole numbers", lambda: numbers(pair[0], pair[1], ask=asked(channels=["a"]))),
        ("did you mean", lambda: numbers(pair[0], pair[1], ask=asked("features.66"))),
        ("no channels to show: no ReLU reads it", lambda: numbers(pair[0], pair[1], ask=asked("classifier"))),
        ("no channels to show", lambda: numbers(made(Mobile), ask=asked("bottleneck"))),
        ("two architectures", lambda: numbers(pair[0], made(Residual))),
        ("give labels=", lambda: numbers(pair[0], labels=None, ask=asked(by="relevance"))),
        ("of one class", lambda: numbers(pair[0], labels=["a"] * N, ask=asked(by="relevance"))),
    ):
        with pytest.raises(desali.DesaliError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
    broken = IMAGES.clone()
    broken[7, 0, 3, 3] = float("nan")
    with pytest.raises(desali.DesaliError, match="image 7 holds NaN"):
        numbers(pair[0], pair[1], images=broken)
    closed = copy.deepcopy(pair[0])
    with torch.no_grad():
        closed.convolutions[2].bias.fill_(-999)
    with pytest.raises(desali.DesaliError, match="nothing passes this layer"):
        numbers(closed)


def test_channels_that_are_all_silent_have_a_size_of_tile_still(pair: Any) -> None:
    before, after = copy.deepcopy(pair[0]), copy.deepcopy(pair[1])
    with torch.no_grad():
        for one in (before, after):
            one.convolutions[2].bias[:2] = -999
    made_ = numbers(before, after, ask=asked(channels=[0, 1], random_networks=0))
    assert [band.tiles for band in made_.bands] == [[[], []]] * 2
    assert made_.size == numbers(before, after, ask=asked(channels=[0, 3])).size


def test_few_patients_fill_up_and_say_so(pair: Any) -> None:
    made_ = numbers(pair[0], pair[1], groups=[f"P{k % 4}" for k in range(N)])
    for band in made_.bands[:2]:
        for tiles in band.tiles:
            owners = {str(made_.drawn_from.patients[tile.place]) for tile in tiles}
            assert len(owners) <= 2
            if len(tiles) > 1:
                assert len(owners) == 2
    assert any("as far as 2 patients go" in note for note in made_.notes)


def test_a_linear_layer_sees_the_whole_image() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 22 * 22, 12),
        torch.nn.ReLU(), torch.nn.Linear(12, 4),
    ).eval()  # fmt: skip
    made_ = numbers(model, ask=asked("3"))
    assert made_.size == (24, 24)
    assert all(tile.position == () for tiles in made_.bands[0].tiles for tile in tiles)


def test_the_end_of_a_name_will_do() -> None:
    assert numbers(made(Residual), ask=asked("bn1", channels=[0])).layer.name == "relu"
    assert numbers(made(Residual), ask=asked("layer3.1.conv1", channels=[0])).layer.name == "layer3.1.relu"
    assert numbers(made(Mobile), ask=asked("depthwise.0", channels=[0])).layer.name == "depthwise.2"
    with pytest.raises(desali.DesaliError, match="layer"):
        numbers(made(Residual), ask=asked("conv2", channels=[0]))  # several layers end so
