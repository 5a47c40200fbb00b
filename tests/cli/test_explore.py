"""`desali explore`: commands that a page copies make the figure, a server that ends cleanly, and clear refusals."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import desali as library
from desali.models.options import DEFAULT
from desali.web.explorer.commands import Origin
from desali.web.explorer.opened import opened
from desali.web.options import ExploreOptions
from tests.cli.conftest import RECIPES, Result

Run = Callable[..., Result]
LAYER = "features.relu3"


def view(runs: Path, files: list[Path], **params: Any) -> dict[str, Any]:
    """What a page is answered, with the command that it copies."""
    origin = Origin(["--runs", str(runs)], [], ["--", *map(str, files)])
    one = opened((), runs, files, (), ExploreOptions(), DEFAULT, origin)
    words = {("from" if name == "source" else name): str(value) for name, value in params.items()}
    answer = one.answer("view", words)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    found["likeness"] = json.loads(one.answer("likeness", words).body)["models"]
    return found


@pytest.mark.parametrize(
    "params",
    [
        {"source": "channel", "channel": 5, "models": "1"},
        {"source": "neuron", "channel": 5, "y": 2, "x": 3, "models": "0", "method": "saliency"},
        {"source": "neuron", "channel": 5, "models": "2,0"},
        {"source": "top", "k": 3, "models": "2"},
        {"source": "contrast", "a": 2, "models": "2"},
        {"source": "contrast", "a": 2, "b": 1, "models": "0,1"},
        {"source": "channel", "channel": 5},
        {"source": "channel", "channel": 5, "scale": "common"},
        {"source": "layer", "models": "0,3"},
    ],
)
def test_the_copied_command_makes_the_figure(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_tiff: Path, params: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shown = view(runs, [lung_patch_tiff], image="f0", layer=LAYER, **params)
    line = shlex.split(shown["command"])
    assert line[:2] == ["desali", "explore"]
    monkeypatch.chdir(tmp_path)
    result = desali(*line[1:])
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "figure.json").read_text())
    assert Image.open(tmp_path / "figure.png").size[0] > 100
    assert [one["name"] for one in record["models"]] == [one["name"] for one in shown["models"]]
    for one, kept, more in zip(shown["models"], record["models"], shown["likeness"], strict=True):
        for name in ("picture", "control"):
            assert kept[name]["scale"] == pytest.approx(one[name]["scale"], rel=1e-5)
            assert kept[name]["silent"] == one[name]["silent"]
        assert (kept["y"], kept["x"], kept["likeness"]) == (one["y"], one["x"], one["likeness"])
        assert (kept["draws"] or {}).get("likeness") == (more["draws"] or {}).get("likeness")


def start(runs: Path, folder: Path, *more: object) -> tuple[subprocess.Popen[str], int, str]:
    """A server in a process of its own: its port and key."""
    line = [sys.executable, "-m", "desali.cli.main", "explore", "--runs", runs, "--no-browser", "--port", "0", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        list(map(str, line)), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert process.stdout is not None
    said = ""
    for text in process.stdout:
        said += text
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", text)
        if found:
            return process, int(found[1]), found[2]
    raise AssertionError(said)


def test_it_serves_until_it_is_interrupted_and_leaves_nothing(runs: Path, tmp_path: Path, lung_patch_png: Path) -> None:
    pytest.importorskip("uvicorn")
    process, port, key = start(runs, tmp_path, lung_patch_png)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/?token={key}")
        answer = connection.getresponse()
        answer.read()
        cookie = str(answer.getheader("set-cookie")).partition(";")[0]
        connection.request("GET", "/api/session", headers={"Cookie": cookie})
        known = json.loads(connection.getresponse().read())
        assert [one["name"] for one in known["models"]] == sorted(RECIPES, key=list(RECIPES).index)
        assert [one["name"] for one in known["images"]] == [lung_patch_png.name]
        connection.close()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == [lung_patch_png]


def test_a_port_in_use(desali: Run, runs: Path, lung_patch_png: Path) -> None:
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = desali("explore", "--runs", runs, "--port", port, "--no-browser", lung_patch_png)
    assert result.code == 2
    assert f"port {port} at 127.0.0.1 cannot be listened on" in result.err
    assert "--port" in result.err


def test_a_busy_default_port_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.web.explorer import server

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(server, "PORT", taken.getsockname()[1])
        with server.listening(ExploreOptions()) as made:
            assert made.getsockname()[1] != server.PORT


def test_a_browser_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    import webbrowser

    from desali.web.explorer.server import _open

    said: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    _open("http://127.0.0.1:1/", said.append)
    monkeypatch.setattr(webbrowser, "open", lambda address: 1 / 0)
    _open("http://127.0.0.1:1/", said.append)
    assert said == ["no browser could be opened; copy the address into one"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runs", "nowhere"], "nowhere: no such folder of trained models; name one with --runs DIR"),
        (["--runs", "."], "holds no trained models"),
        (["--model", "nothing"], "nothing"),
        (
            ["--host", "0.0.0.0"],
            "other machines could ask, and nothing is encrypted; say that you want it with --remote",
        ),
        (["--host", "no.such.host.invalid", "--remote"], "no such address"),
        (["--follow", "a"], "follow must be two models"),
        (["--model", "nothing", "--model", "neither"], "none of the models can be loaded: nothing: no such model"),
        (["--random-networks", "9"], "random_networks must lie in [1, 8]"),
        (["--state", "image=0"], "--state and -o belong together"),
        (["--state", "image=0", "-o", "x.pdf"], "a view is drawn as .png or .svg"),
        (["--port", "70000"], "port must lie in [0, 65535]"),
        (["--device", "gpu"], "did you mean 'cuda'"),
    ],
)
def test_refusals_are_one_line(
    desali: Run, tmp_path: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    result = desali("explore", *arguments)
    assert result.code == 2
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_state_that_names_what_is_not_there(desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path) -> None:
    out = tmp_path / "figure.png"
    for state, words in (
        ("image=f9", "there is none"),
        ("image=f0&layer=x&channel=1", "unknown layer"),
        ("image=f0&chanel=1", "chanel=1: nothing in an address is called so; did you mean channel?"),
        (f"image=f0&layer={LAYER}&channel=999", "scratch, texture, natural, two_stage: channel 999 of "),
    ):
        result = desali("explore", "--runs", runs, "--state", state, "-o", out, lung_patch_png)
        assert result.code == 2
        assert words in result.err
    assert list(tmp_path.iterdir()) == [lung_patch_png]


def test_what_fails_alone_is_a_note(runs: Path, tmp_path: Path, lung_patch_png: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "model.safetensors").write_bytes(b"nothing")
    os.symlink(runs / "scratch", tmp_path / "runs" / "scratch")
    one = opened((), tmp_path / "runs", [bad, lung_patch_png], (), ExploreOptions())
    assert [shown.name for shown in one.networks.shown] == ["scratch"]
    assert any("broken" in note and note.startswith("passed over") for note in one.notes)
    assert any("bad.png" in note for note in one.notes)
    assert [entry.name for entry in one.shelf.entries] == [lung_patch_png.name]
    bare = opened((), tmp_path / "runs", [bad], (), ExploreOptions())
    assert any("drop one into the page" in note for note in bare.notes)
    assert bare.answer("session", {}).status == 200


def test_a_lineage_is_read_and_that_of_strangers_is_said(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path
) -> None:
    from tests.web.explorer.explored import images

    first, second = (library.load(runs / name / "model.safetensors") for name in ("scratch", "texture"))
    change = library.lineage(first, second, images(16), random_networks=2)
    file = tmp_path / "change.json"
    file.write_text(json.dumps(change.to_dict()))
    one = opened((), runs, [lung_patch_png], [file], ExploreOptions())
    known = json.loads(one.answer("session", {}).body)
    assert change.strangers
    assert known["lineage"]["strangers"]
    assert any("no more alike than those of unrelated networks" in note for note in known["notes"])
    alone = opened(("natural", "two_stage"), runs, [lung_patch_png], [file], ExploreOptions())
    assert json.loads(alone.answer("session", {}).body)["lineage"] is None
    assert any("passed over, the network before and the network after" in note for note in alone.notes)
    words = f"{lung_patch_png}: is a picture, and its record {lung_patch_png.stem}.json is not beside it; give what"
    result = desali("explore", "--runs", runs, "--lineage", lung_patch_png, "--no-browser", lung_patch_png)
    assert words in result.err
    assert "report" not in result.err
    result = desali("explore", "--runs", runs, "--lineage", "nowhere.json", "--no-browser", lung_patch_png)
    assert (result.code, "nowhere.json: no such file or folder; give what desali lineage" in result.err) == (2, True)
    assert result.code == 2


def test_start_does_not_wait_for_the_first_recording(runs: Path, lung_patch_png: Path) -> None:
    begun = time.perf_counter()
    one = opened((), runs, [lung_patch_png], (), ExploreOptions())
    assert len(one.networks.recordings) == 0
    assert time.perf_counter() - begun < 60


def test_an_unknown_model_is_passed_over(desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path) -> None:
    out = tmp_path / "figure.png"
    given = ["--model", "scratch", "--model", "nothing", "--model", "natural", "--runs", runs]
    state = ["--state", f"image=f0&layer={LAYER}&from=channel&channel=1", "-o", out]
    result = desali("explore", *given, *state, lung_patch_png)
    assert result.code == 0
    assert "note: passed over: nothing: no such model under" in result.err
    assert list(json.loads(out.with_suffix(".json").read_text())["networks"]) == ["scratch", "natural"]
    one = opened(("scratch", "nothing"), runs, [lung_patch_png], (), ExploreOptions())
    assert any(note.startswith("passed over: nothing") for note in json.loads(one.answer("session", {}).body)["notes"])


def test_the_fragment_says_which_of_a_pair_is_shown(runs: Path, lung_patch_png: Path) -> None:
    from desali.web.explorer.followed import Followed
    from desali.web.explorer.to_file import params_of

    one = opened((), runs, [lung_patch_png], (), ExploreOptions())
    pair = object.__new__(Followed)
    pair.before, pair.after = 2, 0
    one.followed = pair
    assert params_of(one, "#image=f0&show=before")["models"] == "1,2,3"
    assert params_of(one, "image=f0&show=after&models=0,2")["models"] == "0"
    assert params_of(one, "image=f0&show=both&window=-200,400") == {"image": "f0", "show": "both", "window": "-200,400"}
