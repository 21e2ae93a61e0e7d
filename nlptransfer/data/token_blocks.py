"""Running text as token ids on disk, read once, and endless batches of full blocks of it for pretraining."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from nlptransfer.data.text_lines import TextSource, group_shares, has_excluded_sentence, text_key
from nlptransfer.errors import InputError
from nlptransfer.files import write_folder_whole, write_json
from nlptransfer.types import Batch

_CHUNK = 2_000
_LIST = "tokens.json"


@dataclass(frozen=True)
class SourceLines:
    """How the lines of one text were dealt out.

    Attributes:
        name: of the text.
        group: what it belongs to.
        train_lines: to train on.
        train_characters: that these hold.
        dev_lines: to develop on.
        excluded_lines: kept out.
    """

    name: str
    group: str
    train_lines: int
    train_characters: int
    dev_lines: int
    excluded_lines: int


def split_lines(
    source: TextSource, *, excluded: set[int], dev_fraction: float, seed: int
) -> Iterator[tuple[str, str | None]]:
    """Each line of a text with the part that it goes to: "train", "dev", or None where it is kept out.

    Lines with the same letters go to the same part, in every file, so that no repeated line is both.

    Args:
        source: the text.
        excluded: keys of the texts to keep out, see `excluded_keys`.
        dev_fraction: share of the lines to develop on, by chance.
        seed: of that chance.

    Yields:
        Line and part.
    """
    threshold = int(dev_fraction * 2**32)
    salt = seed.to_bytes(8, "little")
    for line in source.lines():
        key = text_key(line)
        if key in excluded or has_excluded_sentence(line, excluded):
            yield line, None
            continue
        drawn = blake2b(key.to_bytes(8, "little"), digest_size=4, key=salt).digest()
        yield line, "dev" if int.from_bytes(drawn, "little") < threshold else "train"


def count_lines(source: TextSource, *, excluded: set[int], dev_fraction: float, seed: int) -> SourceLines:
    """Go once through a text to see how its lines are dealt out.

    Args:
        source: the text.
        excluded: see `split_lines`.
        dev_fraction: see `split_lines`.
        seed: see `split_lines`.

    Raises:
        InputError: nothing is left to train on.
    """
    counts = {"train": 0, "dev": 0, None: 0}
    characters = 0
    for line, part in split_lines(source, excluded=excluded, dev_fraction=dev_fraction, seed=seed):
        counts[part] += 1
        characters += len(line) if part == "train" else 0
    if not counts["train"]:
        raise InputError(
            "no line of the text is left to train on",
            where=source.name,
            found=f"{counts[None]} lines kept out, {counts['dev']} to develop on",
            remedy="Leave the file out, or exclude less.",
        )
    return SourceLines(source.name, source.group, counts["train"], characters, counts["dev"], counts[None])


@dataclass(frozen=True)
class TokenStream:
    """The tokens of one part of one text, on disk.

    Attributes:
        name: of the text.
        group: what it belongs to.
        files: of the shards, one-dimensional arrays of ids, below the folder.
        num_tokens: in all of them.
    """

    name: str
    group: str
    files: list[str]
    num_tokens: int


def write_token_streams(
    folder: str | Path,
    sources: Sequence[TextSource],
    encode: Callable[[list[str]], list[list[int]]],
    *,
    vocab_size: int,
    separator_id: int,
    excluded: set[int],
    dev_fraction: float,
    seed: int,
    shard_tokens: int = 1 << 24,
) -> None:
    """Split all texts into tokens, once, and write them as numpy shards; memory holds one shard at a time.

    Args:
        folder: what to write, whole or not at all.
        sources: the texts.
        encode: lines -> their token ids, without special ones; a fast tokenizer takes both cores for it.
        vocab_size: ids below 65,536 are kept in two bytes each, others in four.
        separator_id: put after every line.
        excluded: see `split_lines`.
        dev_fraction: see `split_lines`.
        seed: see `split_lines`.
        shard_tokens: tokens of a shard, at most.

    Raises:
        OSError: the folder can't be written.
    """
    dtype = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    with write_folder_whole(folder) as temporary:
        streams: dict[str, list[TokenStream]] = {"train": [], "dev": []}
        for number, source in enumerate(sources):
            shards = {part: _Shards(temporary, f"{number}-{part}", dtype, shard_tokens) for part in streams}
            lines = split_lines(source, excluded=excluded, dev_fraction=dev_fraction, seed=seed)
            while chunk := list(islice(lines, _CHUNK)):
                for part, own in shards.items():
                    texts = [line for line, of in chunk if of == part]
                    for ids in encode(texts) if texts else ():
                        own.add([*ids, separator_id])
            for part, own in shards.items():
                files, num_tokens = own.close()
                streams[part].append(TokenStream(source.name, source.group, files, num_tokens))
        write_json(temporary / _LIST, {part: [asdict(own) for own in listed] for part, listed in streams.items()})


class _Shards:
    """Collects tokens and writes a file whenever there are enough."""

    def __init__(self, folder: Path, name: str, dtype: type, size: int) -> None:
        self.folder, self.name, self.size = folder, name, size
        self.buffer: np.ndarray = np.empty(size, dtype=dtype)
        self.filled = 0
        self.files: list[str] = []
        self.written = 0

    def add(self, ids: list[int]) -> None:
        at = 0
        while at < len(ids):
            taken = min(len(ids) - at, self.size - self.filled)
            self.buffer[self.filled : self.filled + taken] = ids[at : at + taken]
            self.filled += taken
            at += taken
            if self.filled == self.size:
                self.flush()

    def flush(self) -> None:
        file = f"{self.name}-{len(self.files):05}.npy"
        np.save(self.folder / file, self.buffer[: self.filled])
        self.files.append(file)
        self.written += self.filled
        self.filled = 0

    def close(self) -> tuple[list[str], int]:
        if self.filled:
            self.flush()
        return self.files, self.written


def read_token_streams(folder: str | Path) -> dict[str, list[TokenStream]]:
    """What `write_token_streams` wrote: "train" and "dev", a stream for each text in the order given.

    Args:
        folder: that it wrote.
    """
    listed = json.loads((Path(folder) / _LIST).read_text(encoding="utf-8"))
    return {part: [TokenStream(**own) for own in streams] for part, streams in listed.items()}


class _Blocks:
    """The blocks of one stream: each shard cut every `length` tokens, from an offset that changes with each pass.

    A shard is a ring: a block at its end goes on at its beginning. A shard shorter than one block is one short block.
    """

    def __init__(self, folder: Path, stream: TokenStream, length: int) -> None:
        self.shards = [np.load(folder / file, mmap_mode="r") for file in stream.files]
        self.length = length
        self.counts = np.array([max(1, len(shard) // length) for shard in self.shards], dtype=np.int64)
        self.ends = np.cumsum(self.counts)
        self.num_blocks = int(self.counts.sum())

    def block(self, number: int, offset: int) -> np.ndarray:
        """Tokens of block `number`, with all shards read from `offset` on."""
        shard_number = int(np.searchsorted(self.ends, number, side="right"))
        shard = self.shards[shard_number]
        size = len(shard)
        if size <= self.length:
            return np.asarray(shard, dtype=np.int64)
        within = number - int(self.ends[shard_number] - self.counts[shard_number])
        start = (offset + within * self.length) % size
        head = np.asarray(shard[start : start + self.length], dtype=np.int64)
        if len(head) == self.length:
            return head
        return np.concatenate([head, np.asarray(shard[: self.length - len(head)], dtype=np.int64)])


class BlockBatches:
    """Batches of blocks ``[CLS] tokens [SEP]`` of one length, drawn from several texts, without an end.

    An epoch is `steps_per_epoch` batches, whatever the size of the text, so that checkpoints come as often as one
    likes. Each text is gone through without repetition, in an order of its own and cut elsewhere in every pass; how
    often a group of texts is shown follows `group_shares`, within a group the texts' sizes. What comes in an epoch
    depends on the seed and the epoch alone.

    Args:
        folder: as `write_token_streams` wrote it.
        batch_size: blocks per batch.
        max_length: tokens of a block, the two special ones included.
        steps_per_epoch: batches that `train` takes for an epoch.
        seed: of the order.
        start_id: of ``[CLS]``.
        end_id: of ``[SEP]``.
        exponent: see `group_shares`; sizes are counted in tokens.

    Attributes:
        num_tokens: of all texts, special ones of the blocks left out.
        shares: by text, the share of the blocks that it gets.

    Raises:
        ValueError: no room for a token in a block, or for a block in a batch.

    Example:
        >>> batches = BlockBatches(folder, batch_size=32, max_length=128, steps_per_epoch=500, seed=0,
        ...                        start_id=2, end_id=3)
        >>> train(model, step, batches, optimizer, epochs=40, seed=0)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        batch_size: int,
        max_length: int,
        steps_per_epoch: int,
        seed: int,
        start_id: int,
        end_id: int,
        exponent: float = 0.5,
    ) -> None:
        if max_length < 3 or batch_size < 1 or steps_per_epoch < 1:
            raise ValueError(
                "max_length must be at least 3, batch_size and steps_per_epoch at least 1, "
                f"found {max_length}, {batch_size} and {steps_per_epoch}"
            )
        streams = read_token_streams(folder)["train"]
        self._blocks = [_Blocks(Path(folder), stream, max_length - 2) for stream in streams]
        self.batch_size = batch_size
        self.max_length = max_length
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.start_id, self.end_id = start_id, end_id
        self.num_tokens = sum(stream.num_tokens for stream in streams)
        sizes: dict[str, float] = {}
        for stream in streams:
            sizes[stream.group] = sizes.get(stream.group, 0) + stream.num_tokens
        of_group = group_shares(sizes, exponent=exponent)
        self._shares = np.array([of_group[own.group] * own.num_tokens / sizes[own.group] for own in streams])
        self.shares = {own.name: float(share) for own, share in zip(streams, self._shares, strict=True)}
        self._taken = np.zeros((1, len(streams)), dtype=np.int64)  # (epochs + 1, texts) blocks before each epoch
        self._epoch = 0
        self._padding: dict[int, float] = {}  # by epoch gone through

    def set_epoch(self, epoch: int) -> None:
        """Choose which slice of the text comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self.steps_per_epoch

    @property
    def padding(self) -> float:
        """The share of padding among all positions of the epoch last gone through; 0 but for texts below one block."""
        return self._padding.get(self._epoch, 0.0)

    def __iter__(self) -> Iterator[Batch]:
        epoch, size = self._epoch, self.batch_size
        counts, firsts = self._counts(epoch)
        texts = np.repeat(np.arange(len(counts)), counts)
        places = [self._places(text, int(firsts[text]), int(counts[text])) for text in range(len(counts))]
        numbers, offsets = np.concatenate(places, axis=1)
        order = np.random.default_rng((self.seed, epoch, 1)).permutation(len(texts))
        padding = 0
        for at in range(0, len(order), size):
            chosen = order[at : at + size]
            blocks = [self._blocks[texts[i]].block(int(numbers[i]), int(offsets[i])) for i in chosen]
            padding += sum(self.max_length - 2 - len(block) for block in blocks)
            yield make_block_batch(blocks, start_id=self.start_id, end_id=self.end_id)
        self._padding[epoch] = padding / (len(order) * self.max_length)

    def _counts(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """How many blocks of each text the epoch takes, and how many the epochs before it took."""
        blocks = self.steps_per_epoch * self.batch_size
        while len(self._taken) < epoch + 2:
            random = np.random.default_rng((self.seed, len(self._taken) - 1, 0))
            drawn = random.multinomial(blocks, self._shares / self._shares.sum())
            self._taken = np.vstack([self._taken, self._taken[-1] + drawn])
        return self._taken[epoch + 1] - self._taken[epoch], self._taken[epoch]

    def _places(self, text: int, first: int, count: int) -> np.ndarray:
        """(2, count) block and offset at the places from `first` on of a text's endless sequence of passes."""
        num_blocks = self._blocks[text].num_blocks
        found = [np.zeros((2, 0), dtype=np.int64)]
        place = first
        while place < first + count:
            number_of_pass, start = divmod(place, num_blocks)
            random = np.random.default_rng((self.seed, text, number_of_pass, 2))
            offset = random.integers(1 << 30)
            numbers = random.permutation(num_blocks)[start : start + first + count - place]
            found.append(np.stack([numbers, np.full(len(numbers), offset)]))
            place += len(numbers)
        return np.concatenate(found, axis=1)


def make_block_batch(blocks: Sequence[np.ndarray], *, start_id: int, end_id: int) -> Batch:
    """Blocks of tokens as a batch, each with the special tokens around it.

    Args:
        blocks: ids without special ones around them; shorter ones are padded.
        start_id: of ``[CLS]``.
        end_id: of ``[SEP]``.
    """
    lengths = np.array([len(block) + 2 for block in blocks])
    ids = np.zeros((len(blocks), int(lengths.max())), dtype=np.int64)
    for row, block in enumerate(blocks):
        ids[row, 0], ids[row, len(block) + 1] = start_id, end_id
        ids[row, 1 : len(block) + 1] = block
    mask = np.arange(ids.shape[1]) < lengths[:, None]  # (batch, time)
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask))


def dev_batches(
    folder: str | Path, *, batch_size: int, max_length: int, max_blocks: int, start_id: int, end_id: int
) -> dict[str, list[Batch]]:
    """The lines held out of each text, in blocks: evenly spread ones where there are more than `max_blocks`.

    Args:
        folder: as `write_token_streams` wrote it.
        batch_size: blocks per batch.
        max_length: tokens of a block, the two special ones included.
        max_blocks: of each text.
        start_id: of ``[CLS]``.
        end_id: of ``[SEP]``.

    Returns:
        Batches by text; texts without held-out lines are left out.
    """
    found = {}
    for stream in read_token_streams(folder)["dev"]:
        if not stream.num_tokens:
            continue
        own = _Blocks(Path(folder), stream, max_length - 2)
        chosen = np.unique(np.linspace(0, own.num_blocks - 1, min(max_blocks, own.num_blocks)).astype(int))
        blocks = [own.block(int(number), 0) for number in chosen]
        found[stream.name] = [
            make_block_batch(blocks[at : at + batch_size], start_id=start_id, end_id=end_id)
            for at in range(0, len(blocks), batch_size)
        ]
    return found


def train_lines(
    sources: Iterable[TextSource], *, excluded: set[int], dev_fraction: float, seed: int
) -> dict[str, list[Iterator[str]]]:
    """Streams of the lines to train on, by group, for `balanced_lines`.

    Args:
        sources: the texts.
        excluded: see `split_lines`.
        dev_fraction: see `split_lines`.
        seed: see `split_lines`.
    """

    def of_train(source: TextSource) -> Iterator[str]:
        parts = split_lines(source, excluded=excluded, dev_fraction=dev_fraction, seed=seed)
        yield from (line for line, part in parts if part == "train")

    streams: dict[str, list[Iterator[str]]] = {}
    for source in sources:
        streams.setdefault(source.group, []).append(of_train(source))
    return streams
