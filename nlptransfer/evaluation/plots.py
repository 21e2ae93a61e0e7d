"""The pictures of a run: learning curves, scores, gains, confusions, vocabulary coverage, pairs of domains.

Each `plot_` function takes plain rows and returns a matplotlib `Figure`, made without matplotlib's global state, so
that it shows in a notebook and saves in a thread. `write_plots` writes those that the data allows as PNG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from nlptransfer.evaluation.document_predictions import ALL_PAIRS, DocumentPredictions
from nlptransfer.evaluation.metrics import DOCUMENT_METRICS, TagLists, confusion_matrix
from nlptransfer.evaluation.pair_report import column_names
from nlptransfer.evaluation.predictions import SystemPredictions, by_split, pooled_tags
from nlptransfer.evaluation.verdict import METRIC_NAMES, SELECTION_SPLITS, Score, Verdict, p_text, points
from nlptransfer.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours (2008), told apart with every kind of colour vision; markers differ too, for grey printing.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_VERDICT_COLOURS = {"helped": "#0072B2", "harmed": "#D55E00", "no evidence": "#767676"}
_FOUND_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#999999")
_NOT_FOUND = "not found"


def plot_learning_curves(
    history: Iterable[Mapping[str, Any]], *, systems: Sequence[str] = (), metric: str = "token_accuracy"
) -> Figure:
    """Development score by epoch: one thick line per system, the mean over its seeds, and a band from worst to best.

    Mean and band end where the first seed stopped; each seed's own thin line goes on, so that early stopping shows.
    Of a run over several pairs of domains, mean and band are over pairs and seeds, and there are no thin lines.

    Args:
        history: rows with `system`, `seed`, `epoch`, `score` (0..1) and perhaps `pair`; rows without a score are
            passed over.
        systems: names in the order of their colours, to give a system the same colour in every picture.
        metric: what the score is, for the axis.

    Returns:
        The figure.
    """
    from matplotlib.ticker import MaxNLocator

    curves: dict[str, dict[Any, dict[int, float]]] = {}
    pairs = set()
    for row in history:
        if row.get("score") is not None:
            run = row.get("pair"), row.get("seed")
            curves.setdefault(row["system"], {}).setdefault(run, {})[row["epoch"]] = row["score"] * 100
            pairs.add(row.get("pair"))
    figure = _figure(7.2, 4.4)
    axes = figure.add_subplot()
    order = list(dict.fromkeys([*systems, *curves]))
    for system, seeds in curves.items():
        colour, marker = _look(order.index(system))
        shared = sorted(set.intersection(*(set(own) for own in seeds.values())))
        values = np.array([[own[epoch] for epoch in shared] for own in seeds.values()])  # (seeds, epochs)
        if len(seeds) > 1:
            for own in seeds.values() if len(pairs) == 1 else ():
                axes.plot(list(own), list(own.values()), color=colour, linewidth=0.8, alpha=0.45)
            axes.fill_between(shared, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        runs = "seeds" if len(pairs) == 1 else "runs"
        label = f"{system} ({len(seeds)} {runs})" if len(seeds) > 1 else system
        axes.plot(shared, values.mean(axis=0), color=colour, marker=marker, markersize=4, label=_literal(label))
    # The first epochs are far below the rest and would press all systems together at the top.
    flat = sorted(value for seeds in curves.values() for own in seeds.values() for value in own.values())
    if flat:
        low = max(flat[0], flat[-1] - 3 * max(flat[-1] - flat[len(flat) // 4], 0.5))
        margin = 0.06 * (flat[-1] - low) + 0.02
        axes.set_ylim(low - margin, flat[-1] + margin)
        axes.legend(frameon=False, loc="lower right")
        if low > flat[0]:
            axes.set_title("(the first epochs may lie below the picture)", fontsize=8, loc="right", color="#555555")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"development {METRIC_NAMES.get(metric, metric)}, %")
    _quiet(axes)
    return figure


def plot_scores(scores: Iterable[Score], *, split: str, pair: str | None = None) -> Figure:
    """Each system's score by every metric (all words and unseen ones, documents), with intervals; a tick per seed.

    Args:
        scores: of any splits, pairs and seeds; padded accuracy is not drawn.
        split: the split to draw.
        pair: the pair of domains to draw; `all` for the means over the pairs.

    Returns:
        The figure.
    """
    from matplotlib.ticker import MaxNLocator

    own = [score for score in scores if (score.split, score.pair) == (split, pair)]
    own = [score for score in own if score.metric != "padded_accuracy"]
    metrics = list(dict.fromkeys(score.metric for score in own))
    systems = list(dict.fromkeys(score.system for score in own))
    figure = _figure(3.9 * max(len(metrics), 1) + 1.2, 0.42 * len(systems) + 1.5)
    panels = np.atleast_1d(figure.subplots(1, max(len(metrics), 1), sharey=True))
    for axes, metric in zip(panels, metrics, strict=False):
        for number, system in enumerate(systems):
            colour, marker = _look(number)
            for score in own:
                if (score.system, score.metric) != (system, metric):
                    continue
                if score.seed is not None:
                    axes.plot(score.value * 100, number, "|", color=colour, markersize=11, alpha=0.6)
                    continue
                axes.plot([score.low * 100, score.high * 100], [number, number], color=colour, linewidth=2)
                axes.plot(score.value * 100, number, marker, color=colour, markersize=6)
                axes.annotate(
                    f"{score.value * 100:.2f}",
                    (score.value * 100, number),
                    xytext=(0, 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        axes.set_title(_metric_label(metric))
        axes.set_xlabel("%" if metric == "macro_f1" else "accuracy, %")
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        _quiet(axes, grid="x")
        _rows_downwards(axes, systems)
    return figure


def plot_gains(verdicts: Sequence[Verdict]) -> Figure:
    """Every verdict's gain over its baseline with its interval, around the line of no gain.

    Args:
        verdicts: in the order to draw them, top first.

    Returns:
        The figure.
    """
    figure = _figure(7.2, 0.5 * len(verdicts) + 1.4)
    axes = figure.add_subplot()
    axes.axvline(0, color="#333333", linewidth=1)
    several = len({(verdict.split, verdict.metric, verdict.pair) for verdict in verdicts}) > 1
    baselines = list(dict.fromkeys(verdict.baseline for verdict in verdicts))
    labels = []
    for number, verdict in enumerate(verdicts):
        colour = _VERDICT_COLOURS[verdict.verdict]
        axes.plot([verdict.low * 100, verdict.high * 100], [number, number], color=colour, linewidth=2)
        axes.plot(verdict.gain * 100, number, "s", color=colour, markersize=6)
        axes.annotate(
            f"{points(verdict.gain)}  {verdict.verdict}, {p_text(verdict.p_value)}",
            (verdict.gain * 100, number),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        of_pair = {None: "", ALL_PAIRS: ", all pairs"}.get(verdict.pair, f", {verdict.pair}")
        system = verdict.system if len(baselines) == 1 else f"{verdict.system} over {verdict.baseline}"
        where = f"{verdict.split.replace('_', ' ')}, {_metric_label(verdict.metric)}{of_pair}"
        labels.append(f"{system}\n{where}" if several else system)
    over = baselines[0] if len(baselines) == 1 else "its baseline"
    axes.set_xlabel(_literal(f"gain over {over}, percentage points"))
    axes.margins(x=0.25)  # room for the words above the outermost points
    _quiet(axes, grid="x")
    _rows_downwards(axes, labels)
    return figure


def plot_gain_heat_map(verdicts: Sequence[Verdict]) -> Figure:
    """Every system's gain over the baseline on every pair of domains, in points: blue where it helped, red where not.

    A star marks the gains that the paired test calls more than chance, for better or for worse; the other numbers are
    no evidence. The last column is the mean over the pairs, with its own test. Colours are cut off at the 95th
    percentile of the gains' sizes, so that one wild cell does not pale all others.

    Args:
        verdicts: by one metric on one split: each system's on each pair, and with pair `all` over all pairs; a mean
            that is not given is left empty. Where there are several baselines, each row names its own.

    Returns:
        The figure.

    Raises:
        ValueError: there is no verdict on a pair, or two speak of the same cell.
    """
    baselines = list(dict.fromkeys(verdict.baseline for verdict in verdicts))
    cells = {
        (own.system if len(baselines) == 1 else f"{own.system} over {own.baseline}", own.pair or "test"): own
        for own in verdicts
    }
    systems = list(dict.fromkeys(system for system, _ in cells))
    pairs = [pair for pair in dict.fromkeys(pair for _, pair in cells) if pair != ALL_PAIRS]
    if not pairs or len(cells) < len(verdicts):
        raise ValueError("a heat map needs one verdict for each system and pair, by one metric on one split")
    columns = [*pairs, *([ALL_PAIRS] if any(pair == ALL_PAIRS for _, pair in cells) else [])]
    gains = np.full((len(systems), len(columns)), np.nan)
    for row, system in enumerate(systems):
        for column, pair in enumerate(columns):
            if (system, pair) in cells:
                gains[row, column] = cells[system, pair].gain * 100
    limit = max(float(np.quantile(np.abs(gains[~np.isnan(gains)]), 0.95)), 0.5)

    names = ["mean" if pair == ALL_PAIRS else pair for pair in column_names(columns)]
    # Names are written aslant: those longer than `kitchen>electronics` need more room below.
    room = 0.05 * max(0, max(len(name) for name in names) - 19)
    figure = _figure(0.62 * len(columns) + 3.4, 0.36 * len(systems) + 2.0 + room)
    axes = figure.add_subplot()
    image = axes.imshow(gains, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for row, system in enumerate(systems):
        for column, pair in enumerate(columns):
            if (system, pair) not in cells:
                continue
            own = cells[system, pair]
            found = own.verdict != "no evidence"
            axes.text(
                column,
                row,
                points(own.gain, 1) + ("*" if found else ""),
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold" if found else "normal",
                color="white" if abs(gains[row, column]) > 0.65 * limit else "black",
            )
    axes.set_yticks(range(len(systems)), [_literal(system) for system in systems], fontsize=9)
    axes.set_xticks(
        range(len(columns)),
        [_literal(name) for name in names],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
        fontsize=9,
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for edge in range(1, len(columns)):  # white lines between the cells, a wide one before the mean
        axes.axvline(edge - 0.5, color="white", linewidth=5 if columns[edge] == ALL_PAIRS else 1)
    for edge in range(1, len(systems)):
        axes.axhline(edge - 0.5, color="white", linewidth=1)
    over = baselines[0] if len(baselines) == 1 else "its baseline"
    axes.set_title(_literal(f"gain over {over}, points (* more than chance)"), fontsize=9, loc="left")
    beyond = bool((np.abs(gains[~np.isnan(gains)]) > limit).any())
    figure.colorbar(image, ax=axes, shrink=0.7, aspect=30, pad=0.02, extend="both" if beyond else "neither")
    return figure


def plot_label_curve(
    scores: Sequence[Score],
    *,
    levels: Sequence[str] = (),
    axis: str = "labelled target documents",
    crossings: Mapping[str, float] | None = None,
) -> Figure:
    """What a few labels are worth: each method's accuracy by the number of labels it had, with intervals.

    Args:
        scores: means over the seeds, by one metric on one split and pair. A system called ``method@50`` is the method
            with 50 labels; others are left out, but for `levels`.
        levels: systems that have no such number, drawn as horizontal lines: what is to be had without, and at best.
        axis: what the numbers count.
        crossings: where one curve overtakes another, by what to call it.

    Returns:
        The figure.

    Raises:
        ValueError: no system has a number of labels.
    """
    curves: dict[str, dict[int, Score]] = {}
    for score in scores:
        method, mark, number = score.system.rpartition("@")
        if mark:
            curves.setdefault(method, {})[int(number)] = score
    if not curves:
        raise ValueError("a label curve needs systems called method@number")
    figure = _figure(7.2, 4.4)
    axes = figure.add_subplot()
    for place, (method, points_of) in enumerate(curves.items()):
        colour, marker = _look(place)
        numbers = sorted(points_of)
        own = [points_of[number] for number in numbers]
        # A little aside for each method, so that their intervals do not cover each other.
        at = [number * 1.03 ** (place - (len(curves) - 1) / 2) for number in numbers]
        values = np.array([(score.value, score.value - score.low, score.high - score.value) for score in own]).T * 100
        axes.errorbar(at, values[0], values[1:], color=colour, marker=marker, markersize=4, label=_literal(method))
    shown = [score for name in levels for score in scores if score.system == name]
    for score, style in zip(shown, ("--", ":", "-.", (0, (1, 3))), strict=False):
        axes.axhline(score.value * 100, color="#333333", linewidth=1, linestyle=style, label=_literal(score.system))
    for name, crossing in (crossings or {}).items():
        axes.axvline(crossing, color="#999999", linewidth=1, linestyle=(0, (2, 3)), label=_literal(name))
    ticks = sorted({number for own in curves.values() for number in own})
    if ticks[0] > 0:
        axes.set_xscale("log")
    else:  # no labels at all stand a step before the fewest
        fewest = next((number for number in ticks if number > 0), 1)
        axes.set_xscale("symlog", linthresh=fewest, linscale=0.5)
        axes.set_xlim(left=-fewest / 4)
    axes.set_xticks(ticks, [str(number) for number in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(axis)
    metric = next(iter(next(iter(curves.values())).values())).metric
    axes.set_ylabel(f"{METRIC_NAMES.get(metric, metric)}, %")
    _quiet(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def plot_domains(
    before: tuple[ArrayLike, ArrayLike],
    after: tuple[ArrayLike, ArrayLike],
    *,
    titles: tuple[str, str] = ("before", "after"),
    domains: tuple[str, str] = ("source", "target"),
) -> Figure:
    """Source and target in two dimensions before and after a method: do the two clouds come to lie on each other?

    Points are coloured by domain only; no label is used. What is told is whether the *documents* mix, which is no proof
    that the classes do.

    Args:
        before: (N, 2) points of the source and (M, 2) points of the target.
        after: the same after the method; drawn with axes of its own.
        titles: of the two panels.
        domains: what source and target are called.

    Returns:
        The figure.

    Raises:
        ValueError: points are not two-dimensional.
    """
    figure = _figure(8.4, 4.2)
    panels = figure.subplots(1, 2)
    for axes, points_of, title in zip(panels, (before, after), titles, strict=True):
        source, target = (np.asarray(points_there, dtype=np.float64) for points_there in points_of)
        if any(own.ndim != 2 or own.shape[1] != 2 for own in (source, target)):
            raise ValueError(f"points must be (number, 2), got {source.shape} and {target.shape}")
        size = 260 / np.sqrt(len(source) + len(target) + 100)
        # Drawn in turns: else the domain that is drawn last would seem to cover the other.
        turns = [(np.arange(len(own)) + 0.5) / max(len(own), 1) for own in (source, target)]
        order = np.argsort(np.concatenate(turns), kind="stable")
        colours = np.array([_COLOURS[0]] * len(source) + [_COLOURS[1]] * len(target))[order]
        axes.scatter(*np.concatenate([source, target])[order].T, c=colours, s=size, alpha=0.5, linewidths=0)
        for number, name in enumerate(domains):
            axes.scatter([], [], color=_COLOURS[number], s=25, label=_literal(name))
        axes.set_title(_literal(title), fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_confusion_matrix(
    gold: TagLists, predicted: TagLists, *, max_tags: int = 20, documents: bool = False
) -> Figure:
    """Which tag is taken for which: each row a gold tag, in percent of its words; colour for the errors only.

    The tags with most errors (missed or wrongly given) are shown, the others pooled as "other". On the diagonal, which
    would outshine all errors, the share that is right is written without colour.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.
        max_tags: tags to show.
        documents: each "sentence" is a document with one label, as `pooled_tags` gives them; for the wording.

    Returns:
        The figure.

    Raises:
        InputError: the number of sentences or words differs.
    """
    tags, counts = confusion_matrix(gold, predicted)
    pooled = len(tags) > max_tags
    if pooled:
        wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
        kept = sorted(np.argsort(-wrong, kind="stable")[:max_tags])
        pool = np.zeros((len(tags), len(kept) + 1), dtype=counts.dtype)  # which column each tag goes to
        pool[:, -1] = 1
        for column, tag in enumerate(kept):
            pool[tag] = 0
            pool[tag, column] = 1
        counts, tags = pool.T @ counts @ pool, [*(tags[tag] for tag in kept), "other"]
    sums = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(sums, 1)  # a tag that the gold never has is a row of zeros
    errors = shares.copy()
    np.fill_diagonal(errors, 0)

    size = max(0.44 * len(tags) + 2.2, 4.4)  # room for the words around two or three labels
    figure = _figure(size, size - 1.0)
    axes = figure.add_subplot()
    image = axes.imshow(errors, cmap="Blues", vmin=0, vmax=max(float(errors.max(initial=0)), 1.0))
    for row in range(len(tags)):
        for column in range(len(tags)):
            share = shares[row, column]
            if share < 0.5 or (pooled and row == column == max_tags):  # among the others, right and wrong are mixed
                continue
            dark = errors[row, column] > 0.6 * errors.max()
            axes.text(
                column,
                row,
                f"{share:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="#999999" if row == column else ("white" if dark else "black"),
            )
    labels = [_literal(tag) for tag in tags]
    axes.set_xticks(range(len(tags)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(tags)), labels, fontsize=8)
    axes.tick_params(length=0)
    tag, items = ("label", "documents") if documents else ("tag", "words")
    axes.set_xlabel(f"predicted {tag}")
    axes.set_ylabel(f"gold {tag}")
    axes.set_title(f"percent of each gold {tag}'s {items}", fontsize=9, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.6, label="errors, % of row")
    return figure


def plot_coverage(coverage: Sequence[Mapping[str, Any]], *, max_rows: int = 20) -> Figure:
    """How the vectors' words cover the text: per split, domain and tag, the share of tokens found by each fallback.

    Args:
        coverage: rows with `group` (`split`, `domain`, `tag`), `name`, `tokens` and `token_share` (fraction by
            fallback).
        max_rows: rows per group; beyond it those with most tokens not found are shown.

    Returns:
        The figure.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in coverage:
        groups.setdefault(row["group"], []).append(row)
    titles = {}
    for group, rows in groups.items():
        titles[group] = f"by {group}"
        if len(rows) > max_rows:
            titles[group] = f"by {group}: the {max_rows} of {len(rows)} with most tokens not found"
            missing = sorted(rows, key=lambda row: -row["tokens"] * row["token_share"].get(_NOT_FOUND, 0.0))
            groups[group] = missing[:max_rows]
    found_by = list(dict.fromkeys(name for row in coverage for name, share in row["token_share"].items() if share > 0))
    heights = [0.3 * len(rows) + 0.55 for rows in groups.values()]
    figure = _figure(7.6, sum(heights) + 1.0)
    panels = np.atleast_1d(figure.subplots(len(groups), 1, sharex=True, height_ratios=heights))
    for axes, (group, rows) in zip(panels, groups.items(), strict=True):
        start = np.zeros(len(rows))
        for number, name in enumerate(found_by):
            shares = np.array([100 * row["token_share"].get(name, 0.0) for row in rows])
            last = name == _NOT_FOUND
            colour = "white" if last else _FOUND_COLOURS[number % len(_FOUND_COLOURS)]
            axes.barh(
                range(len(rows)),
                shares,
                left=start,
                height=0.72,
                color=colour,
                edgecolor="#555555" if last else "white",
                linewidth=0.4,
                hatch="////" if last else None,
                label=name,
            )
            start += shares
        for number, row in enumerate(rows):
            missing_share = 100 * row["token_share"].get(_NOT_FOUND, 0.0)
            axes.text(101, number, f"{missing_share:.1f} % of {row['tokens']:,}", va="center", fontsize=7.5)
        axes.set_title(titles[group], loc="left", fontsize=9)
        axes.set_xlim(0, 100)
        axes.tick_params(axis="x", labelsize=8)
        _quiet(axes, grid=None)
        _rows_downwards(axes, [str(row["name"]) for row in rows], size=8)
    panels[-1].set_xlabel("tokens, %  (at the right: share not found, of how many tokens)", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=max(len(labels), 1), frameon=False, fontsize=8)
    return figure


def write_plots(
    folder: str | Path,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    predictions: Sequence[SystemPredictions] = (),
    scores: Sequence[Score] = (),
    verdicts: Sequence[Verdict] = (),
    coverage: Sequence[Mapping[str, Any]] = (),
    best_system: str | None = None,
    figures: Mapping[str, tuple[str, Figure]] | None = None,
) -> dict[str, Path]:
    """Write every picture that the data allows, as PNG, each whole or not at all.

    Args:
        folder: where to; `RunFolder.plots`.
        history: rows for `plot_learning_curves`.
        predictions: of which `best_system`'s go to the confusion matrix, all seeds (and pairs) together.
        scores: for `plot_scores`, one picture per test split; of a run over several pairs, the means over the pairs.
        verdicts: for `plot_gains`; of a run over several pairs also for `plot_gain_heat_map`, and then the gains are
            those over all pairs.
        coverage: rows for `plot_coverage`.
        best_system: whose confusions to show; None shows none.
        figures: further pictures, by file name: caption and figure.

    Returns:
        The files by caption, in the order to show them.

    Raises:
        OSError: the folder can't be written.
    """
    folder = Path(folder)
    systems = list(dict.fromkeys(own.system for own in scores))
    documents = any(own.metric in DOCUMENT_METRICS for own in scores)
    shown: dict[str, tuple[str, Figure]] = {}  # file name -> caption, figure
    gains = [own for own in verdicts if own.pair == ALL_PAIRS]
    if gains:
        caption = (
            "Gain of each system, mean over the pairs, with the interval over pairs; left of the line it does harm."
        )
        shown["gains.png"] = caption, plot_gains(gains)
    elif verdicts and len({own.pair for own in verdicts}) == 1:
        items = "documents" if documents else "sentences"
        caption = f"Gain of each system, with the interval over test {items}; left of the line it does harm."
        shown["gains.png"] = caption, plot_gains(verdicts)
    if len({own.pair for own in verdicts}) > 1:
        metrics = list(dict.fromkeys(own.metric for own in verdicts))
        for split, metric in dict.fromkeys((own.split, own.metric) for own in verdicts):
            by = "" if metric == metrics[0] else f", by {METRIC_NAMES.get(metric, metric)}"
            caption = (
                f"Gain of each system on each pair of domains, {split.replace('_', ' ')}{by}; "
                "* where the paired test calls it more than chance."
            )
            own_verdicts = [own for own in verdicts if (own.split, own.metric) == (split, metric)]
            name = f"heat_map_{split}{'' if metric == metrics[0] else f'_{metric}'}.png"
            shown[name] = caption, plot_gain_heat_map(own_verdicts)
    pairs = list(dict.fromkeys(own.pair for own in scores))
    pair = ALL_PAIRS if ALL_PAIRS in pairs else (pairs[0] if len(pairs) == 1 else None)
    splits = [split for split in dict.fromkeys(own.split for own in scores) if split not in SELECTION_SPLITS]
    for split in splits if pair == ALL_PAIRS or len(pairs) == 1 else ():
        mean = "mean over pairs and seeds" if pair == ALL_PAIRS else "mean over the seeds"
        caption = f"{'Scores' if documents else 'Accuracy'} on {split.replace('_', ' ')}: {mean} with its interval; "
        shown[f"scores_{split}.png"] = f"{caption}a tick for each seed.", plot_scores(scores, split=split, pair=pair)
    if any(row.get("score") is not None for row in history):
        several = "mean and band over pairs and seeds" if len({row.get("pair") for row in history}) > 1 else None
        band = several or "mean over the seeds, band from worst to best seed"
        caption = f"Accuracy on development data after each epoch: {band}."
        metric = "accuracy" if documents else "token_accuracy"
        shown["learning_curves.png"] = caption, plot_learning_curves(history, systems=systems, metric=metric)
    best = [part for part in predictions if part.system == best_system and part.split not in SELECTION_SPLITS]
    for split, parts in by_split(best).items():
        together = "pairs and seeds" if len(pairs) > 1 else "seeds"
        caption = f"What {best_system} takes for what on {split.replace('_', ' ')}, all {together} together."
        figure = plot_confusion_matrix(*pooled_tags(parts), documents=isinstance(parts[0], DocumentPredictions))
        shown[f"confusion_{split}.png"] = caption, figure
    if coverage:
        shown["coverage.png"] = (
            "How much of the text the word vectors know, and by which fallback.",
            plot_coverage(coverage),
        )
    shown |= figures or {}
    for name, (_, figure) in shown.items():
        with write_whole(folder / name) as temporary:
            figure.savefig(temporary, dpi=144, facecolor="white")
    return {caption: folder / name for name, (caption, _) in shown.items()}


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _look(number: int) -> tuple[str, str]:
    """Colour and marker of a system."""
    # From the second round on a colour comes with another marker.
    return _COLOURS[number % len(_COLOURS)], _MARKERS[(number + number // len(_COLOURS)) % len(_MARKERS)]


def _quiet(axes: Axes, *, grid: Literal["both", "x"] | None = "both") -> None:
    """Nothing drawn that tells nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        axes.grid(axis=grid, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)


def _rows_downwards(axes: Axes, labels: Sequence[str], size: float = 9) -> None:
    """Label the rows 0, 1, ... and put the first on top, with room above it for its number."""
    axes.set_yticks(range(len(labels)), [_literal(label) for label in labels], fontsize=size)
    axes.set_ylim(len(labels) - 0.4, -0.75)
    axes.tick_params(axis="y", length=0)


def _metric_label(metric: str) -> str:
    """A metric's name in a picture, short where the axis tells the rest."""
    short = {"token_accuracy": "all words", "unseen_word_accuracy": "words unseen in training"}
    return short.get(metric, METRIC_NAMES.get(metric, metric))


def _literal(text: str) -> str:
    """Text as it stands: tags such as PRP$ are no formulas."""
    return text.replace("$", r"\$")
