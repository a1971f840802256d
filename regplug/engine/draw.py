"""The part of the Op `Draw` that both engines share: NumPy and C.

`regplug.noise.reference` defines the bits. The C code follows it line by line; the two
loops are apart because the compiler can vectorize the inner one, where a, b, c and d
are constant.
"""

from __future__ import annotations

import numpy as np

from regplug.noise import reference

__all__ = ["DrawBase"]

C_TYPES = {"bool": "npy_bool", "float32": "npy_float32", "float64": "npy_float64"}

SUPPORT = """
#ifndef REGPLUG_DRAW
#define REGPLUG_DRAW
typedef struct { npy_uint32 a, b, c, d; } regplug_words;

static inline regplug_words regplug_philox(
        npy_uint32 k0, npy_uint32 k1,
        npy_uint32 block, npy_uint64 row, npy_uint32 step) {
    npy_uint32 x0 = block, x1 = (npy_uint32)row;
    npy_uint32 x2 = (npy_uint32)(row >> 32), x3 = step;
    for (int round = 0; round < 10; round++) {
        npy_uint64 p = (npy_uint64)0xD2511F53u * x0;
        npy_uint64 q = (npy_uint64)0xCD9E8D57u * x2;
        x0 = (npy_uint32)(q >> 32) ^ x1 ^ k0;
        x2 = (npy_uint32)(p >> 32) ^ x3 ^ k1;
        x1 = (npy_uint32)q;
        x3 = (npy_uint32)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    regplug_words words = {x0, x1, x2, x3};
    return words;
}

static inline npy_uint32 regplug_mix(npy_uint32 a, npy_uint32 b, npy_uint32 j) {
    npy_uint32 x = a + j * 0x9E3779B9u;
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= b;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    return x;
}
#endif
"""

# The value of one cell from w (the words of the block), j and, for keep, threshold.
CELLS = {
    ("keep", "bool"): "h0 >= threshold",
    ("uniform", "float32"): (
        "(npy_float32)(npy_int32)(h0 >> 8) * (npy_float32)(1.0 / 16777216.0)"
    ),
    ("uniform", "float64"): (
        "((npy_float64)(npy_int32)(h0 >> 5) * 67108864.0"
        " + (npy_float64)(npy_int32)(h1 >> 6)) * (1.0 / 9007199254740992.0)"
    ),
    ("normal", "float32"): "value * t",
    ("normal", "float64"): "value * t",
}

NORMAL = """
            const npy_uint32 s =
                (h0 >> 16) + (h0 & 0xFFFFu) + (h1 >> 16) + (h1 & 0xFFFFu);
            const npy_int32 n = (npy_int32)((s << 7) + ((h0 & 63u) << 1)) - 16777023;
            const REAL t = (REAL)n * (REAL)(1.0 / 8388608.0);
            const REAL square = t * t;
            REAL value = (REAL)%r;
"""

CODE = """
{
    npy_intp dims[%(ndim)d + 1];
    npy_uint64 columns = 1;
    int same = %(out)s != NULL && PyArray_IS_C_CONTIGUOUS(%(out)s);
    for (int i = 0; i < %(ndim)d; i++) {
        dims[i] = (npy_intp)*(npy_int64 *)PyArray_GETPTR1(%(shape)s, i);
        if (dims[i] < 0) {
            PyErr_Format(PyExc_ValueError,
                         "shape has a negative length, %%ld", (long)dims[i]);
            %(fail)s
        }
        if (i > 0) columns *= (npy_uint64)dims[i];
        same = same && PyArray_DIMS(%(out)s)[i] == dims[i];
    }
    %(threshold)s
    const npy_int64 index = ((npy_int64 *)PyArray_DATA(%(index)s))[0];
    if (index < 0 || index >= PyArray_DIMS(%(keys)s)[0]) {
        PyErr_Format(PyExc_ValueError,
                     "key %%ld is outside the table of keys", (long)index);
        %(fail)s
    }
    if (!same) {
        Py_XDECREF(%(out)s);
        %(out)s = (PyArrayObject *)PyArray_EMPTY(%(ndim)d, dims, %(typenum)s, 0);
        if (%(out)s == NULL) { %(fail)s }
    }
    const npy_uint32 k0 = *(npy_uint32 *)PyArray_GETPTR2(%(keys)s, index, 0);
    const npy_uint32 k1 = *(npy_uint32 *)PyArray_GETPTR2(%(keys)s, index, 1);
    const npy_uint32 step = (npy_uint32)((npy_int64 *)PyArray_DATA(%(step)s))[0];
    npy_uint64 row = (npy_uint64)((npy_int64 *)PyArray_DATA(%(row_offset)s))[0];
    const npy_uint64 rows = %(ndim)d ? (npy_uint64)dims[0] : 1;
    REAL *line = (REAL *)PyArray_DATA(%(out)s);
    for (npy_uint64 i = 0; i < rows; i++, row++) {
        for (npy_uint64 start = 0; start < columns; start += %(block)d) {
            const npy_uint32 width =
                columns - start < %(block)d ? (npy_uint32)(columns - start) : %(block)d;
            const regplug_words w =
                regplug_philox(k0, k1, (npy_uint32)(start / %(block)d), row, step);
            for (npy_uint32 j = 0; j < width; j++) {
                const npy_uint32 h0 = regplug_mix(w.a, w.b, j);
                %(cell)s
            }
            line += width;
        }
    }
}
"""

THRESHOLD = """
    const npy_float64 rate = ((npy_float64 *)PyArray_DATA(%(rate)s))[0];
    if (!(rate >= 0.0 && rate < 1.0)) {
        PyObject *value = PyFloat_FromDouble(rate);
        PyErr_Format(PyExc_ValueError, "rate %%R is outside [0, 1)", value);
        Py_XDECREF(value);
        %(fail)s
    }
    const npy_float64 rounded = rint(rate * 4294967296.0);
    const npy_uint32 threshold =
        rounded < 4294967295.0 ? (npy_uint32)rounded : 4294967295u;
"""


class DrawBase:
    """Draw a mask or noise: one node, the same integer bits from NumPy, C and numba.

    Parameters
    ----------
    kind : {'keep', 'uniform', 'normal'}
    dtype : str
        'bool' for 'keep', else a float dtype.
    static_shape : tuple of int or None
        What is known of the output's shape.

    Notes
    -----
    The inputs are the keys (uint32, one row a site), the index of the site, the step
    and the row offset (int64 scalars), the rate (float64 scalar, only for 'keep'), and
    the shape (int64 vector). All that differs between two sites of one kind, dtype and
    number of dimensions is an input, so they share one kernel. A caller that shares an
    axis passes 1 as its length, and 0 as the row offset if it is axis 0.
    """

    __props__ = ("kind", "dtype", "static_shape")

    def __init__(self, kind, dtype, static_shape):
        self.kind, self.dtype, self.static_shape = kind, dtype, tuple(static_shape)

    @property
    def input_dtypes(self):
        """The inputs' names, each with its dtype."""
        dtypes = {"keys": "uint32"}
        dtypes.update(dict.fromkeys(("index", "step", "row_offset"), "int64"))
        if self.kind == "keep":
            dtypes["rate"] = "float64"
        return {**dtypes, "shape": "int64"}

    def typed(self, T, inputs):
        """Return the inputs as variables of the right dtypes."""
        variables = []
        for x, dtype in zip(inputs, self.input_dtypes.values(), strict=True):
            if not hasattr(x, "type"):
                x = np.asarray(x, dtype)
            variables.append(T.cast(T.as_tensor_variable(x), dtype))
        return variables

    def perform(self, node, inputs, output_storage):
        keys, index, step, row_offset, *rate, shape = inputs
        if not 0 <= index < len(keys):
            raise ValueError(f"key {index} is outside the table of keys")
        draw = getattr(reference, f"{self.kind}_from_key")
        key, what = keys[int(index)], self.dtype
        if self.kind == "keep":
            what = float(rate[0])
        output_storage[0][0] = draw(key, shape, int(step), what, int(row_offset))

    def infer_shape(self, *arguments):
        # PyTensor passes (fgraph, node, shapes), Theano (node, shapes)
        node = arguments[-2]
        lengths = list(self.static_shape)
        for axis, length in enumerate(lengths):
            if length is None:
                lengths[axis] = node.inputs[-1][axis]
        return [tuple(lengths)]

    def connection_pattern(self, node):
        return [[False] for _ in node.inputs]

    def c_headers(self, **kwargs):
        return ["<math.h>", "<numpy/arrayobject.h>"]

    def c_compile_args(self, **kwargs):
        # -O2 does not vectorize; a contracted a * b + c would differ from NumPy's
        return ["-O3", "-ffp-contract=off"]

    def c_support_code(self, **kwargs):
        return SUPPORT

    def c_code_cache_version(self):
        return (2,)

    def c_code(self, node, name, inputs, outputs, sub):
        if self.dtype not in C_TYPES:
            raise NotImplementedError("float16 is drawn by NumPy")
        names = dict(zip(self.input_dtypes, inputs, strict=True))
        names.update(out=outputs[0], fail=sub["fail"])
        threshold = ""
        if self.kind == "keep":
            threshold = THRESHOLD % names
        code = CODE % dict(
            names,
            ndim=len(self.static_shape),
            typenum=f"NPY_{self.dtype.upper()}",
            block=reference.COLUMNS,
            threshold=threshold,
            cell=self._cell(),
        )
        return code.replace("REAL", C_TYPES[self.dtype])

    def _cell(self):
        first = ""
        if self.kind == "normal" or self.dtype == "float64":
            first = "const npy_uint32 h1 = regplug_mix(w.c, w.d, j);"
        if self.kind == "normal":
            *others, last = reference.NORMAL
            first += NORMAL % last
            for c in reversed(others):
                first += f"value = value * square + (REAL){c!r};\n"
        return f"{first} line[j] = {CELLS[self.kind, self.dtype]};"
