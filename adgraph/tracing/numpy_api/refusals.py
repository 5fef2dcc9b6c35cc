"""Why functions of NumPy and SciPy have no program, grouped by cause, and which need none.

`reason_of("np.unique")` gives what the error at the user's line says and `docs/coverage.md` lists.
`PLAIN` functions are not about the elements of arrays: inside a trace they are called as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from adgraph.errors import TracingError, message


@dataclass(frozen=True)
class Refusal:
    """One cause why functions are refused: `why`, and what to write `instead`."""

    why: str
    instead: str
    names: tuple[str, ...]

    def error(self, name: str) -> TracingError:
        """Return the error of a call with traced arguments."""
        return TracingError(message(f"{name} has no program", self.why, self.instead))


def _np(names: str) -> tuple[str, ...]:
    return tuple(f"np.{name}" for name in names.split())


def _methods(names: str) -> tuple[str, ...]:
    return tuple(f"ndarray.{name}" for name in names.split())


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "the shape of the result depends on the numbers, which are not known while tracing",
        "sort and compare neighbours with np.sort and np.diff, mark elements in a mask of fixed "
        "size, or call it outside the traced function",
        _np(
            "intersect1d setdiff1d setxor1d trim_zeros union1d unique unique_all unique_counts "
            "unique_inverse unique_values"
        ),
    ),
    Refusal(
        "it writes or prints numbers, and while tracing there are none yet",
        "return the array and write it outside the traced function",
        _np(
            "array2string array_repr array_str format_float_positional format_float_scientific "
            "save savetxt savez savez_compressed"
        ),
    ),
    Refusal(
        "while tracing there are no numbers yet that Python or a file could hold",
        "do it with the results, outside the traced function; list(x) gives traced numbers",
        _methods("dump dumps tobytes tofile tolist"),
    ),
    Refusal(
        "it is about the bytes or the memory of an array, which a graph does not have",
        "convert numbers with astype, and make other shapes with np.reshape or np.resize",
        _methods("byteswap getfield resize setfield setflags to_device"),
    ),
    Refusal(
        "it reads the bytes of an array as other numbers, and a graph has no bytes",
        "np.real(z) and np.imag(z) are the parts of complex numbers, x[..., 0] + 1j * x[..., 1] "
        "makes some of pairs, and astype converts numbers",
        _methods("view"),
    ),
    Refusal(
        "it raises an error for some numbers, and while tracing there are none yet",
        "use np.asarray, and check the arguments outside the traced function",
        _np("asarray_chkfinite"),
    ),
    Refusal(
        "it walks over the memory of an array, which a graph does not have",
        "use whole arrays, or loop over positions: for i in np.ndindex(x.shape): x[i]",
        _np("isfortran nested_iters from_dlpack"),
    ),
    Refusal(
        "it makes an np.matrix, a subclass whose * is a matrix product",
        "use arrays with two axes and @; np.block joins blocks",
        _np("asmatrix bmat"),
    ),
    Refusal(
        "its results are arrays of Python objects",
        "use np.vectorize, or write the function for whole arrays",
        _np("frompyfunc"),
    ),
    Refusal(
        "it is about dates and times, and a program holds numbers",
        "convert the dates to numbers outside the traced function",
        _np("busday_count busday_offset datetime_as_string is_busday isnat"),
    ),
)


PLAIN = frozenset(
    (
        *_np(
            "base_repr binary_repr broadcast_shapes datetime_data diag_indices frombuffer fromfile "
            "fromregex fromstring genfromtxt get_include get_printoptions getbufsize geterr "
            "geterrcall indices info isdtype issubdtype iterable load loadtxt mask_indices "
            "mintypecode printoptions promote_types set_printoptions setbufsize seterr seterrcall "
            "show_config show_runtime test tri tril_indices triu_indices typename"
        ),
        *_np("linalg.test fft.test fft.fftfreq fft.rfftfreq"),
    )
)

_reasons = {name: refusal for refusal in REFUSALS for name in refusal.names}


def reason_of(name: str) -> Refusal | None:
    """Return why a function, named with its module, is refused.

    >>> reason_of("np.unique").why
    'the shape of the result depends on the numbers, which are not known while tracing'
    """
    return _reasons.get(name)
