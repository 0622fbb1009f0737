"""Traces of the whole cluster, as a collector gets them: every process, the real Triton among them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import grpc
import pytest
from e2e.cluster import PHOTOGRAPHS, Cluster, start_cluster, triptych, until
from fakes.collector import Collector, Tree
from fakes.spans import PARENT, TRACE

from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Image

CAT = (PHOTOGRAPHS / "chelsea.png").read_bytes()
SPANS = 16
"""Of a request for one picture."""
GONE, BACK = [f"{number}" * 32 for number in range(4, 9)], "a" * 32
ASKED = {TRACE, "1" * 32, "3" * 32, *GONE, BACK}
"""What these tests want traced."""
TRITON: Tree = (
    "triton: InferRequest",
    [("triton: efficientnet_lite0", [("triton: compute", [])])],
)


@dataclass(frozen=True)
class Traced:
    """Is a cluster that sends its traces to a collector."""

    cluster: Cluster
    collector: Collector
    colocated: bool

    def waits_for(self, trace_id: str) -> None:
        """Waits until all spans of a trace have come, or long enough that what has come can be looked at."""
        with suppress(AssertionError):
            until(lambda: len(self.collector.trace(trace_id)) >= SPANS, within_s=40)

    def tree(self, request: str) -> list[Tree]:
        """Returns what is expected of a traced request that begins with a span of this name."""
        edge = "colocated" if self.colocated else "gateway"

        def hop(service: str, method: str, *within: Tree) -> Tree:
            title = f"{service.capitalize()}Service/{method}"
            process = "colocated" if self.colocated else service
            return f"{edge}: {service}", [(f"{edge}: {title}", [(f"{process}: {title}", list(within))])]

        def step(service: str, name: str, *within: Tree) -> Tree:
            return f"{'colocated' if self.colocated else service}: {name}", list(within)

        hops = [
            hop("preprocess", "PreprocessImages", step("preprocess", "decode and resize")),
            hop("inference", "PredictLogits", step("inference", "GRPCInferenceService/ModelInfer", TRITON)),
            hop("postprocess", "RankLabels", step("postprocess", "rank")),
        ]
        return [(f"{edge}: {request}", hops)]


@pytest.fixture(scope="module", params=[False, True], ids=["apart", "colocated"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A cluster that traces who asks for it, and nobody else."""
    with pytest.MonkeyPatch.context() as patch, Collector().running() as collector:
        patch.setenv("TRIPTYCH_OTLP_ENDPOINT", collector.url)
        patch.setenv("TRIPTYCH_TRACE_SAMPLE_RATIO", "0")
        options = ("--colocated",) if request.param else ()
        cluster = start_cluster(tmp_path_factory.mktemp("traced"), *options)
        yield Traced(cluster, collector, request.param)
        assert triptych("down", "--state-dir", str(cluster.state_dir)).returncode == 0


def _traceparent(trace_id: str, flag: str = "01") -> str:
    return f"00-{trace_id}-{PARENT}-{flag}"


def _asks(cluster: Cluster, traceparent: str) -> None:
    request = pb.ClassifyRequest(images=[Image(content=CAT)])
    with grpc.insecure_channel(cluster.grpc) as channel:
        stub = pb_grpc.ClassificationServiceStub(channel)
        assert stub.Classify(request, timeout=30, metadata=(("traceparent", traceparent),)).results


def test_a_trace_over_grpc_has_every_step(traced: Traced) -> None:
    """From the caller's step down to Triton's queue and compute, each has the right parent."""
    _asks(traced.cluster, _traceparent(TRACE))

    traced.waits_for(TRACE)
    assert traced.tree("ClassificationService/Classify") == traced.collector.tree(TRACE, PARENT)
    (model,) = traced.collector.named(TRACE, "triton: efficientnet_lite0")
    (compute,) = traced.collector.named(TRACE, "triton: compute")
    assert ["REQUEST_START", "QUEUE_START", "REQUEST_END"] == model.events
    assert "COMPUTE_START" in compute.events
    assert "" == "".join(span.status_text for span in traced.collector.trace(TRACE))


def test_a_trace_over_http_has_every_step(traced: Traced) -> None:
    """It differs in the first one only; every process's log has the trace, and the step that wrote it."""
    trace_id = "1" * 32
    assert 200 == traced.cluster.post(CAT, traceparent=_traceparent(trace_id)).status_code

    traced.waits_for(trace_id)
    assert traced.tree("POST /api/v1/classify") == traced.collector.tree(trace_id, PARENT)
    steps = {span.span_id for span in traced.collector.trace(trace_id)}
    lines = [line for line in traced.cluster.log_lines() if line.get("trace_id") == trace_id]
    processes = {"colocated"} if traced.colocated else {"gateway", "preprocess", "inference", "postprocess"}
    assert processes == {line["service"] for line in lines}
    assert steps >= {line["span_id"] for line in lines}


def test_who_is_not_traced_leaves_nothing(traced: Traced) -> None:
    """A request with an unsampled trace makes no span anywhere, Triton included, which heard nothing of it."""
    quiet, after = "2" * 32, "3" * 32
    for _ in range(5):
        _asks(traced.cluster, _traceparent(quiet, "00"))
    _asks(traced.cluster, _traceparent(after))

    traced.waits_for(after)
    assert [] == traced.collector.trace(quiet)
    assert ASKED >= {span.trace_id for span in traced.collector.spans}


def test_requests_go_on_without_the_collector(traced: Traced) -> None:
    """A collector that is away is told of once, and costs no request; when it is back, traces arrive again."""
    traced.collector.away()
    for trace_id in GONE:
        _asks(traced.cluster, _traceparent(trace_id))
    until(lambda: any("lost until" in line["event"] for line in traced.cluster.log_lines()), within_s=30)
    traced.collector.back()

    def arrives() -> bool:
        _asks(traced.cluster, _traceparent(BACK))
        return bool(traced.collector.trace(BACK))

    until(arrives, within_s=30)
    told = [line["service"] for line in traced.cluster.log_lines() if "lost until" in line["event"]]
    assert sorted(set(told)) == sorted(told)
