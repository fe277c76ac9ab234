"""Keys of requests: equal only where bodies mean the same, whoever asks, of whichever route."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shareai_cli.errors import MalformedRequest
from shareai_cli.gateway.body import decode_fields, encode_fields
from shareai_cli.gateway.cache.key import KEY_BYTES, KNOWN, KNOWN_BYTES, RequestKeys

KEYS = RequestKeys(b"salt", "chat", ["a/m"], is_shared=False)

SPACES = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
NUMBERS = st.sampled_from(["1", "1.0", "1e0", "10e-1", "0", "-0", "0.0", "1E0", "12345678901234567890123",
                           "12345678901234567890124", "0.1", "0.10", "1e400"])  # fmt: skip
STRINGS = st.sampled_from(['"a"', '"\\u0061"', '"A"', '"a "', '"\\/"', '"/"', '"é"', '"\\u00e9"', '""',
                           '"a\\nb"', '"1"', '"true"', '"\\"b"', '" { \\"c\\" : 1 } "'])  # fmt: skip
NAMES = st.sampled_from(['"a"', '"\\u0061"', '"b"', '"model"', '"messages"', '"stream"'])
WORDS = st.sampled_from(["true", "false", "null"])


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    written = draw(st.lists(items, max_size=2))
    return "[" + ",".join(draw(SPACES) + one + draw(SPACES) for one in written) + draw(SPACES) + "]"


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[str], names: st.SearchStrategy[str] = NAMES) -> str:
    """Write an object; names may be there twice, in any order."""
    pairs = draw(st.lists(st.tuples(names, items), max_size=3))
    written = [
        f"{draw(SPACES)}{name}{draw(SPACES)}:{draw(SPACES)}{item}{draw(SPACES)}" for name, item in pairs
    ]
    return "{" + ",".join(written) + draw(SPACES) + "}"


VALUES = st.recursive(NUMBERS | STRINGS | WORDS, lambda inner: arrays(inner) | objects(inner), max_leaves=4)
BODIES = objects(VALUES)


class Number(str):
    """A number as it was written, equal to those that are the same number of the same kind."""

    def meaning(self) -> tuple[bool, Decimal, bool]:
        value = Decimal(self)
        return self.lstrip("-").isdigit(), value, value.is_signed()


def meaning(body: str) -> object:
    """Return what a body means at the least: members in their order, numbers and texts as they are."""

    def pairs(members: list[tuple[str, object]]) -> object:
        return ("object", tuple(members))

    kind, top = json.loads(
        body,
        object_pairs_hook=pairs,
        parse_int=lambda text: ("number", Number(text).meaning()),
        parse_float=lambda text: ("number", Number(text).meaning()),
    )
    assert kind == "object"
    return frozenset((name, repr(value)) for name, value in dict(top).items())


def key_of(body: str, *, team: str = "default", streamed: bool = False) -> bytes:
    raw = body.encode()
    key = KEYS.of(team, streamed, decode_fields(raw), raw)
    assert key is not None
    return key


@settings(max_examples=200, deadline=None)
@given(BODIES, BODIES)
def test_equal_keys_are_of_bodies_that_mean_the_same(one: str, other: str) -> None:
    """Whatever differs in names, order within, numbers, texts or nesting has another key."""
    if key_of(one) == key_of(other):
        assert meaning(one) == meaning(other)


ALIKE = (
    ("1", "1.0", "1e0", "10e-1", '"1"'),
    ("0", "-0", "0.0"),
    ('"a"', '"\\u0061"', '"a "', '"A"'),
    ('"\\/"', '"/"'),
    ("true", '"true"'),
    ("null", '""'),
)
"""Values that could be taken for each other."""

TREES: st.SearchStrategy[object] = st.recursive(
    st.sampled_from(ALIKE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def written(draw: st.DrawFn, tree: object) -> str:
    """Write a tree in one of the ways that are much alike."""
    if isinstance(tree, tuple):
        return f"{draw(SPACES)}{draw(st.sampled_from(tree))}{draw(SPACES)}"
    if isinstance(tree, list):
        return "[" + ",".join(draw(written(one)) for one in tree) + "]"
    assert isinstance(tree, dict)
    members = draw(st.permutations(list(tree.items())))
    again = draw(st.sampled_from([*members, None])) if members else None
    return (
        "{"
        + ",".join(f'"{name}":{draw(written(one))}' for name, one in [*members, *([again] if again else [])])
        + "}"
    )


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), TREES, max_size=3).flatmap(
        lambda tree: st.tuples(written(tree), written(tree))
    )
)
def test_bodies_that_are_all_but_the_same_are_told_apart(bodies: tuple[str, str]) -> None:
    """Members in another order, a number or a text spelled otherwise: equal only where nothing differs."""
    one, other = bodies
    if key_of(one) == key_of(other):
        assert meaning(one) == meaning(other)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1, max_size=3), st.data())
def test_the_order_of_fields_and_white_space_are_no_difference(
    fields: dict[str, str], data: st.DataObject
) -> None:
    """Clients that say the same in another order share."""

    def body() -> str:
        members = data.draw(st.permutations(list(fields.items())))
        return "{" + ",".join(f'"{name}":{data.draw(SPACES)}{value}' for name, value in members) + "}"

    assert key_of(body()) == key_of(body())


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_what_is_sent_on_has_the_key_of_what_came(body: str) -> None:
    """The key is of what the upstream sees: a field that is there twice counts as it is sent."""
    sent = encode_fields(decode_fields(body.encode())).decode()
    assert key_of(sent) == key_of(body)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [ 2 ]}', '{"b":[2],"a":1}'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('{"\\u0061": 1}', '{"a": 1}'),
    ],
)
def test_bodies_that_share(one: str, other: str) -> None:
    """Fields in another order, white space, a name that is spelled otherwise, one that is overruled."""
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": 100}', '{"a": 1e2}'),
        ('{"a": 0}', '{"a": -0}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": "x"}', '{"a": "\\u0078"}'),
        ('{"a": " x"}', '{"a": "x"}'),
        ('{"a": "1"}', '{"a": 1}'),
        ('{"a": null}', "{}"),
        ('{"a": {"b": 1, "c": 2}}', '{"a": {"c": 2, "b": 1}}'),
        ('{"a": {"b": 1, "b": 2}}', '{"a": {"b": 2}}'),
        ('{"a": [1, 2]}', '{"a": [2, 1]}'),
        ('{"a": [[1], 2]}', '{"a": [1, [2]]}'),
        ('{"a": "b\\",\\"c"}', '{"a": "b", "c": ""}'),
    ],
)
def test_bodies_that_do_not_share(one: str, other: str) -> None:
    """Where it is in doubt, or plainly otherwise."""
    assert key_of(one) != key_of(other)


def test_the_scope_the_form_and_the_route_count() -> None:
    """Another team, a stream, another route, other targets and another gateway have other keys."""
    body = b'{"a":1}'
    fields = decode_fields(body)

    def made(
        salt: bytes = b"salt", route: str = "chat", target: str = "a/m", *, shared: bool = False
    ) -> RequestKeys:
        return RequestKeys(salt, route, [target], is_shared=shared)

    keys = [
        made().of("t", False, fields, body),
        made().of("u", False, fields, body),
        made().of("null", False, fields, body),
        made().of("t", True, fields, body),
        made(route="talk").of("t", False, fields, body),
        made(target="b/m").of("t", False, fields, body),
        made(salt=b"other").of("t", False, fields, body),
        made(shared=True).of("t", False, fields, body),
    ]
    assert len(set(keys)) == len(keys)
    assert made(shared=True).of("t", False, fields, body) == made(shared=True).of("u", False, fields, body)


@pytest.mark.parametrize("depth", range(0, 1000, 20))
def test_nesting_that_cannot_be_looked_at_has_no_key(depth: int) -> None:
    """What can be decoded and not be looked at is not kept, and no mistake."""
    try:
        body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        fields = decode_fields(body)
    except MalformedRequest:
        return
    key = KEYS.of("t", False, fields, body)
    assert key is None or len(key) == KEY_BYTES


def test_a_key_is_the_same_whether_it_is_at_hand_or_not() -> None:
    """However many other bodies come between, of another team or form too, and however long one is."""
    bodies = [b'{"a":%d}' % number for number in range(2 * KNOWN)] + [b'{"a":"' + b"x" * KNOWN_BYTES + b'"}']
    asked = [(team, streamed, body) for body in bodies for team in ("t", "u") for streamed in (False, True)]
    keys = RequestKeys(b"salt", "chat", ["a/m"], is_shared=False)

    def of(team: str, streamed: bool, body: bytes) -> bytes | None:
        return keys.of(team, streamed, decode_fields(body), body)

    first = [of(*one) for one in asked]
    assert len(set(first)) == len(asked)
    assert [of(*one) for one in asked] == first
    assert [again for one in asked for again in (of(*one), of(*one))] == [
        key for key in first for _ in range(2)
    ]
