"""The door of the page: token, origin, host; and what it passes on."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest
import websockets
from websockets.sync.client import connect

from clip2.viewer.gate import Gate, new_token
from data_prep import InputError


@pytest.fixture
def page():
    gate = Gate("127.0.0.1", 0, b"<p>hello</p>")
    yield gate
    gate.close()


@pytest.fixture
def guarded():
    gate = Gate("127.0.0.1", 0, b"<p>hello</p>", token=new_token())
    yield gate
    gate.close()


def get(url, **headers):
    """Status and body."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def send(port, data):
    """Answer to raw bytes; empty if the gate hangs up before it has all of them."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read()
        except OSError:
            return b""


def test_the_loopback_needs_no_token(page):
    assert get(page.url) == (200, "<p>hello</p>")


def test_other_names_and_other_sites_are_refused(page):
    assert get(page.url, Host="evil.example")[0] == 403
    assert get(page.url, Origin="http://evil.example")[0] == 403
    assert get(page.url, Origin=f"http://localhost:{page.port}")[0] == 200


def test_a_token_is_asked_for_once_and_then_kept_in_a_cookie(guarded):
    bare = f"http://localhost:{guarded.port}/"
    assert get(bare)[0] == 401
    assert get(bare + "?token=wrong")[0] == 401
    assert get(guarded.url) == (200, "<p>hello</p>")  # the redirect brings the cookie along
    assert get(bare, Cookie=f"clip2_view_{guarded.port}=wrong")[0] == 401
    assert get(bare, Cookie='";;;===')[0] == 401


def test_nonsense_is_answered_and_hurts_nobody(page):
    assert b"400" in send(page.port, b"\x16\x03\x01 hello\r\n\r\n")
    assert b"405" in send(page.port, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    send(page.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000)
    send(page.port, b"")
    assert get(page.url)[0] == 200


def test_a_websocket_passes_only_from_the_page_itself():
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async def talk():
        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as inner:
            gate = Gate("127.0.0.1", 0, inner.sockets[0].getsockname()[1])
            address = f"ws://localhost:{gate.port}"
            long = bytes(3_000_000)

            def client():
                with connect(address, origin=f"http://localhost:{gate.port}", max_size=None) as line:
                    line.send(long)
                    assert line.recv() == long
                with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                    connect(address, origin="http://evil.example")

            await asyncio.to_thread(client)
            gate.close()

    asyncio.run(talk())


def test_a_port_in_use_is_one_line(page):
    with pytest.raises(InputError, match=r"cannot be used .* another one, like --port 8090"):
        Gate("127.0.0.1", page.port, b"")
    with pytest.raises(InputError, match="cannot be used"):
        Gate("256.1.1.1", 0, b"")
