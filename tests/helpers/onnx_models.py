"""ONNX files for tests, made node by node, and how they are opened."""

import hashlib

import numpy as np

from passband.micrographs.models.onnx_model import OnnxModel

#: The numbers of a network without a head.
NUMBERS = {
    "name": "own",
    "divisor": 1,
    "smallest_px": 1,
    "outputs": 1,
    "halo": 0,
    "bytes_per_pixel": 100.0,
}
SHAPE = ["n", 1, "h", "w"]


def model(nodes, *, outputs=("probability",), inputs=("image",), weights=(), **changes):
    """Return a model of nodes (operator, inputs, outputs, attributes)."""
    from onnx import TensorProto, helper

    made = [helper.make_node(kind, given, found, **more) for kind, given, found, more in nodes]
    tensors = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in names]
        for names in (inputs, outputs)
    ]
    graph = helper.make_graph(made, "graph", *tensors, initializer=list(weights))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **changes)


def sigmoid(**options):
    """Return a model whose probability is the sigmoid of the image."""
    return model([("Sigmoid", ["image"], ["probability"], {})], **options)


def opened(path, content, **changes):
    """Write a file and open it as the network of an architecture without a head."""
    path.write_bytes(content)
    given = NUMBERS | {"digest": hashlib.sha256(content).hexdigest()}
    return OnnxModel.open(path, **given | changes)


def images(*shape):
    """Return noise."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
