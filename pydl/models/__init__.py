# SPDX-License-Identifier: BSD-3-Clause
"""Ready-made networks."""

from pydl.models.cnn import CNN
from pydl.models.encoder_decoder import Decoder, Encoder, EncoderDecoder
from pydl.models.language import LanguageModel
from pydl.models.lenet import LeNet5
from pydl.models.mlp import MLP, MyNet
from pydl.models.recurrent import Forecaster, SequenceClassifier, TextClassifier

__all__ = [
    "CNN", "Decoder", "Encoder", "EncoderDecoder", "Forecaster", "LanguageModel", "LeNet5", "MLP", "MyNet",
    "SequenceClassifier", "TextClassifier",
]  # fmt: skip
