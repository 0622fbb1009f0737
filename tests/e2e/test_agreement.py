"""Every way in gives the same answer."""

import base64
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from e2e.cluster import PHOTOGRAPHS, ROOT, Cluster, triptych

import triptych as client_library

CHELSEA = PHOTOGRAPHS / "chelsea.png"


def by_json(cluster: Cluster) -> Any:
    """Asks with base64 in JSON."""
    body = {"image_base64": base64.b64encode(CHELSEA.read_bytes()).decode(), "top_k": 3}
    return httpx.post(f"{cluster.http}/api/v1/classify", json=body, timeout=30).json()


def by_raw_body(cluster: Cluster) -> Any:
    """Asks with the file as the body."""
    return cluster.post(CHELSEA.read_bytes(), query="?top_k=3").json()


def by_form(cluster: Cluster) -> Any:
    """Asks with a multipart form."""
    files = {"image": CHELSEA.read_bytes()}
    return httpx.post(f"{cluster.http}/api/v1/classify", files=files, data={"top_k": "3"}, timeout=30).json()


def by_command_line(cluster: Cluster) -> Any:
    """Asks with `triptych classify`."""
    result = triptych("classify", str(CHELSEA), "--top-k", "3", "--json", "--server", cluster.grpc)
    return json.loads(result.stdout)


def by_client(cluster: Cluster) -> Any:
    """Asks with `triptych.Client`."""
    with client_library.Client(cluster.grpc) as client:
        answer = client.classify(CHELSEA, top_k=3)
    return {
        "predictions": [{"index": p.index, "label": p.label, "score": p.score} for p in answer.predictions],
        "model": answer.model,
        "version": answer.version,
    }


def expected(cluster: Cluster, generated: Path) -> Any:
    """Asks with a plain client: a process of its own that knows only code freshly generated from the protos."""
    sources = [str(path) for path in (ROOT / "protos/triptych/classification/v1").glob("*.proto")]
    outputs = [f"--python_out={generated}", f"--grpc_python_out={generated}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *outputs, *sources]
    subprocess.run(protoc, check=True, capture_output=True)
    program = f"""
import json, sys, grpc
from google.protobuf import json_format
from triptych.classification.v1 import classification_pb2, classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
content = open({str(CHELSEA)!r}, "rb").read()
with grpc.insecure_channel({cluster.grpc!r}) as channel:
    request = pb.ClassifyRequest(images=[classification_pb2.Image(content=content)], top_k=3)
    response = pb_grpc.ClassificationServiceStub(channel).Classify(request, timeout=30)
print(json_format.MessageToJson(response.results[0], preserving_proto_field_name=True))
"""
    command = [sys.executable, "-P", "-c", program]
    result = subprocess.run(
        command, env={"PYTHONPATH": str(generated)}, cwd=generated, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


@pytest.mark.parametrize("way", [by_json, by_raw_body, by_form, by_command_line, by_client])
def test_every_way_agrees_with_a_plain_grpc_client(way: Any, cluster: Cluster, tmp_path: Path) -> None:
    """Labels and indices are equal, and scores to 1e-6."""
    plain, other = expected(cluster, tmp_path), way(cluster)
    assert [(p["index"], p["label"]) for p in plain["predictions"]] == [
        (p["index"], p["label"]) for p in other["predictions"]
    ]
    assert [p["score"] for p in plain["predictions"]] == pytest.approx(
        [p["score"] for p in other["predictions"]], abs=1e-6, rel=0
    )
    assert (plain["model"], plain["version"]) == (other["model"], other["version"])


def test_several_images_are_answered_with_a_list_in_order(cluster: Cluster) -> None:
    """Two images in one JSON call give a list of two answers, in the order sent."""
    names = ("coffee.png", "chelsea.png")
    images = [{"image_base64": base64.b64encode((PHOTOGRAPHS / name).read_bytes()).decode()} for name in names]
    answer = httpx.post(f"{cluster.http}/api/v1/classify", json={"images": images, "top_k": 1}, timeout=30).json()
    assert ["espresso", "tiger cat"] == [each["predictions"][0]["label"] for each in answer]
    assert 2 == len({each["prediction_id"] for each in answer})


def test_the_answer_says_where_the_time_went(cluster: Cluster) -> None:
    """Every stage has a time, the stages fit into the total, and Server-Timing tells the same."""
    cluster.post(CHELSEA.read_bytes())  # Triton's statistics need a first request
    response = cluster.post(CHELSEA.read_bytes())
    timing = response.json()["timing"]
    assert all(
        timing[f"{stage}_ms"] > 0 for stage in ("total", "preprocess", "decode", "inference", "compute", "postprocess")
    )
    assert timing["preprocess_ms"] + timing["inference_ms"] + timing["postprocess_ms"] <= timing["total_ms"] + 0.01
    assert f"total;dur={timing['total_ms']:.3f}" in response.headers["Server-Timing"]


def test_the_request_id_comes_back(cluster: Cluster) -> None:
    """HTTP and gRPC answers carry the caller's request id."""
    response = httpx.get(f"{cluster.http}/healthz", headers={"X-Request-ID": "abc-1"})
    assert "abc-1" == response.headers["X-Request-ID"]
    pb = importlib.import_module("triptych.classification.v1.classification_service_pb2")
    stubs = importlib.import_module("triptych.classification.v1.classification_service_pb2_grpc")
    with grpc.insecure_channel(cluster.grpc) as channel:
        models, call = stubs.ClassificationServiceStub(channel).ListModels.with_call(
            pb.ListModelsRequest(), metadata=(("x-request-id", "abc-2"),), timeout=10
        )
    assert "abc-2" == dict(call.trailing_metadata())["x-request-id"]
    assert ["efficientnet_lite0"] == [model.name for model in models.models]


async def test_a_video_is_answered_with_the_newest_frames(cluster: Cluster) -> None:
    """Of fifty frames sent at once the last one is answered, none twice, and the dropped ones are counted."""
    aio = importlib.import_module("grpc.aio")
    pb = importlib.import_module("triptych.classification.v1.classification_service_pb2")
    stubs = importlib.import_module("triptych.classification.v1.classification_service_pb2_grpc")
    image = {"content": CHELSEA.read_bytes()}
    async with aio.insecure_channel(cluster.grpc) as channel:
        frames = [pb.ClassifyStreamRequest(frame=number, image=image) for number in range(50)]
        call = stubs.ClassificationServiceStub(channel).ClassifyStream(iter(frames), timeout=30)
        answers = [answer async for answer in call]
    numbers = [answer.frame for answer in answers]
    assert numbers == sorted(set(numbers))
    assert 49 == numbers[-1]
    assert 50 == len(answers) + sum(answer.dropped_count for answer in answers)
    assert all(answer.classification.predictions for answer in answers)


def test_metrics_count_what_was_asked(cluster: Cluster) -> None:
    """A request shows in the counters and in the histogram of every stage, and the live version is named."""
    before = httpx.get(f"{cluster.http}/metrics").text
    cluster.post(CHELSEA.read_bytes())
    after = httpx.get(f"{cluster.http}/metrics").text
    name = 'triptych_requests_total{code="OK",reason="",transport="http"}'
    assert 1 == value(after, name) - value(before, name)
    for stage in ("total", "preprocess", "decode", "inference", "queue", "compute", "postprocess"):
        name = f'triptych_stage_seconds_count{{model="efficientnet_lite0",stage="{stage}",version="1"}}'
        assert 1 == value(after, name) - value(before, name)
    live = 'triptych_model_info{backend="openvino",default="true",model="efficientnet_lite0",version="1"}'
    assert 1 == value(after, live)


def value(metrics: str, name: str) -> float:
    """Returns a sample's value; 0 before it exists."""
    return next((float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name)), 0.0)


def test_readyz_names_every_dependency_and_what_is_live(cluster: Cluster) -> None:
    """/readyz lists the four dependencies and the versions that Triton has ready, with their backend."""
    body = httpx.get(f"{cluster.http}/readyz").json()
    assert {"preprocess", "inference", "postprocess", "triton"} == set(body["dependencies"])
    states = [(each["version"], each["state"], each["backend"]) for each in body["models"][0]["versions"]]
    assert [(version, "MODEL_STATE_READY", "openvino") for version in ("1", "2")] == states


def test_a_deadline_is_kept(cluster: Cluster) -> None:
    """A caller who waits 1 ms gets DEADLINE_EXCEEDED soon, not an answer late."""
    start = time.monotonic()
    headers = {"Content-Type": "image/png", "X-Timeout-Ms": "1"}
    response = httpx.post(f"{cluster.http}/api/v1/classify", content=CHELSEA.read_bytes(), headers=headers)
    assert (504, "DEADLINE_EXCEEDED") == (response.status_code, response.json()["error"]["reason"])
    assert time.monotonic() - start < 1
