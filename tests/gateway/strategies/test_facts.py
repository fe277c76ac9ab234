"""What is known of a route's targets: by what is declared, the files of own models, and the catalogue."""

from __future__ import annotations

from pathlib import Path

from shareai_cli.catalog.facts import FactBook
from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import load_text
from shareai_cli.gateway.strategies.board import Board
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.picker import build_boards
from shareai_cli.gateway.strategies.shape import TOOLS, VISION, Shape
from tests.support.clock import FakeClock
from tests.support.gateway import NOW
from tests.support.model_files import model_file

FILE = Path("/home/somebody/config.toml")


def board(text: str) -> Board:
    settings = load_text(text, FILE, {}, PRESETS)
    clock = FakeClock()
    return build_boards(settings, FactBook(lambda: NOW), Measurements(clock), clock)["chat"]


def test_the_catalogue_knows_clouds_and_a_files_header_knows_own_models(tmp_path: Path) -> None:
    """What is declared counts more; of what nobody knows nothing is claimed."""
    file = model_file(tmp_path / "tiny.gguf")
    found = board(
        "[providers.openai]\n[providers.alpha]\nbase_url = 'https://alpha.example/v1'\n"
        f"[local]\nmodels = [{{path = '{file}', context = 2048}}, '/nowhere/gone.gguf']\n"
        "[routes.chat]\nstrategy = 'cheapest'\n"
        "targets = ['openai/gpt-4o', {target = 'openai/gpt-4', vision = true, context = 99}, "
        "'alpha/unheard-of', 'node/tiny', 'node/gone', 'node/other']"
    )
    known, declared, unknown, own, gone, other = found.candidates
    assert (known.context, known.can & (TOOLS | VISION), known.is_own) == (128_000, TOOLS | VISION, False)
    assert (declared.context, declared.can & VISION, declared.cannot & VISION) == (99, VISION, 0)
    assert (unknown.context, unknown.can, unknown.cannot) == (None, 0, 0)
    assert (own.context, own.is_own) == (2048, True)
    assert (gone.context, other.context) == (None, None)
    costs = [found.costs.of(Shape(1_000), found.costs.kind(place)) for place in range(6)]
    assert costs[0] and costs[1]
    assert costs[1] > costs[0]
    assert costs[2:] == [None, 0, 0, 0]


def test_only_routes_that_need_it_are_prepared() -> None:
    """A plain one is asked nothing of; one with more targets than can be looked at one by one is."""
    many = ", ".join(f"'node/m{number}'" for number in range(33))
    settings = load_text(
        "[routes.plain]\ntargets = ['node/x']\n[routes.fit]\nfit = true\ntargets = ['node/x']\n"
        f"[routes.long]\ntargets = [{many}]",
        FILE,
        {},
        PRESETS,
    )
    clock = FakeClock()
    boards = build_boards(settings, FactBook(lambda: NOW), Measurements(clock), clock)
    assert set(boards) == {"fit", "long"}
