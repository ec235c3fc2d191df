"""Which pages may read the stream."""

import pytest

from muninn.guard.origin import allowed, parse_origins

CONFIGURED = parse_origins(" https://metrics.example.com/, http://Board.example:8501 ")


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        (None, "127.0.0.1:8481", True),  # a program, not a page
        ("http://localhost:8501", "localhost:8481", True),
        ("http://127.0.0.1:8501", "127.0.0.1:8481", True),
        ("http://[::1]:8501", "[::1]:8481", True),
        ("http://app.localhost:8501", "app.localhost:8481", True),
        ("http://192.168.1.5:8501", "192.168.1.5:8481", True),  # Streamlit beside us, by address
        ("http://192.168.1.6:8501", "192.168.1.5:8481", False),
        ("https://evil.example", "127.0.0.1:8481", False),
        ("http://evil.example:8481", "evil.example:8481", False),  # a name made to resolve to us
        ("http://localhost.evil.example", "127.0.0.1:8481", False),
        ("null", "127.0.0.1:8481", False),  # a sandboxed frame, a file
        ("", "127.0.0.1:8481", False),
        ("http://[", "127.0.0.1:8481", False),
        ("http://192.168.1.5:8501", None, False),
        ("https://metrics.example.com", "10.0.0.1:8481", True),
        ("http://board.example:8501", "10.0.0.1:8481", True),
        ("http://board.example:8502", "10.0.0.1:8481", False),
    ],
)
def test_origins(origin: str | None, host: str | None, expected: bool) -> None:
    assert allowed(origin, host, CONFIGURED) is expected


def test_nothing_is_configured_by_default() -> None:
    assert parse_origins("") == frozenset()
