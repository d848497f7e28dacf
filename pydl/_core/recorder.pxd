# SPDX-License-Identifier: BSD-3-Clause
"""What an operation says to the recorder of inference plans. An operation that is recorded calls itself between the two:

    if slots.recording and begins():
        out = operation(x)
        ends("operation", (x,), out)
        return out
"""

# Whether this thread is being recorded, and no operation that is recorded runs already; then what runs inside is not recorded.
cdef bint begins() noexcept
# The operation of that name gave `out` (a tensor or a tuple) from `args`. One that changes its first argument returns it, and has
# a name that ends in "_"; `of` is what runs it again, where a name does not say that.
cdef int ends(str name, tuple args, object out, object of=*) except -1
