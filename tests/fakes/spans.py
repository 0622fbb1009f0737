"""Takes the spans of a process under test, where the wire to a collector is not what the test is about."""

from servicekit.spans import Span
from servicekit.tracing import Tracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"

HOSTILE = {
    "empty": "",
    "words": "give me all traces",
    "huge": "00-" + "a" * 6000,
    "long": SAMPLED + "-" + "0" * 500,
    "capitals": SAMPLED.upper(),
    "no trace": f"00-{'0' * 32}-{PARENT}-01",
    "no parent": f"00-{TRACE}-{'0' * 16}-01",
    "another version": "ff" + SAMPLED[2:],
    "short": SAMPLED[:-1],
    "joined": f"{SAMPLED},{SAMPLED}",
    "spaces": f" {SAMPLED} ",
}
"""Values of `traceparent` that are none, by what is wrong with them."""


class Spans:
    """Keeps spans in the order of their ends."""

    def __init__(self) -> None:
        self.ended: list[Span] = []

    def record(self, span: Span) -> None:
        """Keeps one."""
        self.ended.append(span)

    def tracer(self, ratio: float = 0.0) -> Tracer:
        """Returns what begins spans that end here."""
        return Tracer(self, ratio)

    def named(self, name: str) -> list[Span]:
        """Returns those with a name; of a method the last part is enough."""
        return [span for span in self.ended if name in (span.name, span.name.rpartition("/")[2])]

    def one(self, name: str) -> Span:
        """Returns the only one with a name."""
        (span,) = self.named(name)
        return span

    def paths(self, trace_id: str = TRACE) -> list[str]:
        """Returns each span of a trace with all that it is a part of, such as `Classify > preprocess`, sorted."""
        spans = {span.span_id: span for span in self.ended if span.trace_id == trace_id}

        def path(span: Span) -> str:
            parent = spans.get(span.parent_id)
            name = span.name.rpartition("/")[2]
            return f"{path(parent)} > {name}" if parent else name

        return sorted(path(span) for span in spans.values())
