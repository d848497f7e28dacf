# SPDX-License-Identifier: BSD-3-Clause
"""Bad sequences, lengths, states and options: PyTorch's types, messages with argument and shapes, before any work."""

from __future__ import annotations

from typing import Any

import pytest

import pydl
from pydl import nn
from pydl._core.errors import ShapeError
from tests.line_parity import same_texts

SCOPE = """
x = T.ones(5, 3, 2)
r = T.nn.utils.rnn
packed = r.pack_padded_sequence(x, [4, 3, 2])
lstm, gru, relu = nn.LSTM(2, 4), nn.GRU(2, 4), nn.RNN(2, 4, nonlinearity="relu")
h, c = T.zeros(1, 3, 4), T.zeros(1, 3, 4)
""".strip()
# Each gives the same type of error, or the same shapes or text, in both libraries.
LINES = """
r.pack_padded_sequence(x, [5, 3])
r.pack_padded_sequence(x, [5, 0, 1])
r.pack_padded_sequence(x, [5, 0, 1], enforce_sorted=False)
r.pack_padded_sequence(x, [5, -1, -2])
r.pack_padded_sequence(x, [3, 5, 2])
r.pack_padded_sequence(x, [5, 3, 2, 1])
r.pack_padded_sequence(x, T.tensor([[3, 2, 1]]))
r.pack_padded_sequence(x, T.tensor(3))
r.pack_padded_sequence(x, [])
r.pack_padded_sequence(x, 'abc')
r.pack_padded_sequence(T.ones(5), [5])
r.pack_padded_sequence(T.ones(0, 3, 2), [1, 1, 1])
r.pack_padded_sequence([1], [1])
r.pack_padded_sequence(x, [4, 3, 2], True)
r.pad_packed_sequence(packed, total_length=3)
r.pad_packed_sequence(packed, total_length=7)[0].shape
r.pad_sequence([])
r.pad_sequence(3)
r.pad_sequence([T.ones(2, 3), T.ones(2, 4)])
r.pad_sequence([T.ones(2), T.ones(2, 2)])
r.pad_sequence([T.ones(2), T.ones(3)], padding_side='x')
r.pad_sequence([T.tensor(1.)])
r.pad_sequence([T.ones(2), 1])
r.pad_sequence([T.ones(2), T.ones(3, dtype=T.int64)])
r.pad_sequence(T.ones(3, 2))
r.unpad_sequence(T.ones(3, 2), T.tensor([1, 2, 3]))
r.unpad_sequence(T.ones(3, 2), T.tensor([0, 2]))
r.pack_sequence([])
r.pack_sequence([T.ones(2), T.ones(3)])
r.pack_sequence([T.ones(0), T.ones(3)], enforce_sorted=False)
r.PackedSequence(T.ones(3))
r.PackedSequence(T.ones(3), T.tensor([2, 1]), T.tensor([1, 0]))
len(r.PackedSequence(T.ones(3), T.tensor([2, 1])))
lstm(T.zeros(0, 3, 2))
lstm(T.zeros(0, 2))
lstm(T.zeros(3, 0, 2))[0].shape
nn.LSTM(2, 4, batch_first=True)(T.zeros(3, 0, 2))
lstm(T.zeros(3))
lstm(T.zeros(3, 2, 2, 2))
lstm(T.zeros(3, 1, 3))
lstm(x, (h, T.zeros(1, 3, 5)))
lstm(x, (T.zeros(1, 2, 4), c))
lstm(x, (T.zeros(3, 4), T.zeros(3, 4)))
lstm(x[:, 0], (h, c))
nn.LSTM(2, 4, proj_size=3)(x, (h, c))
nn.LSTM(2, 4, 2)(x, (h, c))
nn.GRU(2, 4, bidirectional=True)(x, h)
lstm(x.double())
lstm(x, (h.double(), c.double()))
gru(x, h.double())
gru(x, T.zeros(1, 3, 5))
gru(x[0], h)
relu(x, T.zeros(3, 4))
gru(x.long())
gru(packed, T.zeros(1, 2, 4))
nn.RNN(3, 4)(packed)
nn.RNN(2, 4).double()(packed)
relu(r.PackedSequence(T.ones(5, 2), T.tensor([1, 4])))
relu(r.PackedSequence(T.ones(5, 2), T.tensor([4, 2])))
relu(r.pack_padded_sequence(x[:, :, 0], [4, 3, 2]))
nn.RNN(2, 4, nonlinearity='x')
nn.RNN(2, 4, proj_size=2)
nn.GRU(2, 4, proj_size=2)
nn.LSTM(2, 4, proj_size=4)
nn.LSTM(2, 4, proj_size=-1)
nn.LSTM(0, 4)
nn.LSTM(2, 0)
nn.LSTM(2., 4)
nn.LSTM(2, 4.)
nn.LSTM(2, 4, 0)
nn.LSTM(2, 4, bias=1)
nn.LSTM(2, 4, batch_first=1)
nn.LSTM(2, 4, dropout=2)
nn.LSTM(2, 4, dropout=True)
nn.LSTM(2, 4, dropout='a')
nn.LSTM(2, 4, 2, dropout=-1)
nn.LSTM(2, 4, num_layers=1.5)
nn.LSTM(2, 4, num_layers='2')
nn.LSTM(2, 4, proj_size=1.5)
nn.LSTM(2, 4, dropout=float('nan'))
r.invert_permutation(T.tensor([0, 5]))
r.invert_permutation(T.tensor([0., 1.]))
r.invert_permutation(T.tensor([1, 0, 2]))
r.pad_packed_sequence(packed, total_length=4.5)
r.pad_sequence([T.ones(0, 3)]).shape
nn.LSTM(2)
nn.LSTM(2, 4, nonlinearity='tanh')
nn.RNNBase('X', 2, 3)
nn.RNNCell(2, 3)(T.ones(2, 2, 2))
nn.RNNCell(2, 3)(T.ones(3))
nn.RNNCell(2, 3)(T.ones(2), T.ones(1, 3))
nn.RNNCell(2, 3)(T.ones(1, 2), T.ones(3))
nn.RNNCell(2, 3)(T.ones(4, 2), T.ones(3, 3))
nn.RNNCell(2, 3)(T.ones(4, 2), T.ones(4, 2))
nn.RNNCell(2, 3, nonlinearity='x')(T.ones(2, 2))
nn.LSTMCell(2, 3)(T.ones(4, 2), T.ones(4, 3))
nn.LSTMCell(2, 3)(T.ones(4, 2), (T.ones(4, 3), T.ones(3, 3)))
nn.LSTMCell(2, 3)(T.ones(4, 2), (T.ones(4, 3), T.ones(4, 2)))
nn.LSTMCell(2, 3)(T.ones(2, 2, 2))
nn.GRUCell(2, 3)(T.ones(2, 2), T.ones(1, 1, 3))
nn.GRUCell(2, 3)(T.ones(2, 2).double())
nn.GRUCell(2, 3)(T.ones(2, 2).long())
nn.GRUCell(2, 3)(T.ones(0, 2)).shape
nn.LSTMCell(0, 3)(T.ones(2, 0))[0].shape
""".strip().split("\n")


@pytest.mark.parity
@pytest.mark.parametrize("line", LINES)
def test_same_outcome(line: str) -> None:
    same_texts(line, SCOPE)


# What PyTorch lets pass, reads beyond its memory for, or answers with an accident of its code.
STRICTER = [
    ("r.pack_padded_sequence(x, [6, 3, 2])", ShapeError, r"lengths\[0\] is 6, but input \(5, 3, 2\) has 5 steps"),
    ("r.pack_padded_sequence(x, [3.5, 2, 1])", TypeError, "lengths must be integers, but one is 3.5"),
    ("r.pack_padded_sequence(x, T.tensor([3., 2., 1.]))", TypeError, "lengths must be integers, not pydl.float32"),
    ("r.pack_padded_sequence(x, T.tensor([True, True, True]))", TypeError, "lengths must be integers"),
    ("r.pack_padded_sequence(x, 5)", TypeError, "lengths must be a list or a 1-D tensor of integers, not int"),
    ("r.unpad_sequence(T.ones(3, 2), [1, 5])", ShapeError, r"lengths\[1\] is 5, but input \(3, 2\) has 3 steps"),
    ("r.pad_packed_sequence(x)", TypeError, "takes a PackedSequence, not Tensor"),
    ("relu(r.PackedSequence(T.ones(5, 2), T.tensor([3, 1])))", ShapeError, r"add up to the rows of data \(5, 2\)"),
    ("relu(r.PackedSequence(T.ones(4, 2), T.tensor([3., 1.])))", TypeError, "batch_sizes must be a vector of int64"),
    ("relu(r.PackedSequence(T.ones(4, 2), T.tensor([3, 1]), T.tensor([1, 0])), h)", ShapeError, "one number for each"),
    ("relu(r.PackedSequence(T.ones(4, 2), T.tensor([3, 1]), T.tensor([0, 1, 7])), h)", IndexError, "7"),
    (
        "nn.RNN(2, 4, 2)(r.PackedSequence(T.ones(2, 2), T.tensor([2]), T.tensor([0, 1]), T.tensor([0, 2])))",
        IndexError,
        "2",
    ),
    ("lstm(x, h)", TypeError, r"LSTM: hx must be a pair of Tensors \(h_0, c_0\), not Tensor"),
    ("lstm(x, (h,))", TypeError, r"LSTM: hx must be a pair of Tensors \(h_0, c_0\), not a tuple of 1: Tensor"),
    ("lstm(x, (h, None))", TypeError, "not a tuple of 2: Tensor, NoneType"),
    ("gru(x, (h, c))", TypeError, "GRU: hx must be a Tensor h_0, not a tuple of 2: Tensor, Tensor"),
    ("gru(x.numpy())", TypeError, "GRU: input must be a Tensor or a PackedSequence, not ndarray"),
    ("gru(None)", TypeError, "not NoneType"),
    ("gru(x, lengths=[5, 3])", ShapeError, r"GRU: lengths has 2 numbers, but input \(5, 3, 2\) has 3 sequences"),
    ("gru(x, lengths=[5, 0, 2])", ShapeError, r"GRU: lengths must be greater than 0, but lengths\[1\] is 0"),
    ("gru(x, lengths=[5, -3, 2])", ShapeError, r"lengths\[1\] is -3"),
    ("gru(x, lengths=[2, 6, 2])", ShapeError, r"GRU: lengths\[1\] is 6, but input \(5, 3, 2\) has 5 steps"),
    ("gru(x, lengths=[2.0, 5, 2])", TypeError, "lengths must be integers, but one is 2.0"),
    ("gru(x, lengths=T.ones(3))", TypeError, "lengths must be integers, not pydl.float32"),
    ("gru(x, lengths=T.ones(3, 1, dtype=T.int64))", ShapeError, r"not the shape \(3, 1\)"),
    ("gru(x, lengths=3)", TypeError, "lengths must be a list or a 1-D tensor of integers, not int"),
    ("gru(x, lengths=T.tensor([2, 2, 2]), hx=T.zeros(1, 2, 4))", ShapeError, r"hx has the shape \(1, 2, 4\)"),
    ("nn.GRU(2, 4, batch_first=True)(x, lengths=[1] * 3)", ShapeError, r"3 numbers, but input \(5, 3, 2\) has 5"),
    ("gru(packed, lengths=[4, 3, 2])", ValueError, "lengths belongs to a padded batch"),
    ("gru(x[:, 0], lengths=[4])", ShapeError, r"lengths belongs to a batch, but input \(5, 2\) is one sequence"),
    ("relu(x, return_gates=True)", ValueError, "a plain recurrent layer has no gates"),
    (
        "gru(x, T.zeros(1, 3, 5))",
        ShapeError,
        r"GRU: hx has the shape \(1, 3, 5\) but must be \(1, 3, 4\) for input \(5, ",
    ),
    ("lstm(x, (h, T.zeros(1, 3, 5)))", ShapeError, r"LSTM: hx\[1\] has the shape \(1, 3, 5\) but must be \(1, 3, 4\)"),
    ("lstm(T.ones(5, 3, 3))", ShapeError, r"LSTM: input has 3 features \(input \(5, 3, 3\)\) but input_size is 2"),
    ("lstm(x.double())", ValueError, "LSTM: input has the type pydl.float64 but the weights have pydl.float32"),
    ("gru(x, h.double())", RuntimeError, "GRU: hx has the type pydl.float64 but input has pydl.float32"),
    ("lstm(T.ones(2, 2, 2, 2))", ShapeError, r"must be 2-D \(one sequence\) or 3-D \(a batch\), not \(2, 2, 2, 2\)"),
    (
        "nn.LSTMCell(2, 3)(T.ones(4, 3))",
        ShapeError,
        r"LSTMCell: input has 3 features \(input \(4, 3\)\) but input_size is 2",
    ),
    ("nn.LSTMCell(2, 3)(T.ones(4, 2), (T.ones(4, 3),))", TypeError, "LSTMCell: hx must be a pair of Tensors"),
    ("nn.GRUCell(2, 3)([1.0])", TypeError, "GRUCell: input must be a Tensor, not a list of 1: float"),
    ("nn.GRUCell(2, 3)(T.ones(4, 2), T.ones(3, 3))", ShapeError, r"hx has the shape \(3, 3\) but must be \(4, 3\)"),
    ("gru(x, lengths=[2**70, 1, 1])", ShapeError, "lengths must fit the steps of the input"),
    ("gru(x, lengths=T.tensor([255, 1, 1], dtype=T.uint8))", ShapeError, r"lengths\[0\] is 255, but input"),
    ("gru(x, lengths={2, 3, 1})", TypeError, "lengths must be a list or a 1-D tensor of integers, not set"),
    ("r.invert_permutation(T.tensor([0, 0]))", ShapeError, r"\[0, 0\] names a number twice"),
    ("r.invert_permutation(T.tensor([0, -1]))", IndexError, "index -1 is out of bounds"),
    ("gru(r.PackedSequence(T.ones(3, 2), [2, 1]))", TypeError, "batch_sizes of a PackedSequence must be a Tensor"),
    ("gru(r.PackedSequence([[1.0]], T.tensor([1])))", TypeError, "data of a PackedSequence must be a Tensor, not list"),
    ("nn.LSTM(2, 3, checkpoint=1)", TypeError, "checkpoint should be of type bool"),
    ("nn.LSTM(2, 3, forget_bias=float('inf'))", ValueError, "forget_bias should be finite"),
    ("nn.GRU(2, 3, bias_mode='one')", ValueError, "bias_mode must be 'double'"),
    ("nn.LSTM(2, 3, forget_bias='a')", TypeError, "forget_bias should be a number"),
    ("nn.LSTM(2, 3, bias=False, forget_bias=1.0)", ValueError, "forget_bias belongs to an LSTM with bias"),
    ("nn.RNNBase('GRU', 2, 3, forget_bias=1.0)", ValueError, "forget_bias belongs to an LSTM with bias"),
    ("nn.RNNBase('GRU', 2, 3, proj_size=2)", ValueError, "proj_size argument is only supported for LSTM"),
]


@pytest.mark.parametrize("line, kind, message", STRICTER, ids=[line for line, _, _ in STRICTER])
def test_errors(line: str, kind: type[Exception], message: str) -> None:
    scope: dict[str, Any] = {"T": pydl, "nn": nn}
    exec(SCOPE, scope)
    before = pydl.random.get_rng_state().tolist()
    with pytest.raises(kind, match=message):
        eval(line, scope)
    made_a_layer = "nn." in line
    assert made_a_layer or pydl.random.get_rng_state().tolist() == before


def test_a_refused_input_changes_nothing() -> None:
    """Neither the random numbers of dropout nor a gradient is touched."""
    layer = nn.LSTM(2, 4, 2, dropout=0.5)
    layer(pydl.ones(3, 2, 2))[0].sum().backward()
    gradients = [p.grad.tolist() for p in layer.parameters()]
    before = pydl.random.get_rng_state().tolist()
    for arguments in ({"hx": (pydl.zeros(2, 2, 4), pydl.zeros(2, 2, 5))}, {"lengths": [3, 4]}, {"lengths": [3]}):
        with pytest.raises(ShapeError):
            layer(pydl.ones(3, 2, 2), **arguments)
    assert pydl.random.get_rng_state().tolist() == before
    assert [p.grad.tolist() for p in layer.parameters()] == gradients
