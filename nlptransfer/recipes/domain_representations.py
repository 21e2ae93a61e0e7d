"""A pair of domains in a representation that was learnt from its unlabelled text, and what was learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlptransfer.adaptation.method_names import STEPS, Method, parse_method, setting_of

if TYPE_CHECKING:
    from pathlib import Path

    from nlptransfer.recipes.cross_domain_sentiment import Settings
    from nlptransfer.recipes.domain_features import PairData

CURVE = "curve.json"
TOLD_ROWS = 500
"""Documents by which a representation's errors are told."""


def represent_pair(settings: Settings, data: PairData, method: Method, seed: int) -> tuple[PairData, Method]:
    """The pair in the representation that a method begins with, and the method's other steps; each learnt once.

    It is learnt from all unlabelled text of the pair, in validation too: it has seen no label. The random parts of
    mSDA on many features are drawn under `split_seed` alone, so that every seed shares them.
    """
    key = representation_key(settings, method, seed)
    if key is None:
        return data, method
    if key not in data.represented:
        data.represented.clear()  # several would not fit into memory
        data.represented[key] = _learn_representation(settings, data, method, key[-1])
    return data.represented[key], method.on_representation()


def representation_key(settings: Settings, method: Method | None, seed: int) -> tuple[Any, ...] | None:
    """What tells a representation of a pair from others: step, number, corruption, seed; None without one."""
    if method is None or method.representation is None:
        return None
    step, value = method.representation
    own_seed = seed if STEPS[step].random else settings.split_seed
    return step, setting_of(step, value), settings.corruption, own_seed


def _learn_representation(settings: Settings, data: PairData, method: Method, seed: int) -> PairData:
    from nlptransfer.adaptation.array_systems import DomainArrays
    from nlptransfer.adaptation.feature_arrays import stack_rows
    from nlptransfer.adaptation.representations import represent_arrays
    from nlptransfer.embeddings.feature_layers import LayeredFeatures

    num_source = len(data.labels)
    arrays = DomainArrays(
        data.pool[:num_source],
        data.labels,
        data.pool[num_source:],
        len(data.pair.label_names),
        source_unlabelled=data.source_unlabelled,
    )
    represented = represent_arrays(
        method, arrays, corruption=settings.corruption, output_dim=settings.output_dim or None, seed=seed
    )
    learnt, rows = represented.learnt, represented.arrays
    return replace(
        data,
        extractor=LayeredFeatures(data.extractor, learnt.layers_),
        pool=stack_rows(rows.source, rows.target),
        source_unlabelled=None,
        test=None if data.test is None else learnt.transform(data.test),
        raw=data,
        learnt=learnt,
        represented={},
    )


def describe_representation(represented: PairData, seed: int) -> dict[str, Any]:
    """How well each layer reconstructs documents it has not seen, how far the domains are apart before and after, and
    from which words each domain's own words are reconstructed; nothing where no representation was learnt."""
    data, learnt = represented.raw, represented.learnt
    if data is None or learnt is None:
        return {}
    import numpy as np

    from nlptransfer.embeddings.ngrams import NgramVectorizer
    from nlptransfer.transferability.bridging_words import bridging_words, document_shares, domain_specific_words
    from nlptransfer.transferability.proxy_a_distance import proxy_a_distance

    num_source = len(data.labels)
    source, target = data.pool[:num_source], data.pool[num_source:]
    new = target if data.test is None else data.test
    told = np.random.default_rng(seed).permutation(new.shape[0])[:TOLD_ROWS]
    facts: dict[str, Any] = {
        "reconstruction_errors": [round(error, 4) for error in learnt.reconstruction_errors(new[told], seed=seed)],
        "proxy_a_distance_before": proxy_a_distance(source, target, seed=seed),
        "proxy_a_distance_after": proxy_a_distance(
            represented.pool[:num_source], represented.pool[num_source:], seed=seed
        ),
        **learnt.facts_,
    }
    if isinstance(data.extractor, NgramVectorizer):
        terms = data.extractor.terms_
        columns = np.concatenate(domain_specific_words(source, target, terms))
        facts["bridging_words"] = bridging_words(
            learnt.influences,
            terms,
            columns,
            source_share=document_shares(source),
            target_share=document_shares(target),
        )
    return facts


def trace_curve(settings: Settings, data: PairData, path: Path) -> None:
    """Score, without labels, mSDA with a linear classifier at every corruption and number of layers of the curve.

    What each predicts of the target's test is kept beside its score, so that the report can show, after the labels
    were opened, what the choice has cost.
    """
    import numpy as np

    from nlptransfer.files import write_json
    from nlptransfer.recipes.domain_systems import fit_rows, label_free_score, predict_test

    num_source = len(data.labels)
    rows = np.arange(num_source + data.num_target)
    seed = settings.split_seed
    points = []
    for corruption in settings.curve_corruptions:
        for num_layers in settings.curve_layers:
            own, method = represent_pair(
                replace(settings, corruption=corruption), data, parse_method(f"msda:{num_layers}"), seed
            )
            trained = fit_rows(settings, own, method, rows[:num_source], data.labels, rows[num_source:], seed)
            points.append(
                {
                    "corruption": corruption,
                    "num_layers": num_layers,
                    "score": label_free_score(settings, own, method, trained),
                    "predicted": "".join(map(chr, 48 + predict_test(own, trained.model))),
                }
            )
    write_json(path, points)
