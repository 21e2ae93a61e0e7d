"""The encoder of a run: the one that was named, the usual one, or in its stead one made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from nlptransfer.recipes.finetuning_data import Job
    from nlptransfer.recipes.transformer_finetuning import Settings

USUAL = "sentence-transformers/all-MiniLM-L6-v2"
_VERSION = 1  # of the stand-in's recipe below


def encoder_at_hand(settings: Settings, jobs: Sequence[Job]) -> tuple[Settings, list[str]]:
    """The settings with the encoder's folder or name, and warnings.

    Args:
        settings: the recipe's.
        jobs: what is trained on; a stand-in learns from synthetic text in any case.

    Raises:
        InputError: the encoder that was named can't be had, or reads less than --max_length.
    """
    from nlptransfer.embeddings.find_encoder import find_encoder

    if settings.encoder is not None:
        _check_length(settings)
        return settings, []
    try:
        find_encoder(USUAL)
        return replace(settings, encoder=USUAL), []
    except InputError as error:
        stand_in = _stand_in(settings)
        return replace(settings, encoder=stand_in), [
            f"THE ENCODER IS A STAND-IN. {USUAL} can't be had, so a small one was pretrained here on synthetic text. "
            f"Scores with it say nothing about pretrained encoders: name one with --encoder. {error}"
        ]


def _check_length(settings: Settings) -> None:
    from transformers import AutoConfig

    from nlptransfer.embeddings.find_encoder import find_encoder

    place = find_encoder(str(settings.encoder))
    config = AutoConfig.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    longest = getattr(config, "max_position_embeddings", None)
    if longest and settings.max_length > longest:
        raise InputError(
            "--max_length is more than the encoder reads",
            where=place,
            expected=f"at most {longest}",
            found=str(settings.max_length),
        )


def _stand_in(settings: Settings) -> str:
    """The folder of a small encoder, pretrained by masked LM on synthetic reviews once and then kept in the cache."""
    from nlptransfer.data.synthetic_reviews import make_review_domains
    from nlptransfer.embeddings.find_encoder import quiet_transformers
    from nlptransfer.files import cache_folder, write_folder_whole
    from nlptransfer.finetuning.masked_lm import MaskedLMHead, adapt_by_masked_lm
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
    encoder = model.bert
    encoded = tokenizer(texts, truncation=True, max_length=64)["input_ids"]
    import numpy as np

    adapt_by_masked_lm(
        encoder,
        MaskedLMHead.fresh(encoder),
        [np.asarray(ids, dtype=np.int64) for ids in encoded],
        mask_id=tokenizer.mask_token_id,
        special_ids=tokenizer.all_special_ids,
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
