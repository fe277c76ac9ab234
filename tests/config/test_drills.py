"""`[drills.NAME]`: smoke tests that the gateway runs by itself."""

from __future__ import annotations

import pytest

from shareai_cli.config import DrillSettings
from shareai_cli.config.describe import describe
from shareai_cli.errors import ConfigurationError
from tests.support.configuration import read

ROUTE = '[providers.a]\nbase_url = "https://a.example/v1"\n[routes.chat]\ntargets = ["a/m"]\n'


def test_drills_are_read_and_described() -> None:
    """With times of day or a stretch of time, all of it or a part, and a bound on what they spend."""
    settings = read(
        f'{ROUTE}[drills.nightly]\nat = ["03:30", "15:00"]\nchecks = ["failover"]\nroutes = ["chat"]\n'
        'max_cost = 0.02\n[drills.often]\nevery = "6h"\n'
    )
    assert settings.drills == {
        "nightly": DrillSettings("nightly", (210, 900), None, ("failover",), ("chat",), 20_000_000),
        "often": DrillSettings("often", every=21_600.0),
    }
    assert describe(settings)["drills"]["nightly"] == {
        "at": ["03:30", "15:00"],
        "every": None,
        "checks": ["failover"],
        "routes": ["chat"],
        "max_cost": 0.02,
    }


@pytest.mark.parametrize(
    "text, told",
    [
        ("[drills.x]", "needs either 'at' or 'every'"),
        ('[drills.x]\nat = ["03:30"]\nevery = "6h"', "needs either 'at' or 'every'"),
        ('[drills.x]\nat = []', "names no time of day"),
        ('[drills.x]\nat = ["24:00"]', "'24:00' is no time of day"),
        ('[drills.x]\nat = ["3:30"]', "'3:30' is no time of day"),
        ('[drills.x]\nevery = "5s"', "should be a time from a minute to a year"),
        ('[drills.x]\nevery = "6h"\nchecks = ["failovr"]', "Did you mean failover?"),
        ('[drills.x]\nevery = "6h"\nroutes = ["chta"]', "Did you mean chat?"),
        ('[drills.x]\nevery = "6h"\nmax_cost = -1', "max_cost"),
        ('[drills.x]\nevery = "6h"\nevry = 1', "unknown key"),
        ('[drills.command]\nevery = "6h"', "started by hand"),
        ('[drills."x y"]\nevery = "6h"', "a drill's name has letters"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_line(text: str, told: str) -> None:
    """As everything in the configuration is."""
    with pytest.raises(ConfigurationError) as raised:
        read(f"{ROUTE}{text}\n")
    assert told in str(raised.value)
    assert ", line " in raised.value.message
