"""The blocks of code in the README and the pages of the documentation, in the order in which a reader meets them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import ROOT

SETUP = "<!-- setup\n"
NOT_RUN = "# not run here: "
GENERATED = ("benchmark-tables.md", "gallery")


@dataclass(frozen=True)
class Block:
    """A fenced block, or a comment that sets up what the page's blocks take for given.

    Attributes:
        page: the file, relative to the repository.
        line: of the block's first line of content, from 1.
        language: "python", "sh", "toml", "text", ...; "setup" for a comment of Python that readers do not see.
    """

    page: str
    line: int
    language: str
    content: str

    @property
    def where(self) -> str:
        """How an error names it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the block is to be saved as: its first line is a comment that is a name and nothing else."""
        found = re.fullmatch(r"# ([\w-]+\.(?:py|toml))", self.content.split("\n", 1)[0])
        return None if found is None else found[1]

    @property
    def not_run(self) -> str | None:
        """Why a reader is told that the block is not run, if they are."""
        first = self.content.split("\n", 1)[0]
        return first.removeprefix(NOT_RUN) if first.startswith(NOT_RUN) else None


def pages() -> list[str]:
    """All pages, relative to the repository, without those that the site generates."""
    folder = ROOT / "docs"
    found = [path for path in folder.rglob("*.md") if path.relative_to(folder).parts[0] not in GENERATED]
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [path.relative_to(ROOT).as_posix() for path in [*top, *sorted(found)]]


def blocks(page: str, root: Path = ROOT) -> list[Block]:
    """The blocks of one page, directives of the site left out."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse((root / page).read_text(encoding="utf-8")):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block" and token.content.startswith(SETUP):
            code = token.content.removeprefix(SETUP).partition("-->")[0]
            found.append(Block(page, line + 1, "setup", code))
        elif token.type == "fence" and not token.info.startswith("{"):
            found.append(Block(page, line + 1, token.info.strip() or "text", token.content))
    return found
