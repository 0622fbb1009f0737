"""Layout: which processes a cluster has, and what each is told."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from localcluster.layout import Plan, ProcessSpec, lay_out, link_target, parse_replicas, reachable, servable_models

TRITON = ProcessSpec(
    "triton", 1, ("tritonserver",), {}, {"grpc": 9000, "metrics": 9999}, "", drain_rank=2, inherits=False
)


def specs(replicas: dict[str, int] | None = None, **changes: Any) -> dict[str, ProcessSpec]:
    """Lays out a cluster whose free ports count from 9001; returns its processes by title."""
    ports = count(9001)
    plan = Plan("0.0.0.0", 8080, 8081, 9464, Path("/models"), lambda: next(ports), replicas or {}, **changes)  # noqa: S104
    return {spec.title: spec for spec in lay_out(plan, TRITON)}


def test_one_of_each_by_default() -> None:
    """A cluster has one replica of everything unless told otherwise."""
    assert ["triton-1", "preprocess-1", "inference-1", "postprocess-1", "gateway-1"] == list(specs())


@pytest.mark.parametrize("colocated", [False, True])
def test_the_gateway_knows_experiments(colocated: bool) -> None:
    """The gateway's target is the process that keeps experiments; it drains after the gateway, and is optional."""
    found = specs(experiments_data=Path("/state/experiments"), colocated=colocated)
    kept, gateway = found["experiments-1"], found["gateway-1"]
    assert f"ipv4:127.0.0.1:{kept.ports['grpc']}" == gateway.env["TRIPTYCH_EXPERIMENTS_TARGET"]
    assert ("services.experiments", "/state/experiments") == (kept.argv[-1], kept.env["TRIPTYCH_DATA_DIR"])
    assert (str(kept.ports["grpc"]), "127.0.0.1") == (kept.env["TRIPTYCH_PORT"], kept.env["TRIPTYCH_HOST"])
    assert gateway.drain_rank < kept.drain_rank < found["triton-1"].drain_rank
    assert ["experiments-1"] == [title for title, spec in found.items() if spec.optional]


def test_without_experiments_the_gateway_is_told_of_none() -> None:
    """A cluster that keeps no experiments has neither the process nor its address."""
    found = specs()
    assert ("experiments-1" in found, "TRIPTYCH_EXPERIMENTS_TARGET" in found["gateway-1"].env) == (False, False)


def test_where_tls_is_spoken_experiments_are_asked_over_http() -> None:
    """The supervisor has no certificate: it asks /readyz of the process, as of the others."""
    assert specs(experiments_data=Path("/state"), secured=True)["experiments-1"].over_http


def test_gateway_knows_every_replica() -> None:
    """The gateway's targets name all replicas of a service."""
    found = specs({"preprocess": 2})
    ports = [found[title].ports["link"] for title in ("preprocess-1", "preprocess-2")]
    assert link_target(ports) == found["gateway-1"].env["TRIPTYCH_PREPROCESS_TARGET"]


def test_inference_knows_triton() -> None:
    """Inference gets Triton's address."""
    assert specs()["inference-1"].env["TRIPTYCH_TRITON_TARGETS"] == "127.0.0.1:9000"


def test_only_the_gateway_leaves_the_machine() -> None:
    """`--host` moves the gateway alone; services stay on loopback."""
    hosts = {title: spec.env["TRIPTYCH_HOST"] for title, spec in specs().items() if title != "triton-1"}
    others = dict.fromkeys(("preprocess-1", "inference-1", "postprocess-1"), "127.0.0.1")
    assert {**others, "gateway-1": "0.0.0.0"} == hosts  # noqa: S104


def test_every_port_is_used_once() -> None:
    """No two processes share a port."""
    ports = [port for spec in specs({"inference": 3}).values() for port in spec.ports.values()]
    assert len(ports) == len(set(ports))


def test_the_gateway_drains_first_and_triton_last() -> None:
    """Whoever accepts work stops before whoever does it."""
    found = specs()
    assert ["gateway-1", "preprocess-1", "triton-1"] == sorted(
        ("triton-1", "preprocess-1", "gateway-1"), key=lambda title: found[title].drain_rank
    )


@pytest.mark.parametrize(("model", "expected"), [("", None), ("lite", "lite")])
def test_default_model_is_passed_only_when_chosen(model: str, expected: str | None) -> None:
    """Without a choice the gateway keeps its own default."""
    assert expected == specs(model=model)["gateway-1"].env.get("TRIPTYCH_DEFAULT_MODEL")


def test_log_files_are_json_unless_told_otherwise() -> None:
    """The services are told the format of their logs, JSON by default."""
    found = [specs(), specs(log_format="console")]
    assert ["json", "console"] == [each["gateway-1"].env["TRIPTYCH_LOG_FORMAT"] for each in found]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:1"),
        ("0.0.0.0", "127.0.0.1:1"),  # noqa: S104 (not listened on)
        ("::", "[::1]:1"),
        ("::1", "[::1]:1"),
        ("box", "box:1"),
    ],
)
def test_advertised_addresses_can_be_reached(host: str, expected: str) -> None:
    """Who listens everywhere is found on this machine's own address; IPv6 addresses stand in brackets."""
    assert expected == reachable(host, 1)


def test_replicas_are_read() -> None:
    """`SERVICE=N` words become numbers."""
    assert {"preprocess": 2, "inference": 1} == parse_replicas(["preprocess=2", "inference=1"])


@pytest.mark.parametrize(
    "word", ["preprocess", "gateway=2", "preprocess=0", "preprocess=-1", "preprocess=x", "=2", "preprocess=65"]
)
def test_wrong_replicas_are_refused(word: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match="preprocess=2"):
        parse_replicas([word])


def test_models_are_folders_with_a_config(tmp_path: Path) -> None:
    """Only folders with a config.pbtxt count as models."""
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.pbtxt").touch()
    (tmp_path / "notes").mkdir()
    assert ["a", "b"] == servable_models(tmp_path)


def test_settings_reach_every_process_and_yield_to_addresses() -> None:
    """Settings of the cluster are in the environment of each of our processes, and do not move them."""
    ports = count(9001)
    settings = {"TRIPTYCH_MAX_MESSAGES": "3", "TRIPTYCH_HOST": "elsewhere"}
    plan = Plan("127.0.0.1", 8080, 8081, 9464, Path("/models"), lambda: next(ports), settings=settings)
    ours = lay_out(plan, TRITON)[1:]
    assert {("3", "127.0.0.1")} == {(spec.env["TRIPTYCH_MAX_MESSAGES"], spec.env["TRIPTYCH_HOST"]) for spec in ours}
