"""What is proposed: everything new, nothing twice, and a route in which one way stands in for the other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.catalog.prices import PriceBook
from shareai_cli.discovery.engines import FoundEngine
from shareai_cli.discovery.files import FoundFile, FoundFiles, Owner
from shareai_cli.discovery.found import Found, FoundKey, find_keys, look
from shareai_cli.discovery.proposal import FIRST_MODELS, MOST_MODELS, Machine, Proposal, propose
from shareai_cli.secrets import SecretReference
from shareai_cli.types import Usage
from tests.discovery.trees import gguf
from tests.support.configuration import read
from tests.support.engines import engine, vllm
from tests.support.model_files import LLAMA, model_file

MACHINE = Machine(memory=16 << 30, llama=True)
OPENAI = FoundKey("openai", "OpenAI", "OPENAI_API_KEY")
GROQ = FoundKey("groq", "Groq", "GROQ_API_KEY")
OLLAMA = FoundEngine("ollama", "Ollama", "http://127.0.0.1:11434/v1", ("nomic-embed-text", "llama3.2:3b"))


def file(name: str, size: int = 1 << 30, owner: Owner = "Hugging Face", problem: str = "") -> FoundFile:
    return FoundFile(name, f"acme/{name}", Path(f"/models/{name}.gguf"), size, owner, problem)


def found(*things: FoundKey | FoundEngine | FoundFile) -> Found:
    return Found(
        tuple(one for one in things if isinstance(one, FoundKey)),
        tuple(one for one in things if isinstance(one, FoundEngine)),
        FoundFiles(tuple(one for one in things if isinstance(one, FoundFile))),
    )


def targets(proposal: Proposal) -> list[str]:
    [route] = proposal.extension.routes
    return [target.name for target in route.targets]


def test_nothing_found_is_nothing_proposed() -> None:
    """Not even a route."""
    proposal = propose(found(), read(""), MACHINE)
    assert proposal.extension.is_empty
    assert not proposal.has_choice


def test_a_key_makes_a_provider_that_names_the_variable() -> None:
    """And a route to a model of it."""
    proposal = propose(found(OPENAI), read(""), MACHINE)
    [provider] = proposal.extension.providers
    assert (provider.name, provider.base_url, provider.keys) == (
        "openai",
        None,
        (SecretReference("env", "OPENAI_API_KEY"),),
    )
    assert targets(proposal) == ["openai/gpt-5-mini"]
    assert not proposal.has_choice


def test_one_way_stands_in_for_the_other() -> None:
    """The own machine first, engines before files, unless the cloud is to be first."""
    everything = found(OPENAI, GROQ, OLLAMA, file("wise"))
    proposal = propose(everything, read(""), MACHINE)
    own, cloud = ["ollama/llama3.2:3b", "node/wise"], ["openai/gpt-5-mini", "groq/openai/gpt-oss-120b"]
    assert targets(proposal) == own + cloud
    assert proposal.has_choice
    assert targets(propose(everything, read(""), MACHINE, "cloud")) == cloud + own


@pytest.mark.parametrize(
    "text",
    [
        '[providers.openai]\nkeys = ["file:~/mine"]\n',
        '[providers.work]\npreset = "openai"\nkeys = ["env:OPENAI_API_KEY"]\n',
    ],
)
def test_a_provider_that_is_declared_is_left_as_it_is(text: str) -> None:
    """Under its name, or where it uses the variable under another name."""
    assert propose(found(OPENAI), read(text), MACHINE).extension.providers == ()


def test_what_serve_found_by_itself_is_not_declared() -> None:
    """It would be gone once anything is declared, and so is proposed."""
    settings = read("", {"OPENAI_API_KEY": "sk-x"})
    assert settings.discovered
    assert [one.name for one in propose(found(OPENAI), settings, MACHINE).extension.providers] == ["openai"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_an_engine_that_is_declared_is_not_declared_again(host: str) -> None:
    """However its address is written; the route uses the name that it has."""
    settings = read(f'[providers.mine]\nbase_url = "http://{host}:11434/v1"\n')
    proposal = propose(found(OLLAMA), settings, MACHINE)
    assert proposal.extension.providers == ()
    assert targets(proposal) == ["mine/llama3.2:3b"]


def test_an_engine_whose_name_is_taken_gets_another() -> None:
    """The one of the name may be on another machine."""
    settings = read('[providers.ollama]\nbase_url = "http://10.0.0.7:11434/v1"\nkeys = []\n')
    [provider] = propose(found(OLLAMA), settings, MACHINE).extension.providers
    assert (provider.name, provider.base_url) == ("ollama-2", OLLAMA.base_url)


def test_files_that_would_not_serve_are_left_out_with_the_reason() -> None:
    """Too large, no model that talks, or served by the engine that fetched them."""
    files = [
        file("large", 14 << 30),
        file("bge-small-en"),
        file("broken", problem="its header holds no model that answers"),
        file("theirs", owner="Ollama"),
        file("studio", owner="LM Studio"),
    ]
    proposal = propose(found(OLLAMA, *files), read(""), MACHINE)
    assert [model.name for model in proposal.extension.models] == ["studio"]
    assert {one.name: one.why for one in proposal.left_out} == {
        "large": "its 15.0 GB do not fit this machine's memory",
        "bge-small-en": "it is not made for talking",
        "broken": "its header holds no model that answers",
        "theirs": "Ollama serves it",
    }


def test_without_llama_cpp_no_file_is_proposed() -> None:
    """A declared model that nothing serves would only fail."""
    proposal = propose(found(file("wise")), read(""), Machine(16 << 30, llama=False))
    assert proposal.extension.is_empty
    assert [one.why for one in proposal.left_out] == ["llama.cpp is not installed"]


def test_files_are_proposed_once_and_not_without_end() -> None:
    """One that is declared is none that is new; one whose name is taken gets another."""
    settings = read('[local]\nmodels = ["/models/a.gguf", "/mine/b.gguf"]\n')
    many = [file(f"m{number}") for number in range(MOST_MODELS + 3)]
    proposal = propose(found(file("a"), file("b"), *many), settings, MACHINE)
    assert [model.name for model in proposal.extension.models][:2] == ["b-2", "m0"]
    assert len(proposal.extension.models) == MOST_MODELS
    assert len(proposal.left_out) == 4
    assert targets(proposal) == ["node/a"]


def test_a_route_of_ones_own_is_left_alone() -> None:
    """What could stand in is named, so that it can be said how."""
    settings = read('[providers.groq]\n[routes.mine]\ntargets = ["groq/a"]\n')
    proposal = propose(found(OPENAI, GROQ), settings, MACHINE)
    assert proposal.extension.routes == ()
    assert [target.name for target in proposal.stand_ins] == ["openai/gpt-5-mini"]


def test_what_was_proposed_is_new_only_once(tmp_path: Path) -> None:
    """The settings that come of it have nothing left to add."""
    everything = found(OPENAI, GROQ, OLLAMA, file("wise"), file("large", 14 << 30))
    import tomlkit

    document = tomlkit.document()
    propose(everything, read(""), MACHINE).extension.extend(document)
    again = propose(everything, read(tomlkit.dumps(document)), MACHINE)
    assert again.extension.is_empty
    assert again.stand_ins == ()


@pytest.mark.parametrize("name", [name for name in FIRST_MODELS if PRESETS[name].price_as])
def test_each_first_model_is_known_to_the_prices(name: str) -> None:
    """A name that nobody has would make a route that fails."""
    cost = PriceBook().cost_nano(
        PRESETS[name].price_as, FIRST_MODELS[name], Usage(prompt=1000), 1_760_000_000_000
    )
    assert cost


def test_keys_are_found_by_the_variables_of_the_presets() -> None:
    """Set, and not empty; the key itself is not looked at."""
    environ = {"GROQ_API_KEY": "gsk_x", "OPENAI_API_KEY": " ", "GOOGLE_API_KEY": "x", "FOREIGN_API_KEY": "x"}
    assert {(one.provider, one.variable) for one in find_keys(environ, PRESETS)} == {
        ("groq", "GROQ_API_KEY"),
        ("gemini", "GOOGLE_API_KEY"),
    }


async def test_everything_is_looked_for_together(isolated_environment: None) -> None:
    """Keys, engines and files; of a file's header it is seen whether it could answer."""
    folder = Path(os.environ["HOME"]) / ".lmstudio/models/acme/a"
    model_file(folder / "wise.gguf")
    model_file(folder / "vectors.gguf", {**LLAMA, "llama.pooling_type": 1})
    gguf(folder / "broken.gguf")
    with engine(vllm("a")) as port:
        everything = await look({"GROQ_API_KEY": "x", "OLLAMA_MODELS": "/none"}, PRESETS, [port])
    assert [one.provider for one in everything.keys] == ["groq"]
    assert [one.kind for one in everything.engines] == ["vllm"]
    assert {one.id: bool(one.problem) for one in everything.files.files} == {
        "broken": True,
        "vectors": True,
        "wise": False,
    }
