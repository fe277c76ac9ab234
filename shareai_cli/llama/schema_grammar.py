"""From a JSON schema to a grammar in llama.cpp's GBNF: text work, bounded, and nothing ignored in silence.

A grammar admits a part of what its schema admits: properties come in their order, and only those that
the schema names. References: https://json-schema.org/draft/2020-12 and grammars/README.md of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.gbnf import Rules

MOST_RULES = 2000
DEEPEST = 64
MOST_REPEATED = 2000
"""Bounds of what a client may send: rules, levels of a schema, and repetitions in a whole grammar."""

_UNKNOWN = (
    *("pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems"),
    *("contains", "not", "if", "patternProperties", "propertyNames", "minProperties", "maxProperties"),
    *("dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
)
"""Keywords that restrict what is valid and that no grammar is made for."""

SCHEMA_FIELD = "response_format.json_schema.schema"


def schema_grammar(schema: Any) -> str:
    """Return the grammar of a schema; `MalformedRequest` says what of it cannot be kept, and where."""
    rules = Rules()
    return rules.written(schema_expression(rules, schema))


def schema_expression(rules: Rules, schema: Any, *, field: str = SCHEMA_FIELD, strict: bool = True) -> str:
    """Return what stands for a schema that is in a `field`, and add the rules that it needs.

    `MalformedRequest` says what of it cannot be kept, and where; not `strict`, a value of the right shape
    does where a keyword says more about it than a grammar can.
    """
    try:
        return _Builder(rules, schema, strict=strict).expression(schema, "schema", 0)
    except MalformedRequest as error:
        raise MalformedRequest(error.message, param=field) from None


class _Builder:
    """Turns one schema into rules."""

    def __init__(self, rules: Rules, root: Any, *, strict: bool) -> None:
        self._rules = rules
        self._literal = rules.dialect.literal
        self._root = root
        self._strict = strict
        self._references: dict[str, str] = {}

    def expression(self, schema: Any, place: str, depth: int) -> str:
        """Return what stands for a schema in another one's rule."""
        if depth > DEEPEST or len(self._rules) > MOST_RULES:
            raise _refused(place, "the schema is nested too deeply or too large")
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, dict):
            raise _refused(place, "a schema is an object")
        unknown = next((keyword for keyword in _UNKNOWN if keyword in schema), None)
        if unknown is not None and self._strict:
            raise _refused(place, f"{unknown!r} cannot be kept by local models")
        if "$ref" in schema:
            return self._reference(schema["$ref"], place, depth)
        if "const" in schema:
            return self._literal(schema["const"])
        if "enum" in schema:
            return self._one_of(
                [self._literal(value) for value in _sequence(schema["enum"], f"{place}.enum")]
            )
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._alternatives(schema, keyword, place, depth)
        if "allOf" in schema:
            return self.expression(_merged(schema, place), place, depth + 1)
        if isinstance(schema.get("type"), list):
            kinds = [{**schema, "type": kind} for kind in _sequence(schema["type"], f"{place}.type")]
            return self._one_of([self.expression(kind, place, depth + 1) for kind in kinds])
        return self._of_type(schema, place, depth)

    def _of_type(self, schema: dict[str, Any], place: str, depth: int) -> str:
        kind = schema.get("type")
        if kind == "object" or (
            kind is None and ("properties" in schema or "additionalProperties" in schema)
        ):
            return self._object(schema, place, depth)
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return self._array(schema, place, depth)
        if kind == "string" or (kind is None and ("minLength" in schema or "maxLength" in schema)):
            return self._string(schema, place)
        if kind in ("integer", "number", "boolean", "null"):
            return str(kind)
        if kind is None:
            return "value"
        raise _refused(place, f"there is no type {str(kind)[:40]!r}")

    def _alternatives(self, schema: dict[str, Any], keyword: str, place: str, depth: int) -> str:
        if "properties" in schema:
            raise _refused(place, f"{keyword!r} beside 'properties' cannot be kept by local models")
        branches = _sequence(schema[keyword], f"{place}.{keyword}")
        return self._one_of(
            [
                self.expression(branch, f"{place}.{keyword}[{number}]", depth + 1)
                for number, branch in enumerate(branches)
            ]
        )

    def _object(self, schema: dict[str, Any], place: str, depth: int) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise _refused(place, "'properties' is an object, and 'required' a list")
        known = {**properties, **{str(name): {} for name in required if name not in properties}}
        if not known:
            return self._mapping(schema.get("additionalProperties", True), place, depth)
        key = self._rules.dialect.key
        members = [
            (f"{key(name)} {self.expression(value, f'{place}.{name[:40]}', depth + 1)}", name in required)
            for name, value in known.items()
        ]
        return self._rule(f'"{{" space {self._members(members)} "}}"')

    def _members(self, members: Sequence[tuple[str, bool]]) -> str:
        """Return what stands between the braces: required members, any of the others, commas between them."""
        first, further = "", "space"
        for member, required in reversed(members):
            name = self._rule(member)
            begun = f"{name} {further}"
            otherwise = f"{begun} | {first}" if first else f"({begun})?"
            first = self._rule(begun if required else otherwise)
            rest = f'"," space {name}'
            further = self._rule(f"{rest if required else f'({rest})?'} {further}")
        return first

    def _mapping(self, values: Any, place: str, depth: int) -> str:
        if values is False:
            return self._rule('"{" space "}"')
        if values is True or values == {}:
            return "object"
        member = self._rule(f"key {self.expression(values, f'{place}.additionalProperties', depth + 1)}")
        return self._rule(f'"{{" space ({member} ("," space {member})* space)? "}}"')

    def _array(self, schema: dict[str, Any], place: str, depth: int) -> str:
        least, most = _bounds(schema, "minItems", "maxItems", place)
        fixed = _sequence(schema["prefixItems"], f"{place}.prefixItems") if "prefixItems" in schema else []
        if fixed:
            items = [
                self.expression(item, f"{place}.prefixItems[{number}]", depth + 1)
                for number, item in enumerate(fixed)
            ]
            inner = ' "," space '.join(items)
            return self._rule(f'"[" space {inner} space "]"')
        item = self._rule(self.expression(schema.get("items", True), f"{place}.items", depth + 1))
        if most == 0:
            return self._rule('"[" space "]"')
        times = self._times(max(0, least - 1), None if most is None else most - 1, place)
        repeated = f'("," space {item}){times}'
        inner = f"{item} {repeated} space"
        return self._rule(f'"[" space {inner if least else f"({inner})?"} "]"')

    def _string(self, schema: dict[str, Any], place: str) -> str:
        least, most = _bounds(schema, "minLength", "maxLength", place)
        if not least and most is None:
            return "string"
        return self._rule(f'"\\"" char{self._times(least, most, place)} "\\""')

    def _reference(self, reference: Any, place: str, depth: int) -> str:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise _refused(place, "a '$ref' points into the same schema")
        name = self._references.get(reference)
        if name is None:
            # Named before it is made: it may be part of itself.
            name = self._references[reference] = self._rule("")
            body = self.expression(self._target(reference, place), place, depth + 1)
            if body == name:
                raise _refused(place, "a '$ref' points to itself")
            self._rules.define(name, body)
        return name

    def _target(self, reference: str, place: str) -> Any:
        found = self._root
        for step in reference.lstrip("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise _refused(place, f"the '$ref' {reference[:80]!r} points to nothing")
            found = found[key]
        return found

    def _times(self, least: int, most: int | None, place: str) -> str:
        """Return how often something comes; llama.cpp makes a rule for each time."""
        self._rules.repeated += most or least
        if self._rules.repeated > MOST_REPEATED:
            raise _refused(place, f"more than {MOST_REPEATED} repetitions are prescribed")
        if most is None:
            return f"{{{least},}}" if least else "*"
        return f"{{{least},{most}}}"

    def _one_of(self, expressions: Iterable[str]) -> str:
        return self._rules.one_of(*expressions)

    def _rule(self, body: str) -> str:
        return self._rules.add(body)


def _merged(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """Return one schema for the parts of an `allOf`, which may only be one, or objects' properties."""
    parts = [*_sequence(schema["allOf"], f"{place}.allOf")]
    own = {key: value for key, value in schema.items() if key != "allOf"}
    parts += [own] if own.keys() & {"type", "properties", "required", "$ref"} else []
    if len(parts) == 1 and isinstance(parts[0], dict):
        return parts[0]
    merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in parts:
        if not isinstance(part, dict) or part.keys() & {"$ref", "anyOf", "oneOf", "allOf", "enum", "const"}:
            raise _refused(place, "'allOf' of more than properties cannot be kept by local models")
        if part.get("type", "object") != "object":
            raise _refused(place, "'allOf' of more than properties cannot be kept by local models")
        merged["properties"].update(part.get("properties", {}))
        merged["required"] += part.get("required", [])
    return merged


def _bounds(schema: dict[str, Any], least: str, most: str, place: str) -> tuple[int, int | None]:
    low, high = schema.get(least, 0), schema.get(most)
    for value in (low, high if high is not None else 0):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_REPEATED:
            raise _refused(place, f"{least!r} and {most!r} are numbers up to {MOST_REPEATED}")
    if high is not None and high < low:
        raise _refused(place, f"{most!r} is less than {least!r}")
    return low, high


def _sequence(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or not value or len(value) > MOST_RULES:
        raise _refused(place, "this is a list, and neither empty nor too long")
    return value


def _refused(place: str, why: str) -> MalformedRequest:
    return MalformedRequest(f"The schema cannot be used at {place[:200]}: {why}.")
