"""CITATION.cff names this version and the two papers."""

from __future__ import annotations

import yaml

from desali import __version__
from tests.conftest import ROOT


def test_the_citation_is_of_this_version_and_names_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert {"message", "title", "authors"} <= set(citation)
    assert [paper["year"] for paper in citation["references"]] == [2016, 2018]
    assert all(paper["authors"] and paper["title"] for paper in citation["references"])
