"""A served teacher: asked once about every picture, and its mirror image.

In the gateway's place stands a gRPC server of the same contract, so that calls can be counted and cut off; that a real
cluster teaches is what `make lifecycle-smoke` proves.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from modelkit.train.augment import Batch
from modelkit.train.objective import distance, distillation, labels_only, targets_of
from modelkit.train.recipe import RecipeError, Served
from modelkit.train.served_teacher import Questions, ask, mirror, read_answers
from triptych.classification.v1 import classification_service_pb2_grpc
from triptych.classification.v1.classification_pb2 import Classification, Prediction
from triptych.classification.v1.classification_service_pb2 import ClassifyRequest, ClassifyResponse

LABELS = ("row", "column", "neither")
TEACHER = Served(model="wise", version="3")
PICTURES = 150


def _png(seed: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@dataclass
class _Record:
    image: bytes
    label: int


class _Pictures:
    """Is a data set with a picture that has no label."""

    labels = LABELS

    def count(self, split: str) -> int:
        """Counts all."""
        return PICTURES + 1

    def records(self, split: str) -> Iterator[_Record]:
        """Reads all."""
        yield _Record(_png(1000), -1)
        yield from (_Record(_png(seed), seed % 3) for seed in range(PICTURES))


def _logits(image: bytes, salt: str = "") -> npt.NDArray[np.float32]:
    pixels = np.asarray(Image.open(BytesIO(image)).convert("RGB")).tobytes()
    numbers = hashlib.sha256(salt.encode() + pixels).digest()[:3]
    return np.asarray([number / 32 for number in numbers], np.float32)


@dataclass
class _Gateway(classification_service_pb2_grpc.ClassificationServiceServicer):
    """Answers from a hash of the pixels; the least likely class first, since order must not matter."""

    labels: tuple[str, ...] = LABELS
    salt: str = ""
    calls_left: int = 10_000
    asked: list[int] = field(default_factory=list)

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:  # noqa: N802 -- the contract's
        """Answers, until it may not any more."""
        if (request.model, request.version, request.top_k) != ("wise", "3", 3):
            context.abort(grpc.StatusCode.NOT_FOUND, f"There is no {request.model}:{request.version}.")
        if not self.calls_left:
            context.abort(grpc.StatusCode.INTERNAL, "The teacher left.")
        self.calls_left -= 1
        self.asked.append(len(request.images))
        return ClassifyResponse(results=[self._result(image.content) for image in request.images])

    ClassifyStream = ListModels = GetModel = None  # type: ignore[assignment] # nobody asks

    def _result(self, image: bytes) -> Classification:
        values = np.exp(_logits(image, self.salt).astype(np.float64))
        scores = values / values.sum()
        told = [Prediction(index=i, label=self.labels[i], score=scores[i]) for i in np.argsort(scores)]
        return Classification(model="wise", version="3", predictions=told)


Serve = Callable[[_Gateway], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts gateways on free ports, and ends them."""
    servers: list[grpc.Server] = []

    def start(gateway: _Gateway) -> str:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        classification_service_pb2_grpc.add_ClassificationServiceServicer_to_server(gateway, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


def _watch(done: int, every: int, words: str, /) -> None:
    assert 0 < done <= every


def _questions(folder: Path, *, mirrored: bool = True) -> Questions:
    return Questions(_Pictures(), PICTURES, folder, mirrored=mirrored)


def _wanted(view: str, salt: str = "") -> torch.Tensor:
    images = [_png(seed) if view == "plain" else mirror(_png(seed)) for seed in range(PICTURES)]
    return torch.log_softmax(torch.from_numpy(np.stack([_logits(image, salt) for image in images])), dim=1)


def test_every_labelled_picture_and_its_mirror_image_is_asked_about_once(tmp_path: Path, serve: Serve) -> None:
    """The picture without a label is left out; what was said is kept."""
    gateway = _Gateway()
    address = serve(gateway)
    ask(TEACHER, _questions(tmp_path), address, _watch)
    answers = read_answers(TEACHER, _questions(tmp_path))
    rows = np.arange(PICTURES)
    mirrored = rows % 2 == 0
    expected = torch.where(torch.from_numpy(mirrored)[:, None], _wanted("mirrored"), _wanted("plain"))
    torch.testing.assert_close(answers.of(rows, mirrored), expected, atol=1e-5, rtol=0)
    asked = sum(gateway.asked)
    ask(TEACHER, _questions(tmp_path), address, _watch)
    assert sum(gateway.asked) - asked == 2 * 32, "what is kept is only compared with the first answers of each view"


def test_the_mirror_image_is_the_picture_from_right_to_left() -> None:
    """Pixel by pixel, since PNG loses nothing."""
    picture, mirrored = (np.asarray(Image.open(BytesIO(each))) for each in (_png(5), mirror(_png(5))))
    np.testing.assert_array_equal(picture[:, ::-1], mirrored)


def test_an_asking_that_was_cut_off_goes_on(tmp_path: Path, serve: Serve) -> None:
    """What was answered before is not asked again."""
    address = serve(_Gateway(calls_left=5))  # the first answers, and a wave of four
    with pytest.raises(RecipeError, match=r"wise:3 at 127\.0\.0\.1:\d+ cannot be asked: INTERNAL: The teacher left\."):
        ask(TEACHER, _questions(tmp_path, mirrored=False), address, _watch)
    second = _Gateway()
    ask(TEACHER, _questions(tmp_path, mirrored=False), serve(second), _watch)
    assert sum(second.asked) == 32 + PICTURES - 4 * 32
    plain = read_answers(TEACHER, _questions(tmp_path, mirrored=False)).of(np.arange(PICTURES), np.zeros(0, bool))
    torch.testing.assert_close(plain, _wanted("plain"), atol=1e-5, rtol=0)


def test_another_model_under_the_same_name_is_asked_anew(tmp_path: Path, serve: Serve) -> None:
    """Kept answers are only as good as the model that gave them."""
    ask(TEACHER, _questions(tmp_path, mirrored=False), serve(_Gateway()), _watch)
    ask(TEACHER, _questions(tmp_path, mirrored=False), serve(_Gateway(salt="other")), _watch)
    plain = read_answers(TEACHER, _questions(tmp_path, mirrored=False)).of(np.arange(PICTURES), np.zeros(0, bool))
    torch.testing.assert_close(plain, _wanted("plain", "other"), atol=1e-5, rtol=0)


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path, serve: Serve) -> None:
    """Its probabilities would teach the wrong classes."""
    address = serve(_Gateway(labels=("row", "column", "both")))
    with pytest.raises(RecipeError, match="it tells 3 classes apart, which are not the 3 of the data set"):
        ask(TEACHER, _questions(tmp_path), address, _watch)


def test_a_version_that_is_not_served_is_refused(tmp_path: Path, serve: Serve) -> None:
    """With the gateway's own words."""
    with pytest.raises(RecipeError, match=r"the teacher wise:4 at .* cannot be asked: NOT_FOUND: There is no wise:4\."):
        ask(Served(model="wise", version="4"), _questions(tmp_path), serve(_Gateway()), _watch)


def test_without_a_network_the_objective_takes_the_answers_of_the_batch() -> None:
    """And they are split with the batch."""
    torch.manual_seed(0)
    answers, said = torch.randn(4, 3), torch.randn(4, 3)
    batch = Batch(torch.zeros(4, 2, 2, 3, dtype=torch.uint8), targets_of(torch.tensor([0, 1, 2, 0]), 3, 0.0), answers)
    loss = distillation(None, temperature=2.0, alpha=0.3)(batch, said)
    torch.testing.assert_close(loss, 0.3 * distance(said, answers, 2.0) + 0.7 * labels_only(batch, said))
    halves = batch.parts(2)
    assert [half.answers is not None and half.answers.tolist() for half in halves] == [
        answers[:2].tolist(),
        answers[2:].tolist(),
    ]
