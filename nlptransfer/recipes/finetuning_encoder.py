"""The encoder of a run: as it was named, the usual one, or one made on the spot; and adapted to a target's text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.recipes.finetuning_models import attention_of

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.finetuning.strategies import Strategy
    from nlptransfer.recipes.finetuning_data import Job, Test
    from nlptransfer.recipes.transformer_finetuning import Settings

USUAL = "sentence-transformers/all-MiniLM-L6-v2"
_MIN_WORD_COUNT = 5
_HEAD = "masked_lm_head"
_FACTS = "adapted.json"
_VERSION = 2  # of the stand-in's recipe below


def encoder_at_hand(settings: Settings, jobs: Sequence[Job]) -> tuple[Settings, list[str]]:
    """The settings with the encoder's folder or name, and warnings.

    Args:
        settings: the recipe's.
        jobs: what is trained on; a stand-in learns from synthetic text in any case.

    Raises:
        InputError: the encoder that was named can't be had, or the encoder reads less than --max_length.
    """
    from nlptransfer.embeddings.find_encoder import find_encoder

    warnings = []
    if settings.encoder is None:
        try:
            find_encoder(USUAL)
            settings = replace(settings, encoder=USUAL)
        except InputError as error:
            settings = replace(settings, encoder=_stand_in(settings))
            warnings.append(
                f"THE ENCODER IS A STAND-IN. {USUAL} can't be had, so a small one was pretrained here on synthetic "
                f"text. Scores with it say nothing about pretrained encoders: name one with --encoder. {error}"
            )
    _check_length(settings)
    return settings, warnings


def _check_length(settings: Settings) -> None:
    from nlptransfer.embeddings.encoder_settings import check_max_length, load_config, load_tokenizer
    from nlptransfer.embeddings.find_encoder import find_encoder

    place = find_encoder(str(settings.encoder))
    check_max_length(settings.max_length, load_config(place), load_tokenizer(place), where=place)


def _stand_in(settings: Settings) -> str:
    """The folder of a small encoder, pretrained by masked LM on synthetic reviews once and then kept in the cache."""
    import numpy as np

    from nlptransfer.data.synthetic_reviews import make_review_domains
    from nlptransfer.embeddings.find_encoder import quiet_transformers
    from nlptransfer.files import cache_folder, write_folder_whole
    from nlptransfer.finetuning.adaptive_pretraining import adapt_by_masked_lm
    from nlptransfer.finetuning.masked_lm import MaskedLMHead, mask_and_special_ids
    from nlptransfer.models.small_encoder import make_small_encoder
    from nlptransfer.models.subword_vocabulary import train_subword_vocabulary
    from nlptransfer.recipes.processes import tell
    from nlptransfer.training.devices import make_accelerator

    place = cache_folder() / "stand_in_encoder" / str(_VERSION)
    if place.exists():
        return str(place)
    tell("Pretraining a small stand-in encoder on synthetic text; this is done once.")
    domains = make_review_domains(1000, seed=1)
    texts = [text for own in (domains.source, domains.target) for split in own.values() for text in split["text"][:]]
    tokenizer = train_subword_vocabulary(texts, vocab_size=400, seed=0, max_length=256)
    model = make_small_encoder(
        len(tokenizer), seed=0, num_layers=2, hidden_dim=64, max_length=256, pad_id=tokenizer.pad_token_id
    )
    encoder: Any = model.base_model
    mask_id, special_ids = mask_and_special_ids(tokenizer)
    adapt_by_masked_lm(
        encoder,
        MaskedLMHead.fresh(encoder),
        [np.asarray(ids, dtype=np.int64) for ids in tokenizer(texts, truncation=True, max_length=64)["input_ids"]],
        mask_id=mask_id,
        special_ids=special_ids,
        epochs=3,
        batch_size=32,
        learning_rate=1e-3,
        max_length=64,
        seed=0,
        accelerator=make_accelerator(settings.device, "fp32"),
        description="stand-in encoder",
    )
    with write_folder_whole(place) as temporary:
        with quiet_transformers():
            encoder.cpu().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    return str(place)


def prepare_encoder(
    settings: Settings,
    job: Job,
    strategy: Strategy,
    seed: int,
    tests: Sequence[Test],
    accelerator: Accelerator,
    tell: Callable[[str], Any],
) -> tuple[Path, dict[str, Any]]:
    """The folder of the encoder that a strategy starts from: as it was named, or adapted to the target's text.

    An adapted encoder is kept beside the cells, for all systems, sources and sizes that start from it.
    """
    from nlptransfer.embeddings.find_encoder import find_encoder

    place = find_encoder(str(settings.encoder))
    steps = [(step, number) for step, number in strategy.before if step in ("extend_vocabulary", "dapt")]
    if not steps:
        return place, {}
    from filelock import FileLock

    texts = target_text(tests, strategy)
    target = (tests[0].pair.target if tests[0].pair is not None else "target").replace(":", "_").replace("/", "_")
    name = "+".join(f"{step}={number:g}" for step, number in steps)
    kept = settings.output_dir / "cells" / "encoders" / f"{target}-{name}-{seed}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):  # another process may be at the same one, for another source
        if not (kept / _FACTS).exists():
            tell(f"{target}: {name}")
            _adapt_encoder(settings, texts, steps, seed, place, kept, accelerator)
    facts: dict[str, Any] = json.loads((kept / _FACTS).read_text(encoding="utf-8"))
    return kept, facts


def _adapt_encoder(
    settings: Settings,
    texts: Sequence[Any],
    steps: Sequence[tuple[str, float]],
    seed: int,
    place: Path,
    kept: Path,
    accelerator: Accelerator,
) -> None:
    """Adapt the encoder of the folder `place` to texts, step by step; write it to `kept` with what is to be told."""
    from nlptransfer.embeddings.encoder_settings import load_tokenizer
    from nlptransfer.embeddings.find_encoder import quiet_transformers
    from nlptransfer.files import write_folder_whole, write_json
    from nlptransfer.finetuning.adaptive_pretraining import adapt_by_masked_lm
    from nlptransfer.finetuning.masked_lm import mask_and_special_ids
    from nlptransfer.finetuning.vocabulary_extension import extend_vocabulary, find_split_words
    from nlptransfer.models.saving import write_tensors
    from nlptransfer.models.transformer import load_encoder

    started = time.perf_counter()
    attention = attention_of(accelerator, attention_dropout=settings.attention_dropout)
    tokenizer, encoder = load_tokenizer(place), load_encoder(place, **attention)
    facts: dict[str, Any] = {"encoder adapted by": "+".join(f"{step}={number:g}" for step, number in steps)}
    heads: dict[str, Any] = {}
    for step, number in steps:
        if step == "extend_vocabulary":
            whole = [text if isinstance(text, str) else " ".join(text) for text in texts]
            words = find_split_words(tokenizer, whole, num_words=int(number), min_count=_MIN_WORD_COUNT)
            report = extend_vocabulary(tokenizer, encoder, [word.word for word in words], texts=whole)
            facts["words added"] = len(words)
            facts["pieces per word"] = f"{report.pieces_per_word_before:.3f}, then {report.pieces_per_word_after:.3f}"
            continue
        mask_id, special_ids = mask_and_special_ids(tokenizer)
        head = masked_lm_head(settings, place, encoder, seed)
        history = adapt_by_masked_lm(
            encoder,
            head,
            whole_ids(tokenizer, texts),
            mask_id=mask_id,
            special_ids=special_ids,
            epochs=int(number),
            batch_size=settings.batch_size,
            learning_rate=settings.masked_lm_learning_rate,
            max_length=settings.max_length,
            seed=seed,
            accelerator=accelerator,
            description=f"{kept.name}, masked LM",
        )
        facts["masked_lm_loss"] = [round(row["loss"], 3) for row in history]
        tied = encoder.get_input_embeddings().weight.data_ptr()  # type: ignore[operator]
        heads = {name: own.cpu() for name, own in head.state_dict().items() if own.data_ptr() != tied}
    facts["seconds_before"] = time.perf_counter() - started
    with write_folder_whole(kept) as temporary:
        with quiet_transformers():
            encoder.cpu().save_pretrained(temporary)  # type: ignore[operator]
        tokenizer.save_pretrained(temporary)
        if heads:
            write_tensors(temporary / f"{_HEAD}.safetensors", heads)
        write_json(temporary / _FACTS, facts)


def masked_lm_head(settings: Settings, place: Path, encoder: Any, seed: int) -> Any:
    """The masked-LM head of an encoder: its checkpoint's or a fresh one, and where it was adapted, what came of that.

    Args:
        settings: the recipe's.
        place: the folder that the encoder was loaded from.
        encoder: the encoder.
        seed: of a fresh head.
    """
    from nlptransfer.embeddings.find_encoder import find_encoder
    from nlptransfer.finetuning.masked_lm import MaskedLMHead
    from nlptransfer.models.saving import read_tensors
    from nlptransfer.training.seeding import seeded

    with seeded(seed):
        head = MaskedLMHead.from_folder(find_encoder(str(settings.encoder)), encoder)
    if (place / f"{_HEAD}.safetensors").exists():
        head.load_state_dict(read_tensors(place, _HEAD), strict=False)  # without the matrix that is the encoder's
    return head


def target_text(tests: Sequence[Test], strategy: Strategy) -> list[Any]:
    """The unlabelled texts, or lists of words, of the one target.

    Raises:
        InputError: there are none.
    """
    texts = [test.unlabelled for test in tests if test.unlabelled]
    if len(texts) != 1:
        raise InputError(
            f"'{strategy.name}' adapts to the target's unlabelled text, and there is none",
            remedy="Name a target with --target_data (of tagged words, one that ships a train split), or leave it out.",
        )
    return list(texts[0])


def whole_ids(tokenizer: Any, texts: Sequence[Any]) -> list[Any]:
    """Texts, or sentences as lists of words, as subword ids with what frames them, none cut off."""
    import numpy as np

    whole = [text if isinstance(text, str) else " ".join(text) for text in texts]
    encoded = tokenizer(whole, return_attention_mask=False, return_token_type_ids=False, verbose=False)["input_ids"]
    return [np.asarray(ids, dtype=np.int64) for ids in encoded]
