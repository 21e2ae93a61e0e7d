"""The models of a multitask run before training: which tasks each learns, its words and their vectors, its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError
from nlptransfer.recipes.multitask_data import Arm

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.multitask.recurrent_networks import MultitaskShape
    from nlptransfer.multitask.saved import MultitaskModel
    from nlptransfer.multitask.task_data import SharedTexts, TaskData
    from nlptransfer.multitask.task_model import TaskModel
    from nlptransfer.recipes.multitask_tagging import Settings

SINGLE = "single"
SEQUENTIAL = "sequential"
BALANCED = ("hard", "low_layer")
"""Ways of sharing whose tasks' gradients meet in the same parameters: they can be balanced, their conflict drawn."""


@dataclass(frozen=True)
class Training:
    """One model of a run.

    Attributes:
        name: of its row in the table of costs.
        way: of sharing, or `SINGLE`.
        mark: see `Arm`.
        tasks: by name, what it learns.
    """

    name: str
    way: str
    mark: str
    tasks: Mapping[str, TaskData]

    def system(self, task: str, *, early: bool = False) -> str:
        """What its predictions of a task are called; `early` ones are those right after the task's own turn."""
        return f"{task}.{self.way}{'_before' if early else ''}{self.mark}"

    def cells(self) -> list[tuple[str, bool]]:
        """The tasks to predict, each with whether early: of a sequential training all but the last are, as well."""
        early = list(self.tasks)[:-1] if self.way == SEQUENTIAL else []
        return [(task, False) for task in self.tasks] + [(task, True) for task in early]


def find_vectors(settings: Settings, arm: Arm) -> tuple[WordVectors | None, list[str]]:
    """The word vectors of all tasks, several files joined: of a word in two the first file's vector.

    Args:
        settings: the recipe's.
        arm: the largest one.

    Returns:
        The vectors, None for random ones and with a pretrained encoder, and what every reader must see.

    Raises:
        InputError: there are no such vectors, or they differ in size.
    """
    import numpy as np

    from nlptransfer.data.corpora import is_synthetic
    from nlptransfer.embeddings.find_vectors import find_word_vectors
    from nlptransfer.embeddings.word_vectors import WordVectors

    if settings.encoder is not None:
        return None, []
    sentences = [sentence for group in group_texts(arm.tasks) for sentence in sentences_of(group)]
    parts, warnings = [], []
    synthetic = all(is_synthetic(data.source.corpus) for data in arm.tasks.values())
    for name in settings.vectors:
        found, notes = find_word_vectors(
            "synthetic" if name == "auto" and synthetic else name,
            sentences=sentences,
            dim=settings.embedding_dim,
            seed=settings.split_seed,
            max_words=settings.keep_vectors,
            data_dir=settings.data_dir,
        )
        parts.append(found)
        warnings += notes
    if len(parts) < 2:
        return (parts[0] if parts else None), warnings
    if len({part.dim for part in parts}) > 1:
        raise InputError(
            "the files of --vectors differ in the size of their vectors",
            found=", ".join(f"{part.source}: {part.dim}" for part in parts),
        )
    held: set[str] = set()
    words: list[str] = []
    rows = []
    for part in parts:
        new = [row for row, word in enumerate(part.words) if word not in held]
        words += [part.words[row] for row in new]
        held.update(words)
        rows.append(part.matrix[new])
    joined = WordVectors(
        words, np.concatenate(rows), None, " + ".join(part.source for part in parts), "+".join(p.digest for p in parts)
    )
    return joined, warnings


def check_encoder(settings: Settings) -> None:
    """Refuse a pretrained encoder that can't be had, or that has not what is asked of it.

    Args:
        settings: the recipe's.

    Raises:
        InputError: there is no such encoder, it reads less than `max_length`, or has no layer of that number.
    """
    if settings.encoder is None:
        return
    from nlptransfer.embeddings.encoder_settings import check_max_length, load_config, load_tokenizer
    from nlptransfer.embeddings.find_encoder import find_encoder

    place = find_encoder(settings.encoder)
    config = load_config(place)
    check_max_length(settings.max_length, config, load_tokenizer(place), where=place)
    top = int(config.num_hidden_layers)
    if "low_layer" in settings.sharing and not 1 <= low_depth(settings, top) < top:
        raise InputError(
            "low_layer needs a layer of the encoder below another",
            where=place,
            expected=f"--low_depth from 1 to {top - 1}" if top > 1 else "an encoder of two layers or more",
            found=str(low_depth(settings, top)),
        )


def low_depth(settings: Settings, top: int) -> int:
    """How many layers low_layer has below its first task.

    Args:
        settings: the recipe's.
        top: of how many layers.
    """
    if settings.low_depth is not None:
        return settings.low_depth
    return 1 if settings.encoder is None else max(1, top // 2)


def make_model(
    settings: Settings,
    training: Training,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator | None = None,
) -> TaskModel:
    """The model before training.

    Args:
        settings: the recipe's.
        training: what to train.
        seed: of the weights.
        vectors: pretrained ones, or None for random ones.
        accelerator: of the training; None where the model only predicts.
    """
    if settings.encoder is not None:
        return _make_encoder_model(settings, settings.encoder, training, seed, accelerator)
    return _make_recurrent_model(settings, training, seed, vectors)


def _make_encoder_model(
    settings: Settings, encoder: str, training: Training, seed: int, accelerator: Accelerator | None
) -> TaskModel:
    """A pretrained encoder with fresh heads."""
    from nlptransfer.embeddings.encoder_settings import load_tokenizer
    from nlptransfer.embeddings.find_encoder import find_encoder
    from nlptransfer.models.transformer import load_encoder, num_hidden_states
    from nlptransfer.multitask.transformer_model import TransformerMultitaskModel
    from nlptransfer.multitask.transformer_sharing import TransformerSharing
    from nlptransfer.recipes.finetuning_models import attention_of
    from nlptransfer.training.seeding import seeded

    place = find_encoder(encoder)
    tokenizer = load_tokenizer(place)
    attention = {} if accelerator is None else attention_of(accelerator, attention_dropout=0.0)
    low = {next(iter(training.tasks)): low_depth(settings, num_hidden_states(place) - 1)}
    with seeded(seed):
        network = TransformerSharing(
            [data.task for data in training.tasks.values()],
            load_encoder(place, **attention),
            depths=low if training.way == "low_layer" else {},
            crf=_crf_tasks(settings, training),
            dropout=settings.dropout,
            pad_id=tokenizer.pad_token_id or 0,
        )
    return TransformerMultitaskModel(
        tokenizer, network, max_length=settings.max_length, metadata={"sharing": training.way}
    )


def _make_recurrent_model(
    settings: Settings, training: Training, seed: int, vectors: WordVectors | None
) -> MultitaskModel:
    """Recurrent layers on word vectors; the words are those of the training texts of its own tasks."""
    import numpy as np
    import torch

    from nlptransfer.data.vocabulary import BOUNDARIES, RESERVED, Vocabulary, count_entries
    from nlptransfer.embeddings.embedding_layer import make_embedding, make_random_embedding
    from nlptransfer.multitask.recurrent_networks import make_network
    from nlptransfer.multitask.saved import MultitaskModel
    from nlptransfer.training.seeding import seeded

    shape = make_shape(settings, training)
    # Texts that tasks have in common count once.
    counts = count_entries([words for group in group_texts(training.tasks) for words in sentences_of(group)])
    vocabulary = Vocabulary(list(counts))
    generator = torch.Generator().manual_seed(seed)
    if vectors is None:
        embedding = make_random_embedding(vocabulary, settings.embedding_dim, generator=generator)
    else:
        embedding = make_embedding(
            vectors,
            vocabulary,
            trainable=settings.embedding == "finetuned",
            unseen="random",
            fallbacks=shape.fallbacks,
            generator=generator,
        )
    with seeded(seed):
        network = make_network(
            [data.task for data in training.tasks.values()],
            shape,
            vocabulary,
            embedding,
            character_vocabulary=Vocabulary([*BOUNDARIES, *count_entries(counts)])
            if settings.characters != "none"
            else None,
            vectors=vectors,
            counts=np.array([0] * len(RESERVED) + list(counts.values())),
        )
    return MultitaskModel(network, shape, metadata={"sharing": training.way})


def make_shape(settings: Settings, training: Training) -> MultitaskShape:
    """What a model is built from; that of a single task is the same but for sharing.

    Args:
        settings: the recipe's.
        training: what to train.
    """
    from nlptransfer.multitask.recurrent_networks import MultitaskShape

    return MultitaskShape(
        sharing="hard" if training.way in (SINGLE, SEQUENTIAL, "low_layer") else training.way,  # type: ignore[arg-type]
        hidden_dim=settings.hidden_dim,
        num_layers=settings.num_layers,
        characters=settings.characters,
        character_dim=settings.character_dim,
        dropout=settings.dropout,
        word_dropout=settings.word_dropout,
        crf=_crf_tasks(settings, training),
        depths={next(iter(training.tasks)): low_depth(settings, settings.num_layers)}
        if training.way == "low_layer"
        else {},
        max_length=settings.max_length,
    )


def _crf_tasks(settings: Settings, training: Training) -> tuple[str, ...]:
    """The tasks that score whole tag sequences: with --head crf those of spans."""
    from nlptransfer.evaluation.span_scores import SPAN_F1
    from nlptransfer.multitask.selection import task_metric

    if settings.head != "crf":
        return ()
    # In a joint many-task stack those below the top pass on the probability of each label, which a CRF has not.
    may = list(training.tasks)[-1:] if training.way == "joint_many_task" else list(training.tasks)
    return tuple(name for name in may if task_metric(training.tasks[name].task) == SPAN_F1)


def group_texts(tasks: Mapping[str, TaskData], *, apart: bool = False) -> list[SharedTexts]:
    """The training texts, each once where tasks share them.

    Args:
        tasks: by name.
        apart: those of each task by themselves.
    """
    from nlptransfer.multitask.task_data import share_texts

    if apart:
        return [group for data in tasks.values() for group in share_texts([data])]
    return share_texts(list(tasks.values()))


def sentences_of(group: SharedTexts) -> list[list[str]]:
    """The words of texts.

    Args:
        group: of lists of words, or of texts.
    """
    from nlptransfer.data.words import split_words

    return [split_words(text) if isinstance(text, str) else text for text in group.texts]
