# SPDX-License-Identifier: BSD-3-Clause
"""The squared error; nothing here is for other compiled modules."""
