# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of inference plans share."""

from pydl._core.epilogue cimport Epilogue

# `then`: None, or (kind, name or code, parameters) as plan_steps.epilogue_of says. Returns whether there is one.
cdef bint read_epilogue(Epilogue* e, object then, bint f64) except -1
