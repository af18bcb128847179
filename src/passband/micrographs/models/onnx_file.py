"""An ONNX file of somebody else: what it may hold is checked before anything is computed.

Only as much of the file's format, protocol buffers, is read as this needs. Every place where an
operator, a graph or a tensor can stand is looked at, and each field in whatever order and number.
"""

from collections.abc import Iterator

#: The operators that a network may have: none has a graph in it, reads a file or makes a sequence.
OPERATORS = {
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
}
#: The names of ONNX's own operators' domain.
_OWN_DOMAINS = {"", "ai.onnx"}

# The numbers of the fields that are read, of each kind of message.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS = 5, 10
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
_ATTRIBUTE_SPARSE = 22, 23
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


def check(content: bytes) -> None:
    """Check that the content of an ONNX file has nothing but known operators and its own numbers.

    Raises:
        ValueError: If it has not. The message says why, in a few words.
    """
    nodes = 0
    for number, value in _fields(memoryview(content)):
        if number == _MODEL_FUNCTIONS:
            raise ValueError("has functions of its own")
        if number == _MODEL_TRAINING:
            raise ValueError("has steps of a training")
        if number == _MODEL_GRAPH:
            nodes += _check_graph(_message(value))
    if not nodes:
        raise ValueError("has no graph with operators")


def _check_graph(graph: memoryview) -> int:
    """Check a graph, and return the number of its nodes."""
    nodes = 0
    for number, value in _fields(graph):
        if number == _GRAPH_SPARSE:
            raise ValueError("has sparse weights")
        if number == _GRAPH_TENSOR:
            _check_tensor(_message(value))
        if number == _GRAPH_NODE:
            _check_node(_message(value))
            nodes += 1
    return nodes


def _check_node(node: memoryview) -> None:
    operator = domain = ""
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            operator = _text(value)
            if operator not in OPERATORS:
                raise ValueError(f"has the operator {operator[:40]!r}, which is not allowed")
        if number == _NODE_DOMAIN:
            domain = _text(value)
            if domain not in _OWN_DOMAINS:
                raise ValueError(f"has an operator of the domain {domain[:40]!r}; allowed: ONNX's")
        if number == _NODE_ATTRIBUTE:
            _check_attribute(_message(value))


def _check_attribute(attribute: memoryview) -> None:
    for number, value in _fields(attribute):
        if number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            raise ValueError("has a graph in an operator, as loops and branches have")
        if number in _ATTRIBUTE_SPARSE:
            raise ValueError("has sparse weights")
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _check_tensor(_message(value))


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise ValueError("has weights in another file")


def _message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("is damaged")
    return value


def _text(value: memoryview | int) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield the number of each field of a message, and its integer or its bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("is damaged")
        if size > len(message) - place:
            raise ValueError("is not whole")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the integer that begins at a place, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("is not whole")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("is damaged")
