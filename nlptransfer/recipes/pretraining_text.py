"""What an encoder is pretrained on: lines dealt out to training and development, a vocabulary, and tokens on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from nlptransfer.data.text_lines import TextSource
    from nlptransfer.data.token_blocks import SourceLines
    from nlptransfer.recipes.pretrain_encoder import Settings


def prepare(
    settings: Settings, sources: Sequence[TextSource], excluded: set[int], vocab_size: int, cells: Path
) -> None:
    """Learn the vocabulary and write the tokens, unless an earlier try has."""
    from nlptransfer.data.text_lines import balanced_lines
    from nlptransfer.data.token_blocks import count_lines, train_lines, write_token_streams
    from nlptransfer.files import write_folder_whole, write_json
    from nlptransfer.models.subword_vocabulary import train_subword_vocabulary

    dealt: dict[str, Any] = {
        "excluded": excluded, "dev_fraction": settings.dev_fraction, "seed": settings.split_seed
    }  # fmt: skip
    if not (cells / "lines.json").exists():
        counted = [count_lines(source, **dealt) for source in sources]
        write_json(cells / "lines.json", [asdict(own) for own in counted])
    lines = read_lines_dealt(cells)
    for own in lines:
        print(
            f"{own.name}: {own.train_lines:,} lines to train on, {own.dev_lines:,} to develop on, "
            f"{own.excluded_lines:,} kept out",
            flush=True,
        )
    if not (cells / "vocabulary").exists():
        sizes: dict[str, tuple[int, int]] = {}
        for own in lines:
            number, characters = sizes.get(own.group, (0, 0))
            sizes[own.group] = number + own.train_lines, characters + own.train_characters
        tokenizer = train_subword_vocabulary(
            balanced_lines(
                train_lines(sources, **dealt),
                sizes,
                max_lines=settings.vocabulary_lines,
                exponent=settings.sampling_exponent,
                seed=settings.split_seed,
            ),
            kind=settings.vocabulary,
            vocab_size=vocab_size,
            seed=settings.split_seed,
            # The sample above is what counts; rounding may make it a little larger.
            max_lines=2 * settings.vocabulary_lines,
            character_coverage=settings.character_coverage,
            max_length=settings.max_length,
        )
        with write_folder_whole(cells / "vocabulary") as temporary:
            tokenizer.save_pretrained(temporary)
        print(f"The vocabulary has {len(tokenizer):,} subwords.", flush=True)
    if not (cells / "tokens").exists():
        tokenizer = read_tokenizer(cells)
        backend = tokenizer.backend_tokenizer

        def encode(texts: list[str]) -> list[list[int]]:
            return [encoded.ids for encoded in backend.encode_batch_fast(texts, add_special_tokens=False)]

        write_token_streams(
            cells / "tokens",
            sources,
            encode,
            vocab_size=len(tokenizer),
            separator_id=tokenizer.sep_token_id,
            **dealt,
        )


def read_lines_dealt(cells: Path) -> list[SourceLines]:
    """How the lines of each text were dealt out."""
    import json

    from nlptransfer.data.token_blocks import SourceLines

    return [SourceLines(**own) for own in json.loads((cells / "lines.json").read_text(encoding="utf-8"))]


def read_tokenizer(cells: Path) -> PreTrainedTokenizerFast:
    """The vocabulary that `prepare` wrote."""
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
        cells / "vocabulary", local_files_only=True
    )
    return tokenizer
