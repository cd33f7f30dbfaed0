"""The server: who may ask, what may be asked, and that its answers are those of the command line."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.cli.commands.explore import explore
from hwbench.explore import server as served
from tests.explore.conftest import Server, ended, started

RESNET = (("model", "resnet50"), ("device", "rtx3090"))


@pytest.mark.slow
def test_its_answers_are_those_of_the_command_line(server: Server, cli: Callable[..., Any]) -> None:
    status, shown = server.view("answer", *RESNET, ("dtype", "fp16"), ("batch", "8"), ("set.clock", "2GHz"))
    words = ("--dtype", "fp16", "--batch", "8", "--set", "clock=2GHz", "--json")
    assert status == 200
    assert shown["answer"] == json.loads(cli("estimate", "resnet50", "rtx3090", *words).out)


@pytest.mark.slow
def test_language_models_too(server: Server, cli: Callable[..., Any]) -> None:
    fields = (("model", "llama3-8b"), ("device", "rtx3090"), ("weights", "q4_k_m"), ("prompt", "256"))
    status, shown = server.view("answer", *fields)
    words = ("--weights", "q4_k_m", "--prompt", "256", "--json")
    assert status == 200
    assert shown["answer"] == json.loads(cli("estimate", "llama3-8b", "rtx3090", *words).out)
    assert "tokens/s" in shown["sentence"]
    for along in ("batch", "context"):
        assert server.view("whatif", *fields, ("along", along))[0] == 200
    assert server.view("compare", *fields, ("device", "rtx4090"))[0] == 200
    assert server.view("layers", *fields)[1]["error"]["code"] == "not-for-language-models"


@pytest.mark.parametrize("view", ["answer", "roofline", "layers", "compare", "whatif", "machine", "clock", "accuracy"])
def test_every_view_has_sentences_figures_and_tables(server: Server, view: str) -> None:
    status, shown = server.view(view, *RESNET, ("device", "rtx4090"))
    assert status == 200
    assert shown["sentence"]
    for section in shown["sections"]:
        for part in section["parts"]:
            table = part.get("table", part)
            assert all(len(row) == len(table["header"]) for row in table["rows"])
            assert "traces" not in part or (part["traces"] and part["alternative"])


def test_a_curve_follows_its_slider(server: Server) -> None:
    sliders = server.view("answer", *RESNET)[1]["knobs"]
    assert [knob["field"] for knob in sliders] == ["clock", "units", "bandwidth", "power", "overhead"]
    for along in ("batch", *(knob["field"] for knob in sliders)):
        _, shown = server.view("whatif", *RESNET, ("along", along))
        rows = shown["sections"][0]["parts"][0]["table"]["rows"]
        roofline, expected, low, high = ([row[column][1] for row in rows] for column in range(1, 5))
        assert all(a < b < c for a, b, c in zip(low, expected, high, strict=True))
        assert all(a <= b for a, b in zip(roofline, expected, strict=True))
        assert expected[0] < expected[-1] if along == "overhead" else expected[0] >= expected[-1]
    _, hybrid = server.view("answer", ("model", "alexnet"), ("device", "i7-12700h"))
    names = [knob["field"] for knob in hybrid["knobs"]]
    assert names == ["clock.P-core", "clock.E-core", "units.P-core", "units.E-core", "bandwidth", "power", "overhead"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((("model", "torch:os:system"), ("device", "rtx3090")), "unknown-model"),
        ((("model", "/etc/passwd"), ("device", "rtx3090")), "unknown-model"),
        ((("model", "../alexnet.yaml"), ("device", "rtx3090")), "unknown-model"),
        ((("model", "alexnet"), ("device", "/tmp/device.yaml")), "unknown-device"),
        ((("model", "alexnet"), ("device", "run:/tmp/run.json")), "unknown-run"),
        ((("model", "alexnet"), ("device", "run:latest")), "unknown-run"),
        ((("model", "alexnet"), ("device", "rtx3091")), "unknown-device"),
        ((("model", "alexnet"),), "number-range"),
        ((("device", "rtx3090"),), "number-range"),
        ((*RESNET, ("dtype", "fp17")), "unknown-dtype"),
        ((*RESNET, ("batch", "0")), "number-range"),
        ((*RESNET, ("batch", "9" * 100)), "number-range"),
        ((*RESNET, ("batch", "9" * 200)), "too-long"),
        ((*RESNET, ("set.clock", "-1GHz")), "negative-quantity"),
        ((*RESNET, ("set.overhead", "-1")), "factor-range"),
        ((*RESNET, ("set.colour", "1GHz")), "unknown-setting"),
        ((*RESNET, ("set.clock.X-core", "1GHz")), "unknown-units"),
        ((*RESNET, ("runtime", "tensorrt")), "unknown-runtime"),
        ((*RESNET, ("math", "loose")), "unknown-math"),
        ((*RESNET, ("cheese", "1")), "unknown-field"),
        (RESNET * 20, "number-range"),
        (RESNET * 40, "too-many"),
    ],
)
def test_a_bad_question_is_told_what_is_wrong(server: Server, fields: tuple[tuple[str, str], ...], code: str) -> None:
    status, shown = server.view("answer", *fields)
    assert (status, shown["error"]["code"]) == (400, code)
    assert shown["error"]["message"].endswith((".", "?"))


@pytest.mark.slow
def test_strange_text_is_no_failure(server: Server) -> None:
    for text in ("\x00", "\u202e", "😀", "%00", "<script>", "a" * 120, "é" * 60, "nan", "1e999", "-0"):
        for field in ("model", "device", "dtype", "batch", "runtime", "set.clock", "set.units", "along"):
            fields = dict(RESNET) | {field: text}
            for view in ("answer", "whatif"):
                status, shown = server.view(view, *fields.items())
                assert status in (200, 400), (field, text, shown)
    assert server.view("nothing", *RESNET)[1]["error"]["code"] == "unknown-view"
    assert server.request("/api/view/answer?model=%ff%fe&device=rtx3090").read()


def test_a_name_server_cannot_be_rebound_and_other_pages_cannot_ask(server: Server) -> None:
    path, own = "/api/view/answer?model=alexnet&device=rtx3090", f"127.0.0.1:{server.port}"

    def status(method: str = "GET", **headers: str) -> int:
        response = server.request(path, method, **headers)
        response.read()
        return response.status

    assert status(Host=own) == 200
    assert status(Host=f"localhost:{server.port}") == 200
    assert status(Host="evil.example") == 403
    assert status(Host=f"127.0.0.1.evil.example:{server.port}") == 403
    assert status(Host="10.0.0.1") == 403
    assert status(Host=own, Origin=f"http://{own}") == 200
    assert status(Host=own, Origin="http://evil.example") == 403
    assert status(Host=own, Origin="null") == 403
    assert status(Host=own, Sec_Fetch_Site="cross-site") == 403
    assert status(Host=own, Sec_Fetch_Site="same-site") == 403
    assert [status(method) for method in ("POST", "PUT", "DELETE", "OPTIONS")] == [405] * 4


def test_an_address_is_accepted_only_where_it_is_listened_at() -> None:
    assert served.is_own("192.168.0.7:80", "0.0.0.0")
    assert served.is_own("[fe80::1]:80", "::")
    assert not served.is_own("rebound.example:80", "0.0.0.0")
    assert not served.is_own("192.168.0.7:80", "127.0.0.1")
    assert not served.is_own("", "127.0.0.1")
    assert served.is_own("[::1]:8000", "127.0.0.1")


def test_the_page_may_load_only_what_comes_from_here(server: Server) -> None:
    for path in ("/", "/static/explore.js", "/static/plotly-basic.min.js", "/api/names", "/nothing"):
        response = server.request(path)
        response.read()
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    assert server.request("/static/../server.py").read() == b"Not Found"
    assert server.request("/static/..%2fserver.py").read() == b"Not Found"


def test_it_knows_every_name_of_the_catalog(server: Server) -> None:
    names = json.loads(server.request("/api/names").read())
    assert len(names["devices"]) > 500
    assert {"host", "rtx3090", "i7-12700h"} <= {choice["name"] for choice in names["devices"]}
    kinds = {choice["name"]: choice["kind"] for choice in names["models"]}
    assert (kinds["alexnet"], kinds["llama3-8b"]) == ("network", "language")


@pytest.mark.slow
def test_an_interrupt_ends_it_and_a_taken_port_is_an_error(tmp_path: Path, cli: Callable[..., Any]) -> None:
    running = started(str(tmp_path), "resnet50", "rtx4090")
    try:
        assert running.address.endswith("?model=resnet50&device=rtx4090")
        assert b'data-initial="model=resnet50&amp;device=rtx4090"' in running.request("/").read()
        taken = cli("explore", "--no-browser", "--port", str(running.port))
        assert (taken.code, taken.out) == (2, "")
        assert f":{running.port} cannot be listened at" in taken.err
        assert running.interrupt() == 0
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
    finally:
        ended(running)


@pytest.mark.slow
def test_names_are_checked_before_it_serves(cli: Callable[..., Any]) -> None:
    answer = cli("explore", "alexnett", "--no-browser")
    assert answer.code == 2
    assert "alexnet" in answer.err
    assert cli("explore", "alexnet", "rtx3091", "--no-browser").code == 2


def test_the_examples_of_its_help_parse() -> None:
    examples = [line.split("hwbench ")[1] for line in (explore.help or "").splitlines() if "  hwbench explore" in line]
    assert len(examples) == 3
    for example in examples:
        explore.make_context("explore", shlex.split(example)[1:])


@pytest.mark.parametrize("view", ["answer", "roofline", "layers", "compare", "whatif"])
def test_an_accelerator_has_views_of_its_bounds(server: Server, view: str) -> None:
    status, shown = server.view(
        view, ("model", "resnet50"), ("device", "tpu-v5p"), ("device", "h100-sxm"), ("dtype", "bf16")
    )
    assert (status, bool(shown["sentence"])) == (200, True)
