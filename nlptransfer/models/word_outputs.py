"""What a network says of each word, put together from the windows that long sentences are read in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from nlptransfer.data.batching import WindowBatches
from nlptransfer.types import Batch


@torch.inference_mode()
def words_in_order(
    network: nn.Module,
    batches: WindowBatches,
    num_words: int,
    read: Callable[[Batch], torch.Tensor],
) -> np.ndarray:
    """Run a network over windows, and put what it says of each word in the words' order.

    Args:
        network: on any device; it runs in evaluation mode, and is left in the mode it was in.
        batches: the windows of all sentences.
        num_words: of all sentences.
        read: batch on the network's device -> (batch, time, ...), as many numbers for each word.

    Returns:
        (num_words, ...) of the type that `read` gives; (0,) where there are no words.

    Example:
        >>> words_in_order(tagger, batches, 4, lambda batch: tagger(batch).logits)
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    found = np.zeros(0)
    tagged = np.zeros(num_words, dtype=bool)
    for windows, batch in batches.groups():
        rows = read(batch.to(device)).cpu().numpy()
        if not len(found):
            found = np.zeros((num_words, *rows.shape[2:]), dtype=rows.dtype)
        for row, window in zip(rows, windows, strict=True):
            found[window.first : window.last] = row[window.first - window.start : window.last - window.start]
            tagged[window.first : window.last] = True
    network.train(was_training)
    # Word accounting: every word given has been read, long sentences and all.
    assert tagged.all(), "some words were not read"
    return found
