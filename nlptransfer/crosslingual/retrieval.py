"""Translations by nearest neighbours in a shared space: cosine, CSLS, inverted softmax; both ways in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import torch

Retrieval = Literal["csls", "cosine", "inverted_softmax"]
Precision = Literal["float32", "bfloat16"]

_GROUP = 32
_TILE_COLUMNS = 4096
_STRIP_BYTES = 192 << 20
_GATHERED_NUMBERS = 8 << 20
_MORE_CANDIDATES = 16


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The best answers to each query, best first.

    Attributes:
        rows: (N, K) int64 rows of the other side's matrix.
        scores: (N, K) float32, falling.
    """

    rows: np.ndarray
    scores: np.ndarray


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """A float32 copy with rows of length 1; a zero row stays zero.

    Args:
        matrix: (V, D).

    Raises:
        InputError: there is no row, or a number is not finite.
    """
    unit = np.array(matrix, dtype=np.float32, order="C")
    if unit.ndim != 2 or not unit.size:
        raise InputError("there are no vectors to search", expected="a matrix with rows", found=str(unit.shape))
    squares = np.einsum("ij,ij->i", unit, unit)
    if not np.isfinite(squares).all():
        bad = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise InputError(f"vector {bad + 1} holds a number that is not finite, or a huge one")
    unit /= np.sqrt(np.where(squares > 0, squares, 1))[:, None]
    return unit


def nearest_both_ways(
    source: np.ndarray,
    target: np.ndarray,
    num_answers: int,
    *,
    source_penalty: np.ndarray | None = None,
    target_penalty: np.ndarray | None = None,
    precision: Precision = "float32",
) -> tuple[Neighbours, Neighbours]:
    r"""The best target rows of each source row and the best source rows of each target row, from one pass.

    .. math::
        s(x, y) = \cos(x, y) - a(x) - b(y)

    Every block of the product :math:`X Y^\top` is computed once, and serves both directions; a few hundred MB are held
    beside the vectors. The penalties are two more columns of the vectors, so they cost nothing.

    Args:
        source: (N, D), of any length.
        target: (V, D), of any length.
        num_answers: K, how many to give; fewer where the other side has fewer rows.
        source_penalty: (N,) a(x), subtracted from the scores of a source row; zero if None.
        target_penalty: (V,) b(y).
        precision: of the products. "bfloat16" is several times as fast on processors that multiply in it (avx512_bf16,
            amx), and slow on others. It only chooses K + 16 candidates, whose scores are then computed in float32.

    Returns:
        Forward, from source to target, and backward.

    Raises:
        InputError: the sides have different numbers of columns, no rows, or numbers that are not finite.
        ValueError: `num_answers` is below 1, or the precision is unknown.

    Example:
        >>> forward, backward = nearest_both_ways(mapped_source, mapped_target, 10)
        >>> forward.rows.shape, backward.rows.shape
        ((20000, 10), (18000, 10))
    """
    import torch

    if num_answers < 1 or precision not in ("float32", "bfloat16"):
        raise ValueError(f"num_answers={num_answers} must be at least 1, precision={precision!r} a known one")
    source, target = _with_penalties(source, target, source_penalty, target_penalty)
    rough = precision == "bfloat16"
    num_kept = num_answers + _MORE_CANDIDATES if rough else num_answers
    by_row = torch.empty(len(source), min(num_kept, len(target)), dtype=torch.int64)
    row_scores = torch.empty(by_row.shape, dtype=torch.float32)
    columns = _ColumnTop(len(target), min(num_kept, len(source)))

    for start, strip in _strips(source, target, rough, columns.add):
        rows = slice(start, start + strip.num_rows)
        row_scores[rows], by_row[rows] = strip.top(by_row.shape[1])
    forward = Neighbours(by_row.numpy(), row_scores.numpy())
    backward = columns.result()
    if rough:
        forward = _rescored(source, target, forward.rows, num_answers)
        backward = _rescored(target, source, backward.rows, num_answers)
    return forward, backward


def hub_penalties(
    source: np.ndarray,
    target: np.ndarray,
    retrieval: Retrieval,
    *,
    num_neighbours: int = 10,
    inverse_temperature: float = 30.0,
    precision: Precision = "float32",
) -> tuple[np.ndarray, np.ndarray]:
    r"""What a way of retrieval takes off the cosine of words that are near to everything, in units of the cosine.

    .. math::
        \text{CSLS}(x, y) &= 2\cos(x, y) - r_T(x) - r_S(y), \qquad
        r_T(x) = \tfrac1K \sum_{y \in N_T(x)} \cos(x, y)
        \\ \text{inverted softmax}(x, y) &\propto e^{\beta\cos(x, y)} \Big/ \sum_{x'} e^{\beta\cos(x', y)}

    Since neither doubling nor the logarithm changes an order, both are the cosine less a(x) and b(y): half of r, or
    the logarithm of the sum over :math:`\beta`. From y to x the roles change, and a(x) is the one that matters.

    Args:
        source: (N, D) in the shared space.
        target: (V, D).
        retrieval: "csls", "inverted_softmax" or "cosine", which has none.
        num_neighbours: K of CSLS.
        inverse_temperature: beta of the inverted softmax.
        precision: of the products for CSLS, see `nearest_both_ways`.

    Returns:
        a (N,) and b (V,), float32.

    Raises:
        InputError: see `nearest_both_ways`.
        ValueError: an unknown `retrieval`.

    Reference: Conneau et al. (2018), equations 2 and 3, https://arxiv.org/abs/1710.04087; Smith et al. (2017),
    equation 9, https://arxiv.org/abs/1702.03859 (the sum is over all source words, not over a sample).
    """
    if retrieval == "cosine":
        return np.zeros(len(source), np.float32), np.zeros(len(target), np.float32)
    if retrieval == "csls":
        return csls_penalties(*nearest_both_ways(source, target, num_neighbours, precision=precision))
    if retrieval != "inverted_softmax":
        raise ValueError(f"retrieval must be 'csls', 'cosine' or 'inverted_softmax'; found {retrieval!r}")
    source, target = _with_penalties(source, target, None, None)
    rows = max(1, _STRIP_BYTES // (4 * len(target)))
    by_row = np.empty(len(source), np.float32)
    # No cosine exceeds 1, so that e^(beta (cos - 1)) can't overflow; a sum of at least one e^(-2 beta) is not zero.
    by_column = np.zeros(len(target), np.float64)
    for start in range(0, len(source), rows):
        weights = source[start : start + rows] @ target.T
        weights -= 1
        weights *= inverse_temperature
        np.exp(weights, out=weights)
        by_row[start : start + rows] = np.log(weights.sum(axis=1, dtype=np.float64)) / inverse_temperature + 1
        by_column += weights.sum(axis=0, dtype=np.float64)
    return by_row, (np.log(by_column) / inverse_temperature + 1).astype(np.float32)


def csls_penalties(forward: Neighbours, backward: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Half of CSLS's r_T (N,) and r_S (V,), from the K nearest neighbours by cosine in both directions.

    Args:
        forward: of each source row.
        backward: of each target row.
    """
    return forward.scores.mean(axis=1) / 2, backward.scores.mean(axis=1) / 2


def translate_both_ways(
    source: np.ndarray,
    target: np.ndarray,
    *,
    retrieval: Retrieval = "csls",
    num_answers: int = 1,
    num_neighbours: int = 10,
    inverse_temperature: float = 30.0,
    precision: Precision = "float32",
) -> tuple[Neighbours, Neighbours]:
    """The best translations of every word in both directions, in two passes over the similarities (cosine: in one).

    Args:
        source: (N, D) in the shared space.
        target: (V, D).
        retrieval: how to score, see `hub_penalties`.
        num_answers: translations for each word.
        num_neighbours: K of CSLS.
        inverse_temperature: beta of the inverted softmax.
        precision: of the products, see `nearest_both_ways`.

    Returns:
        Forward and backward. Scores are CSLS itself; for the others the cosine less both penalties.

    Raises:
        InputError: see `nearest_both_ways`.
        ValueError: an unknown choice.

    Example:
        >>> forward, backward = translate_both_ways(mapped_source, mapped_target)
        >>> lexicon = lexicon_of_rows(mutual_pairs(forward, backward), source.words, target.words)
    """
    a, b = hub_penalties(
        source,
        target,
        retrieval,
        num_neighbours=num_neighbours,
        inverse_temperature=inverse_temperature,
        precision=precision,
    )
    found = nearest_both_ways(source, target, num_answers, source_penalty=a, target_penalty=b, precision=precision)
    scale = np.float32(2 if retrieval == "csls" else 1)
    forward, backward = (Neighbours(side.rows, scale * side.scores) for side in found)
    return forward, backward


def mutual_pairs(forward: Neighbours, backward: Neighbours) -> np.ndarray:
    """The (P, 2) row pairs that are each other's best answer, in the order of the source.

    Args:
        forward: best target rows of each source row.
        backward: best source rows of each target row.
    """
    best = forward.rows[:, 0]
    rows = np.flatnonzero(backward.rows[best, 0] == np.arange(len(best)))
    return np.stack([rows, best[rows]], axis=1)


@dataclass(frozen=True)
class RetrievalScores:
    """How well a lexicon is found again; all scores are fractions.

    Attributes:
        precision_at_1: share of queries with a right answer first.
        precision_at_5: share with a right one among the first five.
        precision_at_10: share with a right one among the first ten.
        mean_average_precision: over queries, of the mean over right answers of (right ones so far / rank).
        num_queries: source words that were asked for.
    """

    precision_at_1: float
    precision_at_5: float
    precision_at_10: float
    mean_average_precision: float
    num_queries: int


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """How each query of a lexicon came out, for intervals and comparisons over queries.

    Attributes:
        queries: (Q,) int64 source rows, ascending.
        best_rank: (Q,) int64 place of the first right answer, from 1.
        average_precision: (Q,) float64, 0..1.
    """

    queries: np.ndarray
    best_rank: np.ndarray
    average_precision: np.ndarray

    def scores(self) -> RetrievalScores:
        """The means over the queries."""
        return RetrievalScores(
            precision_at_1=float((self.best_rank <= 1).mean()),
            precision_at_5=float((self.best_rank <= 5).mean()),
            precision_at_10=float((self.best_rank <= 10).mean()),
            mean_average_precision=float(self.average_precision.mean()),
            num_queries=len(self.queries),
        )


def score_translations(
    source: np.ndarray,
    target: np.ndarray,
    pairs: np.ndarray,
    *,
    retrieval: Retrieval = "csls",
    num_neighbours: int = 10,
    inverse_temperature: float = 30.0,
    precision: Precision = "float32",
) -> RetrievalScores:
    r"""Precision at 1, 5, 10 and mean average precision of the translations from source to target.

    .. math::
        \text{AP}(x) = \frac{1}{|R_x|} \sum_{i=1}^{|R_x|} \frac{i}{\text{rank}_i}

    where R_x are the right answers and the ranks those of the right answers among all V target words, sorted. As in
    MUSE, only source words with a translation in the vocabulary are asked for; report the coverage beside the scores.
    Of equal scores the first row counts as the better.

    Args:
        source: (N, D) in the shared space; for CSLS the whole vocabulary, not the queries alone.
        target: (V, D).
        pairs: (P, 2) rows of right answers, several for a source row if need be: `lexicon_rows(...).pairs`.
        retrieval: how to score, see `hub_penalties`.
        num_neighbours: K of CSLS.
        inverse_temperature: beta of the inverted softmax.
        precision: of the products for CSLS's neighbours; the ranks come from float32.

    Raises:
        InputError: there is no pair, see also `nearest_both_ways`.
        ValueError: an unknown choice, or a pair that is no row.

    Reference: Conneau et al. (2018), section 3.1, https://arxiv.org/abs/1710.04087; Glavas et al. (2019), section 3,
    https://aclanthology.org/P19-1070, for mean average precision.

    Example:
        >>> rows = lexicon_rows(test_lexicon, source, target)
        >>> scores = score_translations(alignment.transform_source(source.matrix), target.matrix, rows.pairs)
        >>> print(f"P@1 {scores.precision_at_1:.3f}, {rows.summary()}")
    """
    pairs = _checked_pairs(pairs, len(source), len(target))
    _, penalty = hub_penalties(
        source,
        target,
        retrieval,
        num_neighbours=num_neighbours,
        inverse_temperature=inverse_temperature,
        precision=precision,
    )
    return rank_answers(source, target, pairs, target_penalty=penalty).scores()


def rank_answers(
    source: np.ndarray, target: np.ndarray, pairs: np.ndarray, *, target_penalty: np.ndarray
) -> QueryRanks:
    """Where the right answers of each query come, for whoever has the penalties already or wants more than means.

    Args:
        source: (N, D) in the shared space.
        target: (V, D).
        pairs: (P, 2) rows of right answers, several for a source row if need be.
        target_penalty: (V,) b(y) of `hub_penalties` or `csls_penalties`.

    Returns:
        Ranks and average precision by query.

    Raises:
        InputError: there is no pair, or a number is not finite.
        ValueError: a pair that is no row.

    Compare with: `score_translations`, which finds the penalties itself and gives the means.

    Example:
        >>> _, penalty = hub_penalties(mapped_source, mapped_target, "csls")
        >>> ranks = rank_answers(mapped_source, mapped_target, rows.pairs, target_penalty=penalty)
        >>> (ranks.best_rank <= 5).mean()
    """
    pairs = _checked_pairs(pairs, len(source), len(target))
    queries, query_of_pair = np.unique(pairs[:, 0], return_inverse=True)
    ranks = _ranks(unit_rows(source[queries]), unit_rows(target), target_penalty, query_of_pair, pairs[:, 1])
    # Sorted by query, then by rank: the i-th right answer of its query.
    order = np.lexsort((ranks, query_of_pair))
    counts = np.bincount(query_of_pair)
    place = np.arange(len(ranks)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    average = np.bincount(query_of_pair, place / ranks[order]) / counts
    return QueryRanks(queries, ranks[order][place == 1], average)


def _checked_pairs(pairs: np.ndarray, num_source: int, num_target: int) -> np.ndarray:
    pairs = np.unique(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=0)
    if not len(pairs):
        raise InputError(
            "no pair of the lexicon has a vector on both sides",
            remedy="Check the languages and the spelling of the lexicon and of the vectors.",
        )
    if (pairs < 0).any() or (pairs >= [num_source, num_target]).any():
        raise ValueError("the pairs must be rows of the two matrices")
    return pairs


def _ranks(
    queries: np.ndarray, target: np.ndarray, penalty: np.ndarray, query_of_pair: np.ndarray, answers: np.ndarray
) -> np.ndarray:
    """(P,) place of each right answer, from 1, among all target rows. `query_of_pair` must rise."""
    ranks = np.empty(len(answers), np.int64)
    rows = max(1, _STRIP_BYTES // (4 * len(target)))
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ target.T - penalty
        for pair in range(*np.searchsorted(query_of_pair, [start, start + rows]).tolist()):
            of_query, answer = scores[query_of_pair[pair] - start], answers[pair]
            better = np.count_nonzero(of_query > of_query[answer])
            ranks[pair] = 1 + better + np.count_nonzero(of_query[:answer] == of_query[answer])
    return ranks


def _with_penalties(
    source: np.ndarray, target: np.ndarray, source_penalty: np.ndarray | None, target_penalty: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows, with columns whose products are the penalties: (x, -a, -a', 1, 1) times (y, 1, 1, -b, -b')."""
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise InputError(
            "the two sides are not in one space",
            expected="matrices with as many columns",
            found=f"{source.shape} and {target.shape}",
            remedy="Map them first, see nlptransfer.crosslingual.alignment.",
        )
    source, target = unit_rows(source), unit_rows(target)
    if source_penalty is None and target_penalty is None:
        return source, target
    parts = []
    for matrix, penalty, own in ((source, source_penalty, 0), (target, target_penalty, 2)):
        columns = np.ones((len(matrix), 4), np.float32)
        values = np.zeros(len(matrix), np.float32) if penalty is None else np.asarray(penalty, np.float32)
        # In two parts, as bfloat16 alone would round them too coarsely: its number, and what is left.
        coarse = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        columns[:, own], columns[:, own + 1] = -coarse, coarse - values
        parts.append(np.concatenate([matrix, columns], axis=1))
    return parts[0], parts[1]


class _Strip:
    """Similarities of some source rows to all target rows, in tiles of columns, with the maxima of their groups."""

    def __init__(self, tiles: torch.Tensor, maxima: torch.Tensor, num_rows: int) -> None:
        self._tiles, self._maxima, self.num_rows = tiles, maxima, num_rows  # (J, B, T), (B, J, T / 32)

    def top(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, count) highest similarities of each row, falling, and their columns."""
        import torch

        width = self._tiles.shape[2]
        tiles, maxima = self._tiles[:, : self.num_rows], self._maxima[: self.num_rows].flatten(1)
        if maxima.shape[1] <= count:
            values, columns = tiles.transpose(0, 1).flatten(1).topk(count, dim=1)
            return values.float(), columns
        # The best `count` numbers lie in the `count` groups with the highest maxima.
        groups = maxima.topk(count, dim=1, sorted=False).indices  # (B, count)
        in_tile = width // _GROUP
        columns = (groups % in_tile).unsqueeze(2) + in_tile * torch.arange(_GROUP)  # (B, count, 32)
        tile = (groups // in_tile).unsqueeze(2)
        members = tiles[tile, torch.arange(self.num_rows).view(-1, 1, 1), columns].flatten(1)
        values, places = members.topk(count, dim=1)
        return values.float(), (columns + width * tile).flatten(1).gather(1, places)


def _strips(
    source: np.ndarray, target: np.ndarray, rough: bool, add_tile: Callable[[int, int, torch.Tensor], None]
) -> Iterator[tuple[int, _Strip]]:
    """The product, strip by strip of source rows; each tile is shown to `add_tile` while it is in the cache."""
    import torch

    dtype = torch.bfloat16 if rough else torch.float32
    width = min(_TILE_COLUMNS, -(-len(target) // _GROUP) * _GROUP)
    num_tiles = -(-len(target) // width)
    height = max(1, _STRIP_BYTES // (num_tiles * width * 4) // _GROUP) * _GROUP
    height = min(height, 1024, -(-len(source) // _GROUP) * _GROUP)
    left, right = torch.from_numpy(source).to(dtype), torch.from_numpy(target).to(dtype)
    tiles = torch.empty(num_tiles, height, width, dtype=dtype)
    maxima = torch.empty(height, num_tiles, width // _GROUP, dtype=dtype)
    product = torch.empty(height, width, dtype=dtype)
    for start in range(0, len(source), height):
        rows = left[start : start + height]
        for number in range(num_tiles):
            columns = right[number * width : (number + 1) * width]
            tile = tiles[number]
            whole = rows.shape[0] == height and columns.shape[0] == width
            out = tile if whole else product.flatten()[: len(rows) * len(columns)].view(len(rows), len(columns))
            if rough or torch.get_num_threads() > 1:
                torch.mm(rows, columns.T, out=out)
            else:
                # One thread of numpy's OpenBLAS is faster than one of torch's MKL on processors of AMD. More of them
                # would wait, spinning, while torch's work, and the other way about.
                np.matmul(rows.numpy(), columns.numpy().T, out=out.numpy())
            if not whole:
                tile.fill_(-torch.inf)
                tile[: len(rows), : len(columns)] = out
            maxima[:, number] = tile.view(height, _GROUP, -1).amax(dim=1)
            add_tile(start, number * width, tile)
        yield start, _Strip(tiles, maxima, len(rows))


class _ColumnTop:
    """The highest similarities of each column so far, while the rows pass by."""

    def __init__(self, num_columns: int, count: int) -> None:
        import torch

        padded = -(-num_columns // _GROUP) * _GROUP
        self._num_columns, self._count = num_columns, count
        self._values = torch.full((padded, count), -torch.inf)
        self._rows = torch.zeros(padded, count, dtype=torch.int64)

    def add(self, first_row: int, first_column: int, tile: torch.Tensor) -> None:
        """Take in a tile (B, T)."""
        import torch

        height, width = tile.shape
        places = slice(first_column, min(first_column + width, len(self._values)))
        values, rows = self._values[places], self._rows[places]
        tile = tile[:, : len(values)]
        threshold = values[:, -1]
        # Groups of rows that hold a number above the lowest one kept: few, once some strips have passed.
        maxima = tile.unflatten(0, (-1, _GROUP)).amax(dim=1)
        group, column = (maxima > threshold).nonzero(as_tuple=True)
        if len(group) * _GROUP > tile.numel() // 2:
            candidates = torch.empty(len(values), self._count + height)
            candidates[:, : self._count], candidates[:, self._count :] = values, tile.T
            values[:], kept = candidates.topk(self._count, dim=1)
            before = kept < self._count
            rows[:] = torch.where(before, rows.gather(1, kept * before), kept + (first_row - self._count))
            return
        if not len(group):
            return
        members = group.unsqueeze(1) * _GROUP + torch.arange(_GROUP)  # (H, 32)
        found = tile[members, column.unsqueeze(1)].float()
        hit, place = (found > threshold[column].unsqueeze(1)).nonzero(as_tuple=True)
        column, row, value = column[hit], members[hit, place], found[hit, place]
        column, order = column.sort(stable=True)
        changed, counts = column.unique_consecutive(return_counts=True)
        of_changed = torch.arange(len(changed)).repeat_interleave(counts)
        within = torch.arange(len(column)) - (counts.cumsum(0) - counts)[of_changed] + self._count
        # (C, kept + most new ones), with -inf where a column has fewer
        candidates = torch.full((len(changed), self._count + int(counts.max())), -torch.inf)
        numbers = torch.zeros(candidates.shape, dtype=torch.int64)
        candidates[:, : self._count], numbers[:, : self._count] = values[changed], rows[changed]
        candidates[of_changed, within], numbers[of_changed, within] = value[order], first_row + row[order]
        values[changed], kept = candidates.topk(self._count, dim=1)
        rows[changed] = numbers.gather(1, kept)

    def result(self) -> Neighbours:
        return Neighbours(self._rows[: self._num_columns].numpy(), self._values[: self._num_columns].numpy())


def _rescored(queries: np.ndarray, answers: np.ndarray, candidates: np.ndarray, num_answers: int) -> Neighbours:
    """The best of the (N, M) candidates by float32 products."""
    import torch

    left, right, chosen = map(torch.from_numpy, (queries, answers, candidates))
    count = min(num_answers, candidates.shape[1])
    rows = torch.empty(len(queries), count, dtype=torch.int64)
    scores = torch.empty(len(queries), count)
    step = max(1, _GATHERED_NUMBERS // (candidates.shape[1] * queries.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        of_part = torch.bmm(right[chosen[part]], left[part].unsqueeze(2)).squeeze(2)  # (b, M)
        scores[part], order = of_part.topk(count, dim=1)
        rows[part] = chosen[part].gather(1, order)
    return Neighbours(rows.numpy(), scores.numpy())
