"""`hwbench explore` as people start it: a process of its own, with an empty home."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cli.conftest import cli  # noqa: F401  (fixtures)


class Server:
    """A running server and what tests ask of it."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        match = re.match(r"http://127\.0\.0\.1:(\d+)/", address)
        assert match
        self.port = int(match[1])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.close()  # a server closes one that was idle for some seconds
        self.connection.request(method, path, headers=names)
        return self.connection.getresponse()

    def view(self, name: str, *fields: tuple[str, str]) -> tuple[int, dict[str, Any]]:
        """Ask a view; return the status and the answer."""
        response = self.request(f"/api/view/{name}?{urlencode(fields)}")
        return response.status, json.loads(response.read())

    def interrupt(self) -> int:
        self.connection.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def started(folder: str, *words: str) -> Server:
    """Start a server with an empty home and wait for its address."""
    environment = {**os.environ, "HOME": folder, "XDG_DATA_HOME": folder, "XDG_CACHE_HOME": f"{folder}/cache"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hwbench", "explore", "--no-browser", *words],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"at (http://\S+) ", line)
    if not match:
        raise AssertionError(f"no address: {line!r} {process.communicate()[1]!r}")
    return Server(process, match[1])


def ended(server: Server) -> None:
    server.connection.close()
    server.process.kill()
    server.process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = started(str(tmp_path_factory.mktemp("home")))
    yield running
    ended(running)
