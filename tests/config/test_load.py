"""What a configuration file, the environment and flags mean, and what is refused in which words."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import RouteTarget, Settings, TimeLimits, load, load_text
from shareai_cli.config.positions import find_line
from shareai_cli.errors import ConfigurationError
from shareai_cli.paths import Paths
from shareai_cli.secrets import SecretReference
from shareai_cli.types import LocalModel, Target
from tests.support.configuration import FILE, PLANTED, read

DESIGNED = """
[server]
host = "127.0.0.1"
port = 6161

[providers.openai]                      # a preset: base_url and key variable are known
[providers.alpha]                       # anything that speaks the OpenAI API
base_url = "https://alpha.example/v1/"
keys = ["env:ALPHA_KEY_1", "keyring:alpha/2", "file:~/alpha.key", "file:beside.key"]
timeouts = {content = 300, gap = 0.5}

[local]
models = ["~/models/qwen3-8b-q4.gguf", "here.gguf"]

[routes.chat]
strategy = "weighted"
targets = ["openai/gpt-5-mini", {target = "alpha/meta/llama-3", weight = 3}, "node/qwen3-8b-q4"]
"""


def test_the_designed_file_is_understood() -> None:
    """Presets fill in; relative paths stand on the file's folder; a model's name keeps its slashes."""
    settings = read(DESIGNED)
    openai, alpha = settings.providers["openai"], settings.providers["alpha"]
    assert (openai.preset, openai.base_url, openai.keys) == (
        "openai",
        "https://api.openai.com/v1",
        (SecretReference("env", "OPENAI_API_KEY"),),
    )
    assert (openai.check, openai.price_as, openai.stream_usage) == ("/models", "openai", True)
    assert (alpha.preset, alpha.base_url, alpha.check) == (None, "https://alpha.example/v1", "/models")
    home = os.environ["HOME"]
    assert [key.name for key in alpha.keys] == [
        "env:ALPHA_KEY_1",
        "keyring:alpha/2",
        f"file:{home}/alpha.key",
        f"file:{FILE.parent}/beside.key",
    ]
    assert alpha.timeouts == TimeLimits(content=300, gap=0.5)
    assert settings.local.models == (
        LocalModel("qwen3-8b-q4", f"{home}/models/qwen3-8b-q4.gguf"),
        LocalModel("here", str(FILE.parent / "here.gguf")),
    )
    route = settings.routes["chat"]
    assert route.strategy == "weighted"
    assert route.targets[1] == RouteTarget(Target("alpha", "meta/llama-3"), 3)
    assert settings.source == FILE
    assert settings.discovered == ()


def test_a_local_model_can_have_a_name_and_numbers_of_its_own() -> None:
    """Files of other programs have names that nobody would ask for; what is not said holds for all."""
    settings = read(
        "[local]\ncontext = 4096\nthreads = 2\nmodels = ["
        "{path = '/blobs/sha256-1f', name = 'llama3.2:3b', context = 512}, {path = 'here.gguf'}]"
    )
    assert settings.local.models == (
        LocalModel("llama3.2:3b", "/blobs/sha256-1f", 512, 2),
        LocalModel("here", str(FILE.parent / "here.gguf"), 4096, 2),
    )


def test_how_models_are_loaded_can_be_set_for_all_and_for_each() -> None:
    """What nobody sets is left to the model and the machine; a model may be kept for good."""
    settings = read(
        "[local]\ngpu_layers = 20\nslots = 4\nflash_attention = true\nidle = '1h'\nmodels = ['/a.gguf', "
        "{path = '/b.gguf', gpu_layers = -1, slots = 8, flash_attention = false, idle = 'never'}]"
    )
    first, second = settings.local.models
    assert first == LocalModel("a", "/a.gguf", gpu_layers=20, slots=4, flash_attention=True, idle=3600.0)
    assert second == LocalModel("b", "/b.gguf", gpu_layers=-1, slots=8, flash_attention=False, idle=0.0)
    [plain] = read("[local]\nmodels = ['/a.gguf']").local.models
    assert plain == LocalModel("a", "/a.gguf")
    assert plain.idle == 600.0


def test_nothing_is_a_configuration_too(paths: Paths) -> None:
    """Without a file, variables and flags, the defaults hold and nothing can serve."""
    settings = load(paths, {}, presets=PRESETS)
    assert settings == Settings()
    assert settings.is_empty
    assert (settings.server.host, settings.server.port, settings.server.drain) == ("127.0.0.1", 6161, 30)


def test_known_variables_make_providers_where_none_is_declared(paths: Paths) -> None:
    """The first customary variable that is set is the one used; and it is said which."""
    environ = {"GOOGLE_API_KEY": "x", "OPENAI_API_KEY": "y", "GROQ_API_KEY": " ", "OTHER": "z"}
    settings = load(paths, environ, presets=PRESETS)
    assert settings.discovered == ("OPENAI_API_KEY", "GOOGLE_API_KEY")
    assert settings.providers["gemini"].keys == (SecretReference("env", "GOOGLE_API_KEY"),)
    assert settings.providers["gemini"].price_as == "google"
    assert not settings.is_empty


def test_a_declared_provider_ends_the_search_of_the_environment() -> None:
    """What is declared is all there is, even if it is an empty table; routes may name what was found."""
    environ = {"OPENAI_API_KEY": "y"}
    assert list(read("[providers.groq]", environ).providers) == ["groq"]
    assert not read("[providers]", environ).providers
    found = read('[routes.chat]\ntargets = ["openai/gpt-5"]', environ)
    assert found.discovered == ("OPENAI_API_KEY",)


def test_flags_come_before_variables_and_those_before_the_file(paths: Paths) -> None:
    """Each may say where to listen."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text('[server]\nhost = "::1"\nport = 1')
    environ = {"SHAREAI_HOST": "0.0.0.0", "SHAREAI_PORT": "2"}

    def where(environ: dict[str, str], host: str | None = None, port: int | None = None) -> tuple[str, int]:
        server = load(paths, environ, presets=PRESETS, host=host, port=port).server
        return server.host, server.port

    assert where({}) == ("::1", 1)
    assert where(environ) == ("0.0.0.0", 2)
    assert where(environ, "localhost", 0) == ("localhost", 0)


@pytest.mark.parametrize(
    ("environ", "host", "port"),
    [({"SHAREAI_PORT": "http"}, None, None), ({"SHAREAI_PORT": "65536"}, None, None), ({}, None, -1),
     ({}, None, 70000), ({"SHAREAI_HOST": "a b"}, None, None), ({}, "", None), ({}, "http://x", None),
     ({"SHAREAI_PORT": "²"}, None, None)],
)  # fmt: skip
def test_an_impossible_address_is_refused(
    paths: Paths, environ: dict[str, str], host: str | None, port: int | None
) -> None:
    """The message names the variable or the flag."""
    with pytest.raises(ConfigurationError, match=r"SHAREAI_(PORT|HOST)|--(host|port)"):
        load(paths, environ, presets=PRESETS, host=host, port=port)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[sever]", 1, "sever: unknown key. Did you mean server?"),
        ("\n[server]\n# x\nprot = 1", 4, "server.prot: unknown key. Did you mean port?"),
        ('[providers.a]\napi_key = "x"', 2, "providers.a.api_key: unknown key. Did you mean keys?"),
        ('[providers.a]\nurl = "x"', 2, "Did you mean base_url?"),
        ("zzzzzzz = 1", 1, "Known: server, network, providers, routes, local, limits, drills, webhook."),
        ("[server]\nport = '1'", 2, "server.port: should be a whole number, and is a text."),
        ("[server]\nport = true", 2, "is true or false"),
        ("[server]\nport = 65536", 2, "should be from 0 to 65535."),
        ("[server]\nport = 1.5", 2, "is a number"),
        ("[server]\ndrain = nan", 2, "should be a number"),
        ("[server]\ndrain = inf", 2, "should be a number"),
        ("[server]\ndrain = -1", 2, "from 0 to 3600"),
        ("[server]\ndrain = 1979-05-27 07:32:00Z", 2, "is a date or time"),
        ("[server]\nconnections = 0", 2, "from 1 to"),
        ("[server]\nbody_limit = 1", 2, "from 1024"),
        ("[server]\nhost = 'a b'", 2, "server.host: is not a host name"),
        ("[server]\nhostnames = 'x'", 2, "should be a list, and is a text. hostnames = [...]"),
        ("[server]\nhostnames = ['a:80']", 2, "without a port"),
        ("[server]\nhostnames = [\n'a',\n'a']", 4, "'a' is there twice"),
        ("server = 1", 1, "server: should be a table, and is a number."),
        ("providers = []", 1, "providers: should be a table, and is a list. [providers.NAME]"),
        ("[[providers]]", 1, "should be a table"),
        ("[providers.A]", 1, "providers.A: a provider's name has small letters"),
        ("[providers.node]", 1, "stands for this machine's own models"),
        ('[providers."a b"]', 1, "providers.'a b': a provider's name"),
        ("[providers.alpha]", 1, "base_url is missing. Only the presets openai, anthropic"),
        ("[providers.x]\npreset = 'opnai'", 2, "'opnai' is not known. Did you mean openai?"),
        ("[providers.x]\nbase_url = 'ftp://x'", 2, "should begin with https:// or http://"),
        ("[providers.x]\nbase_url = 'https://a:b@x/v1'", 2, "has a user name or password in it"),
        ("[providers.x]\nbase_url = 'https://x/v1?key=1'", 2, "has a query or a fragment"),
        ("[providers.x]\nbase_url = 'https://x/v1#'", 2, "has a query or a fragment"),
        ("[providers.x]\nbase_url = 'https://'", 2, "names no host"),
        ("[providers.x]\nbase_url = 'https://x:99999'", 2, "cannot be read as a URL"),
        ("[providers.x]\nbase_url = 'https://[::1'", 2, "cannot be read as a URL"),
        ("[providers.x]\nbase_url = 'https://[v1.a]/'", 2, "base_url"),
        ("[providers.x]\nbase_url = 'https://x y'", 2, "characters that a URL cannot have"),
        ("[providers.x]\nbase_url = 'https://x/ü'", 2, "percent-encoded"),
        ("[providers.x]\nbase_url = 'http://x'\nkeys = ['env:A']", 2, "unencrypted. Use https://, or set"),
        ("[providers.openai]\nbase_url = 'https://x'", 1, "not OpenAI's own"),
        ("[providers.openai]\nkeys = 'env:A'", 2, "should be a list"),
        ("[providers.openai]\nkeys = [1]", 2, "keys[0]: should be a text"),
        ("[providers.openai]\nkeys = [\n  'env:A',\n  'env:A',\n]", 4, "keys[1]: env:A is there twice"),
        ("[providers.openai]\ncheck = 'models'", 2, "should be a path under base_url"),
        ("[providers.openai]\ncheck_style = 'x'", 2, "It takes bearer, api-key or anthropic."),
        ("[providers.openai]\nkey_style = 'x'", 2, "It takes bearer, api-key or anthropic."),
        ("[providers.azure]", 1, "it has your resource in it. base_url = \"https://RESOURCE.openai.azure.com"),
        ("[providers.azure]\nbase_url = 'https://a.b.openai.azure.com/openai/v1'", 1, "OpenAI's own"),
        ("[providers.azure]\nbase_url = 'https://x.example/openai/v1'", 1, "not Azure OpenAI's own"),
        ("[providers.openai]\nmodels = ['a', 'a']", 2, "'a' is there twice"),
        ("[providers.openai]\nmodels = ['a\\nb', \"a\\nb\"]", 2, "cannot be printed"),
        ("[providers.openai.timeouts]\nhaed = 1", 2, "timeouts.haed: unknown key. Did you mean head"),
        ("[providers.openai]\ntimeouts.head = 0", 2, "timeouts.head: should be more than 0 to 86400"),
        ("[providers.openai]\nstream_usage = 1", 2, "should be true or false, and is a number"),
        ("[local]\nmodels = ['/a/x.gguf', '/b/x.gguf']", 2, "node/x would mean two files"),
        ("[local]\nmodels = ['/a/x.gguf', '/a/x.gguf']", 2, "models[1]: '/a/x.gguf' is there twice"),
        ("[local]\nmodels = ['']", 2, "should be the path of a GGUF file"),
        ("[local]\nmodels = [3]", 2, "models[0]: should be a text, and is a number"),
        ("[local]\nmodels = [{path = '/x.gguf', nmae = 'y'}]", 2, "nmae: unknown key. Did you mean"),
        ("[local]\nmodels = [{path = '/x.gguf', name = 'a/b'}]", 2, "no slash"),
        ("[local]\nmodels = [{name = 'a'}]", 2, "should be the path of a GGUF file"),
        ("[local]\nthreads = 0", 2, "from 1 to"),
        ("[local]\nslots = 1000", 2, "from 1 to 128"),
        ("[local]\ngpu_layers = -2", 2, "from -1 to"),
        ('[local]\nflash_attention = "on"', 2, "true or false"),
        ('[local]\nidle = "soon"', 2, "a time from a second to a year"),
        ('[local]\nidle = "0s"', 2, "a time from a second to a year"),
        ('[local]\nmodels = [{path = "/a.gguf", idle = "5"}]', 2, "a time from a second to a year"),
        ("[routes.'a/b']\ntargets = ['node/x']", 1, "a route's name has letters"),
        ("[routes.a]", 1, "a route needs at least one target"),
        ("[routes.a]\nstrategy = 'weigthed'\ntargets = ['node/x']", 2, "It takes priority, weighted, "),
        ("[routes.a]\ntargets = ['x']", 2, "targets[0]: 'x' is not a target"),
        ("[routes.a]\ntargets = ['node/']", 2, "is not a target"),
        ("[routes.a]\ntargets = [3]", 2, "should be a text, and is a number"),
        ("[routes.a]\ntargets = ['node/x', 'node/x']", 2, "'node/x' is there twice"),
        ("[routes.a]\ntargets = [{target = 'node/x', wieght = 1}]", 2, "wieght: unknown key. Did you mean"),
        ("[routes.a]\ntargets = [{target = 'node/x', weight = 0}]", 2, "from 1 to 1000000"),
        ("[providers.openai]\n[routes.a]\ntargets = [\n'node/x',\n'opnai/x']", 5, "Did you mean openai?"),
        ("[server]\nport = 1\nport = 2", 3, "not TOML"),
        ("a = 1\n[b", 2, "not TOML"),
        ("a = '''\n\n", 1, "not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_key_and_what_was_meant(text: str, line: int, says: str) -> None:
    """A person finds the place and the word without looking anything up."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert f"{FILE}, line {line}: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[providers.x]\nbase_url = 'http://127.0.0.1:11434/v1'\nkeys = ['env:A']",
        "[providers.x]\nbase_url = 'http://localhost'\nkeys = ['env:A']",
        "[providers.x]\nbase_url = 'http://[::1]:8080/v1'\nkeys = ['env:A']",
        "[providers.x]\nbase_url = 'http://box.example'\nkeys = ['env:A']\nallow_http = true",
        "[providers.x]\nbase_url = 'http://box.example/v1'",
        "[providers.x]\nbase_url = 'https://bücher.example/v1'\nkeys = ['env:A']",
        "[providers.openai]\nbase_url = 'https://proxy.example/v1'\nkeys = []",
        "[providers.work]\npreset = 'openai'\nkeys = ['env:WORK']",
        "[providers.azure]\nbase_url = 'https://My-Company.openai.azure.com/openai/v1'",
        "[providers.ollama]\nbase_url = 'http://box.example:11434/v1'",
    ],
)
def test_addresses_that_keep_keys_safe_are_taken(text: str) -> None:
    """Plain HTTP on this machine, or without a key, or where it is allowed in so many words."""
    assert len(read(text).providers) == 1


def test_azure_is_reached_where_its_resource_is_and_in_its_own_way() -> None:
    """A variable fills the address in where the file does not; its key is presented as Azure wants it."""
    azure = read("[providers.azure]", {"AZURE_RESOURCE_NAME": "my-company"}).providers["azure"]
    assert azure.base_url == "https://my-company.openai.azure.com/openai/v1"
    assert [key.name for key in azure.keys] == ["env:AZURE_OPENAI_API_KEY"]
    assert (azure.key_style, azure.check_style) == ("api-key", "api-key")
    own = read("[providers.x]\nbase_url = 'https://x'\nkey_style = 'anthropic'").providers["x"]
    assert (own.key_style, own.check_style) == ("anthropic", "anthropic")


def test_a_key_without_the_rest_of_its_address_makes_no_provider(paths: Paths) -> None:
    """Nobody knows where to ask; with the region it is found as any other."""
    environ = {"AWS_BEARER_TOKEN_BEDROCK": "x"}
    assert load(paths, environ, presets=PRESETS).providers == {}
    found = load(paths, {**environ, "AWS_REGION": "eu-west-1"}, presets=PRESETS)
    assert found.providers["bedrock"].base_url == "https://bedrock-mantle.eu-west-1.api.aws/v1"
    assert found.discovered == ("AWS_BEARER_TOKEN_BEDROCK",)


def test_an_engine_on_this_machine_is_declared_by_its_name() -> None:
    """It needs no key."""
    ollama = read("[providers.ollama]").providers["ollama"]
    assert (ollama.base_url, ollama.keys) == ("http://127.0.0.1:11434/v1", ())


def test_a_check_can_be_switched_off() -> None:
    """An empty path means that there is no free call."""
    assert read("[providers.openai]\ncheck = ''").providers["openai"].check is None


@pytest.mark.parametrize("data", [b"[server]\n\xff = 1", b"a = 1\n\xc3(", b"\xff\xfe[\x00s\x00"])
def test_what_is_not_utf8_is_said_with_its_line(paths: Paths, data: bytes) -> None:
    """Also a file saved as UTF-16."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"config\.toml, line [12]: not UTF-8"):
        load(paths, {}, presets=PRESETS)


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(paths: Paths) -> None:
    """Editors on Windows write them; lines are counted alike."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 7\r\n")
    assert load(paths, {}, presets=PRESETS).server.port == 7
    paths.config_file.write_bytes(b"[server]\r\nport = 7\r\nx = 1\r\n")
    with pytest.raises(ConfigurationError, match="line 3"):
        load(paths, {}, presets=PRESETS)


def test_what_is_no_readable_file_is_said(paths: Paths, tmp_path: Path) -> None:
    """A folder, a device that never ends, a missing file that was named, a file too large."""
    paths.config_file.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="is a folder or a device"):
        load(paths, {}, presets=PRESETS)
    with pytest.raises(ConfigurationError, match="is a folder or a device"):
        load(paths, {}, presets=PRESETS, config_file=Path("/dev/zero"))
    with pytest.raises(ConfigurationError, match=f"There is no file {tmp_path}/missing"):
        load(paths, {}, presets=PRESETS, config_file=tmp_path / "missing")
    (tmp_path / "large").write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        load(paths, {}, presets=PRESETS, config_file=tmp_path / "large")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_said(paths: Paths) -> None:
    """With the system's own reason."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.touch(mode=0o000)
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        load(paths, {}, presets=PRESETS)


@pytest.mark.parametrize(
    "text",
    [
        f"[providers.openai]\nkeys = ['{PLANTED}']",
        f"[providers.openai]\nkeys = ['env:{PLANTED}']",
        f"[providers.openai]\nkeys = '{PLANTED}'",
        f"[providers.openai]\napi_key = '{PLANTED}'",
        f"[providers.openai]\n{PLANTED} = 1",
        f"[providers.{PLANTED.lower()}]",
        f"[providers.x]\nbase_url = 'https://{PLANTED}@x/v1'",
        f"[providers.x]\nbase_url = 'https://x/v1?key={PLANTED}'",
        f"[providers.x]\npreset = '{PLANTED}'",
        f"[routes.a]\ntargets = ['{PLANTED}']",
        f"[routes.a]\ntargets = ['{PLANTED}/x']",
        f"[routes.a]\ntargets = ['opnai/{PLANTED}']",
        f"[routes.a]\nstrategy = '{PLANTED}'\ntargets = ['node/x']",
        f"[routes.{PLANTED}]\ntargets = ['node/x']",
        f"[server]\nhost = '{PLANTED} '",
        f"[server]\nport = '{PLANTED}'",
        f"[providers.openai]\nkeys = [{PLANTED}]",
        f"[providers.openai]\nmodels = ['{PLANTED}', '{PLANTED}']",
        f"{PLANTED}",
        f"[providers.openai]\na = {{{PLANTED} = 1, {PLANTED} = 2}}",
        f"[a]\n{PLANTED} = 1\n[a.{PLANTED}]",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(text: str) -> None:
    """Wherever a person puts it by mistake, no message shows it again."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert PLANTED.lower() not in str(caught.value).lower()
    assert PLANTED.lower() not in repr(caught.value).lower()


@pytest.mark.parametrize(
    "text",
    [
        f"[providers.openai]\nkeys = ['{'A' * 900_000}']",
        f"[providers.openai]\n{'A' * 900_000} = 1",
        f"[routes.a]\ntargets = ['{'A/' * 2000}']",
        f"[providers.openai]\nmodels = {[str(number) for number in range(10_001)]}",
        f"[providers.openai]\nmodels = {[str(number % 9_999) for number in range(10_000)]}",
        f"[routes.a]\ntargets = ['node/x', {'[' * 200 + ']' * 200}]",
    ],
    ids=["key", "name", "target", "too many", "twice", "nested"],
)
def test_large_mistakes_are_found_in_bounded_time(text: str) -> None:
    """And their messages stay short."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert len(str(caught.value)) < 500


def test_deep_nesting_is_a_configuration_error() -> None:
    """Not a crash of the parser."""
    with pytest.raises(ConfigurationError):
        read("a = " + "[" * 100_000)
    with pytest.raises(ConfigurationError):
        read("a = " + "[" * 300 + "]" * 300)
    with pytest.raises(ConfigurationError):
        read("a = " + "9" * 10_000)


WORDS = st.sampled_from(
    ["[", "]", "=", "\n", '"', "'", "'''", '"""', "{", "}", ",", ".", "#", "\\", " ", "[server]\n",
     "port = 1\n", "[providers.openai]\n", "keys = ", "['env:A']", "base_url = ", "'https://x/v1'\n",
     "[routes.chat]\n",
     "targets = ", "['openai/x']\n", "true", "1e9", "1979-05-27", "\r\n", "\x00", "é", "\ud800", "[[a]]\n"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=30).map("".join))
@example("[server]\n\"\\u0070ort\" = 'x'")
def test_any_toml_is_settings_or_a_configuration_error(text: str) -> None:
    """No other error leaves the loader."""
    try:
        assert isinstance(load_text(text, FILE, {}, PRESETS), Settings)
    except ConfigurationError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever stands in the file."""
    folder = tmp_path_factory.mktemp("any")
    paths = Paths(config_file=folder / "config.toml", state=folder)
    paths.config_file.write_bytes(data)
    try:
        assert isinstance(load(paths, {}, presets=PRESETS), Settings)
    except ConfigurationError as error:
        assert "config.toml" in str(error)


VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "host",
    "port",
    "base_url",
    "keys",
    "timeouts",
    "check",
    "models",
    "targets",
    "strategy",
    "context",
    "preset",
)


@given(st.sampled_from(["server", "local", "providers.openai", "routes.chat"]), st.sampled_from(KEYS), VALUES)
def test_any_value_at_any_known_key_is_settings_or_a_configuration_error(
    section: str, key: str, value: object
) -> None:
    """A wrong type is said in words, whatever it is."""
    import tomlkit

    if value is None:
        return
    try:
        text = tomlkit.dumps({"x": value}).replace("x", key, 1)
        tomllib.loads(text)
    except Exception:
        return  # not every value can be written as TOML
    try:
        assert isinstance(read(f"[{section}]\n{text}"), Settings)
    except ConfigurationError as error:
        assert str(FILE) in str(error)


FORMS = """\
# a comment = 1
a = \'\'\'
[t]
b = 1\'\'\'
x = 1979-05-27 07:32:00 # [t]
[t] # the table
b = 'its # no comment'
c.d = "# ]\\" ["
c.e = [1, # one
  2, [ 3 ]]

["q.r"]
"\\u0073" = 1
[i]
j = {v = {}, "w" = [{l = 1}]}
[[m]]
n = \"\"\"\"quoted\"\"\"\"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [(("a",), 2), (("x",), 5), (("t",), 6), (("t", "b"), 7), (("t", "c", "d"), 8), (("t", "c", "e", 1), 10),
     (("t", "c", "missing"), 8), (("q.r", "s"), 13), (("i", "j", "w", 0, "l"), 15), (("m", "n"), 17),
     (("z",), None), ((), None)],
)  # fmt: skip
def test_lines_are_found_through_every_form_of_toml(path: tuple[str | int, ...], line: int | None) -> None:
    """Strings over several lines, dotted and quoted keys, inline tables, comments and dates."""
    tomllib.loads(FORMS)
    assert find_line(FORMS, path) == line
