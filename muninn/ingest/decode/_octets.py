"""Reading numbers out of bytes in compiled code.

Belongs here: what the scanners share. Does not: any format.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _eight(typingctx: Any, octets: Any, at: Any) -> Any:  # noqa: ARG001
    """uint64: the eight bytes at `at`, little-endian, aligned or not; the caller knows that they are there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = cgutils.pointer_add(  # type: ignore[no-untyped-call]
            builder, array.data, args[1], ir.IntType(64).as_pointer()
        )
        return builder.load(place, align=1)

    return types.uint64(octets, types.int64), codegen


eight: Any = intrinsic(_eight)
