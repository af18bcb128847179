"""The text of losses and architectures that tests write into files of parts."""

HEAD = (
    "import torch\nfrom torch import nn\nfrom passband.parts import architecture, loss, metric\n\n"
)
LOSS = "@loss(targets={targets})\ndef mine({arguments}, settings):\n    return {value}\n"
NETWORK = "@architecture({numbers})\ndef mine():\n    return {value}\n"
#: A network of two layers, as text.
LAYERS = "nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, {}, 1))"
