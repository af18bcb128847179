"""ONNX files, which strangers may have made, and that of the package."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from passband import PassbandError
from passband.micrographs.images.segmentation import segment
from passband.micrographs.models import onnx_file, onnx_model
from passband.micrographs.models.onnx_model import OnnxModel

onnx = pytest.importorskip("onnx")

import onnx_models  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_models import model, opened, sigmoid  # noqa: E402


@pytest.fixture
def refused(tmp_path):
    """Return a function that opens a model and returns why it is refused, in one line."""

    def of(made, **changes):
        content = made if isinstance(made, bytes) else made.SerializeToString()
        with pytest.raises(PassbandError) as raised:
            opened(tmp_path / "model.onnx", content, **changes)
        words = str(raised.value)
        assert words.startswith(str(tmp_path / "model.onnx"))
        assert "\n" not in words
        return words

    return of


def test_numbers_go_in_and_come_out(tmp_path):
    image = onnx_models.images(2, 1, 8, 12)
    found = opened(tmp_path / "model.onnx", sigmoid().SerializeToString())
    np.testing.assert_allclose(found(image), expit(image), atol=1e-6)
    np.testing.assert_allclose(found.probability(image), expit(image)[:, 0], atol=1e-6)
    with pytest.raises(PassbandError, match="lacks the output means"):
        found.means(image)


# What is refused


def branch():
    inner = helper.make_graph([], "inner", [], [])
    return {"then_branch": inner, "else_branch": inner}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (("Inverse", {"domain": "com.microsoft"}), "operator 'Inverse'"),
        (("Relu", {"domain": "com.microsoft"}), "domain 'com.microsoft'"),
        (("If", branch()), "operator 'If'"),
        (("Loop", {"body": helper.make_graph([], "inner", [], [])}), "operator 'Loop'"),
        (("Scan", {"body": helper.make_graph([], "inner", [], [])}), "operator 'Scan'"),
        (("Relu", {"body": helper.make_graph([], "inner", [], [])}), "a graph in an operator"),
        (("Relu", {"body": [helper.make_graph([], "inner", [], [])]}), "a graph in an operator"),
        (("StringConcat", {}), "operator 'StringConcat'"),
        (("SequenceEmpty", {}), "operator 'SequenceEmpty'"),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else None,
)
def test_operators_that_are_not_on_the_list_are_refused(refused, node, words):
    name, more = node
    assert words in refused(model([(name, ["image"], ["probability"], more)]))


def external():
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "weight")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def test_weights_in_another_file_are_refused(refused):
    add = ("Add", ["image", "weight"], ["probability"], {})
    assert "weights in another file" in refused(model([add], weights=[external()]))
    constant = ("Constant", [], ["weight"], {"value": external()})
    assert "weights in another file" in refused(model([constant, add]))


def test_functions_and_steps_of_training_are_refused(refused):
    opset = [helper.make_opsetid("", 20)]
    inner = helper.make_node("Relu", ["x"], ["y"])
    function = helper.make_function("own", "Twice", ["x"], ["y"], [inner], opset)
    assert "functions of its own" in refused(sigmoid(functions=[function]))
    made = sigmoid()
    made.training_info.add()
    assert "steps of a training" in refused(made)


def test_a_damaged_file_is_refused(refused):
    content = sigmoid().SerializeToString()
    assert "is not whole" in refused(content[:-3])
    assert "no graph" in refused(b"")
    assert "the ONNX file" in refused(b"ORTM" * 40)
    assert "is damaged" in refused(b"\x3b" + content)
    wrong = model([("Sigmoid", ["nothing"], ["probability"], {})])
    assert "onnxruntime refuses it" in refused(wrong)


def test_a_file_that_is_large_changed_or_missing_is_refused(refused, monkeypatch, tmp_path):
    content = sigmoid().SerializeToString()
    assert "was changed" in refused(content, digest="0" * 64)
    monkeypatch.setattr(onnx_model, "MOST_BYTES", len(content) - 1)
    assert "must have at most" in refused(content)
    with pytest.raises(PassbandError, match="cannot be read: No such file"):
        OnnxModel.open(tmp_path / "none.onnx", digest="0" * 64, **onnx_models.NUMBERS)


def test_wrong_inputs_and_outputs_are_named(refused):
    node = ("Sigmoid", ["counts"], ["probability"], {})
    assert "inputs counts" in refused(model([node], inputs=["counts"]))
    two = ("Add", ["image", "mask"], ["probability"], {})
    assert "inputs image" in refused(model([two], inputs=["image", "mask"]))
    node = ("Sigmoid", ["image"], ["mask"], {})
    assert "outputs mask; must be probability" in refused(model([node], outputs=["mask"]))
    assert "must be probability and particles" in refused(sigmoid(), outputs=4)


def test_nan_and_wrong_shapes_are_named(tmp_path):
    image = onnx_models.images(1, 1, 8, 8) - 9
    path = tmp_path / "model.onnx"
    found = opened(path, model([("Log", ["image"], ["probability"], {})]).SerializeToString())
    with pytest.raises(PassbandError, match="output probability has a NaN"):
        found(image)
    pool = ("MaxPool", ["image"], ["probability"], {"kernel_shape": [2, 2], "strides": [2, 2]})
    found = opened(path, model([pool]).SerializeToString())
    with pytest.raises(PassbandError, match=r"output probability is float32 of \(1, 1, 4, 4\)"):
        found(image)
    axis = numpy_helper.from_array(np.array([7, 7, 7]), "shape")
    reshape = ("Reshape", ["image", "shape"], ["probability"], {})
    found = opened(path, model([reshape], weights=[axis]).SerializeToString())
    with pytest.raises(PassbandError, match=r"onnxruntime fails: ."):
        found(image)


def test_without_onnxruntime_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PassbandError, match="run pip install onnxruntime"):
        opened(tmp_path / "model.onnx", b"")


def test_the_check_sees_every_node_that_onnx_sees():
    """Files of random nodes are refused exactly if onnx finds an operator that is not allowed."""
    random = np.random.default_rng(0)
    known = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    assert set(known) > onnx_file.OPERATORS
    for _ in range(300):
        names = random.choice(known, 3)
        if random.random() < 0.5:
            names = random.choice(sorted(onnx_file.OPERATORS), 3)
        made = model([(name, ["image"], ["probability"], {}) for name in names])
        seen = {node.op_type for node in onnx.load_from_string(made.SerializeToString()).graph.node}
        try:
            onnx_file.check(made.SerializeToString())
        except ValueError:
            assert seen - onnx_file.OPERATORS
        else:
            assert seen <= onnx_file.OPERATORS


# The network of the package


def fields():
    """Yield 24 fields: the package's sample in its eight orientations, with noise added."""
    from passband.micrographs.images import readers
    from passband.results import published

    sample = readers.read(published.SAMPLE, None)
    random = np.random.default_rng(0)
    for k in range(24):
        turned = np.rot90(sample.images[0], k % 4)
        field = turned[::-1] if k % 8 > 3 else turned
        noise = random.normal(0, field.std() * (k // 8) / 2, field.shape)
        yield (field + noise).astype(np.float32), sample.pixel_size_A


@pytest.mark.slow
def test_the_onnx_file_of_the_package_finds_what_torch_finds():
    from passband.learning.network_files import open_networks
    from passband.micrographs.models.published_network import PublishedNetwork
    from passband.results import published

    (by_torch,) = open_networks("general")
    by_onnx = PublishedNetwork.open(published.shipped()["general"])
    ties = 0
    for image, pixel_A in fields():
        expected = segment(image, pixel_A, [by_torch])
        found = segment(image, pixel_A, [by_onnx])
        assert np.abs(found.probability - expected.probability).max() < 1e-4
        if (found.mask == expected.mask).all():
            assert len(found.particles) == len(expected.particles)
            for a, b in zip(found.particles, expected.particles, strict=True):
                assert a == replace(b, mean_probability=a.mean_probability)
        else:
            ties += 1
            assert np.abs(expected.probability[found.mask != expected.mask] - 0.5).max() < 1e-4
    assert ties <= 2
    inputs = onnx_models.images(3, 1, 128, 128)
    found = by_onnx.model().means(inputs)
    np.testing.assert_allclose(found, by_torch.model().means(inputs), atol=1e-4)
