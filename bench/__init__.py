# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks: pydl and its peers in turn, in separate processes, checked first and then timed.

Run `python -m bench --help` from the repository root. `row.py` says what a row is, `rows/` holds one declaration per
row, `peers.py` the libraries, `worker.py` the process in which one library lives, `run.py` the order of turns.
"""
