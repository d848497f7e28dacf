# SPDX-License-Identifier: BSD-3-Clause
"""Lines that must mean the same with `T` = pydl and `T` = torch; `test_parity` runs them."""

from __future__ import annotations

LINES = """
T.tensor(1.)
T.tensor([1, 2])
T.tensor([1., 2])
T.tensor([[1, 2], [3, 4.5]])
T.tensor([True, False])
T.tensor([])
T.tensor([[]])
T.tensor([[1], [2, 3]])
T.tensor(np.arange(3.0))
T.tensor(np.arange(3, dtype=np.int32))
T.tensor(np.float64(3))
T.tensor('a')
T.tensor([1, 2], dtype=T.float32, requires_grad=True)
T.tensor([1, 2], requires_grad=True)
T.tensor([T.tensor(1.), T.tensor(2.)])
T.Tensor([1, 2])
T.Tensor(2, 0)
T.as_tensor([1, 2])
T.as_tensor(np.ones(2))
T.from_numpy(np.ones(2))
T.from_numpy([1, 2])
T.from_numpy(np.array(['a']))
T.zeros(2, 3)
T.zeros((2, 3))
T.zeros([2, 3], dtype=T.int64)
T.zeros(0)
T.zeros(-1)
T.ones(2, requires_grad=True)
T.full((2,), 7)
T.full((2,), 7.)
T.full((2,), True)
T.arange(5)
T.arange(1, 2, 0.25)
T.arange(5.)
T.arange(5, 1, -2)
T.arange(1, 5, 0)
T.linspace(0, 1, 5)
T.eye(3)
T.zeros_like(T.ones(2, dtype=T.int32))
T.ones_like(T.ones(2, 3), dtype=T.float64)
T.tensor([1.5, 2]).item()
T.tensor(1.5).item()
T.tensor([[3]]).item()
T.tensor([1, 2]).tolist()
T.tensor(3).tolist()
float(T.tensor([2.5]))
int(T.tensor(2.7))
bool(T.tensor([0.0]))
bool(T.tensor([1, 2]))
bool(T.tensor([]))
len(T.ones(3, 2))
len(T.tensor(1))
list(T.ones(2, 2))[0]
[x for x in T.tensor(1.)]
2 in T.tensor([1, 2])
T.ones(2, 3).shape
T.ones(2, 3).size(1)
T.ones(2, 3).size()
T.ones(2, 3).size(2)
T.ones(2, 3).numel()
T.ones(2, 3).dim()
T.ones(2, 3).stride()
T.ones(2, 3).t().stride()
T.ones(2, 3).t().is_contiguous()
T.ones(2, 3).dtype
T.ones(2).device
T.ones(2, 3).view(3, 2)
T.ones(2, 3).view(-1)
T.ones(2, 3).t().view(6)
T.ones(2, 3).t().reshape(6)
T.ones(2, 3).view(4)
T.ones(2, 3).view(-1, -1)
T.ones(2, 3).view(-1, 4)
T.ones(2, 3).view_as(T.ones(6))
T.ones(2, 3).T
T.ones(2, 3).mT
T.ones(2, 3, 4).transpose(0, 2).shape
T.ones(2, 3, 4).permute(2, 0, 1).shape
T.ones(2, 3, 4).permute(2, 0)
T.ones(2, 3).transpose(0, 2)
T.ones(2, 1, 3, 1).squeeze().shape
T.ones(2, 1, 3, 1).squeeze(1).shape
T.ones(2, 1, 3, 1).squeeze(0).shape
T.ones(2, 3).unsqueeze(-1).shape
T.ones(2, 3).unsqueeze(3)
T.ones(3, 1).expand(3, 4)
T.ones(3, 1).expand(-1, 4).stride()
T.ones(3).expand(2)
T.ones(1, 3).expand_as(T.ones(2, 3))
T.ones(2, 3).flatten()
T.ones(2, 3, 4).flatten(1).shape
T.ones(2, 3).repeat(2, 2).shape
T.arange(6).view(2, 3)[1]
T.arange(6).view(2, 3)[1, 2]
T.arange(6).view(2, 3)[:, 1]
T.arange(6).view(2, 3)[..., -1]
T.arange(6).view(2, 3)[None].shape
T.arange(6).view(2, 3)[[0, 1]]
T.arange(6).view(2, 3)[[0, 1], [1, 2]]
T.arange(6).view(2, 3)[T.tensor([0, 1]), T.tensor([1, 2])]
T.arange(6).view(2, 3)[T.tensor([[True, False, True], [False, True, False]])]
T.arange(6).view(2, 3)[T.arange(6).view(2, 3) > 2]
T.arange(6).view(2, 3)[:, [True, False, True]]
T.arange(6)[::2]
T.arange(6)[::-1]
T.arange(6)[6]
T.arange(6)[-7]
T.arange(6)[1:100]
T.arange(6)[4:2]
T.arange(6)[T.tensor([0, 6])]
T.arange(6)[True]
T.arange(6)[False].shape
T.arange(6)[1.0]
T.arange(6)['a']
T.arange(6)[0, 0]
T.tensor(5)[0]
T.tensor(5)[...]
T.ones(2, 3) + T.ones(2)
T.ones(2, 3) @ T.ones(2, 3)
T.ones(2, 3) @ 2
T.ones(3) @ T.ones(3)
T.matmul(T.ones(2, 1, 3, 4), T.ones(5, 4, 2)).shape
T.mm(T.ones(2, 3, 4), T.ones(4, 2))
T.ones(2, 3, dtype=T.float64) @ T.ones(3, 2)
T.ones(2, 3).sum()
T.ones(2, 3).sum(0)
T.ones(2, 3).sum((0, 1))
T.ones(2, 3).sum(dim=1, keepdim=True)
T.ones(2, 3).sum(2)
T.ones(2, 3).sum(dtype=T.float64)
T.ones(2, 3, dtype=T.uint8).sum()
T.arange(6).view(2, 3).float().mean(1)
T.arange(6).mean()
T.arange(6.).var()
T.arange(6.).std(unbiased=False)
T.tensor([1.]).std()
T.arange(6).view(2, 3).max(1).values
T.arange(6).view(2, 3).max(1).indices
T.arange(6).view(2, 3).max(0)[1]
T.arange(6).view(2, 3).max()
T.max(T.tensor([1, 5]), T.tensor([3, 2]))
T.tensor([1., float('nan'), 3]).max()
T.tensor([1., float('nan'), 3]).argmax()
T.tensor([]).max()
T.tensor([]).sum()
T.tensor([]).mean()
T.tensor([1., 2, 2]).argmax()
T.tensor([3, 1, 2]).argmax(dim=0, keepdim=True)
T.cat([T.ones(2), T.zeros(1)])
T.cat([T.ones(2), T.ones(1, dtype=T.int64)])
T.cat([T.ones(2, dtype=T.int32), T.ones(1, dtype=T.int64)])
T.cat([T.ones(2, 2), T.ones(1)])
T.cat([])
T.stack([T.ones(2), T.zeros(2)], 1)
T.stack([T.ones(2), T.zeros(3)])
[x.shape for x in T.ones(7).split(3)]
[x.shape for x in T.ones(7).chunk(3)]
[x.shape for x in T.ones(7, 2).split([3, 4])]
T.ones(7).split([3, 3])
T.where(T.tensor([True, False]), T.ones(2), T.zeros(2))
T.where(T.tensor([True, False]), 1.0, 0.0)
T.where(T.tensor([True, False]), T.ones(2, dtype=T.int64), 0.5)
T.ones(3).clamp(min=2)
T.ones(3).clamp()
T.ones(3).clamp(0, 0.5)
T.softmax(T.tensor([1., 2, 3]), 0)
T.softmax(T.tensor([1, 2, 3]), 0)
T.softmax(T.tensor([1., 2]), 1)
F.softmax(T.tensor([1., 2]), dim=0, dtype=T.float64)
F.log_softmax(T.tensor([[1., 2]]), -1)
T.relu(T.tensor([-1, 2]))
T.tensor([-1, 2]).sigmoid()
F.linear(T.ones(2, 3), T.ones(4, 3))
F.linear(T.ones(2, 3), T.ones(4, 2))
F.linear(T.ones(2, 3), T.ones(4, 3), T.ones(3))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 2]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 3]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, -1]))
F.cross_entropy(T.ones(2, 3), T.tensor([-100, -100]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1]), reduction='no')
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1, 2]))
F.cross_entropy(T.ones(2, 3), T.tensor([0., 1.]))
F.cross_entropy(T.ones(2, 3), T.ones(2, 3) / 3)
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1], dtype=T.int32))
F.nll_loss(T.ones(2, 3), T.tensor([0, 2]), weight=T.tensor([1., 2, 3]))
F.mse_loss(T.ones(2), T.zeros(2))
F.mse_loss(T.ones(2), T.zeros(2), reduction='sum')
F.binary_cross_entropy(T.tensor([0.5]), T.tensor([2.]))
F.binary_cross_entropy(T.tensor([0.5, 0.1]), T.tensor([1.]))
F.binary_cross_entropy(T.tensor([1.5]), T.tensor([1.]))
F.binary_cross_entropy_with_logits(T.tensor([0.5, 2]), T.tensor([1., 0]))
T.tensor([1, 2]).float().dtype
T.tensor([1.7, -1.7]).long()
T.tensor([1.7, 0]).bool()
T.tensor([1., 2]).to(T.float64)
T.tensor([1., 2]).to('cpu')
T.tensor([1., 2]).type(T.int64)
T.tensor([1, 2]).double()
T.tensor([300]).to(T.uint8)
T.equal(T.ones(2), T.ones(2))
T.allclose(T.ones(2), T.ones(2) + 1e-9)
T.isnan(T.tensor([1., float('nan')]))
T.ones(2).add(T.ones(2), alpha=3)
T.add(T.ones(2), 1)
T.ones(2).add_(T.ones(3))
T.ones(2, dtype=T.int64).add_(0.5)
T.ones(2, dtype=T.int64).add_(1)
T.ones(1).add_(T.ones(3))
T.ones(2).mul_(T.ones(2, dtype=T.float64))
T.zeros(3).fill_(2)
T.zeros(2).copy_(T.tensor([1, 2]))
T.zeros(2).copy_(T.ones(3))
T.ones(3).expand(2, 3).add_(1)
T.ones(2, requires_grad=True).add_(1)
T.ones(2, requires_grad=True).numpy()
T.ones(2, requires_grad=True).detach()
T.ones(2, requires_grad=True) * 2
(T.ones(2, requires_grad=True) * 2 > 1)
T.ones(2, requires_grad=True).sum().item()
T.ones(2, requires_grad=True).backward()
T.ones(2).sum().backward()
T.tensor([1, 2]).requires_grad_()
T.ones(2).requires_grad_().is_leaf
T.ones(2) == None
T.ones(2) != T.ones(2)
T.ones(2) < 'a'
T.ones(2) + 'a'
T.ones(2) + None
T.ones(2) + [1, 2]
-T.tensor([True])
T.tensor([True]) - T.tensor([True])
~T.tensor([True, False])
T.tensor([True, False]) & T.tensor([True, True])
abs(T.tensor([-1, 2]))
T.tensor([2]) ** -1
T.tensor([2.]) ** -1
2 ** T.tensor([1, 2])
T.tensor([-8.]) ** (1 / 3)
T.tensor([4, 9]).sqrt()
T.tensor([1., 2]).pow(T.tensor([2, 3]))
1 / T.tensor([0., 2])
T.tensor([5, -5]) / 2
T.log(T.tensor([0., -1]))
T.arange(3).float().index_select(0, T.tensor([2, 0]))
T.arange(3).index_select(0, T.tensor([3]))
T.arange(6).view(2, 3).gather(1, T.tensor([[0, 2], [1, 1]]))
T.arange(6).view(2, 3).gather(1, T.tensor([[3]]))
repr(T.tensor([1., 2.5]))
repr(T.tensor([1, -2]))
repr(T.tensor(3.))
repr(T.tensor([[1., 1e6], [1e-6, 2]]))
repr(T.tensor([1., float('nan'), float('inf')]))
repr(T.tensor([True, False]))
repr(T.zeros(0))
repr(T.zeros(2, 0))
repr(T.arange(2000))
repr(T.arange(24.).view(2, 3, 4))
repr(T.ones(2, requires_grad=True))
repr(T.tensor([1e10, 1]))
repr(T.tensor([0.1, 0.12345678]))
repr(T.ones(2).int())
str(T.ones(2, 3).shape)
repr(nn.Linear(2, 3))
repr(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
f'{T.tensor(1.5):.3f}'
f'{T.tensor([1.5])}'
""".strip().splitlines()
