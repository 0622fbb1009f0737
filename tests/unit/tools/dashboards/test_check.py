"""Which queries are asked of a real Prometheus."""

from tools.dashboards.check import asked, provable
from tools.dashboards.queries import Asked

GPU = Asked("a", "max by (gpu_uuid) (nv_gpu_utilization)")
CPU = Asked("b", "sum(nv_inference_count)")


def test_what_wants_a_gpu_is_told_and_not_asked() -> None:
    """Without a GPU its panels are named as not proved; with one they are proved like the others."""
    assert ([CPU], [GPU]) == provable([GPU, CPU], gpu=False)
    assert ([GPU, CPU], []) == provable([GPU, CPU], gpu=True)


def test_no_query_of_a_gpu_answers_by_itself() -> None:
    """A constant beside a metric that is not there would pass for data."""
    assert [] == [query.where for query in asked() if "nv_gpu_" in query.expr and "vector(" in query.expr]
