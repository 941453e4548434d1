"""Where the page is served, and by what name others reach it."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from mario_rl.errors import UserError
from mario_rl.watch.port import Address, address_of, bind


@pytest.mark.parametrize(
    ("host", "is_open"),
    [("127.0.0.1", False), ("localhost", False), ("127.0.0.2", False), ("0.0.0.0", True), ("", True), ("0", True)],
)
def test_what_a_host_means_is_asked_of_the_socket(host, is_open):
    with bind(host, 0) as bound:
        assert address_of(bound, host).is_open == is_open


@pytest.mark.parametrize(
    ("host", "ip", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://localhost:8000/"),
        ("localhost", "127.0.0.1", "http://localhost:8000/"),
        ("::1", "::1", "http://[::1]:8000/"),
        ("0.0.0.0", "0.0.0.0", "http://localhost:8000/"),
        ("::", "::", "http://localhost:8000/"),
        ("0", "0.0.0.0", "http://localhost:8000/"),
        ("192.0.2.7", "192.0.2.7", "http://192.0.2.7:8000/"),
    ],
)
def test_on_this_machine_one_opens(host, ip, url):
    assert Address(host, ip_address(ip), 8000).url == url


def test_on_another_machine_one_opens_the_address_in_the_network(monkeypatch):
    assert Address("192.0.2.7", ip_address("192.0.2.7"), 8000).outside_url == "http://192.0.2.7:8000/"
    everywhere = Address("0.0.0.0", ip_address("0.0.0.0"), 8000)
    assert "0.0.0.0" not in everywhere.outside_url

    def no_way_out(*_: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", no_way_out)
    assert everywhere.outside_url == f"http://{socket.gethostname()}:8000/"


@pytest.mark.parametrize("host", ["..", "a" * 70, "\udcff", "not a name", "::g"])
def test_a_host_that_is_none_is_refused_in_one_line(host):
    with pytest.raises(UserError, match=r"^--port: 8000 can't be had on .*; name another --port or --host$"):
        bind(host, 8000)
