"""What is typed becomes a Python value here: typer would ask pydantic, whose import outlasts all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from shareai_cli.errors import UsageError

Read = Callable[[str], object]
"""Makes a value of a word; raises `UsageError` where it is none."""


def read_plainly(parameters: list[Any]) -> list[Any]:
    """Return a command's parameters, those of kinds that are known here reading their values here."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is not None:
            read = _reader(descriptor.annotation, descriptor.parameter_info)
            if read is not None:
                parameter._runtime_param = _Plain(read)
    return parameters


class _Plain:
    """Stands where typer keeps what reads a parameter's values."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value, or the values of a parameter that takes several."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return [self._one(item) for item in value] if many else self._one(value)
        except UsageError as error:
            name = param.opts[0] if param.param_type_name == "option" else param.display_name_raw
            raise UsageError(
                f"{name}: {error.message}", hint=error.hint or f"{ctx.command_path} --help"
            ) from None

    def _one(self, value: object) -> object:
        return self._read(value) if isinstance(value, str) else value  # a default has its kind already


def _reader(annotation: Any, limits: Any) -> Read | None:
    """Return what reads a kind of value; None where only typer knows it."""
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    if annotation in (str, bool):  # what a flag yields is true or false already
        return lambda text: text
    if annotation is Path:
        return _path
    if annotation in (int, float):
        return _number(annotation, limits.min, limits.max)
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    return None


def _path(text: str) -> Path:
    if "\0" in text:
        raise UsageError("That cannot be a file's name.")
    return Path(text)


def _number(kind: type[int] | type[float], least: float | None, most: float | None) -> Read:
    def read(text: str) -> object:
        from shareai_cli.config.reading import shown

        try:
            number = kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise UsageError(f"{shown(text)} is not {what}.") from None
        if not (least is None or number >= least) or not (most is None or number <= most):
            bounds = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
            raise UsageError(f"It has to be {' and '.join(bounds)}.")
        return number

    return read


def _choice(choices: Sequence[str]) -> Read:
    def read(text: str) -> object:
        if text in choices:
            return text
        from shareai_cli.config.reading import listed, shown
        from shareai_cli.nearest import nearest

        near = nearest(text, choices)
        raise UsageError(
            f"{shown(text)} is not known. It takes {listed(choices)}.",
            hint=f"Did you mean {near}?" if near else None,
        )

    return read
