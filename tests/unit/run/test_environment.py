"""Programs read from their environment exactly the settings that `muninn up` has."""

import pytest

from muninn import settings
from muninn.run import environment

SECRET = "postgresql://user:sesame@host/database"


def test_settings_survive_the_environment() -> None:
    given = {
        "MUNINN_HOME": "/somewhere",
        "MUNINN_DATABASE_URL": SECRET,
        "MUNINN_COLLECTOR_ENABLED": "false",
        "MUNINN_LOADER_COUNT": "3",
        "MUNINN_ROLLUPS_REFRESH_S": "2.5",
        "MUNINN_LANDING": "/landing",
    }
    asked = settings.load(given)
    environ = environment.as_environ(asked)
    assert settings.load(environ) == asked
    assert set(environ) <= set(settings.variables())


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert environment.as_environ(settings.load({}))["MUNINN_HOME"] == f"{tmp_path}/.muninn"


def test_secrets_can_be_left_out() -> None:
    shown = environment.without_secrets(settings.load({"MUNINN_DATABASE_URL": SECRET, "MUNINN_REDIS_URL": SECRET}))
    assert "MUNINN_GATEWAY_PORT" in shown
    assert not any("sesame" in value for value in shown.values())
    assert not {"MUNINN_DATABASE_URL", "MUNINN_REDIS_URL"} & set(shown)


def test_programs_get_nothing_of_muninn_that_was_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("MUNINN_GATEWAY_PORT", "1")
    monkeypatch.setenv("UNRELATED", "kept")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    asked = settings.load({"MUNINN_GATEWAY_PORT": "2", "MUNINN_DATABASE_URL": SECRET})
    environ = environment.of_programs(asked, asked.home, "postgresql://user@/dagster?host=/run/pg")
    assert environ["MUNINN_GATEWAY_PORT"] == "2"
    assert environ["UNRELATED"] == "kept"
    assert environ["MALLOC_ARENA_MAX"] == "7"
    assert environ["MUNINN_DAGSTER_POSTGRES_URL"] == "postgresql+psycopg2://user@/dagster?host=/run/pg"
    assert settings.load(environ).gateway.port == 2
