"""`desali data`: what formats are read, a look through a data set before a long run, and tables of ROIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import hu_offset_option, json_option
from desali.data.rois.options import RoiOptions


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def data_command() -> None:
    """Look at data sets: the formats that are read, what a set holds before a long run, ROIs from annotations.

    A data set is named READER:PATH, or PATH if its format can be told from its names. Options may follow as
    PATH?option=value&option=value (in quotes, for the shell).
    """


@data_command.command("check")
@click.argument("spec")
@click.option("--split", help="Only this part: train, validation or test.")
@hu_offset_option
@click.option("--labels", help="Classes of labels: label:class,..., a table by name (seven), or a .csv or .json file.")
@click.option("--leave-out", help="Labels to leave out, with commas between.")
@click.option("--classes", help="The classes that are expected, with commas between.")
@click.option("--proxy", help="What the labels are, if they only stand for something.")
@click.option(
    "--option", "-O", "options", multiple=True, metavar="NAME=VALUE",
    help="An option of the reader (see `desali data readers`); may be repeated.",
)  # fmt: skip
@json_option
def check_command(spec: str, options: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Count images by class and patient, and find what is wrong with a data set.

    Found and named: unreadable files, images with the same pixels (also across patients and parts) or nearly the same
    across a split, patients in several parts or not stated, classes that patient, scanner or folder date gives away,
    empty classes, unknown labels, unknown patients, mixed units, sizes that differ.

    Exit code: 0 clean, 1 findings, 2 the set cannot be looked through at all.
    """
    from desali.data.readers.check import check, text
    from desali.errors import DataError

    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise DataError(f"--option {option}: expected NAME=VALUE, for instance label_column=diagnosis")
        given[name.replace("-", "_")] = value
    result = check(spec, progress=True, **given)
    click.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) if as_json else text(result))
    return 1 if result.findings else 0


@data_command.command("rois", cls=SectionedCommand)
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("annotations", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("rois.csv"), show_default=True,
    help="Table to write; its record lies beside it as .csv.json.",
)  # fmt: skip
@options_from(RoiOptions, "ROIs")
def rois_command(images: Path, annotations: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Cut ROIs of one length in millimetres from annotations, and write a table that `table:` reads.

    IMAGES is a folder of DICOM slices or pictures. ANNOTATIONS are boxes (CSV, COCO JSON, Pascal VOC XML or a folder of
    these) or masks (NIfTI, DICOM SEG); with --grid a mask, of a lung for instance, is filled with ROIs. The patient is
    the pseudonym of the DICOM reader, else the column patient, else the folder below IMAGES. Prints how many ROIs there
    are of each label, what was left out and why, and the rules.
    """
    import sys

    from desali.data.rois.make import check, rois, write

    asked = RoiOptions(**taken(RoiOptions, options))
    check(output)
    found = rois(images, annotations, asked)
    record = write(found, output, ["desali", *sys.argv[1:]])
    click.echo(found.summary())
    click.echo(f"table: {output}\nrecord: {record}")


@data_command.command("readers")
@json_option
def readers_command(as_json: bool) -> None:
    """List the formats that are read, their layouts and options."""
    from desali.data.readers import COMMON_OPTIONS, READERS

    if as_json:
        facts = {
            name: {"title": reader.title, "layout": reader.layout, "options": reader.options}
            for name, reader in READERS.items()
        }
        click.echo(json.dumps({"readers": facts, "common_options": COMMON_OPTIONS}, indent=2))
        return
    for name, reader in READERS.items():
        click.echo(f"{name}: {reader.title}\n    {reader.layout}")
        for option, meaning in reader.options.items():
            click.echo(f"    {option}: {meaning}")
    click.echo("options of every reader:")
    for option, meaning in COMMON_OPTIONS.items():
        click.echo(f"    {option}: {meaning}")
