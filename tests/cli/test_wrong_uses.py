"""What people type wrong: one line, exit code 2, no traceback, and what to do; the same for Python's functions."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import desali as library
from desali.errors import DesaliError

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def place(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: an image, tables, files of other kinds, trained models under runs/."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "runs").symlink_to(runs)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / "img.png")
    (folder / "broken.png").write_bytes((folder / "img.png").read_bytes()[:200])
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("hello\n")
    (folder / "bad.toml").write_text("epochs = 3\n")
    (folder / "boxes.csv").write_text("path,label,x,y\nimg.png,a,10,10\n")
    (folder / "table.csv").write_text("path,label,patient\nimg.png,a,p\n")
    (folder / "wrongnet.py").write_text("from torch import nn\ndef net(num_classes=3):\n    return nn.ReLU()\n")
    return folder


LOOK = "visualize --model scratch --roi img.png"
USES = [
    ("visualise --model scratch --roi img.png", "unknown command 'visualise': did you mean 'visualize'?"),
    ("help", "`desali --help` lists the commands"),
    ("-v", "No such option '-v'; see `desali --help`"),
    ("--verion", "Did you mean '--version'?"),
    ("visualize --roi img.png", "Missing option '--model': give --model NAME. a recipe under --runs"),
    ("visualize --model scratch img.png", "Missing option '--roi': give --roi PATH. PNG, JPEG, TIFF or DICOM file"),
    ("visualize --model scratch --roi", "Option '--roi' requires an argument; --help lists the options"),
    ("visualize --model scratch --roi nothing.png", "nothing.png: no such file; check the path"),
    ("visualize --model scratch --roi empty", "empty: is a folder; expected one image file"),
    ("visualize --model scratch --roi notes.txt", "notes.txt: not an image in a known format; expected PNG"),
    ("visualize --model scratch --roi broken.png", "broken.png: the PNG is truncated or damaged"),
    ("visualize --model scrach --roi img.png", "did you mean 'scratch'?"),
    ("visualize --model scratch --roi img.png --runs nowhere", "no such model under nowhere"),
    ("visualize --model wrongnet:net --roi img.png", "no weights given; name a file (--weights FILE"),
    ("visualize --model wrongnet:nett --weights random --roi img.png", "wrongnet has no 'nett'; did you mean 'net'?"),
    ("visualize --model nomodule:net --weights random --roi img.png", "must be installed or lie in the current folder"),
    (f"{LOOK} --layer conv5", "No such option '--layer'. (Did you mean one of: '--label', '--layers'"),
    (f"{LOOK} --layers conv9", "unknown layer 'conv9': did you mean 'features.conv5'?"),
    (f"{LOOK} --method desalination", "Invalid value for '--method': unknown method 'desalination': did you mean"),
    (f"{LOOK} --from channel", "--from channel: expected channel:C"),
    (f"{LOOK} --from channel:9999", "--from channel:9999: channel 9999 is outside layer"),
    (f"{LOOK} --from neuron:1", "--from neuron:1: layer 'features.relu1' has 2 spatial dimensions"),
    (f"{LOOK} --from top:0", "--from top:0: k must be a whole number of at least 1"),
    (f"{LOOK} --from logit:XYZ", "--from logit:XYZ: expected logit:K in whole numbers, or the name of a class (CON"),
    (f"{LOOK} --from nothing", "unknown kind of seed 'nothing': did you mean"),
    (f"{LOOK} --seed top:1", "what is projected is named with --from"),
    (f"{LOOK} --label XYZ", "--label 'XYZ' is no class of scratch, which has 7: CON"),
    (f"{LOOK} --box 1,2", "'--box': box must be three whole numbers, got [1, 2]; expected Y,X,SIZE"),
    (f"{LOOK} --box 1,2,500", "--box 1,2,500 (Y,X,SIZE) lies outside the image of 48 x 48 pixels"),
    (f"{LOOK} --window -600", "'--window': window must be two numbers, got [-600.0]; expected LEVEL,WIDTH"),
    (f"{LOOK} --window -600,1500", "--window does not apply, the file holds display values"),
    (f"{LOOK} --hu-offset -1024", "--hu-offset does not apply"),
    (f"{LOOK} --device gpu", "unknown device 'gpu': did you mean 'cuda'?"),
    (f"{LOOK} --random-networks 99", "'--random-networks': random_networks must lie in [0, 8], got 99"),
    (f"{LOOK} --contrast yes", "a value stands behind its option"),
    (f"{LOOK} --smooth yes", "choose from refuse, gradient"),
    (f"{LOOK} --only relu77", "unknown layer 'relu77': did you mean"),
    (f"{LOOK} -o out.xyz", "unknown kind of figure '.xyz'; use .png, .pdf, .svg"),
    (f"{LOOK} -o img.png", "img.png: is the image itself; choose another output path"),
    (f"{LOOK} -o notes.txt/x.png", "notes.txt is a file, expected a folder"),
    (f"{LOOK} --maps maps", "end the name in one of them"),
    (f"{LOOK} --dpi 5", "'--dpi': 5 is not in the range 20<=x<=2400"),
    ("compare --roi img.png --models scratch", "compare needs two models, got one (scratch)"),
    ("compare --roi img.png --models scratch texture", "several with commas between; see `desali compare --help`"),
    ("compare --roi img.png --models ,", "expected names with commas between"),
    ("compare --roi img.png --models scratch,scratch --no-follow", "hold the same weights, bit by bit"),
    ("compare --roi img.png --models scratch,texture --from top:3 --no-follow", "--from top:3: "),
    ("grid", "Missing option '--rois': give --rois PATH. Folder of images, or a CSV table"),
    ("grid --rois empty --models scratch", "empty: holds no images"),
    ("grid --rois notes.txt --models scratch", "notes.txt: has no column 'path'"),
    ("layers", "Missing argument 'MODEL'; see `desali layers --help`"),
    ("channels scratch", "name a layer with --layer, for instance --layer conv4"),
    ("channels --layer conv4", "name a recipe, two networks with --before SPEC --after SPEC, or one with --model"),
    ("lineage --before scratch", "--before and --after belong together"),
    ("lineage --before scratch --after texture", "name them with --images DATASET"),
    ("train", "name a recipe, all, or a file with --config"),
    ("train scratch natura", "unknown recipe 'natura': did you mean 'natural'?"),
    ("train scratch --epoch 3", "Did you mean '--epochs'?"),
    ("train scratch --epochs ten", "'--epochs': epochs must be a whole number, got 'ten'"),
    ("train scratch --schedule step", "milestones and the schedule 'step' belong together: give both"),
    ("train scratch --config bad.toml", "bad.toml: unknown key 'epochs'"),
    ("train scratch --natural-weights img.png", "scratch has no stage natural; leave it out"),
    ("train natural --natural-weights nothing.pth", "--natural-weights nothing.pth: no such file; check the path"),
    ("train scratch --resume --fresh", "--fresh trains anew and --resume goes on: leave one of them out"),
    ("train scratch --resume --runs empty", "empty: nothing to resume, no stage has begun there"),
    ("train scratch --target foldr:empty", "unknown reader 'foldr': did you mean 'folder'?"),
    ("train scratch --target table:boxes.csv", "has no column 'patient'"),
    ("crossvalidate scratch --seeds 0,0", "seeds must differ, got 0, 0; name each once"),
    ("robustness scratch --fractions 0.5,0.5", "fractions must differ, got 0.5, 0.5"),
    ("evaluate scratch --target nowhere", "nowhere: no such file or folder; check the path"),
    ("evaluate --predictions nothing.npz", "nothing.npz: no such file; check the path"),
    (
        "evaluate --predictions img.png",
        "img.png: not a file of predictions (File is not a zip file); `desali",
    ),
    ("data check", "Missing argument 'SPEC'; see `desali data check --help`"),
    ("data chek x", "No such command 'chek'. Did you mean 'check'?"),
    ("data check empty", "no known format fits; expected one of folder"),
    ("data check table:table.csv -O label", "expected NAME=VALUE, for instance label_column=diagnosis"),
    ("data rois img.png boxes.csv", "name the millimetres a pixel with --spacing"),
    ("data rois img.png notes.txt", "expected boxes as .csv, .json (COCO) or .xml (Pascal VOC)"),
    ("data rois img.png boxes.csv --spacing 1 --grid", "--grid lays ROIs over masks"),
    ("completion powershell", "'powershell' is not one of 'bash', 'zsh', 'fish'"),
]


@pytest.mark.parametrize(("line", "words"), USES, ids=[line for line, _ in USES])
def test_a_wrong_use_is_one_line_that_names_the_remedy(
    desali: Run, place: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    before = sorted(path.name for path in place.iterdir() if path.name != "__pycache__")
    result = desali(*shlex.split(line))
    assert result.code == 2
    assert result.out == ""
    (said,) = result.err.splitlines()
    assert said.startswith("desali: error: ")
    assert words in said
    assert "Traceback" not in said
    assert "pickle" not in said
    assert ".tmp" not in said
    assert sorted(path.name for path in place.iterdir() if path.name != "__pycache__") == before


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()


IMAGES = torch.rand(2, 3, 8, 8)
CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: library.record("scratch", IMAGES), "model must be a torch.nn.Module, got str"),  # type: ignore[arg-type]
    (lambda: library.record(net(), IMAGES.numpy()), "images must be a float tensor of shape"),  # type: ignore[arg-type]
    (lambda: library.record(net(), IMAGES[0, 0]), "images must be a float tensor of shape"),
    (lambda: library.record(net(), IMAGES.byte()), "got torch.uint8"),
    (lambda: library.record(net().train(), IMAGES), "call model.eval()"),
    (lambda: library.record(net(), IMAGES.double()), "convert one to the other"),
    (lambda: library.record(net(), IMAGES, keep="all"), "'activations' or a list of layers' names"),  # type: ignore[arg-type]
    (lambda: library.record(net(), IMAGES).reconstruct("relu", library.Seed.layer()), "unknown layer 'relu'"),
    (lambda: library.record(net(), IMAGES).reconstruct("1", "top:1"), "desali.Seed.parse('top:1')"),  # type: ignore[arg-type]
    (lambda: library.record(net(), IMAGES).reconstruct("1", library.Seed.channel(9)), "use 0 to 3"),
    (
        lambda: library.record(net(), IMAGES).reconstruct("1", library.Seed.layer(), "desali"),
        "did you mean 'desalinet'",
    ),
    (lambda: library.Method(1, True, True), "relu_mask must be True or False, got 1"),  # type: ignore[arg-type]
    (lambda: library.Method(True, True, True, only="conv1"), "only must be a list of layer names"),
    (lambda: library.show(net()), "show takes what desali.record returns"),  # type: ignore[arg-type]
    (lambda: library.compare({"a": net()}, IMAGES[0]), "compare needs two models"),
    (lambda: library.read_image("nothing.png"), "nothing.png: no such file"),
    (lambda: library.load("no-such-model"), "no such model under runs"),
]


@pytest.mark.parametrize(("call", "words"), CALLS, ids=[words for _, words in CALLS])
def test_a_wrong_call_is_one_line_that_names_the_remedy(
    call: Callable[[], Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DesaliError) as raised:
        call()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
