# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy; nothing here is for other compiled modules."""
