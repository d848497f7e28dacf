# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.binary_functions import *
from pydl._core.tensor_functions import *
from pydl._core.unary_functions import *
