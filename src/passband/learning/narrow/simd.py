"""Vectors of float32 numbers in compiled functions: one value of numba for many lanes.

numba leaves it to LLVM to find loops that vectors can compute. LLVM does not find the loops of a
convolution, in which many sums must stay in registers. With the functions of this module, a
compiled function says itself what is in a register. LLVM translates the vectors for every
processor.

numba's cache on disk looks only at the file of a compiled function. After a change of this module,
the cached functions of the modules that use it must be removed (`__pycache__/*.nb?`).
"""

from collections.abc import Callable

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types, typing
from numba.extending import intrinsic, models, register_model

_FEATURES = llvmlite.binding.get_host_cpu_features()

#: Number of float32 numbers in a vector: one register of AVX-512, otherwise two or four registers
#: of 16 or 32.
LANES = 16 if _FEATURES.get("avx512f") else 8

_NUMBER, _INDEX = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_NUMBER, LANES)


class _Vector(types.Type):
    """numba's type of a vector."""

    def __init__(self):
        super().__init__(name=f"Vector{LANES}")


_vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _address(context, builder, signature, values):
    """Return the address of an array's element: the array and the index are the first values."""
    array = context.make_array(signature.args[0])(context, builder, values[0])
    return builder.gep(array.data, [values[1]])


@intrinsic
def load(_, array, index):
    """Return the vector of an array's elements from an index on. The index is not checked."""

    def generate(context, builder, signature, values):
        address = _address(context, builder, signature, values)
        return builder.load(builder.bitcast(address, _VECTOR.as_pointer()), align=4)

    return typing.signature(_vector, array, types.intp), generate


@intrinsic
def store(_, array, index, vector):
    """Write a vector to an array's elements from an index on. The index is not checked."""

    def generate(context, builder, signature, values):
        address = _address(context, builder, signature, values)
        builder.store(values[2], builder.bitcast(address, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return typing.signature(types.void, array, types.intp, _vector), generate


@intrinsic
def spread(_, array, index):
    """Return a vector whose lanes all have the value of an array's element."""

    def generate(context, builder, signature, values):
        number = builder.load(_address(context, builder, signature, values))
        empty = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(empty, number, ir.Constant(_INDEX, 0))
        places = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        return builder.shuffle_vector(first, empty, places)

    return typing.signature(_vector, array, types.intp), generate


@intrinsic
def multiply_add(_, x, y, total):
    """Return total + x·y, rounded once."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

    return typing.signature(_vector, _vector, _vector, _vector), generate


def _of_two(build: Callable, docstring: str):
    """Return a function of two vectors; `build` makes its code from a builder and the vectors."""

    def generate(context, builder, signature, values):
        return build(builder, *values)

    def function(_, x, y):
        return typing.signature(_vector, _vector, _vector), generate

    function.__doc__ = docstring
    return intrinsic(function)


def _where_positive(builder, x, y):
    nothing = ir.Constant(_VECTOR, [0.0] * LANES)
    return builder.select(builder.fcmp_ordered(">", x, nothing), y, nothing)


multiply = _of_two(lambda builder, x, y: builder.fmul(x, y), "Return x·y.")
add = _of_two(lambda builder, x, y: builder.fadd(x, y), "Return x + y.")
where_positive = _of_two(_where_positive, "Return y where x > 0, and otherwise 0.")
greater = _of_two(
    lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y),
    "Return the greater number in each lane: x if x > y, and otherwise y.",
)


@intrinsic
def where_equal(_, x, y, a, b):
    """Return a where x = y, and otherwise b."""

    def generate(context, builder, signature, values):
        return builder.select(builder.fcmp_ordered("==", *values[:2]), *values[2:])

    return typing.signature(_vector, *[_vector] * 4), generate


def _rearranged(places: list[int], docstring: str):
    """Return a function of two vectors whose result has some of their numbers in another order."""
    chosen = ir.Constant(ir.VectorType(_INDEX, LANES), places)
    return _of_two(lambda builder, x, y: builder.shuffle_vector(x, y, chosen), docstring)


_PAIRS = [place for k in range(LANES) for place in (k, LANES + k)]
even = _rearranged([*range(0, 2 * LANES, 2)], "Return the numbers at even places of x and then y.")
odd = _rearranged([*range(1, 2 * LANES, 2)], "Return the numbers at odd places of x and then y.")
low = _rearranged(_PAIRS[:LANES], "Return the first half of x₀, y₀, x₁, y₁ and so on.")
high = _rearranged(_PAIRS[LANES:], "Return the second half of x₀, y₀, x₁, y₁ and so on.")
_HALF = LANES // 2
first_halves = _rearranged(
    [*range(_HALF), *range(LANES, LANES + _HALF)], "Return the first half of x, then that of y."
)
second_halves = _rearranged(
    [*range(_HALF, LANES), *range(LANES + _HALF, 2 * LANES)],
    "Return the second half of x, then that of y.",
)


@intrinsic
def zero(_):
    """Return a vector of zeros."""

    def generate(context, builder, signature, values):
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return typing.signature(_vector), generate


def _total(folds: bool, docstring: str):
    """Return a function that adds all lanes of a vector."""

    def generate(context, builder, signature, values):
        terms = [builder.extract_element(values[0], ir.Constant(_INDEX, k)) for k in range(LANES)]
        if folds:
            while (half := len(terms) // 2) >= 8:
                terms = [
                    builder.fadd(*pair) for pair in zip(terms[:half], terms[half:], strict=True)
                ]
        while len(terms) > 1:
            terms = [builder.fadd(*pair) for pair in zip(terms[::2], terms[1::2], strict=True)]
        return terms[0]

    def function(_, x):
        return typing.signature(types.float32, _vector), generate

    function.__doc__ = docstring
    return intrinsic(function)


total = _total(False, "Return the sum of all lanes, added in pairs.")
total_as_numpy = _total(True, "Return the sum of all lanes, added in the order of numpy's sum.")


_HALVES = ir.VectorType(ir.IntType(16), LANES)
_WORDS = ir.VectorType(_INDEX, LANES)


def _words(number: int) -> ir.Constant:
    return ir.Constant(_WORDS, [number] * LANES)


@intrinsic
def load_bfloat16(_, array, index):
    """Return the vector of an array's bfloat16 numbers, which are stored as uint16."""

    def generate(context, builder, signature, values):
        address = _address(context, builder, signature, values)
        halves = builder.load(builder.bitcast(address, _HALVES.as_pointer()), align=2)
        return builder.bitcast(builder.shl(builder.zext(halves, _WORDS), _words(16)), _VECTOR)

    return typing.signature(_vector, array, types.intp), generate


@intrinsic
def store_bfloat16(_, array, index, vector):
    """Write a vector to an array of bfloat16 numbers, which are stored as uint16.

    Numbers are rounded to the nearest, and halfway to the even one. NaN becomes another NaN or
    infinite.
    """

    def generate(context, builder, signature, values):
        address = _address(context, builder, signature, values)
        words = builder.bitcast(values[2], _WORDS)
        odd = builder.and_(builder.lshr(words, _words(16)), _words(1))
        rounded = builder.add(words, builder.add(odd, _words(0x7FFF)))
        halves = builder.trunc(builder.lshr(rounded, _words(16)), _HALVES)
        builder.store(halves, builder.bitcast(address, _HALVES.as_pointer()), align=2)
        return context.get_dummy_value()

    return typing.signature(types.void, array, types.intp, _vector), generate
