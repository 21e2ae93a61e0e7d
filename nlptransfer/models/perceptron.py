"""The averaged perceptron tagger, the classic reference without any network."""

from __future__ import annotations

import random
from collections.abc import Sequence


class PerceptronTagger:
    """nltk's greedy averaged perceptron, trained on one's own sentences.

    It looks at words, suffixes, neighbours and the two tags before, and knows no vectors.

    Reference: Collins 2002, section 2.5, https://aclanthology.org/W02-1001, without its search over whole sequences.

    Compare with: `RecurrentTagger`, which is better and takes longer.

    Args:
        iterations: passes over the training sentences.

    Example:
        >>> tagger = PerceptronTagger().fit([["The", "bank"]], [["DT", "NN"]], seed=0)
        >>> tagger.predict([["The", "bank"]])
        [['DT', 'NN']]
    """

    def __init__(self, *, iterations: int = 5) -> None:
        from nltk.tag.perceptron import PerceptronTagger as NltkTagger

        self.iterations = iterations
        self._tagger = NltkTagger(load=False)

    def fit(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], *, seed: int) -> PerceptronTagger:
        """Train on `sentences` and their `tags`; `seed` orders the sentences of each pass."""
        pairs = [
            list(zip(words, labels, strict=True)) for words, labels in zip(sentences, tags, strict=True) if len(words)
        ]
        # nltk shuffles with Python's global generator, which is left as it was found.
        state = random.getstate()
        random.seed(seed)
        try:
            self._tagger.train(pairs, nr_iter=self.iterations)
        finally:
            random.setstate(state)
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """One tag per word."""
        return [[tag for _, tag in self._tagger.tag(list(words))] for words in sentences]
