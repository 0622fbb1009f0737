"""Sizing a cluster, reading costs, holding predictions against measurements."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.measurement import APART, COLOCATED, Measurement, Round
from benchmarks.scaling.__main__ import REPORT, main
from benchmarks.scaling.compare import Measured, compare, read_report
from benchmarks.scaling.costs import MEASURED, read_costs
from benchmarks.scaling.layout import LAYOUTS
from benchmarks.scaling.plan import CELL_RATE, Target, make_plans

COSTS = read_costs()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_plan_keeps_its_target(name: str) -> None:
    """Every tier of the simulated cell stays below the use and the p99 asked for."""
    (plan,) = make_plans(LAYOUTS[name], COSTS, [300.0], Target(use=0.6, p99_ms=60), images=1_500)
    assert plan.cell.wall[1] <= 0.6
    assert plan.cell.p99_ms <= 60
    assert 300 == pytest.approx(plan.cell.rate, rel=0.1)


def test_a_large_plan_is_many_cells() -> None:
    """The cell is simulated once; five of them need five times the replicas, nodes, cores and network."""
    one, five = make_plans(LAYOUTS["gpu-together"], COSTS, [CELL_RATE, 5 * CELL_RATE], Target(), images=4_000)
    assert one.cell is five.cell
    assert 5 * one.gpus == five.gpus
    assert 5 * one.cores == five.cores
    assert 5 * one.network_gbit == pytest.approx(five.network_gbit)


def test_narrower_cards_need_more_nodes() -> None:
    """Where the network is the wall, replicas spread over more nodes."""
    wide, narrow = (
        make_plans(LAYOUTS["cpu-apart"], costs, [2_000.0], Target(), images=1_500)[0]
        for costs in (COSTS, read_costs_with(cpu_node_gbit=2.0))
    )
    assert narrow.tiers["gateway"].nodes > wide.tiers["gateway"].nodes
    assert narrow.cell.use["gateway"].network <= 0.7


def read_costs_with(**values: float) -> Any:
    """Returns the committed costs with others in place of some."""
    return type(COSTS)(**{**{name: getattr(COSTS, name) for name in COSTS.__slots__}, **values})


def test_what_no_cluster_can_keep_is_an_error() -> None:
    """A p99 below the time of the work itself is refused, not searched for without end."""
    with pytest.raises(ValueError, match=r"cpu-together: no p99 of 1 ms: an image alone takes"):
        make_plans(LAYOUTS["cpu-together"], COSTS, [100.0], Target(p99_ms=1))


@pytest.mark.parametrize(("use", "p99_ms"), [(0.0, 50.0), (1.0, 50.0), (0.7, 0.0)])
def test_what_is_no_target_is_refused(use: float, p99_ms: float) -> None:
    """Shares lie between 0 and 1, times above 0."""
    with pytest.raises(ValueError, match="must"):
        Target(use, p99_ms)


def test_every_cost_says_where_it_comes_from() -> None:
    """The committed numbers are measured by a command or assumed with a source."""
    for name, entry in json.loads(MEASURED.read_text()).items():
        assert entry["kind"] in {"measured", "assumed"}, name
        assert len(entry["source"]) > 10, name
        assert ("python -m " in entry["source"]) == (entry["kind"] == "measured"), name


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("rank_ms", None, "missing or unknown: rank_ms"),
        ("further_ms", {"value": 1, "kind": "measured", "source": "x"}, "missing or unknown: further_ms"),
        ("rank_ms", {"value": 1, "kind": "guessed", "source": "x"}, "rank_ms: needs value, kind"),
        ("rank_ms", {"value": 1, "kind": "measured"}, "rank_ms: needs value, kind"),
        ("rank_ms", {"value": "1", "kind": "measured", "source": "x"}, "rank_ms: '1' is no number"),
        ("rank_ms", {"value": [1.0], "kind": "measured", "source": "x"}, "is no number"),
        ("rank_ms", {"value": -1, "kind": "measured", "source": "x"}, "rank_ms: -1 is negative"),
        ("decode_ms", {"value": [], "kind": "measured", "source": "x"}, "decode_ms: needs at least one"),
        ("node_cores", {"value": 0, "kind": "measured", "source": "x"}, "node_cores: must be above 0"),
    ],
)
def test_bad_costs_are_named(tmp_path: Path, name: str, entry: dict[str, Any] | None, message: str) -> None:
    """A number that is missing, unknown, wrong or without its source ends the command with its name."""
    document = json.loads(MEASURED.read_text())
    document.pop(name, None)
    if entry is not None:
        document[name] = entry
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message):
        read_costs(path)


def _report(folder: Path, *rounds: list[Measurement]) -> Path:
    """Writes what `python -m benchmarks.report` writes."""
    path = folder / "report.json"
    about = {"Command": "`python -m benchmarks.report`", "Machine": "2 cores, Some CPU, Linux 6.1"}
    measured = [Round(250.0, 8.0, 8.0, measurements).to_json() for measurements in rounds]
    path.write_text(json.dumps({"about": about, "rounds": measured}))
    return path


def _measurements(system: str, rate: float) -> list[Measurement]:
    """Returns what a report has of a cluster that answers so much at 64 clients."""
    loads = {"1": rate / 4, "16": rate * 0.9, "64": rate, "70%": rate * 0.7}
    cpu_ms = {"gateway": 3.0, "triton": 6.0, "generator": 0.5}
    return [Measurement(system, "grpc", load, each, 12.0, 40.0, cpu_ms) for load, each in loads.items()]


def test_a_report_of_the_benchmarks_is_read(tmp_path: Path) -> None:
    """Figures are medians over the rounds, CPU is the servers' alone; a cluster that was not measured is left out."""
    report = _report(tmp_path, *(_measurements(COLOCATED, rate) for rate in (190.0, 200.0, 230.0)))
    (measured,) = read_report(report)
    assert (COLOCATED, 2, 200, 9) == (measured.system, measured.cores, measured.capacity_rps, measured.cpu_ms)
    assert (12, 140, 12, 40) == (
        measured.idle_p50_ms,
        round(measured.open_rps),
        measured.open_p50_ms,
        measured.open_p99_ms,
    )


def test_the_last_report_can_be_compared() -> None:
    """The committed report has all that a comparison needs of both clusters."""
    assert [APART, COLOCATED] == [measured.system for measured in read_report(REPORT)]


def test_a_prediction_is_held_against_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report that says what the simulation says passes; one that says twice as much fails the command."""
    predicted = [line.predicted for line in compare(COSTS, Measured(COLOCATED, 2, 1.0, 1.0, 1.0, 100.0, 1.0, 1.0))]
    rate, cpu_ms, idle_ms, open_ms, late_ms = predicted

    def report(rate: float) -> str:
        figures = {"1": (1.0, idle_ms, 1.0), "64": (rate, 1.0, 1.0), "70%": (100.0, open_ms, late_ms)}
        rows = [Measurement(COLOCATED, "grpc", load, *row, {"server": cpu_ms}) for load, row in figures.items()]
        return str(_report(tmp_path, rows))

    assert 0 == main(["compare", report(rate), "--tolerance", "0.01"])
    printed = capsys.readouterr().out.splitlines()
    assert (6, True) == (len(printed), printed[0].startswith(COLOCATED))
    assert 1 == main(["compare", report(2 * rate), "--tolerance", "0.4"])
    assert "-50%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is no report of `python -m benchmarks.report`: KeyError('about')"),
        ('{"about": {"Machine": "many cores"}}', "is no report of `python -m benchmarks.report`: ValueError("),
        ('{"about": {"Machine": "2 cores"}, "rounds": []}', "measures neither 'Triptych, apart' nor "),
    ],
)
def test_a_file_that_is_no_report_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """A report of another program, or of rivals only, ends with 2, its name and what is wrong."""
    report = tmp_path / "report.json"
    report.write_text(text)
    assert 2 == main(["compare", str(report)])
    assert capsys.readouterr().err.startswith(f"{report} {said}")


def test_wrong_input_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there ends with 2 and the reason."""
    assert 2 == main(["plan", "--costs", str(tmp_path / "none.json")])
    assert "none.json" in capsys.readouterr().err


def test_simulate_prints_latency_use_and_the_wall(capsys: pytest.CaptureFixture[str]) -> None:
    """The command answers the platform engineer's three questions."""
    assert 0 == main(["simulate", "--layout", "machine", "--rate", "50", "--seconds", "2"])
    output = capsys.readouterr().out
    for word in ("p99", "preprocess", "the wall: "):
        assert word in output
