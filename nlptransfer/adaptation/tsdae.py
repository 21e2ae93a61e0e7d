"""Denoising pre-training of a sentence encoder (TSDAE), through sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nlptransfer.embeddings.encoder_settings import check_max_length, load_tokenizer
from nlptransfer.embeddings.find_encoder import find_encoder, quiet_transformers
from nlptransfer.errors import InputError
from nlptransfer.files import write_folder_whole
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch, DomainBatch

if TYPE_CHECKING:
    from accelerate import Accelerator


def pretrain_tsdae(
    encoder_folder: str | Path,
    texts: Sequence[str],
    output_dir: str | Path,
    *,
    epochs: int = 1,
    batch_size: int = 8,
    learning_rate: float = 3e-5,
    deletion: float = 0.6,
    max_length: int = 128,
    seed: int,
    accelerator: Accelerator | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    r"""Train an encoder to sum up texts that lack most of their words, so that a decoder can write them whole.

    .. math:: L = -\frac{1}{l} \sum_{t=1}^{l} \log p(x_t \mid x_{<t}, e(\tilde x))

    with :math:`\tilde x` what deletion left of the text x, and e the mean of the encoder's last hidden states, as
    `EncoderFeatures` pools them. The decoder sees :math:`\tilde x` through e alone; it shares its weights with the
    encoder, but for its attention to e and its output, and is thrown away. Decoder and loss are those of
    sentence-transformers; words are what stands between blanks, and texts without any are left out.

    Args:
        encoder_folder: an encoder of the BERT family: a folder as transformers writes it, or a name on the hub.
        texts: unlabelled sentences or short documents, of both domains.
        output_dir: where the encoder and its tokenizer are written, whole or not at all; a folder there is replaced.
        epochs: passes over the texts. The paper makes 100,000 steps.
        batch_size: texts per step.
        learning_rate: of AdamW, constant and without weight decay.
        deletion: probability of leaving out a word; a text keeps one word at least.
        max_length: subword tokens that are read of a text, and written.
        seed: of the new weights, the order, the deletion and the dropout.
        accelerator: device and precision.
        on_epoch: called with the row of each epoch, as of `train`; "loss" is in nats per subword token.

    Returns:
        `output_dir`, which `EncoderFeatures` and transformers' ``AutoModel`` load, without a network.

    Raises:
        InputError: sentence-transformers is not installed; there is no such encoder, or it can't be a decoder or does
            not read `max_length` tokens; or no text has a word.
        ValueError: `deletion` is out of range, or `batch_size` is below 1.

    Reference:
        Wang, Reimers & Gurevych 2021, section 3, https://arxiv.org/abs/2104.06979. They read the encoding from the
        first token; the mean, which they find to be about as good, is what encoders for features are read by here.

    Compare with:
        `pretrain_by_denoising`, for recurrent encoders, in minutes on a CPU.

    Example:
        >>> folder = pretrain_tsdae("encoders/minilm", [*source_texts, *target_texts], "encoders/adapted", seed=0)
        >>> features = EncoderFeatures(folder).encode(texts)
    """
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError as error:
        raise InputError(
            "TSDAE needs sentence-transformers, which is not installed or too old",
            found=str(error),
            remedy='Install it with: pip install "nlptransfer[sentence-transformers]"',
        ) from error

    if not 0 <= deletion < 1:
        raise ValueError(f"deletion must be from 0 to below 1, found {deletion}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")
    kept = [text for text in texts if text.split()]
    if not kept:
        raise InputError("there is nothing to reconstruct: no text has a word", found=f"{len(texts)} texts")
    folder = find_encoder(str(encoder_folder))
    tokenizer = load_tokenizer(folder)
    with seeded(seed), quiet_transformers():
        reader = Transformer(str(folder), max_seq_length=max_length, model_kwargs={"dtype": torch.float32})
        model = SentenceTransformer(modules=[reader, Pooling(reader.get_embedding_dimension(), "mean")], device="cpu")
        encoder: Any = model.transformers_model
        check_max_length(max_length, encoder.config, tokenizer, where=folder)
        try:
            denoiser = DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
        except ValueError as error:
            raise InputError(
                "the encoder can't be turned into a decoder",
                where=folder,
                expected="an encoder of the BERT family",
                found=type(encoder).__name__,
                remedy="Name another encoder.",
            ) from error

    def step(module: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        pair = [
            {"input_ids": part.input_ids, "attention_mask": part.mask.long()} for part in (batch.source, batch.target)
        ]
        return {"loss": module(pair, None)}

    train(
        denoiser,
        step,
        _DamagedTexts(kept, tokenizer, deletion=deletion, batch_size=batch_size, max_length=max_length, seed=seed),
        torch.optim.AdamW(denoiser.parameters(), learning_rate, weight_decay=0.0),
        epochs=epochs,
        seed=seed,
        max_gradient_norm=1.0,
        accelerator=accelerator,
        on_epoch=on_epoch,
        description="TSDAE",
    )
    output_dir = Path(output_dir)
    with write_folder_whole(output_dir) as temporary, quiet_transformers():
        encoder.cpu().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    return output_dir


def delete_words(text: str, deletion: float, random: np.random.Generator) -> str:
    """The text without the words that chance took, those left joined by single blanks; one is always left.

    Args:
        text: words with blanks between them, one at least.
        deletion: the probability of leaving out a word.
        random: draws.
    """
    words = text.split()
    draws = random.random(len(words))
    kept = draws >= deletion
    kept[draws.argmax()] = True  # where all go, each word is as likely to have drawn the largest number
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


class _DamagedTexts:
    """Batches of texts with words deleted (source) beside the whole ones (target), as subword ids."""

    def __init__(
        self, texts: list[str], tokenizer: Any, *, deletion: float, batch_size: int, max_length: int, seed: int
    ) -> None:
        self.texts = texts
        self.tokenizer = tokenizer
        self.deletion = deletion
        self.batch_size = batch_size
        self.max_length = max_length
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Order the texts and delete words anew for `epoch`."""
        random = np.random.default_rng((self.seed, epoch))
        self._order = random.permutation(len(self.texts))
        self._damaged = [delete_words(text, self.deletion, random) for text in self.texts]

    def __len__(self) -> int:
        return -(-len(self.texts) // self.batch_size)

    def __iter__(self) -> Iterator[DomainBatch]:
        for rows in np.array_split(self._order, len(self)):
            yield DomainBatch(*(self._read([part[row] for row in rows]) for part in (self._damaged, self.texts)))

    def _read(self, texts: list[str]) -> Batch:
        encoded = self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")
        return Batch(encoded["input_ids"], encoded["attention_mask"].bool())
