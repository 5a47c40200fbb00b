"""Command-line options made from dataclasses whose fields are options, and help in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from desali.cli.parameters import Device, _ParamType, _stack
from desali.errors import DesaliError
from desali.output.options import Option, options_of


class SectionedCommand(click.Command):
    """A command whose help lists the options of each dataclass under a heading of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for the command's own options, then one for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def options_from(
    owner: type,
    section: str = "Options",
    leave_out: Iterable[str] = (),
    types: Mapping[str, _ParamType] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds an option for each option of the dataclass `owner`; what is not given is None.

    Args:
        owner: see `desali.output.options`.
        section: the heading of the help under which they stand.
        leave_out: fields that get no flag.
        types: by field a reader of its text that can say or complete more than the field itself.
    """
    left = set(leave_out)
    given = {"device": Device(), **(types or {})}
    made = [
        _made(one, flag, section, given.get(name))
        for name, one in options_of(owner).items()
        if name not in left
        for flag in one.flags
        if flag.startswith("--")
    ]
    return _stack(made)


def taken(owner: type, options: dict[str, Any], leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """The values that were given for options of `owner` with one flag, by field; all of `owner` leave `options`."""
    left = set(leave_out)
    found = {}
    for name, one in options_of(owner).items():
        if name not in left and len(one.flags) == 1 and one.flags[0].startswith("--"):
            value = options.pop(_destination(one.flags[0]))
            if value is not None:
                found[name] = value
    return found


class Value(_ParamType):
    """A value that the dataclass checks, with its own words for what is wrong."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.metavar or _metavar(option)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows for a value."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text."""
        if not isinstance(value, str):
            return value
        try:
            return self.option.parsed(value)
        except DesaliError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The choices that begin like that."""
        return [CompletionItem(one) for one in self.option.choices if one.startswith(incomplete)]


class _SectionedOption(click.Option):
    """An option under a heading of the help."""

    def __init__(self, *arguments: Any, section: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.section = section


def _made(option: Option, flag: str, section: str, reader: _ParamType | None) -> Callable[[Any], Any]:
    destination = _destination(flag)
    kind = None if option.kind is bool else reader or Value(option)
    flag = f"{flag}/{option.off}" if option.kind is bool else flag
    extra = [f"default: {option.default_text}"] if option.default_text else []
    extra += [str(option.range)] if option.range is not None else []
    text = option.help + (f"  [{'; '.join(extra)}]" if extra else "")
    return click.option(flag, destination, cls=_SectionedOption, section=section, type=kind, default=None, help=text)


def _destination(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _metavar(option: Option) -> str:
    if option.choices:
        return f"[{'|'.join(option.choices)}]"
    word = {int: "INTEGER", float: "FLOAT", str: "TEXT"}[option.kind]
    return word if option.length is None else f"{word},..."
