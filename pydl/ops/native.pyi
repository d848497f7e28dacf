# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.functions import *
