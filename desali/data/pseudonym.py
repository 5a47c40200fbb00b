"""Pseudonyms of patients: HMAC-SHA-256 under a salt of this machine, so that trying all hospital numbers finds nobody.

One salt serves every data set and every stage, so that a patient on both sides of a split is found. It lies in the
user's cache folder, or is given by DESALI_SALT where training and evaluation run on different machines; results carry
its fingerprint alone, and patients under different salts are said not to compare.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from desali.errors import DataError, OutputError
from desali.input.files import cache_folder, read_bytes
from desali.limits import CONFIG_BYTES

VARIABLE = "DESALI_SALT"
FILE = "salt"
SALT_BYTES = 32
LEAST = 16
"""Characters of a salt that is given."""
DIGITS = 12
"""Hexadecimal digits of a pseudonym: of 100,000 patients two are alike once in 56,000 sets."""


def pseudonym(identity: str, salt: bytes) -> str:
    """What stands for a patient: equal for equal identities under one salt."""
    return hmac.new(salt, identity.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:DIGITS]


def fingerprint(salt: bytes) -> str:
    """Eight hexadecimal digits that tell salts apart and give none away."""
    return hmac.new(salt, b"desali: fingerprint of the salt", hashlib.sha256).hexdigest()[:8]


def salt_in_use() -> bytes:
    """The salt: DESALI_SALT, else the file `salt` in the user's cache folder, which is made where it is missing.

    Raises:
        DataError: DESALI_SALT is too short, or the file is damaged. OutputError: it cannot be written.
    """
    given = os.environ.get(VARIABLE, "")
    if given:
        if len(given) < LEAST:
            raise DataError(
                f"{VARIABLE}: has {len(given)} characters, expected at least {LEAST}, by chance; for instance "
                "`python -c 'import secrets; print(secrets.token_hex(16))'`"
            )
        return given.encode("utf-8", "surrogatepass")
    return _kept(cache_folder() / FILE)


@lru_cache(maxsize=8)
def _kept(path: Path) -> bytes:
    if not path.exists():
        _make(path)
    text = read_bytes(path, "the salt of the patients' pseudonyms", DataError, CONFIG_BYTES).decode("ascii", "replace")
    try:
        salt = bytes.fromhex(text.strip())
    except ValueError:
        salt = b""
    if len(salt) < LEAST:
        raise DataError(
            f"{path}: damaged, expected {2 * SALT_BYTES} hexadecimal digits; restore it, or delete it: patients of "
            "earlier results then no longer compare"
        )
    return salt


def _make(path: Path) -> None:
    """Write a salt that the user alone can read; of several processes the first one's stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".salt.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(SALT_BYTES) + "\n")
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                if not path.exists():
                    os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: the salt of the patients' pseudonyms cannot be written ({error.strerror or error}); choose "
            f"another folder with DESALI_CACHE, or give a salt with {VARIABLE}"
        ) from error


def cannot_compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What to say where two image sets' parameters name pseudonyms under different salts; "" where they do not."""
    first, second = str(one.get("salt") or ""), str(other.get("salt") or "")
    if not first or not second or first == second:
        return ""
    return (
        f"patients cannot be compared: their pseudonyms were made with different salts ({first} and {second}); give "
        f"both machines one {VARIABLE}"
    )
