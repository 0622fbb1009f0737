"""Sizing a cluster, reading costs, holding predictions against measurements."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scaling.__main__ import main
from benchmarks.scaling.compare import Measured, compare
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


def test_a_prediction_is_held_against_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report that says what the simulation says passes; one that says twice as much fails the command."""
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"scaling": {"cores": 2, "together": True, "capacity_rps": 1.0}, "other": 1}))
    (line,) = compare(COSTS, Measured.read(report))
    loads = [{"rate_rps": line.predicted / 2, "p50_ms": 10.0, "p99_ms": 20.0}]
    document = {"cores": 2, "together": True, "capacity_rps": line.predicted, "idle_p50_ms": 10.0, "cpu_ms": 8.0}
    report.write_text(json.dumps({**document, "loads": loads}))
    assert 0 == main(["compare", str(report), "--tolerance", "10"])
    assert 6 == len(capsys.readouterr().out.splitlines())
    report.write_text(json.dumps({**document, "capacity_rps": line.predicted * 2}))
    assert 1 == main(["compare", str(report), "--tolerance", "0.4"])
    assert "-50%" in capsys.readouterr().out


def test_wrong_input_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report without its numbers, or a file that is not there, ends with 2 and the reason."""
    report = tmp_path / "report.json"
    report.write_text("{}")
    assert 2 == main(["compare", str(report)])
    assert capsys.readouterr().err.endswith("report.json: cores is missing\n")
    assert 2 == main(["plan", "--costs", str(tmp_path / "none.json")])
    assert "none.json" in capsys.readouterr().err


def test_simulate_prints_latency_use_and_the_wall(capsys: pytest.CaptureFixture[str]) -> None:
    """The command answers the platform engineer's three questions."""
    assert 0 == main(["simulate", "--layout", "machine", "--rate", "50", "--seconds", "2"])
    output = capsys.readouterr().out
    for word in ("p99", "preprocess", "the wall: "):
        assert word in output
