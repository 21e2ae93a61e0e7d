"""What the report of a pretraining run shows, and the model folder that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.settings import settings_to_dict

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import ModernBertForMaskedLM, PreTrainedTokenizerFast

    from nlptransfer.data.token_blocks import SourceLines
    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score
    from nlptransfer.finetuning.masked_lm import MaskedLMScores
    from nlptransfer.recipes.pretrain_encoder import Settings

QUESTION = "How well does an encoder learnt from this text alone tell words that are hidden from it?"
FINETUNING_DROPOUT = 0.1
"""What the saved configuration says, for whoever trains the encoder further: fewer texts want it."""


def describe_development(
    before: Mapping[str, MaskedLMScores], after: Mapping[str, MaskedLMScores], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each file: loss, perplexity and accuracy on hidden tokens, before training and after."""
    return [
        {
            "file": name,
            "group": groups[name],
            "hidden tokens": before[name].num_tokens,
            "loss before": before[name].loss,
            "loss after": own.loss,
            "perplexity before": before[name].perplexity,
            "perplexity after": own.perplexity,
            "accuracy before, %": before[name].accuracy * 100,
            "accuracy after, %": own.accuracy * 100,
        }
        for name, own in after.items()
    ]


def describe_training(settings: Settings, history: Sequence[Mapping[str, Any]], num_tokens: int) -> dict[str, Any]:
    """How much was trained on, and how fast."""
    seconds = sum(row["seconds"] for row in history)
    tokens = history[-1]["step"] * settings.batch_size * settings.max_length
    return {
        "steps": history[-1]["step"],
        "tokens": tokens,
        "tokens_in_text": num_tokens,
        "passes": tokens / num_tokens,
        "tokens_per_second": tokens / seconds,
        "padding": max(row["padding"] for row in history),
    }


def describe_run(
    settings: Settings,
    lines: Sequence[SourceLines],
    model: ModernBertForMaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    training: Mapping[str, Any],
    shares: Mapping[str, float],
) -> dict[str, Any]:
    """What the numbers rest on; part of every file that holds them."""
    texts = [
        f"{own.name} (group {own.group}): {own.train_lines:,} lines to train on, {own.dev_lines:,} to develop on, "
        f"{own.excluded_lines:,} kept out; {shares[own.name]:.1%} of the blocks"
        for own in lines
    ]
    return {
        "text": texts,
        "kept out of the text": list(settings.exclude_text) or "nothing",
        "vocabulary": f"{settings.vocabulary}, {len(tokenizer):,} subwords",
        "model": f"ModernBERT, {settings.num_layers} layers, {settings.hidden_dim} wide, "
        f"{model.num_parameters():,} parameters, reads {settings.max_length} tokens",
        "training": f"{training['steps']:,} steps, {training['tokens']:,} tokens, {training['passes']:.2f} times the "
        f"text, {settings.precision}",
        "held-out lines": "choice of the checkpoint that is kept, and the scores shown: no independent test",
        "seeds": list(settings.seeds),
    }


def save_model(folder: Path, model: ModernBertForMaskedLM, tokenizer: PreTrainedTokenizerFast, card: str) -> None:
    """Write the folder that `transformers` loads, whole: config, safetensors, tokenizer and card."""
    from nlptransfer.embeddings.find_encoder import quiet_transformers
    from nlptransfer.files import write_folder_whole, write_text

    for name in ("embedding_dropout", "attention_dropout", "mlp_dropout"):
        setattr(model.config, name, FINETUNING_DROPOUT)
    with write_folder_whole(folder) as temporary, quiet_transformers():
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_text(temporary / "README.md", card)


def model_card(
    settings: Settings,
    development: Sequence[Mapping[str, Any]],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> str:
    """The README.md of the model folder."""
    rows = [
        f"| {row['file']} | {row['hidden tokens']:,} | {row['loss before']:.3f} | {row['loss after']:.3f} "
        f"| {row['accuracy before, %']:.2f} | {row['accuracy after, %']:.2f} |"
        for row in development
    ]
    facts: list[str] = []
    for name, value in signature.items():
        if isinstance(value, list):
            facts += [f"- {name}:", *(f"  - {item}" for item in value)]
        else:
            facts.append(f"- {name}: {value}")
    return "\n".join(
        [
            f"# Encoder with {settings.num_layers} layers, {settings.hidden_dim} wide",
            "",
            "A small ModernBERT, pretrained from scratch by masked language modelling with nlptransfer.",
            "",
            *(f"**{warning}**\n" for warning in warnings),
            "```python",
            "from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("model")',
            'encoder = AutoModel.from_pretrained("model")',
            "```",
            "",
            "## Hidden tokens of held-out lines",
            "",
            "| file | hidden tokens | loss before | loss after | accuracy before, % | accuracy after, % |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## What the numbers rest on",
            "",
            *facts,
            "",
        ]
    )


def report(
    settings: Settings,
    folder: RunFolder,
    history: Sequence[Mapping[str, Any]],
    before: Mapping[str, MaskedLMScores],
    after: Mapping[str, MaskedLMScores],
    development: Sequence[Mapping[str, Any]],
    lines: Sequence[SourceLines],
    signature: Mapping[str, Any],
    seconds: Mapping[str, float],
    training: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """History, picture, page and metrics, and the scores on the screen."""
    from nlptransfer import __version__
    from nlptransfer.evaluation.plots import write_plots
    from nlptransfer.evaluation.report import Table, print_report, write_report
    from nlptransfer.files import write_json

    scores = [
        score
        for system, own in (("untrained", before), ("pretrained", after))
        for score in accuracy_scores(system, own, settings.seeds[0])
    ]
    notes = [
        f"{training['tokens_per_second']:,.0f} tokens per second, development scores included; "
        f"{training['padding']:.2%} of the positions were padding.",
        "Scores are shares of hidden tokens told rightly; a tenth of these was left in its place, as in training. What "
        f"counts as a sentence here is a block of {settings.max_length} tokens, and as a word a hidden token.",
    ]
    folder.write_history(history)
    plots = write_plots(
        folder.plots,
        figures={"loss.png": ("Loss on hidden tokens, in training and on held-out lines.", plot_loss(history))},
    )
    write_report(
        folder.report,
        title="Pretrained encoder",
        question=QUESTION,
        scores=scores,
        verdicts=[],
        signature=signature,
        settings=settings_to_dict(settings),
        tables=[
            Table("Hidden tokens of held-out lines, by file", development, "Losses in nats per token."),
            Table("The text", [asdict(own) for own in lines]),
        ],
        plots=plots,
        seconds=seconds,
        warnings=warnings,
        notes=notes,
    )
    write_json(
        folder.path / "metrics.json",
        {
            "recipe": "pretrain_encoder",
            "version": __version__,
            "signature": dict(signature),
            "scores": [score.to_dict() for score in scores],
            "verdicts": [],
            "seconds": dict(seconds),
            "development": list(development),
            "training": dict(training),
        },
    )
    print_report(scores, [], warnings=warnings)
    for row in development:
        print(
            f"{row['file']}: loss {row['loss before']:.3f} to {row['loss after']:.3f}, accuracy "
            f"{row['accuracy before, %']:.2f} % to {row['accuracy after, %']:.2f} %"
        )
    print("\n" + "\n".join(notes))
    print(f"\nModel: {folder.model}\nReport: {folder.report}")


def accuracy_scores(system: str, scores: Mapping[str, MaskedLMScores], seed: int) -> list[Score]:
    """Accuracy on all files' hidden tokens together, with an interval over blocks of text."""
    import numpy as np

    from nlptransfer.evaluation.verdict import Score

    if not scores:
        return []
    correct = np.concatenate([own.correct for own in scores.values()])
    hidden = np.concatenate([own.hidden for own in scores.values()])
    drawn = np.random.default_rng(0).integers(len(hidden), size=(1_000, len(hidden)))
    resampled = correct[drawn].sum(axis=1) / np.maximum(hidden[drawn].sum(axis=1), 1)
    value = float(correct.sum() / hidden.sum())
    # Of very few blocks the interval may miss the value by a hair.
    low, high = min(value, float(np.quantile(resampled, 0.025))), max(value, float(np.quantile(resampled, 0.975)))
    number = int(hidden.sum())
    return [Score(system, "dev", "masked_token_accuracy", value, low, high, number, own) for own in (seed, None)]


def plot_loss(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Training and development loss by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["loss"] for row in history], marker="o", ms=3, label="training")
    if all("dev_loss" in row for row in history):
        axes.plot(steps, [row["dev_loss"] for row in history], marker="s", ms=3, label="held-out lines, mean of groups")
    axes.set(xlabel="step", ylabel="loss, nats per hidden token")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure
