"""A small network of dilated convolutions, which sees far without lowering the resolution."""

from torch import nn

from passband.parts import architecture

CHANNELS = 8


@architecture(outputs=1, divisor=1, smallest_px=16)
def dilated():
    """Kernels whose pixels are 1 to 8 pixels apart (Yu & Koltun 2016, arXiv:1511.07122)."""
    layers = []
    inputs = 1
    for dilation in (1, 2, 4, 8, 1):
        layers += [
            nn.Conv2d(inputs, CHANNELS, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        ]
        inputs = CHANNELS
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, 1, 1))
