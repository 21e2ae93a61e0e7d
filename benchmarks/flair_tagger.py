"""Flair's SequenceTagger, trained one epoch at a time on request.

`tagger_training.py` starts this file in Flair's own virtual environment and talks to it in lines: this file writes one
JSON line when it is ready, then trains one epoch for each line that it reads, and writes the seconds which that took.

The epochs are those of Flair's own `ModelTrainer`, between its events `before_training_epoch` and
`after_training_epoch`: nothing of its loop is rewritten here, and neither reading the corpus nor evaluating is timed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

import flair
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import CharacterEmbeddings, StackedEmbeddings, WordEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin


class EpochsOnRequest(TrainerPlugin):
    """Waits for a line before each epoch and answers with the epoch's seconds."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        super().__init__()
        self.requests = requests
        self.answers = answers
        self.started = 0.0

    @TrainerPlugin.hook
    def before_training_epoch(self, **event: Any) -> None:
        if not self.requests.readline():  # no more requests will come
            raise SystemExit(0)
        self.started = time.perf_counter()

    @TrainerPlugin.hook
    def after_training_epoch(self, **event: Any) -> None:
        answer(self.answers, {"seconds": time.perf_counter() - self.started})


def main() -> None:
    # Flair logs to standard output, which here belongs to the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.getLogger("flair").setLevel(logging.ERROR)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    flair.device = torch.device("cpu")
    flair.set_seed(job["seed"])
    torch.set_num_threads(job["threads"])

    sentences = make_sentences(job["sentences"], job["tags"])
    tagger = make_tagger(job)
    answer(
        answers,
        {
            "flair": flair.__version__,
            "torch": torch.__version__,
            "parameters": sum(parameter.numel() for parameter in tagger.parameters()),
        },
    )
    corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False)
    with tempfile.TemporaryDirectory() as folder:
        ModelTrainer(tagger, corpus).train_custom(
            folder,
            learning_rate=job["learning_rate"],
            mini_batch_size=job["batch_size"],
            max_epochs=1_000_000,  # until no more are asked for
            optimizer=torch.optim.AdamW,
            max_grad_norm=job["max_gradient_norm"],
            train_with_dev=True,  # there is no development data: nothing is evaluated and no best model is kept
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
            plugins=[EpochsOnRequest(sys.stdin, answers)],
            weight_decay=0.0,
            fused=True,
        )


def make_sentences(words: list[list[str]], tags: list[list[str]]) -> list[Sentence]:
    sentences = []
    for sentence_words, sentence_tags in zip(words, tags, strict=True):
        sentence = Sentence(sentence_words)
        for token, tag in zip(sentence, sentence_tags, strict=True):
            token.add_label("pos", tag)
        sentences.append(sentence)
    return sentences


def make_tagger(job: dict[str, Any]) -> SequenceTagger:
    vocabulary = {word: number for number, word in enumerate(job["vocabulary"])}
    words = WordEmbeddings(None, vocab=vocabulary, embedding_length=job["word_dim"], fine_tune=True, name="words")
    torch.nn.init.uniform_(words.embedding.weight, -0.17, 0.17)
    characters = Dictionary()
    for character in job["characters"]:
        characters.add_item(character)
    tags = Dictionary(add_unk=False)
    for tag in job["tag_names"]:
        tags.add_item(tag)
    return SequenceTagger(
        StackedEmbeddings([words, CharacterEmbeddings(characters)]),
        tag_dictionary=tags,
        tag_type="pos",
        hidden_size=job["hidden_dim"],
        rnn_layers=1,
        use_crf=job["head"] == "crf",
        # One linear layer less than Flair's default: the network is then the same, and Flair the faster for it.
        reproject_embeddings=False,
    )


def answer(answers: TextIO, value: dict[str, Any]) -> None:
    print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    main()
