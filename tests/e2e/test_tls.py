"""The whole cluster with TLS everywhere: clients to the gateway, gateway to services, inference to Triton."""

import signal
import ssl
import time
from collections.abc import Iterator
from os import kill
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from e2e.cluster import PHOTOGRAPHS, Cluster, start_cluster, triptych, until
from fakes.certificates import HERE, Folder
from tritonclient.grpc import service_pb2, service_pb2_grpc

from triptych import ClassifyError, Client, Tls

PHOTOGRAPH = PHOTOGRAPHS / "chelsea.png"


class Secured:
    """Is a cluster with two authorities: one for its processes, one for the world."""

    def __init__(self, folder: Path) -> None:
        self.inner, self.outer = trustme.CA(), trustme.CA()
        self.inside = Folder(folder / "inside").put(self.inner.issue_cert(*HERE), self.inner)
        self.edge = Folder(folder / "edge").put(self.outer.issue_cert(*HERE), self.outer)
        values = {**self.inside.settings(), **self.edge.edge_settings(), "tls_allowed_callers": "localhost"}
        variables = {f"TRIPTYCH_{name.upper()}": value for name, value in values.items()}
        self.cluster: Cluster = start_cluster(folder / "state", variables=variables)
        self.context = ssl.create_default_context(cafile=str(self.edge.authorities))

    @property
    def address(self) -> str:
        """Returns where the gateway serves gRPC."""
        return f"https://{self.cluster.grpc}"

    def port(self, name: str, use: str) -> int:
        """Returns a port of the first replica of a process."""
        return int(self.cluster.process(name)["ports"][use])

    def answers(self) -> bool:
        """Says whether a photograph is answered."""
        with Client(self.address, tls=Tls(ca_file=self.edge.authorities)) as client:
            return client.ready() and bool(client.classify(PHOTOGRAPH).predictions)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One cluster for all tests of this module."""
    running = Secured(tmp_path_factory.mktemp("secured"))
    yield running
    assert triptych("down", "--state-dir", str(running.cluster.state_dir)).returncode == 0


def test_a_photograph_is_answered_over_https_and_grpc(secured: Secured) -> None:
    """Both say what it shows, and the command line does so too."""
    answer = httpx.post(
        f"{secured.cluster.http}/api/v1/classify",
        content=PHOTOGRAPH.read_bytes(),
        headers={"Content-Type": "image/png"},
        verify=secured.context,
        timeout=30,
    )
    with Client(secured.address, tls=Tls(ca_file=secured.edge.authorities)) as client:
        label = client.classify(PHOTOGRAPH, timeout_s=30).best.label
    place = ("--state-dir", str(secured.cluster.state_dir), "--ca-file", str(secured.edge.authorities))
    printed = triptych("classify", str(PHOTOGRAPH), *place).stdout.decode()

    assert label == answer.json()["predictions"][0]["label"]
    assert label in printed


def test_plain_text_is_refused_everywhere(secured: Secured) -> None:
    """No port of gRPC or links, Triton's included, answers whoever shows no certificate."""
    root = secured.inner.cert_pem.bytes()
    ports = [secured.port(name, "grpc") for name in ("triton", "preprocess", "inference", "postprocess")]
    for port in ports:
        for credentials in (None, grpc.ssl_channel_credentials(root)):
            address = f"127.0.0.1:{port}"
            channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
            with channel, pytest.raises(grpc.RpcError) as caught:
                service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(
                    service_pb2.ServerLiveRequest(), timeout=5
                )
            assert grpc.StatusCode.UNAVAILABLE == caught.value.code()


def test_the_client_says_why_it_does_not_trust(secured: Secured) -> None:
    """A stranger's authority, plain text and HTTPS's port are told apart in words."""
    port = secured.port("gateway", "http")
    trusted, strange = Tls(ca_file=secured.edge.authorities), Tls(ca_file=secured.inside.authorities)
    for address, tls, words in (
        (secured.address, strange, "nobody who is trusted here"),
        (secured.cluster.grpc, None, "may want TLS|broke"),
        (f"https://127.0.0.1:{port}", trusted, "speaks HTTP, not gRPC"),
    ):
        with Client(address, tls=tls) as client, pytest.raises(ClassifyError, match=words):
            client.classify(PHOTOGRAPH)


def test_certificates_are_renewed_without_a_word(secured: Secured) -> None:
    """New ones, inside and at the edge, are in use within seconds, and every photograph is answered meanwhile."""
    secured.edge.put(secured.outer.issue_cert(*HERE), secured.outer)
    secured.inside.put(secured.inner.issue_cert(*HERE), secured.inner)
    began, answers = time.monotonic(), 0
    while time.monotonic() - began < 4:
        assert secured.answers()
        answers += 1
    pid = secured.cluster.pid("preprocess")
    kill(pid, signal.SIGTERM)  # its successor and the gateway know the new ones only
    until(lambda: secured.cluster.replaced("preprocess", pid) and secured.answers(), within_s=30)

    assert answers > 0
