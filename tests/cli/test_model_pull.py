"""`shareai model pull` fetches a model: it goes on where it broke off, and checks what it became."""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from shareai_cli.cli.model.fetching import TRIES, Fetch
from shareai_cli.cli.model.hub import parse_wanted
from shareai_cli.cli.model.quants import HubFile, choose, offers
from shareai_cli.errors import MalformedReply, PermissionRefused, StateError, UpstreamError, UsageError
from shareai_cli.gateway.fleet import demo_model
from shareai_cli.paths import Paths
from tests.support.commands import Outcome, shareai, shareai_process
from tests.support.hub import COMMIT, FakeHub, running
from tests.support.terminal import terminal

DEMO = Path(demo_model().path).read_bytes()
LARGER = DEMO + bytes(1000)

needs_library = pytest.mark.skipif(
    find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)


def hub_files(*names: str) -> list[HubFile]:
    return [HubFile(name, 100 + number, "0" * 64) for number, name in enumerate(names)]


# Which files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "repository", "quant"),
    [
        ("acme/Wise-GGUF", "acme/Wise-GGUF", None),
        ("acme/Wise-GGUF:Q4_K_M", "acme/Wise-GGUF", "Q4_K_M"),
        ("hf.co/acme/Wise-GGUF:q8_0", "acme/Wise-GGUF", "q8_0"),
        ("https://huggingface.co/acme/Wise-GGUF/", "acme/Wise-GGUF", None),
    ],
)
def test_a_repository_is_named_as_on_its_page(text: str, repository: str, quant: str | None) -> None:
    """With the quantisation behind a colon, or without."""
    wanted = parse_wanted(text)
    assert (wanted.repository, wanted.quant) == (repository, quant)


@pytest.mark.parametrize(
    "text", ["", "wise", "a/b/c", "../x/y", "a/b:", "a/b:../c", "a /b", "http://other/a/b"]
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(UsageError, match="is no repository"):
        parse_wanted(text)


def test_models_are_told_apart_by_their_quantisations() -> None:
    """Parts belong together, and are one model if all are there; what sees pictures is none by itself."""
    found = offers(
        hub_files(
            "Wise-Q4_K_M.gguf", "Q8_0/Wise-Q8_0-00002-of-00002.gguf", "Q8_0/Wise-Q8_0-00001-of-00002.gguf",
            "Wise-F16-00001-of-00003.gguf", "mmproj-Wise-F16.gguf", "Wise.imatrix.gguf", "plain.gguf",
            "config.json", "other/Wise-Q4_K_M.gguf",
        )
    )  # fmt: skip
    assert list(found) == ["Q8_0", "Q4_K_M", "other/Wise-Q4_K_M", "plain"]
    assert [file.name for file in found["Q8_0"].files] == [
        "Q8_0/Wise-Q8_0-00001-of-00002.gguf",
        "Q8_0/Wise-Q8_0-00002-of-00002.gguf",
    ]
    assert found["Q8_0"].size == 203


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, "Q4_K_M"),
        ("q8_0", "Q8_0"),
        ("wise-q8_0", "Q8_0"),
        ("Wise-IQ2_XS.gguf", "IQ2_XS"),
    ],
)
def test_a_quantisation_is_chosen_by_its_name_or_else_the_customary_one(
    wanted: str | None, chosen: str
) -> None:
    """In letters large or small, or by the file's name."""
    known = offers(hub_files("Wise-Q8_0.gguf", "Wise-IQ2_XS.gguf", "Wise-Q4_K_M.gguf"))
    assert choose(known, wanted, "acme/w").name == chosen


def test_a_quantisation_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    """And so is a repository where none is the customary one; the only one needs no name."""
    known = offers(hub_files("Wise-Q8_0.gguf", "Wise-IQ2_XS.gguf"))
    with pytest.raises(UsageError, match=r"has no 'Q8_1'\. It has IQ2_XS, Q8_0\..*pull acme/w:Q8_0"):
        choose(known, "Q8_1", "acme/w")
    rare = offers(hub_files("Wise-IQ1_S.gguf", "Wise-IQ2_XS.gguf"))
    with pytest.raises(UsageError, match="Which one of acme/w"):
        choose(rare, None, "acme/w")
    assert choose(offers(hub_files("Wise-IQ1_S.gguf")), None, "acme/w").name == "IQ1_S"
    with pytest.raises(UsageError, match="no GGUF files"):
        choose(offers(hub_files("model.safetensors")), None, "acme/w")


# Fetching ---------------------------------------------------------------------------------------------------


class Fetching:
    """A file of a hub on its way to this folder."""

    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub = hub
        self.partial = folder / "file.incomplete"
        self.partial.touch()
        self.reached: list[int] = []
        self.slept: list[float] = []

    def run(self, size: int | None = None) -> None:
        data = self.hub.files["w.gguf"]
        file = HubFile("w.gguf", size or len(data), hashlib.sha256(data).hexdigest())
        url = f"{self.hub.origin}/acme/w/resolve/{COMMIT}/w.gguf"
        with httpx.Client(trust_env=False) as client:
            Fetch(
                client, url, file, headers={}, reached=self.reached.append, sleep=self.slept.append
            ).complete(self.partial)


@pytest.fixture
def fetching_(tmp_path: Path) -> Iterator[Fetching]:
    hub = FakeHub("acme/w", {"w.gguf": DEMO})
    with running(hub):
        yield Fetching(hub, tmp_path)


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(fetching_: Fetching) -> None:
    """Nothing is fetched twice; how far it is only grows."""
    fetching_.hub.breaks_after = [100_000, 50_000]
    fetching_.run()
    assert fetching_.partial.read_bytes() == DEMO
    assert fetching_.hub.ranges == ["bytes=0-", "bytes=100000-", "bytes=150000-"]
    assert fetching_.reached == sorted(fetching_.reached)
    assert fetching_.reached[-1] == len(DEMO)


def test_what_an_earlier_run_left_is_kept(fetching_: Fetching) -> None:
    """Also if it is the whole; what is longer than it can be is begun anew."""
    for there, asked in (
        (DEMO[:70_000], ["bytes=70000-"]), (DEMO, []), (DEMO + b"x", ["bytes=0-"]),
    ):  # fmt: skip
        fetching_.partial.write_bytes(there)
        fetching_.hub.ranges.clear()
        fetching_.run()
        assert fetching_.hub.ranges == asked
        assert fetching_.partial.read_bytes() == DEMO


def test_a_server_that_gives_no_parts_gives_the_whole(fetching_: Fetching) -> None:
    """What was there is replaced by it."""
    fetching_.hub.knows_ranges = False
    fetching_.partial.write_bytes(DEMO[:70_000])
    fetching_.run()
    assert fetching_.partial.read_bytes() == DEMO


def test_a_server_that_brings_nothing_is_given_up(fetching_: Fetching) -> None:
    """After growing waits; what there is stays."""
    fetching_.partial.write_bytes(DEMO[:70_000])
    fetching_.hub.breaks_after = [0] * TRIES
    with pytest.raises(UpstreamError, match="the same command goes on"):
        fetching_.run()
    assert fetching_.slept == [2.0, 4.0, 8.0, 16.0]
    assert fetching_.partial.read_bytes() == DEMO[:70_000]


def test_a_file_of_another_hash_is_removed(fetching_: Fetching) -> None:
    """Whether it came so, or its beginning was damaged here; one that is too long is not taken in."""
    fetching_.partial.write_bytes(b"x" * 70_000)
    with pytest.raises(MalformedReply, match="otherwise than the hub says"):
        fetching_.run()
    assert not fetching_.partial.exists()
    fetching_.partial.touch()
    fetching_.hub.served = {"w.gguf": LARGER}
    with pytest.raises(MalformedReply, match="larger than"):
        fetching_.run()
    assert fetching_.partial.stat().st_size <= len(DEMO)


def test_a_full_disk_is_said_before_anything_is_fetched(fetching_: Fetching) -> None:
    """How much is needed, without what is there already, and how much there is."""
    fetching_.partial.write_bytes(bytes(1_000_000))
    with pytest.raises(StateError, match=r"1000000000\.0 GB are to be fetched, and the disk"):
        fetching_.run(size=10**18 + 1_000_000)
    assert fetching_.hub.ranges == []


def test_a_refused_file_is_said_to_be(fetching_: Fetching) -> None:
    """By its status."""
    fetching_.hub.is_gated = True
    with pytest.raises(PermissionRefused, match="HTTP 403"):
        fetching_.run()


# The command ------------------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    made = FakeHub("acme/Wise-GGUF", {"Wise-Q4_K_M.gguf": DEMO, "Wise-Q8_0.gguf": LARGER})
    with running(made):
        yield made


def pull(hub: FakeHub, *arguments: str, **environ: str) -> Outcome:
    """Run the command in a process of its own, as the library reads its environment once."""
    return shareai_process("model", "pull", *arguments, environ={"HF_ENDPOINT": hub.origin, **environ})


@needs_library
def test_a_model_is_fetched_and_declared(hub: FakeHub, paths: Paths) -> None:
    """Into the cache that other programs share; a second time nothing is fetched."""
    hub.breaks_after = [100_000]
    outcome = pull(hub, "acme/Wise-GGUF")
    assert outcome.code == 0
    assert outcome.out == "Model node/Wise-Q4_K_M is added: llama, 0.2 MB, 32k tokens of context, tools.\n"
    assert "acme/Wise-GGUF, Q4_K_M: 0.2 MB" in outcome.err
    assert hub.ranges == ["bytes=0-", "bytes=100000-"]
    [path] = tomllib.loads(paths.config_file.read_text())["local"]["models"]
    repository = Path(os.environ["HOME"]) / ".cache/huggingface/hub/models--acme--Wise-GGUF"
    assert path == str(repository / "snapshots" / COMMIT / "Wise-Q4_K_M.gguf")
    assert Path(path).resolve() == repository / "blobs" / hashlib.sha256(DEMO).hexdigest()
    assert Path(path).read_bytes() == DEMO
    again = pull(hub, "acme/Wise-GGUF", "--json").json
    assert (again["added"], again["quantization"], again["revision"]) == (False, "Q4_K_M", COMMIT)
    assert len(hub.ranges) == 2
    assert [one["id"] for one in shareai("model", "list", "--json").json["models"]] == ["node/Wise-Q4_K_M"]
    assert not any("agent" in one or "telemetry" in one for one in hub.asked)


@needs_library
def test_a_terminal_shows_how_far_it_is(hub: FakeHub, paths: Paths) -> None:
    """And what it was at last is a line."""
    hub.breaks_after = [100_000]  # a pause, in which the bar shows
    with terminal("model", "pull", "acme/Wise-GGUF", environ={"HF_ENDPOINT": hub.origin}) as person:
        person.until("Q4_K_M")
        person.until("kB")
        person.until("Model node/Wise-Q4_K_M is added")
        assert person.end() == 0


@needs_library
def test_a_model_in_parts_is_fetched_as_a_whole(hub: FakeHub, paths: Paths) -> None:
    """Its first part is what is served."""
    hub.files = {f"big/Big-Q8_0-0000{number}-of-00002.gguf": DEMO + bytes(number) for number in (1, 2)}
    hub.served = hub.files
    outcome = pull(hub, "acme/Wise-GGUF:Q8_0", "--name", "big", "--json")
    assert outcome.json["model"]["id"] == "node/big"
    assert outcome.json["model"]["path"].endswith("/big/Big-Q8_0-00001-of-00002.gguf")
    assert outcome.json["size"] == 2 * len(DEMO) + 3


@needs_library
@pytest.mark.parametrize(
    ("arguments", "environ", "code", "words"),
    [
        (("acme/None-GGUF",), {}, 2, "no repository acme/None-GGUF, or it is private"),
        (("acme/Wise-GGUF:Q9",), {}, 2, "has no 'Q9'. It has Q4_K_M, Q8_0."),
        (("acme/Wise-GGUF", "--revision", "v9"), {}, 2, "no such revision"),
        (("wise",), {}, 2, "is no repository"),
        (("acme/Wise-GGUF",), {"HF_HUB_OFFLINE": "1"}, 5, "HF_HUB_OFFLINE keeps everything"),
        (("acme/Wise-GGUF",), {"HF_ENDPOINT": "http://127.0.0.1:9"}, 5, "127.0.0.1:9 cannot be reached"),
        (("acme/Wise-GGUF",), {"HF_HUB_CACHE": "/proc/none"}, 1, "cannot be written"),
    ],
)
def test_a_mistake_fetches_nothing(
    hub: FakeHub, paths: Paths, arguments: tuple[str, ...], environ: Mapping[str, str], code: int, words: str
) -> None:
    """It is one line and what mends it; nothing is declared."""
    outcome = pull(hub, *arguments, **environ)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert hub.ranges == []
    assert not paths.config_file.exists()


@needs_library
def test_a_gated_repository_tells_where_to_agree(hub: FakeHub, paths: Paths) -> None:
    """And where the token goes; one that is right is presented."""
    hub.is_gated = True
    outcome = pull(hub, "acme/Wise-GGUF")
    assert outcome.code == 4
    assert "Agree at https://huggingface.co/acme/Wise-GGUF" in outcome.err
    assert "HF_TOKEN" in outcome.err
    hub.is_gated, hub.token = False, "hf_the-token-of-this-test"
    assert "or it is private" in pull(hub, "acme/Wise-GGUF").err
    assert pull(hub, "acme/Wise-GGUF", HF_TOKEN=hub.token).code == 0


@needs_library
def test_what_is_not_what_the_hub_says_is_not_declared(hub: FakeHub, paths: Paths) -> None:
    """It is removed, and fetched anew by the same command."""
    hub.served = {**hub.files, "Wise-Q4_K_M.gguf": DEMO[:-1] + b"x"}
    outcome = pull(hub, "acme/Wise-GGUF")
    assert outcome.code == 5
    assert "was removed" in outcome.err
    assert not paths.config_file.exists()
    hub.served = hub.files
    assert pull(hub, "acme/Wise-GGUF").code == 0


@needs_library
def test_a_name_that_another_file_has_is_refused_before_anything_is_fetched(
    hub: FakeHub, paths: Paths, tmp_path: Path
) -> None:
    """With what gives it another name."""
    (tmp_path / "Wise-Q4_K_M.gguf").write_bytes(DEMO)
    shareai("model", "add", str(tmp_path / "Wise-Q4_K_M.gguf"))
    outcome = pull(hub, "acme/Wise-GGUF")
    assert outcome.code == 2
    assert "node/Wise-Q4_K_M is another file already" in outcome.err
    assert hub.ranges == []
    assert pull(hub, "acme/Wise-GGUF", "--name", "other").code == 0


def test_without_the_library_it_is_said_how_to_get_it(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else needs it."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # which is what makes it one that is not there
    outcome = shareai("model", "pull", "acme/Wise-GGUF")
    assert outcome.code == 1
    assert "pip install huggingface_hub" in outcome.err
