"""The report as a Markdown page."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.report.claims import Claim
from benchmarks.report.measurement import Measurement, Round

Figure = Callable[[Measurement], float]


def render(rounds: Sequence[Round], claims: Sequence[Claim], about: dict[str, str], plots: Sequence[str]) -> str:
    """Returns the page: what was run, the claims, the systems, where the CPU went, memory."""
    parts = [
        "<!-- Written by `python -m benchmarks.report`. -->\n",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "\n## Goals\n\n| what | figure | goal | met |\n| --- | --- | --- | --- |",
        *(_claim(claim) for claim in claims),
        "\n## Systems\n\nMedians of the rounds. Server CPU is of all its processes, per request, at the best load.\n",
        "| system | requests/s at 1 / 4 / 16 / 64 clients | best / limit | CPU-ms | CPU / limit's | p50 at 1, ms |",
        "| --- | --- | --- | --- | --- | --- |",
        *_systems(rounds),
        "\n## CPU by process\n\nMilliseconds per request at 16 clients.\n",
        "| system | " + "processes |\n| --- | --- |",
        *_processes(rounds),
        "\n## Memory\n\nMiB, shared pages counted once: at rest, and after the last load.\n",
        "| system | at rest | under load | CPU at rest, ms per second |\n| --- | --- | --- | --- |",
        *_memory(rounds),
        "",
        *(f"![{name}]({name})" for name in plots),
    ]
    return "\n".join(parts) + "\n"


def _claim(claim: Claim) -> str:
    sign = ">=" if claim.at_least else "<="
    met = "yes" if claim.met else "**no**"
    return f"| {claim.text} | {claim.figure:.2f}{claim.unit} | {sign} {claim.goal:g}{claim.unit} | {met} |"


def _keys(rounds: Sequence[Round]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((m.system, m.transport) for m in rounds[0].measurements if m.transport))


def _median(rounds: Sequence[Round], system: str, transport: str, load: str, figure: Figure) -> float | None:
    found = [figure(m) for each in rounds if (m := each.find(system, transport, load)) is not None]
    return statistics.median(found) if found else None


def _systems(rounds: Sequence[Round]) -> Iterator[str]:
    limit = statistics.median(each.limit_rate for each in rounds)
    cpu_ms = statistics.median(each.limit_cpu_ms for each in rounds)
    bare_ms = statistics.median(each.bare_p50_ms for each in rounds)
    yield f"| the limit: no server | {limit:.0f} images/s | 1 | {cpu_ms:.2f} | 1 | {bare_ms:.1f} |"
    for system, transport in _keys(rounds):
        rates = [_median(rounds, system, transport, load, lambda m: m.rate) for load in ("1", "4", "16", "64")]
        best = [m for each in rounds if (m := each.best(system, transport)) is not None]
        share = statistics.median(m.rate / each.limit_rate for m, each in zip(best, rounds, strict=True))
        cpu = statistics.median(m.server_cpu_ms for m in best)
        times = statistics.median(m.server_cpu_ms / each.limit_cpu_ms for m, each in zip(best, rounds, strict=True))
        idle = _median(rounds, system, transport, "1", lambda m: m.p50_ms)
        shown = " / ".join("-" if rate is None else f"{rate:.0f}" for rate in rates)
        yield (
            f"| {system}, {transport} | {shown} | {share:.2f} | {cpu:.2f} | {times:.2f} | "
            f"{'-' if idle is None else f'{idle:.1f}'} |"
        )


def _processes(rounds: Sequence[Round]) -> Iterator[str]:
    for system, transport in _keys(rounds):
        first = rounds[0].find(system, transport, "16")
        if first is None or len(first.cpu_ms) < 3:
            continue
        names = first.cpu_ms
        medians = {name: _median(rounds, system, transport, "16", partial(_cpu_of, name)) for name in names}
        yield f"| {system}, {transport} | " + ", ".join(f"{name} {ms:.2f}" for name, ms in medians.items()) + " |"


def _cpu_of(name: str, measurement: Measurement) -> float:
    return measurement.cpu_ms[name]


def _memory(rounds: Sequence[Round]) -> Iterator[str]:
    for system in dict.fromkeys(m.system for m in rounds[0].measurements):
        own = [m for m in rounds[-1].measurements if m.system == system]
        rest, last = next(m for m in own if m.load == "rest"), own[-1]
        idle = sum(rest.cpu_ms.values())
        yield f"| {system} | {_total(rest):.0f} | {_total(last):.0f} | {idle:.0f} |"


def _total(measurement: Measurement) -> float:
    return sum(measurement.memory_mib.values())
