"""The fields that all bodies share which ask for generated text, and how bodies are decoded.

Whatever a client may set is bounded here, so that nothing of a client's reaches a call of llama.cpp that
cannot bear it. Unknown fields are ignored, as OpenAI's clients send more of them every month.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.batching.sampling import Sampling

_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Repeat = Annotated[float, Meta(ge=0.01, le=100)]
_Bias = Annotated[float, Meta(ge=-100, le=100)]
_Stop = Annotated[str, Meta(min_length=1, max_length=1000)]

Token = Annotated[int, Meta(ge=0, le=0x7FFFFFFF)]

Body = TypeVar("Body", bound=Struct)


class StreamOptions(Struct, frozen=True):
    """What a stream holds beside its content."""

    include_usage: bool | None = None


class GenerationBody(Struct, frozen=True, kw_only=True):
    """How to generate; `Meta` carries the bounds."""

    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: _Repeat | None = None
    repetition_penalty: _Repeat | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    seed: int | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None
    stop_token_ids: Annotated[list[Token], Meta(max_length=64)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    logit_bias: Annotated[dict[str, _Bias], Meta(max_length=1024)] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream's last chunk carries the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def alternatives(self) -> int | None:
        """How many of the likeliest tokens are told with each drawn one; None for none of it."""
        return None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which the reply ends."""
        if isinstance(self.stop, str):
            return (self.stop,)
        return tuple(self.stop or ())

    def sampling(self) -> Sampling:
        """Return how to draw tokens: llama.cpp's defaults and a random seed where the client says nothing."""
        default = Sampling()
        seed = secrets.randbits(32) if self.seed is None else self.seed & 0xFFFFFFFF
        return Sampling(
            temperature=_or(self.temperature, default.temperature),
            top_p=_or(self.top_p, default.top_p),
            top_k=self.top_k if self.top_k is not None else default.top_k,
            min_p=_or(self.min_p, default.min_p),
            typical_p=_or(self.typical_p, default.typical_p),
            repeat_penalty=_or(self.repeat_penalty or self.repetition_penalty, default.repeat_penalty),
            frequency_penalty=_or(self.frequency_penalty, 0.0),
            presence_penalty=_or(self.presence_penalty, 0.0),
            logit_bias=self._biases(),
            seed=seed,
            alternatives=self.alternatives,
        )

    def _biases(self) -> tuple[tuple[int, float], ...]:
        """Return the biases by the number of their token; `MalformedRequest` where a key is no number."""
        biases = self.logit_bias or {}
        wrong = next((key for key in biases if not _number.match(key)), None)
        if wrong is not None:
            raise MalformedRequest(
                f"'logit_bias' has the key {wrong[:40]!r}, which is not the number of a token.",
                param="logit_bias",
            )
        return tuple((int(key), value) for key, value in biases.items())


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


_number = re.compile(r"\d{1,9}\Z", re.ASCII)
_place = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_missing = re.compile(r"missing required field `(\w+)`")


def decode(body: bytes, decoder: msgspec.json.Decoder[Body], what: str) -> Body:
    """Decode a body that is `what`; `MalformedRequest` names the field that is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error), what) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body is not JSON: {str(error).rstrip('.')}.") from None
    except RecursionError:
        raise MalformedRequest("The JSON is nested too deeply.") from None


def _explain(text: str, whole: str) -> MalformedRequest:
    """Turn msgspec's message into one that names the field as OpenAI does (`messages[0].role`)."""
    match = _place.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    missing = _missing.search(what)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return MalformedRequest(f"The field '{path}' is missing.", param=path)
    if not path:
        return MalformedRequest(f"The body is not {whole}: {what}.")
    what = what[:1].lower() + what[1:]
    return MalformedRequest(f"The field '{path}' is wrong: {what}.", param=path)


def unsupported(field: str, what: str = "is") -> MalformedRequest:
    """Return the refusal of what would be ignored in silence, to the client's surprise."""
    return MalformedRequest(f"'{field}' {what} not supported by local models yet.", param=field)
