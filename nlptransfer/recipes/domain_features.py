"""One pair of domains as numbers: features of its documents, or the ids of their words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nlptransfer.adaptation.method_names import parse_method

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator

    from nlptransfer.adaptation.representations import Representation
    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.embeddings.extractors import Extractor
    from nlptransfer.models.network_text_classifier import WordReader
    from nlptransfer.recipes.cross_domain_sentiment import Settings


@dataclass(frozen=True)
class PairData:
    """A pair as the systems see it.

    Attributes:
        pair: who may see what.
        name: of the pair.
        extractor: makes features of documents.
        pool: features of the labelled source, then of the unlabelled target, one below the other.
        labels: (N,) class ids of the source.
        num_target: M, rows of the target in the pool.
        source_unlabelled: features of further source documents, or None.
        test: features of the target's test.
        reader: makes word ids, for recurrent networks; None without them.
        pool_ids: word ids of the pool's documents; None without them.
        test_ids: word ids of the target's test; None without them.
        make_recurrent: makes such a network; None without them.
        accelerator: device and precision of the networks.
        raw: the same pair before a representation was learnt; None where these are its first features.
        learnt: the representation; None without one.
        represented: the pair in the representation that was learnt last, by what tells it from others.
    """

    pair: DomainPair
    name: str
    extractor: Extractor
    pool: Any
    labels: np.ndarray
    num_target: int
    source_unlabelled: Any
    test: Any
    reader: WordReader | None
    pool_ids: list[np.ndarray] | None
    test_ids: list[np.ndarray] | None
    make_recurrent: Callable[[], Any] | None
    accelerator: Accelerator
    raw: PairData | None = None
    learnt: Representation | None = None
    represented: dict[tuple[Any, ...], PairData] = field(default_factory=dict)


def make_pair_data(settings: Settings, pair: DomainPair, name: str) -> PairData:
    """Extract the features of one pair."""
    import numpy as np

    from nlptransfer.adaptation.feature_arrays import stack_rows
    from nlptransfer.data.documents import documents
    from nlptransfer.training.devices import make_accelerator

    source, target, test = (
        documents(part) for part in (pair.source_labelled, pair.target_unlabelled, pair.target_test)
    )
    further = documents(pair.source_unlabelled) if len(pair.source_unlabelled) else []
    extractor = make_extractor(settings, [*source, *further, *target])
    reader, make_recurrent = make_reader(settings, [*source, *further, *target], len(pair.label_names))
    return PairData(
        pair=pair,
        name=name,
        extractor=extractor,
        pool=stack_rows(extractor.transform(source), extractor.transform(target)),
        labels=np.asarray(pair.source_labelled["label"][:], dtype=np.int64),
        num_target=len(target),
        source_unlabelled=extractor.transform(further) if further else None,
        test=extractor.transform(test) if test else None,
        reader=reader,
        pool_ids=None if reader is None else reader.ids([*source, *target]),
        test_ids=None if reader is None else reader.ids(test),
        make_recurrent=make_recurrent,
        accelerator=make_accelerator(settings.device, settings.precision),
    )


def make_extractor(settings: Settings, documents: Sequence[Any]) -> Extractor:
    """What makes features, fitted on the documents of both domains, without labels."""
    from nlptransfer.embeddings.averaged_vectors import AveragedVectors
    from nlptransfer.embeddings.encoder_features import EncoderFeatures
    from nlptransfer.embeddings.joined_features import JoinedFeatures
    from nlptransfer.embeddings.ngrams import NgramVectorizer
    from nlptransfer.training.devices import make_accelerator

    device = str(make_accelerator(settings.device, settings.precision).device)
    parts: list[Extractor] = []
    for kind in settings.features:
        if kind == "ngrams":
            vectorizer = NgramVectorizer(
                ngram_range=(1, settings.max_ngram),
                weighting=settings.weighting,
                min_documents=settings.min_documents,
                max_features=settings.max_features,
                normalize=True,
            )
            parts.append(vectorizer.fit(documents))
        elif kind == "vectors":
            parts.append(AveragedVectors(find_vectors(settings, documents), weighting="idf").fit(documents))
        else:
            assert settings.encoder is not None
            parts.append(EncoderFeatures(settings.encoder, max_length=settings.max_length, device=device))
    return parts[0] if settings.features == ("ngrams",) else JoinedFeatures(parts)


def find_vectors(settings: Settings, documents: Sequence[Any]) -> Any:
    """The word vectors that the documents' words can use."""
    from nlptransfer.embeddings.find_vectors import find_word_vectors
    from nlptransfer.models.network_text_classifier import lower_words

    words = [lower_words(document) for document in documents]
    vectors, _ = find_word_vectors(
        settings.vectors, sentences=words, dim=100, seed=settings.split_seed, max_words=1, data_dir=settings.data_dir
    )
    return vectors


def make_reader(
    settings: Settings, documents: Sequence[Any], num_labels: int
) -> tuple[WordReader | None, Callable[[], Any] | None]:
    """What makes word ids, and what makes a recurrent network that reads them; nothing for bags of words."""
    if settings.network == "bag_of_words" or not any(parse_method(name).is_network for name in settings.methods):
        return None, None
    import torch

    from nlptransfer.data.vocabulary import Vocabulary, count_entries
    from nlptransfer.embeddings.embedding_layer import make_embedding
    from nlptransfer.models.classifier import RecurrentClassifier
    from nlptransfer.models.network_text_classifier import WordReader, lower_words

    counts = count_entries([lower_words(document) for document in documents])
    vocabulary = Vocabulary([word for word, count in counts.items() if count >= settings.min_documents])
    vectors = find_vectors(settings, documents)

    def make() -> RecurrentClassifier:
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        embedding = make_embedding(vectors, vocabulary, trainable=True, generator=generator)
        return RecurrentClassifier(
            embedding,
            num_labels,
            hidden_dim=settings.hidden_dim,
            pooling=settings.pooling,
            dropout=settings.dropout,
        )

    return WordReader(vocabulary, max_length=settings.max_length), make
