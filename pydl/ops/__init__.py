# SPDX-License-Identifier: BSD-3-Clause
"""The operations: one declaration each, with check, forward and backward side by side."""

from pydl._core.shape import set_advanced_indexing
from pydl.ops.arranging import *
from pydl.ops.combining import *
from pydl.ops.comparing import *
from pydl.ops.dividing import *
from pydl.ops.einstein import *
from pydl.ops.encoding import *
from pydl.ops.extrema import *
from pydl.ops.gathering import *
from pydl.ops.indexing import *
from pydl.ops.joining import *
from pydl.ops.losses_binary import *
from pydl.ops.losses_classes import *
from pydl.ops.losses_regression import *
from pydl.ops.masking import *
from pydl.ops.matrices import *
from pydl.ops.native import *
from pydl.ops.pointwise import *
from pydl.ops.reducing import *
from pydl.ops.softmax import *
from pydl.ops.sorting import *
from pydl.ops.statistics import *

set_advanced_indexing(getitem, setitem)  # noqa: F405
