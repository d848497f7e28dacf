# SPDX-License-Identifier: BSD-3-Clause
"""Text: tokens as numbers, and sequences searched or drawn from a network that scores the next token."""

from pydl.text.sampling import sample, sample_token
from pydl.text.search import Hypothesis, beam_search, greedy_search
from pydl.text.vocabulary import Vocabulary

__all__ = ["Hypothesis", "Vocabulary", "beam_search", "greedy_search", "sample", "sample_token"]
