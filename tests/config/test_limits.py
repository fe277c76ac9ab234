"""Limits and their subjects, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config.describe import describe
from shareai_cli.config.edit import Editor
from shareai_cli.config.limits import (
    HIGHEST_BUDGET,
    LIMIT_NAMES,
    MOST_COUNTED,
    NANO,
    LimitMistake,
    changed_limits,
    parse_assignments,
    parse_subject,
    read_limit,
    read_limits,
    write_limits,
)
from shareai_cli.errors import ConfigurationError, UsageError
from shareai_cli.paths import Paths
from shareai_cli.types import Budget, LimitChanges, Limits, RateLimit, Subject, WrittenLimits
from tests.support.configuration import FILE, read

ROUTE = "[routes.chat]\ntargets = ['node/x']\n"

written = st.dictionaries(
    st.sampled_from([name for name in LIMIT_NAMES if "budget" not in name]), st.integers(1, MOST_COUNTED)
)
budgets = st.dictionaries(
    st.sampled_from([name for name in LIMIT_NAMES if "budget" in name]),
    st.integers(1, HIGHEST_BUDGET * NANO).map(lambda nano: f"{nano // NANO}.{nano % NANO:09d} USD"),
)


@given(written, budgets)
def test_what_is_written_is_what_is_read(counts: dict[str, int], amounts: dict[str, str]) -> None:
    """Every limit, to the nano-dollar, in one order; and writing it again changes nothing."""
    limits = read_limits({**counts, **amounts})
    assert len(limits.rates) + len(limits.budgets) + (limits.concurrent is not None) == len(counts) + len(
        amounts
    )
    again = write_limits(limits)
    assert read_limits(again) == limits
    assert write_limits(read_limits(again)) == again
    assert {name: value for name, value in again.items() if name in counts} == counts
    assert list(again) == [name for name in LIMIT_NAMES if name in again]
    for budget in limits.budgets:
        whole, _, part = amounts[budget.name].removesuffix(" USD").partition(".")
        assert budget.nano == int(whole) * NANO + int(part)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("requests_per_minute", 60, RateLimit("requests", "minute", 60)),
        ("tokens_per_day", 1, RateLimit("tokens", "day", 1)),
        ("concurrent_requests", 5, 5),
        ("budget_per_month", "50 USD", Budget("month", 50 * NANO)),
        ("budget_total", "0.000000001USD", Budget("total", 1)),
        ("soft_budget_per_week", " 1.5 usd ", Budget("week", 3 * NANO // 2, soft=True)),
        ("soft_budget_total", "7 USD", Budget("total", 7 * NANO, soft=True)),
    ],
)
def test_each_kind_of_limit(name: str, value: object, meant: object) -> None:
    """A number, or an amount of money."""
    assert read_limit(name, value) == meant


@pytest.mark.parametrize(
    ("name", "value", "says", "helps"),
    [
        ("requests_per_minute", 0, "from 1 to", "revoke the key"),
        ("requests_per_minute", -5, "from 1 to", ""),
        ("requests_per_minute", 10**13, "from 1 to", ""),
        ("requests_per_minute", 1.5, "a whole number, and is a number", "requests_per_minute = 60"),
        ("requests_per_minute", True, "and is true or false", ""),
        ("requests_per_minute", "60", "and is '60'", ""),
        ("tokens_per_hour", [1], "and is a list", "tokens_per_hour = 100000"),
        ("budget_per_month", "50", "US dollars, and is '50'", 'budget_per_month = "50 USD"'),
        ("budget_per_month", 50, "and is a number", 'budget_per_month = "50 USD"'),
        ("budget_per_month", 12.25, "and is a number", 'budget_per_month = "12.25 USD"'),
        ("budget_per_month", "50 EUR", "and is '50 EUR'", '"50 USD"'),
        ("budget_per_month", "-1 USD", "and is '-1 USD'", '"50 USD"'),
        ("budget_per_month", "1,000 USD", "and is '1,000 USD'", '"50 USD"'),
        ("budget_per_month", "0.0000000001 USD", "US dollars", ""),
        ("budget_per_month", "0.00 USD", "more than 0", "private"),
        ("budget_per_month", "1000000001 USD", "at most 1000000000 USD", ""),
        ("budget_per_month", "9" * 300 + " USD", "a text of", ""),
        ("requests_per_minuet", 1, "there is no such limit", "Did you mean requests_per_minute?"),
        ("budget_per_total", "1 USD", "there is no such limit", "Did you mean"),
        ("\x1b[31m", 1, "there is no such limit", "Known: "),
    ],
)
def test_a_limit_that_cannot_be_is_told_with_one_that_can(
    name: str, value: object, says: str, helps: str
) -> None:
    """What is wrong, and what to write; without what could steer a terminal."""
    with pytest.raises(LimitMistake) as caught:
        read_limit(name, value)
    assert says in caught.value.message
    assert helps in (caught.value.hint or "")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("words", "says", "helps"),
    [
        (["requests_per_minute"], "a whole number", "requests_per_minute=60"),
        (["requests_per_minute="], "a whole number", "requests_per_minute=60"),
        (["requests_per_minute=6o"], "'6o'", "requests_per_minute=60"),
        (["requests_per_minute=-1"], "'-1'", "requests_per_minute=60"),
        (["requests_per_minute=" + "9" * 5000], "a text of", "requests_per_minute=60"),
        (["requests_per_minute=999999999999999"], "from 1 to", ""),
        (["budget_total=50"], "US dollars, and is '50'", "'budget_total=50 USD'"),
        (["requests_per_day=1", "requests_per_day=1"], "is there twice", ""),
        (["=5"], "no such limit", ""),
        ([""], "no such limit", ""),
    ],
)
def test_an_assignment_that_cannot_be_is_told_as_a_shell_takes_it(
    words: list[str], says: str, helps: str
) -> None:
    """With the quotes that a shell wants."""
    with pytest.raises(UsageError) as caught:
        parse_assignments(words)
    assert says in caught.value.message
    assert helps in (caught.value.hint or "")


def test_assignments_are_limits() -> None:
    """With spaces around or not."""
    words = ["requests_per_minute=60", "budget_total = 5USD", "concurrent_requests= 3"]
    assert read_limits(parse_assignments(words)) == Limits(
        (RateLimit("requests", "minute", 60),), (Budget("total", 5 * NANO),), 3
    )


def test_changes_set_and_take_away() -> None:
    """What is not named stays; what is not there cannot be taken away."""
    former: WrittenLimits = {"requests_per_minute": 60, "budget_total": "5 USD"}
    changes: LimitChanges = {"requests_per_minute": None, "tokens_per_day": 7}
    assert changed_limits(former, changes) == {"tokens_per_day": 7, "budget_total": "5 USD"}
    with pytest.raises(LimitMistake, match="is not set") as caught:
        changed_limits(former, {"tokens_per_day": None})
    assert caught.value.hint == "It has requests_per_minute, budget_total."
    with pytest.raises(LimitMistake, match="no such limit") as caught:
        changed_limits(former, {"requests_per_minut": None})
    assert caught.value.hint == "Did you mean requests_per_minute?"


@pytest.mark.parametrize(
    "subject",
    [
        Subject("organization"),
        Subject("team", "dev"),
        Subject("key", "a/b c"),
        Subject("route", "chat:v1"),
        Subject("target", "openai/org/gpt-5"),
    ],
)
def test_a_subject_is_read_as_it_is_labelled(subject: Subject) -> None:
    """Whatever is in a name."""
    assert parse_subject(subject.label) == subject


@pytest.mark.parametrize(
    ("text", "says", "helps"),
    [
        ("organisation", "nothing that limits stand on", "Did you mean organization?"),
        ("teams/dev", "nothing that limits stand on", "Did you mean team/dev?"),
        ("zzz", "'zzz'", "organization, team/dev"),
        ("", "nothing", "organization, team/dev"),
        ("organization/x", "one organization", "organization"),
        ("team", "Which team?", "team/dev"),
        ("key/", "Which key?", "key/ci"),
        ("route/a b", "not a route's name", "route/chat"),
        ("target/gpt-5", "'gpt-5' is not a target", "target/openai/gpt-5-mini"),
        ("teams/\x1b[31m", "nothing", "organization, team/dev"),
    ],
)
def test_a_subject_that_cannot_be_is_told_with_one_that_can(text: str, says: str, helps: str) -> None:
    """The nearest one, or how they are written."""
    with pytest.raises(UsageError) as caught:
        parse_subject(text)
    assert says in caught.value.message
    assert helps in (caught.value.hint or "")
    assert str(caught.value).isprintable()


def test_limits_are_declared_in_the_file() -> None:
    """Of the organization, routes and targets; an empty table limits nothing."""
    settings = read(
        ROUTE + "[limits.organization]\nbudget_per_month = '50 USD'\n[limits.routes.chat]\n"
        "requests_per_minute = 60\n[limits.targets.'node/org/x']\nconcurrent_requests = 1\n"
        "[limits.targets.'node/y']\n"
    )
    assert settings.limits == {
        Subject("organization"): Limits(budgets=(Budget("month", 50 * NANO),)),
        Subject("route", "chat"): Limits((RateLimit("requests", "minute", 60),)),
        Subject("target", "node/org/x"): Limits(concurrent=1),
    }
    assert describe(settings)["limits"] == {
        "organization": {"budget_per_month": "50 USD"},
        "routes": {"chat": {"requests_per_minute": 60}},
        "targets": {"node/org/x": {"concurrent_requests": 1}},
    }


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("limits = 3", 1, "limits: should be a table"),
        ("[limits]\norganization = 3", 2, "limits.organization: should be a table, and is a number"),
        ("[limits.organisation]", 1, "organisation: unknown key. Did you mean organization?"),
        ("[limits.route.chat]", 1, "route: unknown key. Did you mean routes?"),
        ("[limits.teams.dev]\nrequests_per_minute = 1", 1, "shareai limit set team/NAME"),
        ("[limits.keys]", 1, "shareai limit set key/NAME"),
        ("[limits.organization]\n\nrequests_per_minut = 1", 3, "Did you mean requests_per_minute?"),
        ("[limits.organization]\nrequests_per_minute = 0", 2, "requests_per_minute: should be from 1"),
        ("[limits.organization]\nbudget_total = 50", 2, 'budget_total = "50 USD"'),
        ("[limits.organization]\nbudget_total = '50 EUR'", 2, "and is '50 EUR'"),
        ("[limits.routes.caht]\n" + ROUTE, 1, "there is no route 'caht'. Did you mean chat?"),
        ("[limits.routes.'a/b']", 1, "is not a route's name"),
        ("[limits.targets.x]", 1, "'x' is not a target"),
        ("[providers.openai]\n[limits.targets.'opnai/x']", 2, "no provider 'opnai'. Did you mean openai?"),
        ("[limits.targets]\n'node/x' = 5", 2, "should be a table, and is a number"),
        ("[limits.organization]\nrequests_per_day = 1\nrequests_per_day = 2", 3, "not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_names_line_key_and_what_was_meant(text: str, line: int, says: str) -> None:
    """A person finds the place and the word without looking anything up."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert f"{FILE}, line {line}: " in str(caught.value)
    assert says in str(caught.value)


COMMENTED = """\
[limits.organization]  # all of us
requests_per_minute = 60  # enough

[routes.chat]
targets = ["node/x"]

[limits.routes.chat]
concurrent_requests = 4
"""


@pytest.fixture
def editor(paths: Paths) -> Editor:
    paths.config_file.parent.mkdir(parents=True)
    return Editor(paths.config_file, {}, PRESETS)


def test_a_command_sets_limits_as_a_person_would(editor: Editor, paths: Paths) -> None:
    """Comments and everything else stay; what is left empty goes, unless a comment is in it."""
    paths.config_file.write_text(COMMENTED)
    editor.set_limits(Subject("organization"), {"budget_total": "5usd", "requests_per_minute": 30})
    text = paths.config_file.read_text()
    assert text == COMMENTED.replace("= 60", "= 30").replace("enough\n", 'enough\nbudget_total = "5 USD"\n')
    editor.set_limits(Subject("target", "node/x"), {"tokens_per_day": 9})
    editor.set_limits(Subject("route", "chat"), {"concurrent_requests": None})
    text = paths.config_file.read_text()
    assert '[limits.targets."node/x"]\ntokens_per_day = 9\n' in text
    assert "limits.routes" not in text
    settings = editor.set_limits(Subject("organization"), {"requests_per_minute": None, "budget_total": None})
    assert list(settings.limits) == [Subject("target", "node/x")]
    assert "# all of us" in paths.config_file.read_text()


@pytest.mark.parametrize("text", ["", "limits = {}\n", "[limits]\n", "[server]\n\n[limits.targets]\n"])
def test_limits_come_and_go_in_every_form_of_the_file(editor: Editor, paths: Paths, text: str) -> None:
    """Tables or inline, there or not."""
    paths.config_file.write_text(text)
    for subject in (Subject("organization"), Subject("target", "node/a.b")):
        settings = editor.set_limits(subject, {"requests_per_minute": 1})
        assert settings.limits[subject] == Limits((RateLimit("requests", "minute", 1),))
    for subject in (Subject("organization"), Subject("target", "node/a.b")):
        settings = editor.set_limits(subject, {"requests_per_minute": None})
        assert subject not in settings.limits


@pytest.mark.parametrize(
    ("subject", "changes", "helps"),
    [
        (Subject("route", "caht"), {"requests_per_minute": 1}, "Did you mean chat?"),
        (Subject("target", "nod/x"), {"requests_per_minute": 1}, "Did you mean node?"),
        (Subject("organization"), {"requests_per_minut": 1}, "Did you mean requests_per_minute?"),
        (Subject("organization"), {"tokens_per_day": None}, "It has requests_per_minute."),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    editor: Editor, paths: Paths, subject: Subject, changes: LimitChanges, helps: str
) -> None:
    """And says what was meant."""
    paths.config_file.write_text(COMMENTED)
    with pytest.raises(UsageError) as caught:
        editor.set_limits(subject, changes)
    assert helps in (caught.value.hint or "")
    assert paths.config_file.read_text() == COMMENTED
    assert not editor.has_written


def test_limits_go_with_what_they_stand_on(editor: Editor, paths: Paths) -> None:
    """A route that is removed, or a provider with its targets; a route in place of another keeps them."""
    provider = "[providers.a]\nbase_url = 'https://a.example'\n[limits.targets.'a/m']\nrequests_per_day = 1\n"
    paths.config_file.write_text(COMMENTED + provider)
    settings = editor.remove_route("chat")
    assert [one.label for one in settings.limits] == ["organization", "target/a/m"]
    settings = editor.remove_provider("a")
    assert [one.label for one in settings.limits] == ["organization"]
    assert "limits.targets" not in paths.config_file.read_text()
