"""ONNX files of networks. tests/sharing/test_publication.py tests Passband's own U-Net."""

import pytest
import torch

from passband import PassbandError, extras
from passband.learning import networks
from passband.sharing import onnx_export

try:
    extras.check(extras.SHARE, "this test")
except PassbandError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.slow
@pytest.mark.long
def test_network_of_segmentation_models_pytorch_has_the_same_probabilities(tmp_path):
    network = networks.build("unet-resnet18", seed=1).eval()
    path = tmp_path / "model.onnx"
    assert onnx_export.export(network, 32, 64, path, {"license": "MIT"}) >= 18
    largest, sizes = onnx_export.largest_differences(network, 32, 64, path)
    assert largest["probability"] < 1e-4
    assert sizes == [(96, 96), (96, 160), (192, 160)]  # odd and even multiples of 32

    import onnx

    model = onnx.load(path)
    (tensor,) = model.graph.input
    sides = tensor.type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == ["batch", 1, "height", "width"]
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("license", "MIT")]


@pytest.mark.slow
@pytest.mark.long
def test_a_network_with_a_head_has_two_outputs(tmp_path):
    network = networks.build("unet-resnet18+votes", seed=1).eval()
    path = tmp_path / "model.onnx"
    shape = 32, 64
    onnx_export.export(network, *shape, path, has_head=True)
    largest, _ = onnx_export.largest_differences(network, *shape, path, has_head=True)
    assert largest["probability"] < 1e-4
    assert 0 < largest["particles"] < 1e-3


@pytest.mark.slow
def test_network_that_torch_cannot_export_is_refused_in_one_line(tmp_path):
    class Changing(torch.nn.Module):
        def forward(self, image):
            return image if image.sum() > 0 else -image

    with pytest.raises(PassbandError, match=r"^the network cannot be written as ONNX: .+$"):
        onnx_export.export(Changing(), 2, 4, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
