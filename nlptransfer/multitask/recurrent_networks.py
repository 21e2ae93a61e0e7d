"""Recurrent multitask networks from plain settings: one vocabulary, and one way of sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from torch import nn

from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.models.characters import CharacterCNN, CharacterLSTM
from nlptransfer.models.recurrent import CellType, RecurrentEncoder
from nlptransfer.models.tagger import CharacterEncoder
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.cross_stitch import CrossStitch
from nlptransfer.multitask.hard_sharing import HardSharing, check_task_names, tasks_by_name
from nlptransfer.multitask.joint_many_task import JointManyTask
from nlptransfer.multitask.shared_private import SharedPrivate
from nlptransfer.multitask.sluice import Sluice
from nlptransfer.multitask.tasks import Task
from nlptransfer.multitask.tied_parameters import TiedNetworks

Sharing = Literal["hard", "joint_many_task", "tied", "cross_stitch", "sluice", "shared_private"]
MultitaskNetwork = HardSharing | JointManyTask | TiedNetworks | CrossStitch | Sluice | SharedPrivate


@dataclass(frozen=True)
class MultitaskShape:
    """What a recurrent multitask network is built from, beside its tasks, vocabularies and weights.

    Attributes:
        sharing: "hard", "joint_many_task", "tied", "cross_stitch", "sluice" or "shared_private".
        cell: "rnn", "gru" or "lstm".
        hidden_dim: units per direction of each layer.
        num_layers: layers of each encoder; a joint many-task stack has one per task.
        characters: encoder of a word's spelling: "none", "cnn" or "lstm".
        character_dim: features from the spelling.
        dropout: on the word features and after each layer, 0 to 1.
        word_dropout: how readily a rare training word is read as unknown; see `unknown_probability`.
        crf: names of tagging tasks that score whole tag sequences; in a joint many-task stack the top one alone may.
        depths: task name -> layers below its head, for hard sharing; a task not named is at the top.
        num_private_layers: of each task, on top of the shared ones in hard sharing, beside them in shared-private.
        label_dim: size of a label's embedding in a joint many-task stack.
        num_subspaces: of each layer in cross-stitch and sluice networks.
        own_share: what cross-stitch units start with of a stream itself; 1 is no sharing.
        max_length: words read at once; longer sentences are windowed, longer texts cut.
        context: words of context beside a window.
        fallbacks: how a word may be found among the vectors beside its exact form.

    Raises:
        ValueError: an unknown way of sharing or encoder of characters, or a setting that the way of sharing has no
            use for.
    """

    sharing: Sharing = "hard"
    cell: CellType = "lstm"
    hidden_dim: int = 128
    num_layers: int = 1
    characters: CharacterEncoder = "lstm"
    character_dim: int = 128
    dropout: float = 0.5
    word_dropout: float = 0.25
    crf: tuple[str, ...] = ()
    depths: Mapping[str, int] = field(default_factory=dict)
    num_private_layers: int = 0
    label_dim: int = 50
    num_subspaces: int = 2
    own_share: float = 0.9
    max_length: int = 256
    context: int = 16
    fallbacks: tuple[str, ...] = FALLBACKS

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("sharing", self.sharing, Sharing),
            ("characters", self.characters, CharacterEncoder),
        ):
            if value not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}; found {value!r}")
        if self.depths and self.sharing != "hard":
            raise ValueError(f"only in hard sharing do heads have depths of their own; sharing is {self.sharing!r}")


def make_network(
    tasks: Sequence[Task],
    shape: MultitaskShape,
    vocabulary: Vocabulary,
    embedding: nn.Embedding,
    *,
    character_vocabulary: Vocabulary | None = None,
    vectors: WordVectors | None = None,
    counts: np.ndarray | None = None,
) -> MultitaskNetwork:
    """Build a multitask network; with one task and hard sharing, the single-task network to compare with.

    Its weights are drawn from torch's global generator: make it within `seeded`. Tied and cross-stitched networks have
    word features of their own, the others have them in common (in sluice networks as in the paper). Word features of
    their own share an embedding that is frozen, and have copies of one that is trained.

    Args:
        tasks: for a joint many-task stack the lowest first.
        shape: see `MultitaskShape`.
        vocabulary: the training words of all tasks.
        embedding: (len(vocabulary), D), frozen or trainable.
        character_vocabulary: the training words' characters and `BOUNDARIES`; None without spelling features.
        vectors: what else is known at prediction time; None when the embedding is not from pretrained vectors.
        counts: (len(vocabulary),) how often each word occurs in training, for word dropout; None: no word dropout.

    Returns:
        The network.

    Raises:
        ValueError: the tasks or vocabularies don't fit the shape.

    Example:
        >>> with seeded(0):
        ...     network = make_network([pos, chunk], MultitaskShape(depths={"pos": 1}, num_layers=2), vocabulary, table)
    """
    check_task_names(tasks_by_name(tasks), [*shape.crf, *shape.depths])

    def make_words(table: nn.Embedding) -> WordFeatures:
        characters: CharacterCNN | CharacterLSTM | None = None
        if shape.characters != "none":
            if character_vocabulary is None:
                raise ValueError(f"a network with characters={shape.characters!r} needs a character vocabulary")
            encoder = CharacterCNN if shape.characters == "cnn" else CharacterLSTM
            characters = encoder(len(character_vocabulary), shape.character_dim)
        return WordFeatures(
            vocabulary,
            table,
            characters=characters,
            character_vocabulary=None if characters is None else character_vocabulary,
            vectors=vectors,
            fallbacks=shape.fallbacks,
            counts=counts,
            word_dropout=shape.word_dropout,
        )

    words = make_words(embedding)
    layer_dim = shape.hidden_dim * 2  # both directions

    def make_layers(input_dim: int, number: int) -> list[nn.Module]:
        sizes = [input_dim, *[layer_dim] * (number - 1)][:number]
        return [RecurrentEncoder(size, shape.hidden_dim, cell=shape.cell) for size in sizes]

    if shape.sharing == "hard":
        return HardSharing(
            tasks,
            words,
            make_layers(words.output_dim, shape.num_layers),
            depths=shape.depths,
            private_layers={task.name: make_layers(layer_dim, shape.num_private_layers) for task in tasks},
            crf=shape.crf,
            dropout=shape.dropout,
        )
    if shape.sharing == "joint_many_task":
        above = layer_dim + words.output_dim + shape.label_dim
        stack = [layer for task in tasks for layer in make_layers(words.output_dim if task is tasks[0] else above, 1)]
        return JointManyTask(tasks, words, stack, label_dim=shape.label_dim, crf=shape.crf, dropout=shape.dropout)
    if shape.sharing == "shared_private":
        return SharedPrivate(
            tasks,
            words,
            make_layers(words.output_dim, shape.num_layers),
            {task.name: make_layers(words.output_dim, max(shape.num_private_layers, 1)) for task in tasks},
            crf=shape.crf,
            dropout=shape.dropout,
        )

    def own_words() -> WordFeatures:
        return make_words(deepcopy(embedding) if embedding.weight.requires_grad else embedding)

    def make_networks(words_of: Callable[[], WordFeatures]) -> dict[str, HardSharing]:
        return {
            task.name: HardSharing(
                [task],
                words_of() if number else words,
                make_layers(words.output_dim, shape.num_layers),
                private_layers={task.name: make_layers(layer_dim, shape.num_private_layers)},
                crf=[name for name in shape.crf if name == task.name],
                dropout=shape.dropout,
            )
            for number, task in enumerate(tasks)
        }

    if shape.sharing == "sluice":
        return Sluice(make_networks(lambda: words), num_subspaces=shape.num_subspaces, own_share=shape.own_share)
    networks = make_networks(own_words)
    if shape.sharing == "cross_stitch":
        return CrossStitch(networks, num_subspaces=shape.num_subspaces, own_share=shape.own_share)
    return TiedNetworks(networks)
