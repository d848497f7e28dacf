# SPDX-License-Identifier: BSD-3-Clause
"""Optimizer steps over whole lists of parameters."""
