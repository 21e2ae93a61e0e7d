"""Hubs are counted as defined, and the diagnosis is promising for a rotated space and hopeless where it must be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import ortho_group, skew

from nlptransfer.crosslingual.isometry import bottleneck_distance, eigenvector_similarity, merge_heights
from nlptransfer.crosslingual.lexicon import Lexicon
from nlptransfer.crosslingual.mapping_diagnosis import (
    Distance,
    diagnose_mapping,
    format_diagnosis,
    hubness,
    text_coverage,
)
from nlptransfer.crosslingual.retrieval import translate_both_ways
from nlptransfer.crosslingual.seed_quality import prepared_rows
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

DIM = 10
ROTATION = ortho_group.rvs(DIM, random_state=1)
COUNT = 260


def space(vectors: np.ndarray, prefix: str) -> WordVectors:
    words = [f"{prefix}{row}" for row in range(len(vectors))]
    return WordVectors(words, vectors.astype(np.float32), None, prefix, prefix)


def language(seed: int = 0) -> np.ndarray:
    """Words in groups of unlike sizes and spreads, in no order."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(12, DIM))
    groups = rng.choice(12, size=COUNT, p=np.arange(1, 13) / 78)
    return centres[groups] + rng.uniform(0.1, 0.6, size=12)[groups][:, None] * rng.normal(size=(COUNT, DIM))


SOURCE = space(language(), "s")
TURNED = space(language() @ ROTATION + 0.02 * np.random.default_rng(1).normal(size=(COUNT, DIM)), "t")
NOISE = space(np.random.default_rng(2).normal(size=(COUNT, DIM)), "t")


def pairs(count: int = 120, *, shift: int = 0) -> Lexicon:
    return Lexicon(tuple((f"s{row}", f"t{(row + shift) % count}") for row in range(count)))


def test_hubness_follows_its_definitions() -> None:
    rng = np.random.default_rng(0)
    neighbours = np.stack([rng.choice(30, size=3, replace=False, p=np.arange(1, 31) / 465) for _ in range(50)])
    counts = Counter(neighbours.ravel().tolist())
    occurrences = np.array([counts[target] for target in range(34)])  # four targets that are never found
    found = hubness(neighbours, 34)
    assert found.skewness == pytest.approx(skew(occurrences))
    hubs = [n for n in occurrences if n > occurrences.mean() + 2 * occurrences.std()]
    assert hubs
    assert found.hub_share == len(hubs) / 34
    assert found.hub_occurrence == sum(hubs) / 150
    assert found.anti_hub_share == sum(n == 0 for n in occurrences) / 34 >= 4 / 34


def test_neighbours_without_hubs_have_no_skewness() -> None:
    found = hubness(np.array([[0, 1], [1, 2], [2, 0]]), 3)
    assert found == (0.0, 0.0, 0.0, 0.0)


def test_neighbours_that_are_no_targets_are_refused() -> None:
    for neighbours in (np.zeros((0, 2), dtype=int), np.array([[3]]), np.array([[-1]])):
        with pytest.raises(ValueError, match="rows of the 3 targets"):
            hubness(neighbours, 3)


def test_a_space_made_with_hubs_is_found_out_and_csls_mends_it() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(300, 40)) + 0.5
    target = source + 0.5 * rng.normal(size=source.shape)
    control = hubness(translate_both_ways(source, target, retrieval="cosine", num_answers=10)[0].rows, 300)
    target[:5] = 0.5 + 0.3 * rng.normal(size=(5, 40))  # near the mean of all, thus near to everything
    plain = hubness(translate_both_ways(source, target, retrieval="cosine", num_answers=10)[0].rows, 300)
    csls = hubness(translate_both_ways(source, target, retrieval="csls", num_answers=10)[0].rows, 300)
    assert plain.skewness > 3
    assert control.skewness < 0.5 * plain.skewness
    assert plain.hub_occurrence > 5 * plain.hub_share
    assert csls.skewness < 0.8 * plain.skewness
    assert csls.hub_occurrence < 0.8 * plain.hub_occurrence


def test_coverage_counts_running_words_distinct_words_and_ranks() -> None:
    sentences = [["s0"] * 6 + ["s1", "!", "2024"], [], ["unknown"] * 2 + [f"s{n}" for n in range(2, 100)] + ["rare"]]
    found = text_coverage(SOURCE, sentences)
    assert found.token_share == pytest.approx(105 / 108)
    assert found.type_share == pytest.approx(100 / 102)
    assert found.by_rank == {"1-100": 0.99, "101-102": 0.5}
    with pytest.raises(InputError, match="no words"):
        text_coverage(SOURCE, [["!", "12"], []])


def test_a_rotated_space_is_promising() -> None:
    found = diagnose_mapping(
        SOURCE, TURNED, seed=0, lexicon=pairs(), source_sentences=[SOURCE.words], target_sentences=[TURNED.words]
    )
    assert found.outlook == "promising"
    assert found.findings == ()
    assert found.num_words == COUNT // 2
    assert found.eigenvector_similarity.position < 0.1
    assert found.bottleneck_distance.position < 0.1
    assert found.seeds is not None
    assert found.seeds.held_out is not None
    assert found.seeds.held_out.precision_at_1 > 0.9
    assert set(found.hubness) == {"target alone", "cosine", "csls"}
    assert found.mapped_pairs is None


def test_without_pairs_even_a_rotated_space_is_doubtful_until_it_is_mapped() -> None:
    before = diagnose_mapping(SOURCE, TURNED, seed=0)
    (finding,) = before.findings
    assert finding.outlook == "doubtful" and "There are no seed pairs" in finding.text
    assert diagnose_mapping(SOURCE, TURNED, seed=0, mapped=(SOURCE.matrix, SOURCE.matrix)).findings == ()


def test_a_space_without_structure_is_hopeless_without_pairs_and_with_them() -> None:
    without = diagnose_mapping(SOURCE, NOISE, seed=0)
    assert without.outlook == "hopeless"
    assert without.eigenvector_similarity.position > 0.9
    assert set(without.hubness) == {"target alone"}
    assert "Without seed pairs" in without.findings[0].text
    given = diagnose_mapping(SOURCE, NOISE, seed=0, lexicon=pairs())
    assert given.outlook == "hopeless"
    assert "no better than chance" in given.findings[0].text


def test_wrong_pairs_are_hopeless_though_the_spaces_are_alike() -> None:
    found = diagnose_mapping(SOURCE, TURNED, seed=0, lexicon=pairs(shift=11))
    assert found.outlook == "hopeless"
    assert "land no better than chance" in found.findings[0].text


def test_distances_are_those_of_the_named_samples() -> None:
    found = diagnose_mapping(SOURCE, TURNED, seed=0, num_words=60)
    first, second = (prepared_rows(side, np.arange(60), num_words=60) for side in (SOURCE, TURNED))
    both = prepared_rows(TURNED, np.arange(120), num_words=120)
    assert found.eigenvector_similarity.value == pytest.approx(eigenvector_similarity(first, second))
    assert found.eigenvector_similarity.same_language == pytest.approx(eigenvector_similarity(both[::2], both[1::2]))
    expected = bottleneck_distance(merge_heights(both[::2]), merge_heights(both[1::2]))
    assert found.bottleneck_distance.same_language == pytest.approx(expected)
    assert found.bottleneck_distance.structureless > found.bottleneck_distance.same_language


def test_a_position_is_0_at_the_same_language_and_1_at_noise_and_unknown_where_they_coincide() -> None:
    assert [Distance(value, 2.0, 6.0).position for value in (2.0, 6.0, 4.0, 0.0)] == [0.0, 1.0, 0.5, -0.5]
    assert np.isnan(Distance(1.0, 2.0, 2.0).position)


def test_a_text_that_the_vectors_hardly_know_is_hopeless_and_one_they_half_know_is_doubtful() -> None:
    for known, outlook in ((4, "hopeless"), (7, "doubtful"), (9, "promising")):
        sentence = SOURCE.words[:known] + [f"new{number}" for number in range(10 - known)]
        assert diagnose_mapping(SOURCE, TURNED, seed=0, lexicon=pairs(), source_sentences=[sentence]).outlook == outlook


def test_few_lost_and_rare_pairs_are_each_named() -> None:
    lost = Lexicon((*pairs(6).pairs, *((f"unknown{n}", f"t{n}") for n in range(9))))
    texts = " ".join(finding.text for finding in diagnose_mapping(SOURCE, TURNED, seed=0, lexicon=lost).findings)
    assert "Only 6 of 15 seed pairs" in texts
    assert "6 known pairs are fewer than the 10 dimensions" in texts
    assert "6 known pairs are too few to test" in texts
    many = space(np.tile(language(), (25, 1)) + 0.1 * np.random.default_rng(3).normal(size=(25 * COUNT, DIM)), "s")
    rare = Lexicon(tuple((f"s{5_500 + row}", f"t{row}") for row in range(20)))
    texts = " ".join(finding.text for finding in diagnose_mapping(many, TURNED, seed=0, lexicon=rare).findings)
    assert "rare: middle ranks 5,510" in texts or "rare: middle ranks 5,511" in texts


def test_a_mapping_that_was_given_is_judged_by_the_pairs_and_by_its_hubs() -> None:
    good = diagnose_mapping(SOURCE, TURNED, seed=0, lexicon=pairs(), mapped=(SOURCE.matrix @ ROTATION, TURNED.matrix))
    assert good.outlook == "promising"
    assert good.mapped_pairs is not None
    assert good.mapped_pairs.precision_at_1 > 0.9
    point = np.tile(np.ones(DIM, dtype=np.float32), (COUNT, 1))  # all source words at one place
    bad = diagnose_mapping(SOURCE, TURNED, seed=0, lexicon=pairs(), mapped=(point, TURNED.matrix))
    texts = " ".join(finding.text for finding in bad.findings)
    assert "it has failed" in texts
    assert "no translation reaches them" in texts
    assert bad.outlook == "doubtful"  # the spaces could be mapped; it was not done
    with pytest.raises(ValueError, match="as many mapped vectors"):
        diagnose_mapping(SOURCE, TURNED, seed=0, mapped=(point[:5], TURNED.matrix))


def test_the_same_seed_gives_the_same_numbers_and_another_another_cloud() -> None:
    first, again, other = (diagnose_mapping(SOURCE, TURNED, seed=seed, num_words=40) for seed in (0, 0, 1))
    assert first == again
    assert first.eigenvector_similarity.structureless != other.eigenvector_similarity.structureless
    assert first.eigenvector_similarity.value == other.eigenvector_similarity.value


def test_spaces_of_unlike_dimension_can_be_diagnosed() -> None:
    wide = space(language() @ ortho_group.rvs(14, random_state=2)[:DIM], "t")
    found = diagnose_mapping(SOURCE, wide, seed=0, lexicon=pairs())
    assert found.outlook == "promising"
    assert found.singular_value_gap < 1e-3


def test_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match="too few vectors"):
        diagnose_mapping(SOURCE, space(language()[:20], "t"), seed=0)


def test_the_text_for_the_screen_names_the_outlook_and_the_numbers() -> None:
    found = diagnose_mapping(SOURCE, NOISE, seed=0, lexicon=pairs(), target_sentences=[["t0", "t1", "x"]])
    text = format_diagnosis(found)
    assert text.startswith("Outlook for mapping: hopeless\n- hopeless: ")
    for part in ("eigenvector similarity", "The target's vectors know 66.7%", "120 of 120 known", "Hubness, csls"):
        assert part in text
    assert "after the mapping that was given" not in text
