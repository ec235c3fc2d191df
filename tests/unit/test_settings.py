"""Settings: typed, frozen, and clear about what is wrong."""

import pytest
from pydantic import ValidationError

from muninn import settings
from muninn.errors import Misconfigured


def test_defaults_need_no_environment() -> None:
    loaded = settings.load({})
    assert (loaded.gateway.port, loaded.sidecar.port, loaded.streamlit.port, loaded.dagster.port) == (
        8480,
        8481,
        8501,
        3000,
    )
    assert loaded.database.url is None


def test_a_variable_reaches_its_section() -> None:
    loaded = settings.load({"MUNINN_GATEWAY_PORT": "9000", "MUNINN_HOME": "/srv/muninn", "PATH": "/bin"})
    assert loaded.gateway.port == 9000
    assert str(loaded.home) == "/srv/muninn"
    assert loaded.gateway_url == "http://127.0.0.1:9000"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings.load({"MUNINN_GATEWAY_PORT": " "}).gateway.port == 8480


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"MUNINN_GATEWAY_PORT": "abc"}, "MUNINN_GATEWAY_PORT is wrong"),
        ({"MUNINN_GATEWAY_PORT": "70000"}, "less than or equal to 65535"),
        ({"MUNINN_GATWAY_PORT": "1"}, "did you mean MUNINN_GATEWAY_PORT"),
        ({"MUNINN_BUFFER_DURABILITY": "maybe"}, "'fsync' or 'memory'"),
    ],
)
def test_a_broken_setting_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        settings.load(environ)


def test_a_secret_does_not_show() -> None:
    loaded = settings.load({"MUNINN_DATABASE_URL": "postgresql://u:hunter2@db/x"})
    assert "hunter2" not in repr(loaded)
    assert loaded.require_database_url() == "postgresql://u:hunter2@db/x"
    assert settings.without_password(loaded.require_database_url()) == "postgresql://u:***@db/x"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@db/x?password=hunter2&sslmode=require", "postgresql://u@db/x?password=***&sslmode=require"),
        ("postgresql://u@db/x?sslkey=k&sslpassword=hunter2", "postgresql://u@db/x?sslkey=k&sslpassword=***"),
        ("unix:///run/valkey.sock?db=1&password=hunter2", "unix:///run/valkey.sock?db=1&password=***"),
        ("redis://:hunter2@cache:6379/0?password=hunter2", "redis://:***@cache:6379/0?password=***"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("postgresql://muninn@/muninn?host=/run/pg", "postgresql://muninn@/muninn?host=/run/pg"),
    ],
)
def test_a_password_is_hidden_wherever_it_stands_in_a_url(url: str, shown: str) -> None:
    assert settings.without_password(url) == shown


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        settings.load({}).gateway.port = 1  # type: ignore[misc]


def test_a_missing_server_says_what_to_set() -> None:
    with pytest.raises(Misconfigured, match="MUNINN_DATABASE_URL"):
        settings.load({}).require_database_url()
