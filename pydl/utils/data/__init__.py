# SPDX-License-Identifier: BSD-3-Clause
"""Data sets, samplers and the loader that turns them into batches."""

from pydl.utils.data.buckets import BucketBatchSampler, PaddingReport, pad_collate, padding_report
from pydl.utils.data.collate import default_collate, default_convert
from pydl.utils.data.dataloader import DataLoader
from pydl.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from pydl.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from pydl.utils.data.worker_info import get_worker_info

__all__ = [
    "BatchSampler", "BucketBatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset",
    "PaddingReport", "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset", "SubsetRandomSampler",
    "TensorDataset", "WeightedRandomSampler", "default_collate", "default_convert", "get_worker_info", "pad_collate",
    "padding_report", "random_split",
]  # fmt: skip
