"""`python -m benchmarks.scaling`: simulates the cluster, on paper of any size."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.scaling.cell import Coalescing
from benchmarks.scaling.compare import compare, comparison_text, read_report
from benchmarks.scaling.costs import MEASURED, Costs, read_costs
from benchmarks.scaling.layout import LAYOUTS, Layout, Tier, one_machine
from benchmarks.scaling.plan import CELL_RATE, Target, doubled, make_plans, size_cell, spread
from benchmarks.scaling.plots import draw_latency
from benchmarks.scaling.simulation import Load, simulate
from benchmarks.scaling.tables import PLAN_HEADER, law_text, plan_row, result_text

MACHINE = "machine"
REPORT = Path(__file__).parents[2] / "docs" / "performance" / "report.json"
IN_FLIGHT = 12
"""Messages per hop that a gateway process of a cluster may have under way; on one machine it is `Coalescing`'s."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 0 when it went well, 1 when a prediction is off by more than allowed, 2 for wrong input."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _simulate(options: argparse.Namespace) -> int:
    costs = _costs(options)
    load = Load(options.rate or 0, options.burst, options.clients, options.seconds, options.warm_up, options.seed)
    layout, tiers = _cell(options, costs)
    result = simulate(layout, tiers, costs, load, _coalescing(options))
    sizes = ", ".join(f"{name} {tier.replicas}" for name, tier in tiers.items())
    _write(f"{layout.title}: {sizes}", result_text(result))
    return 0


def _plan(options: argparse.Namespace) -> int:
    costs, target = _costs(options), _target(options)
    _write(PLAN_HEADER)
    for layout in _layouts(options):
        for plan in make_plans(layout, costs, options.rates, target, _coalescing(options)):
            _write(plan_row(plan))
    return 0


def _law(options: argparse.Namespace) -> int:
    costs, coalescing = _costs(options), _coalescing(options)
    for layout in _layouts(options):
        tiers, _ = size_cell(layout, costs, options.rate, _target(options), coalescing)
        load = Load(options.rate, seconds=30_000 / options.rate, warm_up_s=0.5)
        once = simulate(layout, tiers, costs, load, coalescing)
        twice = simulate(layout, doubled(tiers), costs, replace(load, rate=2 * options.rate), coalescing)
        _write(layout.title, law_text([("k", once), ("2k", twice)]), "")
    return 0


def _plot(options: argparse.Namespace) -> int:
    costs, coalescing = _costs(options), _coalescing(options)
    curves = {}
    for layout in _layouts(options):
        tiers, _ = size_cell(layout, costs, options.rate, _target(options), coalescing)
        rates = [options.rate * share for share in (0.1, 0.4, 0.7, 1, 1.2, 1.3)]
        loads = [Load(rate, seconds=max(0.5, 10_000 / rate), warm_up_s=0.5) for rate in rates]
        curves[layout.title] = [simulate(layout, tiers, costs, load, coalescing) for load in loads]
    draw_latency(curves, options.output)
    return 0


def _compare(options: argparse.Namespace) -> int:
    costs, coalescing = _costs(options), _coalescing(options)
    found = {each.system: compare(costs, each, coalescing) for each in read_report(options.report)}
    _write("\n\n".join(comparison_text(system, lines) for system, lines in found.items()))
    return int(any(abs(line.error) > options.tolerance for lines in found.values() for line in lines))


def _measure(options: argparse.Namespace) -> int:
    from benchmarks.scaling.measure import refresh  # noqa: PLC0415 (needs the engine, which nothing else here does)

    for name, value in refresh(options.costs, options.rounds).items():
        _write(f"{name:<20} {value}")
    return 0


def _cell(options: argparse.Namespace, costs: Costs) -> tuple[Layout, dict[str, Tier]]:
    """Returns the machine's processes, or a cell with as many replicas as asked for or as the rate needs."""
    if options.layout == MACHINE:
        return one_machine(options.cores, together=options.together)
    layout = LAYOUTS[options.layout]
    sized_for = options.sized_for or options.rate
    if not sized_for:
        raise ValueError("--clients in a layout other than machine needs --sized-for")
    tiers, _ = size_cell(layout, costs, sized_for, _target(options), Coalescing(IN_FLIGHT))
    return layout, spread(tiers, options.zones)


def _costs(options: argparse.Namespace) -> Costs:
    costs = read_costs(options.costs)
    given = {"cpu_node_gbit": options.cpu_gbit, "gpu_node_gbit": options.gpu_gbit}
    return replace(costs, **{name: value for name, value in given.items() if value is not None})


def _coalescing(options: argparse.Namespace) -> Coalescing:
    machine = getattr(options, "layout", None) == MACHINE or options.command is _compare
    in_flight = options.in_flight or (Coalescing().in_flight if machine else IN_FLIGHT)
    return Coalescing(in_flight, options.images, options.zones)


def _target(options: argparse.Namespace) -> Target:
    return Target(options.use, options.p99)


def _layouts(options: argparse.Namespace) -> list[Layout]:
    return [LAYOUTS[name] for name in options.layouts]


def _write(*texts: str) -> None:
    sys.stdout.write("\n".join(texts) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = _command(commands, _simulate, "simulate", "one cell under one load: latency, how busy what is, the wall")
    one.add_argument("--layout", choices=[*LAYOUTS, MACHINE], default="cpu-apart")
    one.add_argument("--rate", type=float, help="images/s, open loop")
    one.add_argument("--clients", type=int, default=0, help="instead of a rate: clients that send one after the other")
    one.add_argument("--burst", type=float, default=1, help="images that arrive at one moment, on average")
    one.add_argument("--sized-for", type=float, help="images/s that the cell is sized for, when not the rate")
    one.add_argument("--seconds", type=float, default=5)
    one.add_argument("--warm-up", type=float, default=1, help="seconds")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--cores", type=int, default=2, help="of the layout machine")
    one.add_argument("--together", action="store_true", help="the layout machine, co-located")
    plan = _command(commands, _plan, "plan", "replicas, nodes and cores for each layout and rate, as Markdown")
    plan.add_argument("--rates", type=float, nargs="+", default=[1e3, 1e5, 1e7], help="images/s")
    law = _command(commands, _law, "law", "a cell against one of twice the size at twice the rate")
    plot = _command(commands, _plot, "plot", "p99 over the rate, as SVG")
    plot.add_argument("--output", type=Path, default=Path("docs/scaling/latency.svg"))
    law.add_argument("--rate", type=float, default=CELL_RATE, help="images/s of the smaller cell")
    plot.add_argument("--rate", type=float, default=CELL_RATE / 4, help="images/s that the cells are sized for")
    for many in (plan, law, plot):
        many.add_argument("--layouts", choices=list(LAYOUTS), nargs="+", default=list(LAYOUTS))
    held = _command(commands, _compare, "compare", "the simulation against a measured cluster on one machine")
    held.add_argument("report", type=Path, nargs="?", default=REPORT, help="JSON that `benchmarks.report` wrote")
    held.add_argument("--tolerance", type=float, default=0.25, help="share by which a number may be off")
    measure = _command(commands, _measure, "measure", "measure this machine into the file of costs")
    measure.add_argument("--rounds", type=int, default=100)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    run: Callable[[argparse.Namespace], int],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument("--costs", type=Path, default=MEASURED, help="file of costs")
    parser.add_argument("--cpu-gbit", type=float, help="network of a CPU node, instead of the file's")
    parser.add_argument("--gpu-gbit", type=float, help="network of a GPU node, instead of the file's")
    parser.add_argument("--in-flight", type=int, help="messages per hop and gateway process: 3 on one machine, else 12")
    parser.add_argument("--images", type=int, default=8, help="most images in a message")
    parser.add_argument("--zones", type=int, default=1, help="zones that replicas are spread over")
    parser.add_argument("--use", type=float, default=0.7, help="share that the busiest resource of a tier may be used")
    parser.add_argument("--p99", type=float, default=50, help="ms that 99 of 100 images must keep")
    return parser


if __name__ == "__main__":
    sys.exit(main())
