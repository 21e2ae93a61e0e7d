"""Which way to use a pretrained encoder: the table of data size and likeness, read at measured values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nlptransfer.data.words import split_words
from nlptransfer.errors import InputError

Strategy = Literal[
    "feature_extraction", "lp_ft", "gradual_unfreezing", "full", "lora", "dapt+full", "udalm", "full+self_training"
]

# The bounds follow from what each number means. None was fitted to scores of any data set.

FEW_LABELS_PER_CLASS = 20
"""Below it a class is rare. If a fifth of the labels is held out, there are 4 of the class or fewer, and one
document decides a quarter of its recall: rates and epochs can't be chosen by that, so that only a head on frozen
features, which needs neither, can be trained with confidence."""

SMALL_NUM_LABELS = 1_000
"""Below it a training set is small. One pass at batch size 32 is some 30 updates, 3 passes fewer than 100, much of
that the warm-up; training sets below this are where fine-tuning was found unstable (Zhang et al. 2021, who cut theirs
to 1,000)."""

MUCH_UNLABELLED = 1_000
"""From here on there is enough text for masked LM. At 100 subwords a text, 15 of every 100 of them predicted, that is
15,000 predictions a pass, an order of magnitude more than a small training set has labels."""

UNLIKE_SUBWORDS_PER_WORD = 1.5
"""From here on a text is unlike the encoder's own. At 1 each word is in the vocabulary; at 1.5 there is one more
subword for every two words, so that much of the text is spelled in pieces of which the encoder has seen few
together."""

UNLIKE_UNKNOWN_SHARE = 0.01
"""From here on likewise. Of an unknown token nothing is read; one in a hundred is one in each text of a few
sentences, where running text in an encoder's own language has next to none."""

UNLIKE_DOMAIN_DISTANCE = 1.0
"""From here on domains are unlike, by the proxy A-distance: the middle of its range, where a linear classifier tells
three documents of four rightly by their domain."""

BYTES_PER_PARAMETER = 16
"""What full fine-tuning holds of each parameter: weight, gradient and the two moments of Adam, 4 bytes each."""


@dataclass(frozen=True)
class Fertility:
    """How finely a tokenizer cuts texts.

    Attributes:
        subwords_per_word: mean over running words, 1 or more.
        unknown_share: unknown tokens among all subwords, 0..1.
        share_of_words_split: running words of two subwords or more, 0..1.
        num_words: running words that were counted.
    """

    subwords_per_word: float
    unknown_share: float
    share_of_words_split: float
    num_words: int


@dataclass(frozen=True)
class Recommendation:
    """A strategy, and why.

    Attributes:
        strategy: as the recipe names it.
        reasons: sentences, the most important first.
        table: rows for a report, of a mapping from column to text; the chosen cell is marked by ``> <``.
    """

    strategy: Strategy
    reasons: tuple[str, ...]
    table: list[dict[str, str]]


_USES = ("the domain of the labels", "another domain")
_SIZES = ("few", "small", "large")
_COLUMNS = {
    (True, False): "like, little unlabelled text",
    (True, True): "like, much unlabelled text",
    (False, False): "unlike, little unlabelled text",
    (False, True): "unlike, much unlabelled text",
}
_TABLE: dict[tuple[str, str], tuple[Strategy, Strategy, Strategy, Strategy]] = {
    (_USES[0], "few"): ("feature_extraction", "feature_extraction", "gradual_unfreezing", "dapt+full"),
    (_USES[0], "small"): ("lp_ft", "lp_ft", "gradual_unfreezing", "dapt+full"),
    (_USES[0], "large"): ("full", "full", "full", "dapt+full"),
    (_USES[1], "few"): ("feature_extraction", "feature_extraction", "lp_ft", "dapt+full"),
    (_USES[1], "small"): ("lp_ft", "lp_ft", "lp_ft", "dapt+full"),
    (_USES[1], "large"): ("full", "full+self_training", "lp_ft", "udalm"),
}
"""(where the model is used, how many labels) -> one strategy for each of `_COLUMNS`, in their order."""

_WHY: dict[Strategy, str] = {
    "feature_extraction": "The encoder's features suit the text, and a head alone has few weights to learn from few"
    " labels.",
    "lp_ft": "Training the head first keeps full fine-tuning from distorting the features while the head is still"
    " random, which costs most outside the domain of the labels (Kumar et al. 2022).",
    "gradual_unfreezing": "The top layers must change and the labels are few: unfreezing from the top down changes the"
    " lower ones last and least (Howard and Ruder 2018).",
    "full": "There are labels enough to train every layer.",
    "lora": "Training small matrices beside frozen weights takes a fraction of the memory (Hu et al. 2022).",
    "dapt+full": "Masked LM on the unlabelled text fits the encoder to it before the labels are used, which helps the"
    " more, the less the text is like that of its pretraining (Gururangan et al. 2020).",
    "udalm": "There are labels enough to train on, and masked LM on the target's text beside them keeps the encoder"
    " fitted to where it is used (Karouzos et al. 2021).",
    "full+self_training": "The domains are alike, so that the model is mostly right on the target and its confident"
    " answers there can serve as labels.",
}


def measure_fertility(tokenizer: Any, texts: Sequence[str]) -> Fertility:
    r"""How many subwords a tokenizer makes of a word, and how often it knows nothing of one.

    .. math:: \text{fertility} = \frac{1}{W} \sum_{w} |\text{subwords}(w)|

    over the W running words of the texts, punctuation left out. Each distinct word is cut once, as it stands in the
    midst of a text. A vocabulary made of the same kind of text leaves this near 1; it rises with words that are new
    in language, script or subject. It does not see known words in new senses, and it is higher throughout for
    vocabularies that many languages share.

    Args:
        tokenizer: of `transformers`.
        texts: without their labels; a few hundred are enough.

    Returns:
        The means.

    Raises:
        InputError: the texts have no word.

    Reference: Rust et al. 2021, "How good is your tokenizer?", section 3 (subword fertility, and the proportion of
    continued words), https://aclanthology.org/2021.acl-long.243.

    Compare with: `vocabulary_overlap`, which asks the same of two samples of text.

    Example:
        >>> measure_fertility(tokenizer, ["a good book about zymurgy"]).subwords_per_word
        1.6
    """
    from nlptransfer.data.subword_words import encode_words

    counts = Counter(word for text in texts for word in split_words(text))
    if not counts:
        raise InputError("the texts have no words to measure the tokenizer by", found=f"{len(texts)} texts")
    encoded = encode_words(tokenizer, [list(counts)])
    times = np.fromiter(counts.values(), dtype=np.int64)
    sizes = np.diff(encoded.subword_starts)
    if tokenizer.unk_token_id is None:
        unknown = np.zeros(len(sizes), dtype=np.int64)
    else:
        is_unknown = (encoded.subwords == tokenizer.unk_token_id).astype(np.int64)
        unknown = np.add.reduceat(is_unknown, encoded.subword_starts[:-1])  # no word is without a subword
    num_words, num_subwords = int(times.sum()), int(times @ sizes)
    return Fertility(
        subwords_per_word=num_subwords / num_words,
        unknown_share=int(times @ unknown) / num_subwords,
        share_of_words_split=int(times @ (sizes > 1)) / num_words,
        num_words=num_words,
    )


def recommend_strategy(
    *,
    num_labels: int,
    num_classes: int,
    num_unlabelled: int,
    fertility: Fertility,
    domain_distance: float | None = None,
    num_parameters: int | None = None,
    memory_bytes: int | None = None,
) -> Recommendation:
    """The strategy that the table of data size and likeness names for measured quantities, with its reasons.

    The usual table has two rows, data small or large, and two columns, like or unlike what the encoder was pretrained
    on: small and like, train a head on its features; large, fine-tune it; small and unlike, take care. Here it has a
    third row for very few labels, and asks besides whether there is unlabelled text and whether the model is used in
    the domain of its labels or in another. The bounds are the constants of this file, each with what it means.

    It is a rule of thumb, not a forecast: it knows nothing of the task. In particular features of an encoder tell
    most domains apart with ease without that harming a classifier (see `proxy_a_distance`), so that "unlike" says
    that there is room for adaptation to help, not that it will. Run what it names against a baseline.

    Args:
        num_labels: labelled documents, or sentences of a tagger, to train on.
        num_classes: classes, or tags.
        num_unlabelled: texts without labels of the domain in which the model is used.
        fertility: of the encoder's tokenizer on texts of that domain, from `measure_fertility`.
        domain_distance: 0..2, the proxy A-distance between features of the labels' domain and of that in which the
            model is used; None where they are the same domain.
        num_parameters: of the encoder; with `memory_bytes`, to see whether full fine-tuning fits.
        memory_bytes: of the device.

    Returns:
        The strategy, the reasons, and the table.

    Raises:
        InputError: there are no labels, or a number is outside its range.

    Reference: the table: Karpathy et al., notes of CS231n, "Transfer learning",
    https://cs231n.github.io/transfer-learning/; Kumar et al. 2022, "Fine-tuning can distort pretrained features and
    underperform out-of-distribution", https://arxiv.org/abs/2202.10054; Howard and Ruder 2018, section 3.3 (gradual
    unfreezing), https://aclanthology.org/P18-1031; Gururangan et al. 2020, sections 3 and 4,
    https://aclanthology.org/2020.acl-main.740; Karouzos et al. 2021, https://aclanthology.org/2021.naacl-main.203;
    Zhang et al. 2021, https://arxiv.org/abs/2006.05987; Hu et al. 2022, https://arxiv.org/abs/2106.09685. The bounds,
    the third row and the unlabelled columns are ours.

    Compare with: `label_free_scores`, which rank strategies that have been run.

    Example:
        >>> found = recommend_strategy(num_labels=200, num_classes=2, num_unlabelled=0,
        ...                            fertility=measure_fertility(tokenizer, texts))
        >>> found.strategy
        'lp_ft'
    """
    _check(num_labels, num_classes, num_unlabelled, domain_distance)
    use = _USES[0] if domain_distance is None else _USES[1]
    size, size_reason = _size(num_labels, num_classes)
    like, like_reasons = _likeness(fertility, domain_distance)
    much = num_unlabelled >= MUCH_UNLABELLED
    column = list(_COLUMNS).index((like, much))
    strategy = _TABLE[use, size][column]
    unlabelled_reason = (
        f"{num_unlabelled:,} unlabelled texts of {'the target' if domain_distance is not None else 'the domain'} are"
        f" {'enough' if much else 'too few'} for masked LM (from {MUCH_UNLABELLED:,})."
    )
    reasons = [_WHY[strategy], size_reason, *like_reasons, unlabelled_reason]
    table = [
        {
            "used in": row_use,
            "labels": _size_text(row_size),
            **{
                title: f"> {cell} <" if (row_use, row_size, index) == (use, size, column) else cell
                for index, (title, cell) in enumerate(zip(_COLUMNS.values(), cells, strict=True))
            },
        }
        for (row_use, row_size), cells in _TABLE.items()
    ]
    if strategy != "feature_extraction" and num_parameters is not None and memory_bytes is not None:
        needed = BYTES_PER_PARAMETER * num_parameters
        if needed > memory_bytes:
            reasons = [
                f"{strategy} would be the choice, but training all {num_parameters / 1e6:,.0f} million parameters takes"
                f" {needed / 1e9:,.1f} GB before any text is read, and the device has {memory_bytes / 1e9:,.1f} GB.",
                _WHY["lora"],
                *reasons[1:],
            ]
            strategy = "lora"
    return Recommendation(strategy, tuple(reasons), table)


def _check(num_labels: int, num_classes: int, num_unlabelled: int, domain_distance: float | None) -> None:
    if num_labels < 1:
        raise InputError(
            "no strategy learns a task without labels", expected="num_labels of 1 or more", found=str(num_labels)
        )
    if num_classes < 1:
        raise InputError("there are no classes", expected="num_classes of 1 or more", found=str(num_classes))
    if num_unlabelled < 0:
        raise InputError("a count is negative", expected="num_unlabelled of 0 or more", found=str(num_unlabelled))
    if domain_distance is not None and not 0 <= domain_distance <= 2:
        raise InputError(
            "the domain distance is outside its range", expected="a proxy A-distance, 0..2", found=str(domain_distance)
        )


def _size(num_labels: int, num_classes: int) -> tuple[str, str]:
    per_class = num_labels / num_classes
    if per_class < FEW_LABELS_PER_CLASS:
        reason = f"that is {per_class:,.1f} a class, fewer than {FEW_LABELS_PER_CLASS}"
        return "few", f"There are few labels: {num_labels:,} for {num_classes:,} classes; {reason}."
    if num_labels < SMALL_NUM_LABELS:
        return "small", f"The training set is small: {num_labels:,} labels, fewer than {SMALL_NUM_LABELS:,}."
    return "large", f"The training set is large: {num_labels:,} labels, {SMALL_NUM_LABELS:,} or more."


def _size_text(size: str) -> str:
    bounds = {
        "few": f"fewer than {FEW_LABELS_PER_CLASS} a class",
        "small": f"fewer than {SMALL_NUM_LABELS:,}",
        "large": f"{SMALL_NUM_LABELS:,} or more",
    }
    return f"{size} ({bounds[size]})"


def _likeness(fertility: Fertility, domain_distance: float | None) -> tuple[bool, list[str]]:
    """Whether the text is like what the model has seen, and a reason for each thing that was looked at."""
    split = fertility.subwords_per_word >= UNLIKE_SUBWORDS_PER_WORD
    unknown = fertility.unknown_share >= UNLIKE_UNKNOWN_SHARE
    reasons = [
        f"The text is {'unlike' if split or unknown else 'like'} what the encoder was pretrained on:"
        f" {fertility.subwords_per_word:.2f} subwords per word (unlike from {UNLIKE_SUBWORDS_PER_WORD}), and"
        f" {100 * fertility.unknown_share:.1f}% unknown tokens (unlike from {100 * UNLIKE_UNKNOWN_SHARE:.0f}%)."
    ]
    far = domain_distance is not None and domain_distance >= UNLIKE_DOMAIN_DISTANCE
    if domain_distance is not None:
        reasons.append(
            f"The domain it is used in is {'unlike' if far else 'like'} that of the labels: the proxy A-distance is"
            f" {domain_distance:.2f} (unlike from {UNLIKE_DOMAIN_DISTANCE})."
        )
    return not (split or unknown or far), reasons
