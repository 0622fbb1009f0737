"""Networks of the real timm, by name: their weights, drawn at random here, come from a hub on this machine.

`make test-timm` runs this in an environment of its own.
"""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasources import encoded
from fakes.hub import Hub
from PIL import Image
from safetensors.torch import save
from slow.hub_imports import run_import

from modelkit.data.importing import Import, import_dataset
from modelkit.export_run import export_run
from modelkit.train.networks import load
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # torch's exporter warns about itself
    pytest.mark.skipif(find_spec("timm") is None, reason="timm is not in this environment: make test-timm"),
]

NETWORKS = {"resnet18": 0.5, "mobilenetv3_small_100": 0.05, "vit_tiny_patch16_224": 0.05}
"""How far a pixel may be from what timm prepares, in deviations. For ResNet-18 timm cuts 11 of 235 pixels off, 6 on one
side; serving cuts 5.5."""
CLASSES = 1000
PROGRAM = """
from slow.torchvision_operators import declare
declare()
from triptych.cli.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def timm() -> Any:
    """Returns timm."""
    from slow.torchvision_operators import declare

    declare()
    import timm

    return timm


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Runs a hub."""
    with Hub().running() as hub:
        yield hub


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a folder with a data set of as many labels as ImageNet, and few pictures."""
    for label in range(4):
        folder = tmp_path / "pictures" / "test" / f"class {label}"
        folder.mkdir(parents=True)
        (folder / "0.png").write_bytes(photograph(label))
    (tmp_path / "labels.txt").write_text("".join(f"class {label}\n" for label in range(CLASSES)))
    import_dataset(
        tmp_path / "datasets", Import("colours", tmp_path / "pictures", labels=tmp_path / "labels.txt", license="CC0")
    )
    return tmp_path


def photograph(seed: int) -> bytes:
    """Returns a PNG of smooth noise, 320 x 256."""
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    return encoded(Image.fromarray(coarse).resize((320, 256), Image.Resampling.BICUBIC))


def drawn(timm: Any, name: str, seed: int = 5) -> torch.nn.Module:
    """Returns a network with weights drawn at random, larger than a training starts with, so that answers differ."""
    torch.manual_seed(seed)
    net: torch.nn.Module = timm.create_model(name, pretrained=False).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    return net


@pytest.mark.parametrize(("name", "most"), NETWORKS.items())
def test_a_name_becomes_a_run(timm: Any, hub: Hub, root: Path, name: str, most: float) -> None:
    """The run answers as timm's network does after timm's own preparation, exports, and knows the hub's commit."""
    net = drawn(timm, name)
    repository = timm.get_pretrained_cfg(name).hf_hub_id
    commit = hub.put(repository, {"model.safetensors": save(net.state_dict()), "pytorch_model.bin": b"pickle"})
    status, said = run_import(root, hub.url, f"timm:{name}", "imported", PROGRAM)
    assert 0 == status, said
    run = root / "runs" / "imported"
    parents = json.loads((run / "lineage.json").read_text())["parents"]
    assert {"weights": {"hub": repository, "revision": commit}} == parents
    assert not [path for path in hub.asked if path.endswith(".bin")]

    architecture, model = load(run)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=net))
    prepared = transform(Image.open(BytesIO(photograph(9))).convert("RGB"))[None]
    pixels = torch.from_numpy(image_to_array(photograph(9), architecture.input, Limits()).pixels.copy())
    ours = ((pixels.float() - model.mean) / model.std).permute(2, 0, 1)
    assert most > (ours - prepared[0]).abs().max()
    with torch.inference_mode():
        torch.testing.assert_close(model.net(prepared), net(prepared))
        torch.testing.assert_close(model(pixels[None]), net(ours[None]))
    assert {"onnxruntime", "openvino"} == set(export_run(run).differences)


def test_a_commit_can_be_chosen(timm: Any, hub: Hub, root: Path) -> None:
    """The run has the weights of the commit that was asked for, not those of the main branch."""
    name = "mobilenetv3_small_100"
    old, new = (drawn(timm, name, seed).state_dict() for seed in (5, 6))
    commit, _ = (
        hub.put("timm/mobilenetv3_small_100.lamb_in1k", {"model.safetensors": save(each)}) for each in (old, new)
    )
    status, said = run_import(root, hub.url, f"timm:{name}@{commit}", "imported", PROGRAM)
    assert 0 == status, said
    weights = load(root / "runs" / "imported")[1].net.state_dict()
    assert all(torch.equal(value, old[key]) for key, value in weights.items())


def test_what_cannot_be_imported_is_told_in_a_line(timm: Any, hub: Hub, root: Path) -> None:
    """Names and tags that timm does not have, pickles, weights of another network, and a revision that is not there."""
    of_vit = save(drawn(timm, "vit_tiny_patch16_224").state_dict())
    hub.put("timm/resnet18.a1_in1k", {"pytorch_model.bin": b"pickle"})
    hub.put("timm/mobilenetv3_small_100.lamb_in1k", {"model.safetensors": of_vit})
    hub.put("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", {"model.safetensors": of_vit[:-1]})
    refused = {
        "timm:resnet99": "timm has no pretrained network 'resnet99'",
        "timm:resnet18.nope": "timm has no pretrained network 'resnet18.nope': Invalid pretrained tag",
        "timm:resnet18": "timm/resnet18.a1_in1k has no model.safetensors, and pickles are not fetched from a hub",
        "timm:resnet18@v9": "timm/resnet18.a1_in1k has no revision 'v9'",
        "timm:mobilenetv3_small_100": "the weights do not fit timm's network mobilenetv3_small_100: ",
        "timm:vit_tiny_patch16_224": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k: model.safetensors is damaged: ",
        "timm:legacy_xception.tf_in1k": "timm's weights of legacy_xception.tf_in1k are on no hub",
        "timm:resnet18.fb_swsl_ig1b_ft_in1k": f"{hub.url} has no model timm/resnet18.fb_swsl_ig1b_ft_in1k",
    }
    for source, text in refused.items():
        status, said = run_import(root, hub.url, source, "none", PROGRAM)
        assert (1, True) == (status, f"error: {text}" in said), said
        assert "Traceback" not in said
    assert not (root / "runs").exists()
