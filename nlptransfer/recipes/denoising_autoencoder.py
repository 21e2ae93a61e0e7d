"""Denoising autoencoders: one representation for two domains, learnt from their unlabelled text.

A representation is learnt from both domains' text, a classifier is trained on the source's labels on top of it, and
the verdict says what that gained over the raw features. The control learns the representation without target text:
what it gains too is owed to a representation as such, and what it does not gain is owed to the target's text. Every
method of cross_domain_sentiment can follow the representation, by name: msda+self_training, msda+dann, sda+coral.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlptransfer.recipes import cross_domain_sentiment
from nlptransfer.recipes.running import run_recipe

QUESTION = (
    "Features that rebuild what was taken from a text: does a classifier on them carry over better than on the words, "
    "and is that owed to the target's text?"
)


@dataclass(frozen=True)
class Settings(cross_domain_sentiment.Settings):
    """Those of cross_domain_sentiment; `nlptransfer denoising_autoencoder --help` shows them."""

    methods: tuple[str, ...] = ("msda", "msda_without_target", "msda+self_training", "msda+dann")
    """Representations (msda, sda, each also _without_target) and chains such as msda:5+coral; others stand for raw
    features. An unknown one lists them all."""
    max_features: int = 10_000
    """Keep so many n-grams, the most frequent ones; the time that mSDA takes grows with them."""


def run(settings: Settings) -> None:
    """Learn the representations, train on top of them, compare with the raw features and report.

    Args:
        settings: the recipe's.

    Raises:
        InputError: see `cross_domain_sentiment.run`.
    """
    cross_domain_sentiment.run(
        settings, recipe="denoising_autoencoder", title="Denoising autoencoders", question=QUESTION
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
