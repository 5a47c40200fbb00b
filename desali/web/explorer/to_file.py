"""A view of the explorer as files, without a page: the figure and its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from desali.errors import DesaliError, OutputError
from desali.figures.figure import KIND
from desali.figures.sidecar import refuse_other, sidecar, write_sidecar
from desali.output.files import atomic_path
from desali.web.explorer.session import Session

KINDS = {".png": "png", ".svg": "svg"}


def check(path: Path) -> str:
    """The kind of a figure by its suffix.

    Raises:
        OutputError: another one than PNG's and SVG's, or something else's record beside it.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"{path}: a view is drawn as {' or '.join(KINDS)}")
    refuse_other(sidecar(path), KIND)
    return kind


def params_of(session: Session, state: str) -> dict[str, str]:
    """What the fragment of an address asks for, of the first architecture.

    Raises:
        DesaliError: a part that a page would not take, or nothing is left to show.
    """
    params = dict(parse_qsl(state.removeprefix("#")))
    answer = session.answer("address", params)
    said = json.loads(answer.body)
    for problem in [said["error"]] if answer.status != 200 else said["problems"]:
        raise DesaliError(f"--state: {problem.removeprefix('The address: ')}")
    params.pop("window", None)  # for the eye alone
    hidden = {"before": "after", "after": "before"}.get(params.get("show", ""))
    if hidden is not None and session.followed is not None:
        left = {"before": session.followed.before, "after": session.followed.after}[hidden]
        given = params.get("models", "")
        places = given.split(",") if given else [str(k) for k in range(len(session.networks))]
        params["models"] = ",".join(one for one in places if one != str(left))
        if not params["models"]:
            raise DesaliError(f"--state show={params['show']}: leaves nothing of models={given}")
    return params


def write(session: Session, state: str, path: Path, command: Sequence[str]) -> Path:
    """Draw what the fragment of an address shows, with its record as JSON beside it: both or neither.

    Raises:
        DesaliError: the state names what is not there. OutputError: the path cannot be written.
    """
    kind = check(path)
    params = params_of(session, state)
    bodies = []
    for wanted in (kind, "json"):
        answer = session.answer("export", {**params, "format": wanted})
        if answer.status != 200:
            raise DesaliError(f"--state {state}: {json.loads(answer.body)['error']}")
        bodies.append(answer.body)
    with atomic_path(path) as temporary:
        temporary.write_bytes(bodies[0])
        write_sidecar(path, {**json.loads(bodies[1]), "command": list(command)})
    return path
