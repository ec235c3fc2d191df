"""An address that cannot be had is told with the setting that moves it."""

import os
import socket
from collections.abc import Iterator

import pytest
from servers import free_port

from muninn import settings
from muninn.errors import Misconfigured
from muninn.run.ports import Listener, check, listeners


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_every_port_setting_is_checked() -> None:
    wanted = {listener.setting for listener in listeners(settings.load({"MUNINN_STATSD_PORT": "8125"}))}
    assert wanted == {name for name in settings.variables() if name.endswith("PORT")}


def test_free_ports_are_fine() -> None:
    check([Listener("GATEWAY", "127.0.0.1", free_port()), Listener("SIDECAR", "localhost", free_port())])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_taken_port_names_the_setting_and_the_program(taken: int, host: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        check([Listener("GATEWAY", host, taken)])
    assert f"port {host}:{taken} is taken by " in str(caught.value)
    assert f"(pid {os.getpid()}): set MUNINN_GATEWAY_PORT to another" in str(caught.value)


def test_two_settings_with_one_port() -> None:
    port = free_port()
    with pytest.raises(Misconfigured, match=f"MUNINN_A_PORT and MUNINN_B_CODE_PORT are both {port}"):
        check([Listener("A", "127.0.0.1", port), Listener("B", "127.0.0.1", port, "CODE_PORT")])


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(Misconfigured, match="MUNINN_STREAMLIT_HOST"):
        check([Listener("STREAMLIT", host, free_port())])


def test_a_listener_that_has_just_ended_does_not_count() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0]:
            pass
    check([Listener("GATEWAY", "127.0.0.1", address[1])])


def test_a_udp_port_is_another_than_the_tcp_port_of_its_number() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        with pytest.raises(Misconfigured, match=rf"port 127\.0\.0\.1:{port} is taken by .*: set MUNINN_STATSD_PORT"):
            check([Listener("STATSD", "127.0.0.1", port, udp=True)])
    check([Listener("GATEWAY", "127.0.0.1", port), Listener("STATSD", "127.0.0.1", port, udp=True)])
