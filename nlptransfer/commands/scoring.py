"""`nlptransfer evaluate`: a saved model's scores on labelled data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer import __version__
from nlptransfer.commands.model_kinds import check_fit, conllu_column, is_tagger
from nlptransfer.commands.task_readers import of_task
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def evaluate(arguments: argparse.Namespace) -> None:
    """Score a saved model on labelled data: accuracy with its interval, and each tag or label by itself."""
    from nlptransfer import load

    model = of_task(load(arguments.model), arguments.task)
    if is_tagger(model):
        check_fit(arguments, "tags words", unfit=("text_column", "label_column"))
        _evaluate_tags(model, arguments)
    else:
        check_fit(arguments, "labels texts", unfit=("tag_column", "columns", "tagset", "traces"))
        _evaluate_labels(model, arguments)


def _evaluate_tags(model: Any, arguments: argparse.Namespace) -> None:
    from nlptransfer.data.splits import tag_texts
    from nlptransfer.evaluation.metrics import per_tag_scores
    from nlptransfer.evaluation.predictions import Predictions
    from nlptransfer.evaluation.verdict import score_predictions

    split, corpus = _load_tagged(arguments, conllu_column(model))
    tokens, gold = corpus["tokens"][:], tag_texts(corpus)
    predictions = Predictions(Path(arguments.model).name, split, 0, tokens, gold, model.predict(tokens))
    score = score_predictions([predictions], seed=arguments.seed)[-1]  # the mean, which claims no seed
    print(f"{arguments.data} ({split}): {len(tokens):,} sentences, {score.n:,} words")
    print(f"token accuracy {_with_interval(score)}")
    unknown = sorted({tag for tags in gold for tag in tags} - set(model.tags))
    if unknown:
        words = sum(tag in unknown for tags in gold for tag in tags)
        print(f"words whose tag the model does not know, counted as wrong: {words:,} ({', '.join(unknown)})")
    rows = per_tag_scores(gold, predictions.predicted)
    _print_rows(rows, "tag", "words")
    _write_scores(arguments, split, [score], {"tags": rows})


def _evaluate_labels(model: Any, arguments: argparse.Namespace) -> None:
    from nlptransfer.data.corpora import load_corpus
    from nlptransfer.data.documents import documents
    from nlptransfer.data.text_tables import label_names
    from nlptransfer.evaluation.metrics import per_tag_scores
    from nlptransfer.evaluation.predictions import DocumentPredictions
    from nlptransfer.evaluation.verdict import score_predictions

    corpus = load_corpus(
        arguments.data,
        arguments.split,
        task="classification",
        data_dir=arguments.data_dir,
        text_column=arguments.text_column,
        label_column=arguments.label_column,
    )
    split, data = _scored_split(corpus, arguments)
    names, ids = label_names(data), data["label"][:]
    labelled = [row for row, label in enumerate(ids) if label is not None]
    gold = [names[ids[row]] for row in labelled]
    unknown = sorted(set(gold) - set(model.labels))
    if len(unknown) == len(set(gold)):
        raise InputError(
            "the model knows no label of the data" if gold else "no text of the data carries a label",
            where=arguments.data,
            expected=", ".join(model.labels),
            found=", ".join(unknown) or None,
            remedy="Rename the labels, or name the column with the labels as --label_column.",
        )
    predicted = model.predict(documents(data.select(labelled)))
    numbers = [str(row) for row in labelled]
    predictions = DocumentPredictions(Path(arguments.model).name, split, 0, numbers, gold, predicted)
    metrics = ("accuracy", "macro_f1")
    scores = [
        score
        for score in score_predictions([predictions], metrics=metrics, seed=arguments.seed)
        if score.seed is None  # the mean, which claims no seed
    ]
    print(f"{arguments.data} ({split}): {len(gold):,} texts")
    if len(gold) < len(ids):
        print(f"texts without a label, left out: {len(ids) - len(gold):,}")
    for score in scores:
        print(f"{score.metric.replace('_f1', ' F1')} {_with_interval(score)}")
    if unknown:
        texts = sum(label in unknown for label in gold)
        print(f"texts whose label the model does not know, counted as wrong: {texts:,} ({', '.join(unknown)})")
    rows = [
        {"label" if name == "tag" else name: value for name, value in row.items()}
        for row in per_tag_scores([[label] for label in gold], [[label] for label in predicted])
    ]
    _print_rows(rows, "label", "texts")
    _write_scores(arguments, split, scores, {"labels": rows})


def _load_tagged(arguments: argparse.Namespace, learned_column: str) -> tuple[str, Dataset]:
    """The split's name, and its sentences."""
    from nlptransfer.data.corpora import load_corpus

    is_conllu = arguments.data.startswith("ud:") or ".conllu" in arguments.data
    is_conllu = is_conllu or any(Path(arguments.data).glob("*.conllu*"))
    corpus = load_corpus(
        arguments.data,
        arguments.split,
        task="tagging",
        data_dir=arguments.data_dir,
        tag_column=arguments.tag_column or (learned_column if is_conllu else None),
        columns=arguments.columns,
        tagset=arguments.tagset,
        traces=arguments.traces != "false",
    )
    return _scored_split(corpus, arguments)


def _scored_split(corpus: Dataset | DatasetDict, arguments: argparse.Namespace) -> tuple[str, Dataset]:
    """The split to score and its name."""
    # A corpus in one piece is scored whole, with whatever of it the model was trained on.
    split = arguments.split or ("test" if isinstance(corpus, dict) else "whole corpus")
    if not isinstance(corpus, dict):
        return split, corpus
    if split not in corpus:
        raise InputError(
            "the corpus has no test split",
            where=arguments.data,
            found=", ".join(corpus),
            remedy="Say which split to score with --split.",
        )
    return split, corpus[split]


def _with_interval(score: Any) -> str:
    return f"{score.value:.2%} (95 % interval {score.low:.2%} to {score.high:.2%})"


def _print_rows(rows: Sequence[Mapping[str, Any]], kind: str, counted: str) -> None:
    """Precision, recall and F1 of each tag or label."""
    width = max(len(kind), *(len(row[kind]) for row in rows))
    print(f"\n{kind:<{width}}  precision  recall      F1  {counted:>7}")
    for row in rows:
        columns = f"{row['precision']:>9.2%}  {row['recall']:>6.2%}  {row['f1']:>6.2%}  {row['support']:>7,}"
        print(f"{row[kind]:<{width}}  {columns}")


def _write_scores(arguments: argparse.Namespace, split: str, scores: Sequence[Any], rows: Mapping[str, Any]) -> None:
    from nlptransfer.files import write_json

    if arguments.output:
        result = {"model": arguments.model, "data": arguments.data, "split": split, "version": __version__}
        write_json(arguments.output, {**result, "scores": [score.to_dict() for score in scores], **rows})
