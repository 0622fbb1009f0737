"""Writes results as text, plans as Markdown."""

from collections.abc import Iterable

from benchmarks.scaling.plan import Plan
from benchmarks.scaling.simulation import Result


def result_text(result: Result) -> str:
    """Returns what a simulation showed, for a terminal."""
    wall, share = result.wall
    lines = [
        f"{result.images} images, {result.rate:,.0f} images/s answered",
        f"latency ms    mean {result.mean_ms:.1f}   p50 {result.p50_ms:.1f}   p99 {result.p99_ms:.1f}",
        "images per message    " + "   ".join(f"{k} {v:.1f}" for k, v in result.images_per_message.items()),
        f"network    {result.moved_kb:.0f} kB per image, {result.crossed_kb:.0f} kB of it from zone to zone",
        "",
        f"{'tier':<12} {'cores':>6} {'loops':>6} {'card':>6} {'GPU':>6}",
    ]
    lines += [
        f"{name:<12} {use.cores:6.0%} {use.loops:6.0%} {use.network:6.0%} {use.gpu:6.0%}"
        for name, use in result.use.items()
    ]
    return "\n".join([*lines, "", f"the wall: {wall}, {share:.0%} busy"])


PLAN_HEADER = (
    "| images/s | layout | replicas | nodes | cores | GPUs | network Gbit/s | p50 / p99 ms | the wall |\n"
    "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
)


def plan_row(plan: Plan) -> str:
    """Returns one line of the Markdown table."""
    replicas = ", ".join(f"{name} {tier.replicas:,}" for name, tier in plan.tiers.items())
    nodes = sum(tier.nodes for tier in plan.tiers.values())
    wall, share = plan.cell.wall
    cells = (
        f"{plan.rate:,.0f}",
        plan.layout.title,
        replicas,
        f"{nodes:,}",
        f"{plan.cores:,}",
        f"{plan.gpus:,}",
        f"{plan.network_gbit:,.0f}",
        f"{plan.cell.p50_ms:.1f} / {plan.cell.p99_ms:.1f}",
        f"{wall} {share:.0%}",
    )
    return f"| {' | '.join(cells)} |"


def law_text(rows: Iterable[tuple[str, Result]]) -> str:
    """Returns cells of different sizes below each other."""
    lines = [f"{'cell':<14} {'images/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'busiest':>8}"]
    for name, result in rows:
        lines.append(f"{name:<14} {result.rate:9,.0f} {result.p50_ms:8.2f} {result.p99_ms:8.2f} {result.wall[1]:8.1%}")
    return "\n".join(lines)
