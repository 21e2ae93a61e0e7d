"""The synthetic reviews: what is shared, what is not, and how large the shift is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from nlptransfer.data.synthetic_reviews import ReviewDomains, make_review_domains
from nlptransfer.errors import InputError


@pytest.fixture(scope="module")
def domains() -> ReviewDomains:
    return make_review_domains(2000, seed=0)


def split_by_label(texts: list[str], labels: list[int]) -> tuple[Counter[str], Counter[str]]:
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for text, label in zip(texts, labels, strict=True):
        counts[label].update(text.split())
    return counts


def test_the_schema_is_that_of_a_text_corpus(domains: ReviewDomains) -> None:
    for name, corpus in (("source", domains.source), ("target", domains.target)):
        assert list(corpus) == ["train", "unlabelled"]
        assert corpus["train"].column_names == ["text", "label", "domain"]
        assert corpus["unlabelled"].column_names == ["text", "domain"]
        assert corpus["train"].features["label"].names == ["neg", "pos"]
        assert np.bincount(corpus["train"]["label"]).tolist() == [1000, 1000]
        assert set(corpus["train"]["domain"]) == set(corpus["unlabelled"]["domain"]) == {name}
        assert not set(corpus["train"]["text"]) & set(corpus["unlabelled"]["text"])


def test_word_lists_do_not_overlap_and_stay_in_their_domain(domains: ReviewDomains) -> None:
    lists = [*domains.weak.values(), domains.neutral, *domains.domain_neutral.values()]
    lists += [words for of_domain in domains.strong.values() for words in of_domain.values()]
    everything = [word for words in lists for word in words]
    assert len(set(everything)) == len(everything)
    for here, there in (("source", "target"), ("target", "source")):
        used = set(" ".join(getattr(domains, here)["train"]["text"]).split())
        assert used <= set(everything)
        foreign = {*domains.domain_neutral[there], *domains.strong[there]["neg"], *domains.strong[there]["pos"]}
        assert not used & foreign
        assert used >= {*domains.weak["neg"], *domains.weak["pos"]}


def test_words_agree_with_the_label_as_often_as_documented(domains: ReviewDomains) -> None:
    for name, corpus in (("source", domains.source["train"]), ("target", domains.target["train"])):
        counts = split_by_label(corpus["text"], corpus["label"])
        for lists, share, per_review in ((domains.weak, 0.74, 3.0), (domains.strong[name], 0.94, 2.5)):
            right = sum(counts[label][word] for label, key in enumerate(("neg", "pos")) for word in lists[key])
            wrong = sum(counts[1 - label][word] for label, key in enumerate(("neg", "pos")) for word in lists[key])
            assert right / (right + wrong) == pytest.approx(share, abs=0.02)
            assert (right + wrong) / 2000 == pytest.approx(per_review, abs=0.15)
        neutral = [sum(count[word] for word in domains.neutral) for count in counts]
        assert neutral[0] == pytest.approx(neutral[1], rel=0.03)


def test_a_classifier_loses_across_domains_what_the_target_could_teach_it(domains: ReviewDomains) -> None:
    vectorizer = CountVectorizer(binary=True, min_df=2)
    vectorizer.fit(domains.source["train"]["text"][:] + domains.target["unlabelled"]["text"][:])
    source, target = (vectorizer.transform(corpus["train"]["text"][:]) for corpus in (domains.source, domains.target))
    source_labels, target_labels = (
        np.array(domains.source["train"]["label"]),
        np.array(domains.target["train"]["label"]),
    )
    model = LogisticRegression(C=0.1).fit(source, source_labels)
    across = model.score(target, target_labels)
    half = LogisticRegression(C=0.1).fit(target[:1000], target_labels[:1000])
    within = half.score(target[1000:], target_labels[1000:])
    assert 0.70 < across < 0.79
    assert 0.90 < within < 0.95
    # There is something to carry over: the shared words alone, as weighed by the source, do no worse than all.
    weak = [
        index for word, index in vectorizer.vocabulary_.items() if word in {*domains.weak["neg"], *domains.weak["pos"]}
    ]
    shared = LogisticRegression(C=0.1).fit(source[:, weak], source_labels).score(target[:, weak], target_labels)
    assert shared > across


def test_strong_words_stand_beside_weak_ones_of_their_label_in_unlabelled_reviews(domains: ReviewDomains) -> None:
    beside: Counter[tuple[str, str]] = Counter()
    for text in domains.target["unlabelled"]["text"]:
        words = set(text.split())
        for strong in ("neg", "pos"):
            for weak in ("neg", "pos"):
                beside[strong, weak] += bool(words & set(domains.strong["target"][strong])) and bool(
                    words & set(domains.weak[weak])
                )
    assert beside["pos", "pos"] > 1.3 * beside["pos", "neg"]
    assert beside["neg", "neg"] > 1.3 * beside["neg", "pos"]


def test_the_seed_decides_and_the_words_do_not_depend_on_the_number_of_reviews(domains: ReviewDomains) -> None:
    small, again, other = (make_review_domains(31, seed=seed) for seed in (0, 0, 1))
    assert small.weak == domains.weak and small.neutral == domains.neutral
    assert small.target["train"].to_dict() == again.target["train"].to_dict()
    assert small.target["train"]["text"][:] != other.target["train"]["text"][:]
    assert np.bincount(small.source["train"]["label"]).tolist() == [16, 15]


def test_one_review_is_too_few() -> None:
    with pytest.raises(InputError, match=r"too few reviews.*found 1"):
        make_review_domains(1, seed=0)
