"""What `triptych tune` says of its trials."""

from typing import TYPE_CHECKING

from triptych.cli.output import complain, out

if TYPE_CHECKING:
    from rich.table import Table

    from localcluster.tuning import Duel, Outcome, Settings


def report(outcome: "Outcome", seconds: float) -> None:
    """Prints every trial, and what came of them in `seconds`."""
    out().print(view(outcome))
    out().print(verdict(outcome), soft_wrap=True)
    for duel in (*outcome.duels, *([outcome.final] if outcome.final else [])):
        if duel.failure:
            complain(duel.failure)
    if outcome.untried:
        more = f"`--seconds {2 * seconds:g}` tries more"
        out().print(f"No time was left for all values of {', '.join(outcome.untried)}: {more}.", soft_wrap=True)


def view(outcome: "Outcome") -> "Table":
    """Returns all trials as a table; gains are over the best so far, in the middle of the pairs."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("settings", no_wrap=True)
    for name in ("images/s", "p50 ms", "gain", "pairs"):
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_row("defaults", f"{outcome.defaults.images_per_s:.1f}", f"{outcome.defaults.p50_ms:.1f}", "", "", "")
    for duel in outcome.duels:
        table.add_row(*_row(duel), "kept" if duel.won else "")
    if outcome.final is not None:
        table.add_row(*_row(outcome.final), "best" if outcome.proven else "not proven")
    return table


def _row(duel: "Duel") -> tuple[str, ...]:
    named = words(duel.candidate, "\n")
    if not duel.pairs:
        return named, "", "", "", "0"
    measured = duel.measured
    return named, f"{measured.images_per_s:.1f}", f"{measured.p50_ms:.1f}", _percent(duel.ratio), str(len(duel.pairs))


def verdict(outcome: "Outcome") -> str:
    """Says in a sentence what is best, and by how much, or why nobody knows."""
    from localcluster.tuning import MARGIN

    if not outcome.duels:
        return "Only the defaults were measured."
    if not any(duel.pairs for duel in outcome.duels):
        return "Nothing but the defaults could be measured."
    if outcome.noisy:
        least, most = outcome.spread
        return (
            f"Nothing is proven: the defaults alone did between {least:.0f} and {most:.0f} images/s, so something else "
            "keeps this machine busy. Tune again when it is quiet."
        )
    if outcome.final is None or not outcome.best:
        return f"The defaults are best: nothing that was tried is faster by more than {MARGIN:.0%}.{_lost(outcome)}"
    last = outcome.final
    defaults = sorted(best.images_per_s for best, _ in last.pairs)[len(last.pairs) // 2]
    return (
        f"Best: {words(outcome.best)}: {last.measured.images_per_s:.0f} images/s, the defaults {defaults:.0f} "
        f"({_percent(last.ratio)} in the middle of {len(last.pairs)} pairs)."
    )


def _lost(outcome: "Outcome") -> str:
    if outcome.final is None:
        return ""
    again = "could not be measured again" if outcome.final.failure else "was not when measured again"
    return f" {words(outcome.final.candidate)} seemed to be, but {again}."


def _percent(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"


def words(settings: "Settings", between: str = " ") -> str:
    """Names settings as they stand in an environment."""
    return between.join(f"{variable}={value}" for variable, value in settings.items()) or "defaults"
