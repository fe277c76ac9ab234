"""Every test has its own home, and an environment without keys, proxies or settings of the machine's."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.paths import Paths, find_paths

FOREIGN = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_COLOR",
           "FORCE_COLOR", "COLUMNS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE",
           "OLLAMA_MODELS", "OLLAMA_HOST")  # fmt: skip


# How fast examples come is a matter of the machine: the first of a clean checkout takes seconds to be made.
settings.register_profile("anywhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anywhere")

# Shells start what is to run in the background deaf to Ctrl-C, and so would be the commands that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolated_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point home, state and configuration into a folder of the test's, and take foreign variables away."""
    known = {
        variable
        for preset in PRESETS.values()
        for variable in (*preset.key_variables, *(preset.blank.variables if preset.blank else ()))
    }
    for name in list(os.environ):
        if name in known or name.upper() in FOREIGN or name.startswith("SHAREAI_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("SHAREAI_HOME", str(home / "shareai"))
    # No test puts a key into the keyring of whoever runs it.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def paths(isolated_environment: None) -> Paths:
    """Return where this test's files live."""
    return find_paths(os.environ)
