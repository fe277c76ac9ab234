"""`shareai provider add` asks the provider before it saves anything, and keeps keys safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from tests.cli.provider.knowing import BAD, GOOD, OTHER, declared, kept, knows_good
from tests.support.check_server import CheckServer, check_server
from tests.support.commands import shareai
from tests.support.configuration import PLANTED
from tests.support.upstream import refused_port

ELSEWHERE = "https://alpha.example/v1"


def test_an_accepted_key_is_said_with_what_was_found(server: CheckServer, paths: Paths) -> None:
    """How many models, how long it took, and where the key is; then the next step."""
    outcome = shareai("provider", "add", "alpha", "--base-url", f"{server.base_url}/", "--key-env", "GOOD")
    first, second = outcome.out.splitlines()
    assert outcome.code == 0
    assert first.startswith("alpha accepts the key: 2 models in ")
    assert second == f"Provider alpha: {server.base_url}, key env:GOOD."
    assert "Next: shareai route add chat alpha/MODEL" in outcome.err
    assert declared(paths) == {"alpha": {"base_url": server.base_url, "keys": ["env:GOOD"]}}
    assert [path for path, _ in server.asked] == ["/v1/models"]


def test_limits_are_said_where_the_provider_says_them(paths: Paths) -> None:
    """In whichever fields; the period where it has one."""
    fields = {
        "x_ratelimit_limit_requests": "500", "x_ratelimit_limit_tokens_minute": "30000",
        "anthropic_ratelimit_requests_limit": "50", "x_ratelimit_remaining_requests": "499",
        "x_ratelimit_limit_req": "many",
    }  # fmt: skip
    with check_server(knows_good, **fields) as server:
        options = ("--base-url", server.base_url, "--key-env", "GOOD")
        outcome = shareai("provider", "add", "alpha", *options)
        assert outcome.out.splitlines()[0].endswith(
            "; limits: 50 requests, 500 requests, 30000 tokens a minute."
        )
        (checked,) = shareai("provider", "add", "alpha", *options, "--json").json["checks"]
    assert checked["limits"][1:] == [
        {"amount": 500, "of": "requests", "per": None},
        {"amount": 30000, "of": "tokens", "per": "minute"},
    ]


@pytest.mark.parametrize("source", [("--key-env", "BAD"), ("--stdin",), ("--key-file", "bad.key")])
def test_a_wrong_key_is_not_saved(
    server: CheckServer,
    paths: Paths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: tuple[str, ...],
) -> None:
    """Wherever it comes from: exit code 4, said so, and not repeated."""
    monkeypatch.chdir(tmp_path)
    Path("bad.key").write_text(BAD)
    Path("bad.key").chmod(0o600)
    outcome = shareai("provider", "add", "alpha", "--base-url", server.base_url, *source, stdin=BAD)
    assert (outcome.code, outcome.out) == (4, "")
    assert "alpha does not accept the key" in outcome.err
    assert "Nothing was saved." in outcome.err
    assert BAD not in outcome.err
    assert (declared(paths), kept(paths)) == ({}, [])


def test_of_several_keys_all_have_to_be_good(server: CheckServer, paths: Paths) -> None:
    """The wrong one is named."""
    outcome = shareai(
        "provider", "add", "alpha", "--base-url", server.base_url, "--key-env", "GOOD", "--key-env", "BAD"
    )
    assert outcome.code == 4
    assert "(env:BAD)" in outcome.err
    assert declared(paths) == {}


def test_a_preset_s_wrong_key_is_told_with_the_place_that_makes_keys(
    server: CheckServer, paths: Paths
) -> None:
    """By the name that its owner gives it."""
    outcome = shareai(
        "provider", "add", "work", "--preset", "openai", "--base-url", server.base_url, "--key-env", "BAD"
    )
    assert outcome.code == 4
    assert "OpenAI does not accept the key (env:BAD): HTTP 401" in outcome.err
    without = shareai("provider", "add", "work", "--preset", "openai", "--base-url", server.base_url)
    assert f"shareai provider add work --preset openai --base-url {server.base_url} --key-env" in without.err
    assert "https://platform.openai.com/api-keys" in outcome.err


def test_without_a_network_nothing_is_saved_unless_asked_for(paths: Paths) -> None:
    """Exit code 5, with what failed and the command that saves it unchecked."""
    with refused_port() as port:
        base_url = f"http://127.0.0.1:{port}/v1"
        arguments = ("provider", "add", "alpha", "--base-url", base_url, "--key-env", "GOOD")
        outcome = shareai(*arguments)
        assert (outcome.code, outcome.out) == (5, "")
        assert f"alpha does not answer: no connection to 127.0.0.1:{port}: connection refused." in outcome.err
        assert "Nothing was saved." in outcome.err
        assert f"shareai provider add alpha --base-url {base_url} --no-check" in outcome.err
        elsewhere = f"http://0.0.0.0:{port}/v1"  # as far as anybody can tell another machine's
        far = shareai(
            "provider", "add", "alpha", "--base-url", elsewhere, "--key-env", "GOOD", "--allow-http"
        )
        assert far.code == 5
        assert "alpha cannot be asked about the key: no connection" in far.err
        assert "Once the network is there, try again; or unchecked:" in far.err
        assert declared(paths) == {}
        unchecked = shareai(*arguments, "--no-check")
    assert unchecked.code == 0
    assert unchecked.out == f"Provider alpha: {base_url}, key env:GOOD.\n"
    assert "Next: shareai provider test alpha" in unchecked.err
    assert declared(paths)["alpha"]["keys"] == ["env:GOOD"]


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (429, b""), (404, b""), (302, b""), (200, b"<html>")]
)
def test_an_answer_that_says_nothing_of_the_key_saves_nothing(paths: Paths, status: int, body: bytes) -> None:
    """Exit code 5, and what it was."""
    with check_server(lambda headers: (status, body)) as server:
        outcome = shareai(
            "provider", "add", "alpha", "--base-url", server.base_url, "--key-env", "GOOD", "--json"
        )
    assert (outcome.code, outcome.out) == (5, "")
    assert f"did not say whether the key is good: HTTP {status}" in outcome.err
    assert declared(paths) == {}


def test_a_preset_needs_its_name_and_a_key_that_can_be_had(paths: Paths) -> None:
    """Nobody can be asked here: what is missing is said, and that it can be declared all the same."""
    outcome = shareai("provider", "add", "openai")
    assert (outcome.code, outcome.out) == (3, "")
    assert "The variable OPENAI_API_KEY is not set. Nothing was saved." in outcome.err
    assert "shareai provider add openai --stdin < key-file" in outcome.err
    unchecked = shareai("provider", "add", "openai", "--no-check")
    assert unchecked.out == "Provider openai: https://api.openai.com/v1, key env:OPENAI_API_KEY.\n"
    assert "The variable OPENAI_API_KEY is not set." in unchecked.err
    assert paths.config_file.read_text() == "[providers.openai]\n"


def test_a_key_file_that_is_open_to_others_is_not_taken(
    server: CheckServer, paths: Paths, tmp_path: Path
) -> None:
    """What closes it is said, and nobody is asked."""
    file = tmp_path / "open.key"
    file.write_text(GOOD)
    file.chmod(0o644)
    outcome = shareai("provider", "add", "alpha", "--base-url", server.base_url, "--key-file", str(file))
    assert outcome.code == 3
    assert "is open to others (mode 0644). Nothing was saved." in outcome.err
    assert f"chmod 600 {file}" in outcome.err
    assert (server.asked, declared(paths)) == ([], {})


def test_an_engine_on_this_machine_needs_no_key(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked without one, and one that wants a key says so."""
    with check_server(
        lambda headers: (200 if "authorization" not in headers else 401, b'{"data": []}')
    ) as free:
        outcome = shareai("provider", "add", "ollama", "--base-url", free.base_url)
    assert outcome.code == 0
    assert outcome.out.startswith("Ollama answers: 0 models in ")
    assert declared(paths)["ollama"]["base_url"] == free.base_url
    with check_server(knows_good) as guarded:
        refused = shareai("provider", "add", "vllm", "--base-url", guarded.base_url)
        assert refused.code == 4
        assert "vLLM wants a key (HTTP 401). Nothing was saved." in refused.err
        assert (
            shareai("provider", "add", "vllm", "--base-url", guarded.base_url, "--key-env", "GOOD").code == 0
        )
    assert set(declared(paths)) == {"ollama", "vllm"}


def test_any_address_can_be_a_provider(server: CheckServer, paths: Paths, tmp_path: Path) -> None:
    """With several keys, each named by its place."""
    key = tmp_path / "alpha.key"
    key.write_text(OTHER)
    key.chmod(0o600)
    outcome = shareai(
        "provider", "add", "alpha", "--base-url", server.base_url, "--key-env", "GOOD",
        "--key-file", str(key), "--json",
    )  # fmt: skip
    assert outcome.json["provider"]["keys"] == ["env:GOOD", f"file:{key}"]
    assert [one["verdict"] for one in outcome.json["checks"]] == ["valid", "valid"]
    assert outcome.json["file"] == str(paths.config_file)
    assert OTHER not in outcome.out + outcome.err
    listed = shareai("provider", "list", "--json").json["providers"]
    assert [one["name"] for one in listed] == ["alpha"]
    assert shareai("provider", "list").out.split()[:4] == ["NAME", "BASE", "URL", "KEYS"]


def test_a_key_on_standard_input_is_kept_for_the_owner_alone(server: CheckServer, paths: Paths) -> None:
    """In a 0600 file in a 0700 folder; the configuration names the file; nothing shows the key."""
    outcome = shareai("provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=f"{GOOD}\n")
    assert outcome.code == 0
    (file,) = paths.secrets.iterdir()
    assert file.read_text() == f"{GOOD}\n"
    assert (file.stat().st_mode & 0o777, paths.secrets.stat().st_mode & 0o777) == (0o600, 0o700)
    assert declared(paths)["alpha"]["keys"] == [f"file:{file}"]
    assert f"The key is kept in {file}, which only you can read." in outcome.out
    everything = outcome.out + outcome.err + paths.config_file.read_text() + str(file)
    for arguments in (
        ("config", "show"),
        ("provider", "list"),
        ("provider", "key", "list"),
        ("provider", "test"),
    ):
        shown = shareai(*arguments, "--json")
        everything += shown.out + shown.err
    assert GOOD not in everything


def test_the_same_key_twice_is_kept_once(server: CheckServer, paths: Paths) -> None:
    """Adding again does no harm; another key joins it."""
    for text in (GOOD, GOOD, OTHER):
        arguments = ("provider", "add", "alpha", "--base-url", server.base_url, "--stdin")
        assert shareai(*arguments, stdin=text).code == 0
    assert sorted(kept(paths)) == sorted([GOOD, OTHER])
    assert len(declared(paths)["alpha"]["keys"]) == 2


def test_adding_again_without_a_key_looks_whether_the_ones_there_are_good(
    server: CheckServer, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing changes, whatever comes out."""
    assert shareai("provider", "add", "alpha", "--base-url", server.base_url, "--key-env", "GOOD").code == 0
    before = paths.config_file.read_bytes()
    assert shareai("provider", "add", "alpha").out.startswith("alpha accepts the key: 2 models")
    monkeypatch.setenv("GOOD", BAD)
    assert shareai("provider", "add", "alpha").code == 4
    assert paths.config_file.read_bytes() == before
    assert len(server.asked) == 3


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "ü"])
def test_what_is_no_key_is_refused(paths: Paths, text: str) -> None:
    """Nothing is written, nobody is asked."""
    outcome = shareai("provider", "add", "groq", "--stdin", stdin=text)
    assert outcome.code == 2
    assert "did not hold a key" in outcome.err
    assert not paths.config_file.exists()
    assert not paths.secrets.exists()


def test_a_refused_provider_leaves_no_key_behind(server: CheckServer, paths: Paths) -> None:
    """The key's file goes with the change that did not happen."""
    assert shareai("provider", "add", "beta", "--base-url", ELSEWHERE, "--no-check").code == 0
    elsewhere = ("provider", "add", "beta", "--base-url", server.base_url, "--stdin")
    assert shareai(*elsewhere, stdin=GOOD).code == 2
    plain = ("provider", "add", "alpha", "--base-url", "http://alpha.example/v1", "--no-check", "--stdin")
    outcome = shareai(*plain, stdin=PLANTED)
    assert outcome.code == 2
    assert "unencrypted" in outcome.err
    assert kept(paths) == []
    assert shareai(*plain, "--allow-http", stdin=PLANTED).code == 0
    assert kept(paths) == [PLANTED]


def test_a_file_that_cannot_be_written_leaves_no_key_behind(server: CheckServer, paths: Paths) -> None:
    """The key was good and kept already: it goes again with the change that could not be made."""
    lock = paths.config_file.with_name(".config.toml.lock")
    lock.mkdir(parents=True)
    arguments = ("provider", "add", "alpha", "--base-url", server.base_url, "--stdin")
    outcome = shareai(*arguments, stdin=GOOD)
    assert (outcome.code, outcome.out) == (1, "")
    assert str(lock) in outcome.err
    assert len(server.asked) == 1
    assert (paths.secrets.exists(), kept(paths)) == (True, [])
    lock.rmdir()
    assert shareai(*arguments, stdin=GOOD).code == 0
    assert kept(paths) == [GOOD]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "alpha"), "is not one of the known providers. shareai provider presets"),
        (("add", "opnai"), "Did you mean openai?"),
        (("add", "work", "--preset", "opnai"), "Did you mean openai?"),
        (("add", "node", "--base-url", "https://x"), "this machine's own models"),
        (("add", "../x", "--base-url", "https://x", "--stdin"), "small letters"),
        (("add", "a", "--base-url", "https://u:p@x"), "--base-url has a user name or password"),
        (("add", "openai", "--key-env", "A B"), "--key-env"),
        (("add", "azure"), "has your resource in it: https://RESOURCE.openai.azure.com"),
        (("add", "azure", "--resource", "a.b"), "--resource: Azure OpenAI's resource has letters"),
        (("add", "azure", "--region", "eu-west-1"), "--region is for bedrock alone"),
        (("add", "azure", "--resource", "x", "--base-url", "https://x"), "both say where it is"),
        (("add", "a", "--base-url", "http://127.0.0.1:6161/v1"), "is where the gateway itself listens"),
        (("add", "a", "--base-url", "http://localhost:6161"), "is where the gateway itself listens"),
        (("test", "opnai"), "There is no provider 'opnai'"),
        (("remove", "alpha"), "There is no provider 'alpha'"),
        (("key", "add", "alpha"), "There is no provider 'alpha'"),
        (("key", "list", "alpha"), "There is no provider 'alpha'"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_code_2(
    paths: Paths, arguments: tuple[str, ...], says: str
) -> None:
    """The message helps, and nothing is written."""
    outcome = shareai("provider", *arguments, stdin=PLANTED)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in " ".join(outcome.err.split())
    assert not paths.config_file.exists()
    assert not paths.secrets.exists()


def test_an_address_with_a_part_of_one_s_own_takes_it_from_an_option_or_a_variable(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is written down whole."""
    named = ("provider", "add", "azure", "--resource", "My-Company", "--no-check")
    assert shareai(*named).code == 0
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert shareai("provider", "add", "bedrock", "--no-check").code == 0
    assert declared(paths) == {
        "azure": {"base_url": "https://my-company.openai.azure.com/openai/v1"},
        "bedrock": {"base_url": "https://bedrock-mantle.eu-west-1.api.aws/v1"},
    }
    monkeypatch.delenv("AWS_REGION")
    assert [one["keys"] for one in shareai("provider", "list", "--json").json["providers"]] == [
        ["env:AZURE_OPENAI_API_KEY"], ["env:AWS_BEARER_TOKEN_BEDROCK"],
    ]  # fmt: skip


def test_azure_is_asked_in_its_own_way(server: CheckServer) -> None:
    """Its key goes into `api-key`, and nowhere else."""
    options = ("--preset", "azure", "--base-url", server.base_url, "--key-env", "GOOD")
    assert shareai("provider", "add", "work", *options).code == 0
    ((_, headers),) = server.asked
    assert headers["api-key"] == GOOD
    assert "authorization" not in headers


def test_a_customary_key_goes_to_its_own_address_alone(
    server: CheckServer, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somewhere else the preset is asked without a key, and says that it wants one."""
    monkeypatch.setenv("OPENAI_API_KEY", GOOD)
    outcome = shareai("provider", "add", "openai", "--base-url", server.base_url)
    assert outcome.code == 4
    assert "OpenAI wants a key" in outcome.err
    assert not any("authorization" in headers for _, headers in server.asked)
    assert declared(paths) == {}


def test_a_provider_found_in_the_environment_is_not_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed with its variable, cannot be changed, and is named when a declaration replaces it."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    assert "Found through OPENAI_API_KEY" in shareai("provider", "list").err
    for arguments in (("remove", "openai"), ("key", "add", "openai"), ("key", "remove", "openai", "--yes")):
        refused = shareai("provider", *arguments)
        assert refused.code == 2
        assert "Unset OPENAI_API_KEY, or declare it: shareai provider add openai" in refused.err
        assert PLANTED not in refused.err
    added = shareai("provider", "add", "groq", "--no-check")
    assert "To keep openai: shareai provider add openai" in added.err
    assert PLANTED not in added.err


def test_every_known_provider_is_listed(paths: Paths) -> None:
    """With its address, its key's variable, what it supports; nothing is asked."""
    listed = shareai("provider", "presets").out
    assert "https://RESOURCE.openai.azure.com/openai/v1" in listed
    facts = {one["name"]: one for one in shareai("provider", "presets", "--json").json["presets"]}
    assert facts["azure"]["option"] == "--resource"
    assert facts["mistral"]["supports"] == {"stream_usage": False, "responses": False, "embeddings": True}
    assert facts["ollama"]["key_variables"] == []
    assert len(facts) == len(listed.splitlines()) - 1 == 21
