"""From JSON to the table and the chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import chart, summary, table
from benchmarks.stored import best, load, ratio, reached, save, verdict
from desali.errors import DataError
from tests.conftest import ROOT


def _entry(name: str, median: float | None, units: int = 1, **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "median": median, "q1": median, "q3": median, "runs": 3, "units": units, "difference": 1e-7,
        "note": "" if median else "did not compile within 9 s", "facts": facts,
    }  # fmt: skip


def _result() -> dict[str, Any]:
    return {
        "case": "neurons", "kind": "time", "job": "a job", "ours": ["desali"], "facts": {},
        "entries": [
            _entry("desali", 0.02, 10), _entry("slow", 0.5, 10), _entry("part", 0.2, 2), _entry("fast", 0.01, 10),
            _entry("absent", None),
        ],
        "targets": [{"against": ["slow", "part", "absent"], "at_least": 8, "aim": 30}],
    }  # fmt: skip


def _measured(*results: dict[str, Any]) -> dict[str, Any]:
    machine = {
        "date": "2030-01-01T00:00:00+00:00",
        "commit": "abc", "desali": "0", "device": "cpu", "cpu": "a cpu", "cores": 2,
        "threads": 2, "load_before": [0.1, 0, 0], "core": "native", "backend": "auto", "simd": "avx2",
        "torch_cpu_capability": "AVX2", "platform": "p", "python": "3", "packages": {"torch": "2"},
    }  # fmt: skip
    return {"format": 1, "scale": "full", "machine": machine, "seconds": {}, "results": list(results)}


def test_ratios_are_per_unit_and_the_fastest_baseline_counts() -> None:
    result = _result()
    assert ratio(result, result["entries"][1]) == pytest.approx(25)
    assert ratio(result, result["entries"][2]) == pytest.approx(50)
    assert ratio(result, result["entries"][4]) is None
    found = best(result, ["slow", "part", "absent"])
    assert found is not None
    assert found["name"] == "slow"
    ((target, entry, figure),) = reached(result)
    assert (entry["name"], figure) == ("slow", pytest.approx(25))
    assert [verdict(target, value) for value in (7.9, 8, 29, 30)] == ["missed", "met", "met", "aim met"]


def test_the_table_shows_targets_losses_and_what_was_not_measured() -> None:
    text = table.render(_measured(_result()))
    assert "| a job | slow | 25x | 8x | 30x | met |" in text
    assert "| fast | 10 ms | [10 ms, 10 ms], 3 | 1 ms | **0.50x, a loss** | 1e-07 |  |" in text
    assert "| absent | - | - |  | - | - | did not compile within 9 s |" in text
    assert "not quiet" not in text


def test_a_missed_target_and_a_busy_machine_stand_out() -> None:
    measured = _measured(_result())
    measured["results"][0]["targets"][0]["at_least"] = 26
    measured["machine"]["load_before"] = [3.0, 3.0, 3.0]
    text = table.render(measured)
    assert "**missed**" in text
    assert "**The machine was not quiet, load 3.0 before the run.**" in text


def test_memory_is_compared_in_bytes() -> None:
    result = _result() | {
        "case": "memory", "kind": "memory", "facts": {"network": "net"},
        "entries": [_entry("autograd", None, bytes=24_000_000), _entry("desali", None, bytes=1_000_000)],
        "targets": [{"against": ["autograd"], "at_least": 16, "aim": 24}],
    }  # fmt: skip
    text = table.render(_measured(result))
    assert "| net | autograd | 24 MB | 24x |" in text
    assert "| 24x | 16x | 24x | aim met |" in text


def test_every_kind_of_result_is_shown(measured: dict[str, Any]) -> None:
    text = table.render(measured)
    for result in measured["results"]:
        assert table.TITLES[result["case"]] in text
    widths = {}
    for line in text.splitlines():
        if line.startswith("| ---"):
            widths["now"] = line.count("|")
        elif line.startswith("|") and "now" in widths:
            assert line.count("|") == widths["now"], line
        elif not line.startswith("|"):
            widths.clear()


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.56e-5, "45.6 µs"), (7e-8, "70 ns"), (123.4, "123 s"), (None, "-")],
)
def test_times_have_fitting_units(value: float | None, text: str) -> None:
    assert table.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12 B"), (1234, "1.23 kB"), (5.6e6, "5.6 MB"), (2e9, "2 GB"), (None, "-")]
)
def test_sizes_have_fitting_units(value: float | None, text: str) -> None:
    assert table.size(value) == text


def test_a_summary_replaces_what_stands_between_the_markers() -> None:
    document = f"before\n{summary.BEGIN}\nold\n{summary.END}\nafter\n"
    once = summary.insert(document, "new\n")
    assert once == f"before\n{summary.BEGIN}\n\nnew\n\n{summary.END}\nafter\n"
    assert summary.insert(once, "new\n") == once


@pytest.mark.parametrize(
    "document",
    ["nothing", summary.BEGIN, f"{summary.END} {summary.BEGIN}", f"{summary.BEGIN} {summary.BEGIN} {summary.END}"],
)
def test_a_document_without_markers_is_refused(document: str) -> None:
    with pytest.raises(DataError, match="once each"):
        summary.insert(document, "new")


def test_the_summary_puts_misses_first_then_losses() -> None:
    missed, lost, met = (_result() | {"job": name} for name in ("missed it", "lost", "met it"))
    missed["targets"] = [{"against": ["slow"], "at_least": 26, "aim": 30}]
    lost["targets"] = []
    rows = [line for line in summary.render([_measured(met, lost, missed)]).splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| missed it", "| lost", "| met it"]
    assert "| slow | 25x |  |  | 26x | **0 of 1** | a |" in rows[2]
    assert "| fast | **0.5x, a loss** |  |  | - | - | a |" in rows[3]


def test_like_jobs_share_a_row_that_names_the_worst() -> None:
    first, second = (
        _result() | {"case": "record", "job": f"second record of Net, {size} px, batch 1"} for size in (64, 224)
    )
    second["entries"] = [_entry("desali", 0.04, 10), *_result()["entries"][1:]]
    text = summary.render([_measured(first), _measured(second)])
    assert "| a second `record` of Net | slow | 25x |" in text
    joined = summary.render([_measured(first, second)])
    assert "| a second `record` of Net | slow | 12.5x | 224 px, batch 1 | 25x | 8x | 2 of 2 | a |" in joined


def test_the_summary_says_where_and_when_it_was_measured() -> None:
    measured = _measured(_result())
    measured["machine"]["load_before"] = [3.0, 3.0, 3.0]
    text = summary.render([measured])
    assert "a: 2030-01-01, a cpu, 2 threads of 2 cores, avx2; torch 2; commit abc; **not quiet, load 3.0**." in text


def test_the_page_holds_the_summary_of_the_stored_results() -> None:
    stored = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert summary.insert(page, summary.render([load(path) for path in stored])) == page, "see docs/benchmarks.md"


def test_the_steps_work_from_files(measured: dict[str, Any], tmp_path: Path) -> None:
    source, document = tmp_path / "cpu.json", tmp_path / "doc.md"
    save(source, measured)
    result = CliRunner().invoke(table.main, [str(source)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("## cpu\n")
    assert "### Targets" in result.output
    document.write_text(f"Title\n{summary.BEGIN}\n{summary.END}\n")
    result = CliRunner().invoke(summary.main, [str(source), "--into", str(document)])
    assert result.exit_code == 0, result.output
    assert "| job | against |" in document.read_text()
    result = CliRunner().invoke(chart.main, [str(source)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")


def test_every_result_has_a_panel(measured: dict[str, Any]) -> None:
    panels = chart.panels(measured)
    kinds = [result["kind"] for result in measured["results"] if result["case"] != "layers"]
    networks = {result["facts"]["network"] for result in measured["results"] if result["case"] == "layers"}
    expected = kinds.count("time") + kinds.count("memory") + 2 * kinds.count("curve") + len(networks) + 1
    assert len(panels) == expected


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        chart.draw(_measured())


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 99})])
def test_a_foreign_file_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json: is not") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    result = CliRunner().invoke(table.main, [str(path)])
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        load(tmp_path / "none.json")
