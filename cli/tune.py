"""`desali tune`: measure which way of the transposed convolution is the fastest on this machine."""

from __future__ import annotations

import math

import click

from desali.errors import DesaliError


@click.command()
@click.option(
    "--limit",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=60.0,
    show_default=True,
    help="Seconds after which no further layer is measured.",
)
def tune_command(limit: float) -> None:
    """Measure the core's ways on this machine and keep where they meet, for this processor and number of threads.

    Kept in the user's cache folder (DESALI_CACHE) and used from then on. Results do not depend on it beyond rounding.
    """
    if math.isnan(limit):
        raise click.BadParameter("'nan' is not a number of seconds", param_hint="'--limit'")
    from desali.ops import core, crossovers, tuning
    from desali.output.files import write_json

    module, reason = core()
    if module is None:
        raise DesaliError(f"there is nothing to tune: {reason}")
    measured = tuning.measure(limit, lambda name: click.echo(name, err=True))
    if not measured:
        raise DesaliError(f"no layer was measured within {limit:g} s: give --limit more")
    for one in measured:
        words = (f"{density:g}: {way} {factor:.2f}x" for density, way, factor in one.winners())
        click.echo(f"{one.layer.name:16} {'  '.join(words)}")
    found = tuning.crossovers(measured)
    for kind, (density, way) in found.items():
        click.echo(f"{kind}: the walk over non-zeros up to {density:g} of them, then {way}")
    path = crossovers.tuning_file()
    try:
        known = crossovers.read(path)
    except (OSError, ValueError):
        known = {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, crossovers.written({**known, crossovers.machine(): found}))
    except OSError as error:
        click.echo(f"not kept: {error}", err=True)
    else:
        crossovers.current.cache_clear()
        click.echo(f"written to {path}", err=True)
