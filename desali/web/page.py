"""HTML from templates: everything that a page needs stands in it, and nothing but its own script and styles may run."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from desali.errors import DesaliError

VIEW = Path(__file__).with_name("view")
TEMPLATES = Path(__file__).with_name("templates")
_IMPORT = re.compile(r"^import .*? from \"\./([a-z]+\.js)\";\n", re.MULTILINE)


def render(template: str, **values: Any) -> str:
    """A page from a template of this room; every value is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def inlined(module: str, *sheets: str, rules: str = "") -> dict[str, Markup]:
    """A module of the view with all that it imports as one script, style sheets as one, and the policy that they need.

    Modules of the view import each other by name from the same folder and export functions, so that one after the other
    they are one module: what is left of an import and the word "export" is taken away.

    Args:
        rules: styles behind those of the sheets.

    Returns:
        `script`, `styles`: their text. `policy`: the Content-Security-Policy under which they alone run, and by which
        the page asks nobody for anything.
    """
    script = "".join(_modules(module))
    styles = "".join(_text(sheet) for sheet in sheets) + rules
    policy = (
        f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(styles)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"script": Markup(script), "styles": Markup(styles), "policy": Markup(policy)}


def _modules(first: str) -> list[str]:
    """The module and those that it imports, each once, before those that need it."""
    done: dict[str, str] = {}

    def take(name: str) -> None:
        if name in done:
            return
        text = _text(name)
        for other in _IMPORT.findall(text):
            take(other)
        done[name] = re.sub(r"^export (?=(async )?function|const|class)", "", _IMPORT.sub("", text), flags=re.MULTILINE)

    take(first)
    return list(done.values())


@cache
def _text(name: str) -> str:
    text = (VIEW / name).read_text(encoding="utf-8")
    if "</" in text:
        raise DesaliError(f"{name}: holds '</', which would end the script or style that it is put into")
    return text


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
