"""Every line goes to one part, every token comes once a pass, and an epoch follows from seed and number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptransfer.data.text_lines import TextSource, excluded_keys
from nlptransfer.data.token_blocks import (
    BlockBatches,
    count_lines,
    dev_batches,
    read_token_streams,
    split_lines,
    train_lines,
    write_token_streams,
)
from nlptransfer.errors import InputError
from nlptransfer.types import Batch

START, END = 2, 3
DEALT: dict[str, Any] = {"excluded": set(), "dev_fraction": 0.1, "seed": 4}


def make_sources(folder: Path, sizes: dict[str, int], group: str | None = None) -> list[TextSource]:
    """Files of numbered lines; line 7 of b is `b7 x x`, three words."""
    sources = []
    for name, size in sizes.items():
        path = folder / f"{name}.txt"
        path.write_text("".join(f"{name}{line} x x\n" for line in range(size)), encoding="utf-8")
        sources.append(TextSource(name, group or name, path))
    return sources


def encode(texts: list[str]) -> list[list[int]]:
    """Each line's first word is a token of its own: 10,000 for each text, plus the line."""
    return [[10_000 * (ord(text[0]) - ord("a") + 1) + int(text.split()[0][1:]), 5, 6] for text in texts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts of 300, 60 and 1 lines as tokens."""
    sources = make_sources(tmp_path, {"a": 300, "b": 60, "c": 1})
    write_token_streams(
        tmp_path / "tokens", sources, encode, vocab_size=70_000, separator_id=END, shard_tokens=500, **DEALT
    )
    return tmp_path / "tokens"


def make(folder: Path, **others: Any) -> BlockBatches:
    settings = {"batch_size": 4, "max_length": 10, "steps_per_epoch": 30, "seed": 0, "start_id": START, "end_id": END}
    return BlockBatches(folder, **(settings | others))


def rows(batches: Iterator[Batch] | BlockBatches) -> list[list[int]]:
    """The blocks, without their special tokens and padding."""
    return [
        ids[mask][1:-1].tolist() for batch in batches for ids, mask in zip(batch.input_ids, batch.mask, strict=True)
    ]


def test_a_repeated_line_is_never_in_both_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"Line {n % 200}!\nline {n % 200}\n" for n in range(400)))
    source = TextSource("a", "a", path)
    parts: dict[str, set[str | None]] = {}
    for line, part in split_lines(source, excluded=set(), dev_fraction=0.2, seed=1):
        parts.setdefault(line.lower().rstrip("!"), set()).add(part)
    assert {len(own) for own in parts.values()} == {1}
    assert 20 < sum("dev" in own for own in parts.values()) < 60
    other = [part for _, part in split_lines(source, excluded=set(), dev_fraction=0.2, seed=2)]
    assert other != [part for _, part in split_lines(source, excluded=set(), dev_fraction=0.2, seed=1)]


def test_lines_are_counted_by_part_and_those_kept_out_are_nowhere(tmp_path: Path) -> None:
    sources = make_sources(tmp_path, {"a": 200})
    (tmp_path / "out.txt").write_text("A3 - X X.\nA5 x x\nz\n")
    excluded = excluded_keys([TextSource("out", "out", tmp_path / "out.txt")])
    counted = count_lines(sources[0], excluded=excluded, dev_fraction=0.1, seed=4)
    assert counted.excluded_lines == 2
    assert counted.train_lines + counted.dev_lines == 198 and counted.dev_lines > 5
    kept = train_lines(sources, excluded=excluded, dev_fraction=0.1, seed=4)
    lines = [line for stream in kept["a"] for line in stream]
    assert len(lines) == counted.train_lines
    assert sum(map(len, lines)) == counted.train_characters
    assert not {"a3 x x", "a5 x x"} & set(lines)
    write_token_streams(
        tmp_path / "tokens", sources, encode, vocab_size=100, separator_id=END, excluded=excluded, dev_fraction=0.1,
        seed=4,
    )  # fmt: skip
    streams = read_token_streams(tmp_path / "tokens")
    assert [own[0].num_tokens for own in streams.values()] == [4 * counted.train_lines, 4 * counted.dev_lines]
    tokens = np.concatenate([np.load(path) for path in (tmp_path / "tokens").glob("*.npy")])
    assert not {10_003, 10_005} & set(tokens.tolist()) and {10_004, 10_006} <= set(tokens.tolist())
    with pytest.raises(InputError, match=r"a: no line of the text is left to train on\. Found 200 lines kept out"):
        count_lines(sources[0], excluded=excluded_keys(sources), dev_fraction=0.1, seed=4)


def test_tokens_lie_in_shards_of_as_few_bytes_as_they_need(folder: Path, tmp_path: Path) -> None:
    streams = read_token_streams(folder)
    assert [own.name for own in streams["train"]] == ["a", "b", "c"]
    shards = [np.load(folder / file) for file in streams["train"][0].files]
    assert len(shards) > 1 and {len(shard) for shard in shards[:-1]} == {500}
    assert shards[0].dtype == np.uint32
    whole = np.concatenate(shards)
    assert len(whole) == streams["train"][0].num_tokens
    assert whole.reshape(-1, 4)[:, 1:].tolist() == [[5, 6, END]] * (len(whole) // 4)
    small = make_sources(tmp_path, {"a": 9})
    write_token_streams(
        tmp_path / "small", small, lambda texts: [[7]] * len(texts), vocab_size=1 << 16, separator_id=END, **DEALT
    )
    assert np.load(next((tmp_path / "small").glob("0-train*.npy"))).dtype == np.uint16


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(texts: list[str]) -> list[list[int]]:
        raise KeyboardInterrupt

    sources = make_sources(tmp_path, {"a": 9})
    with pytest.raises(KeyboardInterrupt):
        write_token_streams(tmp_path / "tokens", sources, broken, vocab_size=10, separator_id=END, **DEALT)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_blocks_have_no_padding_and_stand_between_special_tokens(folder: Path) -> None:
    batches = make(folder)
    seen = list(batches)
    assert len(seen) == len(batches) == 30
    for batch in seen:
        assert batch.input_ids.shape == (4, 10)
        assert batch.mask.sum(dim=1).min() >= 6, "the text of one line alone is shorter than a block"
        assert (batch.input_ids[:, 0] == START).all()
    assert 0 < batches.padding < 0.1
    full = [ids for batch in seen for ids, mask in zip(batch.input_ids, batch.mask, strict=True) if mask.all()]
    assert len(full) > 80 and all(ids[-1] == END for ids in full)


def test_each_pass_shows_every_token_once_but_for_a_blocks_remainder(tmp_path: Path) -> None:
    sources = make_sources(tmp_path, {"a": 300})
    write_token_streams(tmp_path / "tokens", sources, encode, vocab_size=70_000, separator_id=END, **DEALT)
    size = read_token_streams(tmp_path / "tokens")["train"][0].num_tokens
    num_blocks = size // 8
    batches = make(tmp_path / "tokens", batch_size=1, steps_per_epoch=num_blocks)
    cuts = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        blocks = rows(batches)
        starts = Counter(token for block in blocks for token in block if token >= 10_000)
        assert max(starts.values()) == 1
        assert size // 4 - 2 <= len(starts) <= size // 4
        cuts.append(sorted(map(tuple, blocks)))
    assert cuts[0] != cuts[1], "the next pass is cut elsewhere"
    # Epochs that do not end with a pass: still nothing twice before everything was there.
    uneven = make(tmp_path / "tokens", batch_size=1, steps_per_epoch=num_blocks // 2)
    both = []
    for epoch in range(2):
        uneven.set_epoch(epoch)
        both += rows(uneven)
    assert max(Counter(token for block in both for token in block if token >= 10_000).values()) == 1


def test_an_epoch_follows_from_the_seed_and_its_number_alone(folder: Path) -> None:
    straight = make(folder)
    epochs = []
    for epoch in range(4):
        straight.set_epoch(epoch)
        epochs.append(rows(straight))
    resumed = make(folder)
    resumed.set_epoch(3)
    assert rows(resumed) == epochs[3]
    assert rows(resumed) == epochs[3], "and again"
    assert epochs[0] != epochs[1]
    assert rows(make(folder, seed=1)) != epochs[0]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_texts_come_in_their_shares(tmp_path: Path, exponent: float) -> None:
    sources = [*make_sources(tmp_path, {"a": 300, "b": 100}, "hi"), *make_sources(tmp_path, {"c": 100}, "ur")]
    write_token_streams(tmp_path / "tokens", sources, encode, vocab_size=70_000, separator_id=END, **DEALT)
    batches = make(tmp_path / "tokens", steps_per_epoch=500, exponent=exponent)
    tokens = {own.name: own.num_tokens for own in read_token_streams(tmp_path / "tokens")["train"]}
    of_hi, of_ur = (tokens["a"] + tokens["b"]) ** exponent, tokens["c"] ** exponent
    hi = of_hi / (of_hi + of_ur)
    expected = {"a": hi * tokens["a"] / (tokens["a"] + tokens["b"]), "c": 1 - hi}
    counts = Counter(max(block) // 10_000 for block in rows(batches))
    for number, name in ((1, "a"), (3, "c")):
        assert batches.shares[name] == pytest.approx(expected[name])
        assert counts[number] / 2000 == pytest.approx(expected[name], abs=0.05)
    assert sum(batches.shares.values()) == pytest.approx(1)


def test_held_out_lines_come_in_blocks_by_text(folder: Path) -> None:
    settings = {"batch_size": 3, "max_length": 10, "start_id": START, "end_id": END}
    found = dev_batches(folder, max_blocks=1000, **settings)
    held_out = {own.name: own.num_tokens for own in read_token_streams(folder)["dev"]}
    assert held_out["c"] == 0 and set(found) == {"a", "b"}, "none of one line"
    for name, batches in found.items():
        seen = [token for block in rows(batches) for token in block]
        assert len(seen) >= held_out[name] - 8
    few = dev_batches(folder, max_blocks=2, **settings)
    assert {name: len(rows(own)) for name, own in few.items()} == {"a": 2, "b": 2}


def test_no_room_is_an_error(folder: Path) -> None:
    for wrong in ({"max_length": 2}, {"batch_size": 0}, {"steps_per_epoch": 0}):
        with pytest.raises(ValueError, match="at least"):
            make(folder, **wrong)
