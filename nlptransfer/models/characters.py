"""Word features from characters: what an unseen word's spelling tells."""

from __future__ import annotations

import torch
from torch import nn

from nlptransfer.models.recurrent import RecurrentEncoder


class CharacterCNN(nn.Module):
    """Convolution over a word's characters, the maximum over its positions (dos Santos & Zadrozny 2014, section 2.1.2).

    Args:
        num_characters: ids in the character vocabulary, the reserved ones included.
        output_dim: filters, the size of a word's features.
        embedding_dim: size of a character's embedding.
        width: characters under a filter, odd.

    Raises:
        ValueError: an even width.

    Compare with:
        `CharacterLSTM`, which was better for part-of-speech tags here, and takes longer.

    Example:
        >>> CharacterCNN(80, 50)(torch.tensor([[2, 5, 3], [2, 3, 0]])).shape
        torch.Size([2, 50])
    """

    def __init__(self, num_characters: int, output_dim: int, *, embedding_dim: int = 32, width: int = 3) -> None:
        super().__init__()
        if width % 2 == 0:
            raise ValueError(f"a filter is centred on a character, so its width is odd; found {width}")
        self.output_dim = output_dim
        self.embedding = nn.Embedding(num_characters, embedding_dim, padding_idx=0)
        # Zeros beyond the word's ends, the same whether they come from here or from the batch's padding.
        self.convolution = nn.Conv1d(embedding_dim, output_dim, width, padding=width // 2)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """(words, characters) ids, 0 on padding -> (words, output_dim)."""
        embedded = self.embedding(characters).transpose(1, 2)  # (words, embedding_dim, characters)
        filtered = self.convolution(embedded)  # (words, output_dim, characters)
        return filtered.masked_fill((characters == 0)[:, None, :], -torch.inf).amax(dim=2).relu()


class CharacterLSTM(nn.Module):
    """Last states of a bidirectional LSTM over a word's characters (Ling et al. 2015, section 2.2).

    Args:
        num_characters: ids in the character vocabulary, the reserved ones included.
        output_dim: the size of a word's features, both directions together; even.
        embedding_dim: size of a character's embedding.

    Raises:
        ValueError: an odd size.

    Example:
        >>> CharacterLSTM(80, 50)(torch.tensor([[2, 5, 3], [2, 3, 0]])).shape
        torch.Size([2, 50])
    """

    def __init__(self, num_characters: int, output_dim: int, *, embedding_dim: int = 32) -> None:
        super().__init__()
        if output_dim % 2:
            raise ValueError(f"the features of a character LSTM come half from each direction: {output_dim} is odd")
        self.output_dim = output_dim
        self.embedding = nn.Embedding(num_characters, embedding_dim, padding_idx=0)
        self.encoder = RecurrentEncoder(embedding_dim, output_dim // 2)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """(words, characters) ids, 0 on padding -> (words, output_dim)."""
        mask = characters != 0
        states = self.encoder(self.embedding(characters), mask)  # (words, characters, output_dim)
        half = self.output_dim // 2
        last = mask.sum(dim=1) - 1
        rows = torch.arange(len(characters), device=characters.device)
        # Left to right ends at the last character, right to left at the first.
        return torch.cat([states[rows, last, :half], states[:, 0, half:]], dim=1)
