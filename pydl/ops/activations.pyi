# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.activation_functions import *
