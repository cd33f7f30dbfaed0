"""What every answer can do: short repr, text, HTML table, the JSON of the command line, a data frame."""

import json
import sys

import msgspec
import pytest
from msgspec.structs import replace

import hwbench
from hwbench.answers import Answer, document, html_table, lines, plain, rows
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.notices import notice
from hwbench.predict.estimate import estimate
from hwbench.workload import load

ESTIMATE = hwbench.estimate("alexnet", "rtx3090")


class Bare(Answer, msgspec.Struct, frozen=True):
    """An answer without a text of its own."""

    name: str
    time_s: float


def test_an_answer_is_the_struct_of_its_package() -> None:
    assert estimate(load.workload("alexnet"), catalog.device("rtx3090")) == replace(ESTIMATE, improvements=())


def test_repr_is_one_short_line() -> None:
    comparison = hwbench.compare("rtx3090", "rtx4090", model="alexnet")
    for answer in (ESTIMATE, hwbench.count("alexnet"), hwbench.peak("rtx3090"), comparison):
        assert len(repr(answer)) < 200
        assert "\n" not in repr(answer)
    assert repr(ESTIMATE).startswith("Estimate(model='alexnet', device='rtx3090', dtype='fp32', batch=1, ideal_time_s=")
    assert repr(Bare("x" * 500, 1.0)).endswith("…)")


def test_an_answer_without_a_text_shows_its_repr() -> None:
    assert lines(Bare("x", 1.5)) == ["Bare(name='x', time_s=1.5)"]
    assert rows(Bare("x", 1.5)) == [{"name": "x", "time_s": 1.5}]


def test_html_is_a_table_with_readable_numbers() -> None:
    page = ESTIMATE._repr_html_()
    assert page.count("<table>") == 2
    assert "<th>ideal time</th>" in page
    assert "<td>63.81 µs</td>" in page
    many = html_table([{"<name>": index} for index in range(1000)])
    assert "<th>&lt;name&gt;</th>" in many
    assert "900 more rows" in many


def test_json_has_no_context_and_parses() -> None:
    body = json.loads(ESTIMATE.to_json())
    assert body == ESTIMATE.to_dict()
    assert list(body)[:4] == ["schema", "hwbench_version", "warnings", "notices"]
    assert "title" not in body
    assert "workload" not in hwbench.count("lenet5").to_dict()


def test_notices_become_texts_and_codes() -> None:
    unknown = notice("bandwidth-unknown", device="rtx3090")
    answer = msgspec.structs.replace(ESTIMATE, notices=(unknown, unknown))
    body = document("several", {"estimates": [answer]}, [unknown])
    assert body["schema"] == "hwbench.several/1"
    assert body["notices"] == [{"code": "bandwidth-unknown", "text": str(unknown)}]
    assert body["estimates"][0]["warnings"] == [str(unknown)]
    assert plain({"gap": unknown, "values": (1, 2)}) == {"gap": str(unknown), "values": [1, 2]}


def test_a_data_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pandas") as caught:
        ESTIMATE.to_frame()
    assert caught.value.code == "missing-extra"


def test_a_figure_needs_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.delitem(sys.modules, "plotly.graph_objects", raising=False)
    with pytest.raises(InputError, match="plotly") as caught:
        hwbench.estimate("alexnet", "rtx3090").plot()
    assert caught.value.code == "missing-extra"


def test_estimates_and_comparisons_draw_themselves() -> None:
    e = hwbench.estimate("alexnet", "rtx3090")
    for name in (None, "layers", "limits", "roofline"):
        figure = e.plot(name)
        assert type(figure).__module__.startswith("plotly.graph_objs")
        assert len(figure.data) > 1
        assert figure.layout.title.text
    conv = next(
        trace for trace in e.plot("roofline").data if trace.customdata is not None and "fc6" in trace.customdata
    )
    assert conv.name == "limited by memory"
    comparison = hwbench.compare("rtx3090", "rtx4090", model="alexnet")
    assert {trace.name for trace in comparison.plot().data} >= {"units", "clock", "bandwidth"}
    with pytest.raises(hwbench.InputError) as error:
        e.plot("pie")
    assert error.value.code == "no-figure"
    with pytest.raises(hwbench.InputError):
        hwbench.count("alexnet").plot()
