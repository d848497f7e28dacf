# SPDX-License-Identifier: BSD-3-Clause
"""Largest and smallest elements; nothing here is for other compiled modules."""
