# SPDX-License-Identifier: BSD-3-Clause
"""A call of one step, as when a stream is read step by step."""

from pydl._core.recurrent_call cimport Call

cdef bint is_single(Call c) noexcept                                        # whether single_step is the way
cdef int single_step(Call c, const char* w_hh) except -1                    # weights as they are, s.w_hr too
