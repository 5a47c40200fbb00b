"""ILSVRC2012's meta.mat through SciPy, in a process of its own: on a damaged file SciPy's reader ends its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from desali.errors import DataError
from desali.input.files import read_bytes
from desali.limits import IMAGE_BYTES

SECONDS = 120
_WORKER = """
import io, json, sys
sys.path[:] = json.loads(sys.argv[1])
data = sys.stdin.buffer.read()
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), resource.RLIM_INFINITY))
except (ImportError, ValueError, OSError):
    pass
from scipy.io import loadmat
try:
    rows = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"].reshape(-1)
    leaves = [row for row in rows if int(row["num_children"]) == 0]
    found = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
except BaseException as error:
    sys.exit(type(error).__name__)
sys.stdout.write(json.dumps(list(found.items())))
"""


def read_meta(path: Path, expected: str) -> dict[int, str]:
    """ILSVRC2012 id -> WordNet id of the leaves in a meta.mat.

    Raises:
        DataError: missing, or not such a file; `expected` says what it should be.
    """
    data = read_bytes(path, expected, DataError, IMAGE_BYTES)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _WORKER, json.dumps(sys.path), str(4 * IMAGE_BYTES.value)],
            input=data,
            capture_output=True,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}); expected {expected}") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").split()
        reason = words[-1][:60] if done.returncode == 1 and words else "damaged"
        raise DataError(f"{path}: not a readable list of synsets ({reason}); expected {expected}")
    return {int(number): str(name) for number, name in json.loads(done.stdout)}
