"""Test labels under seal: the scorer opens them once, at the end, and nothing else comes by them by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class SealedLabels:
    """The labels of a target's test documents, to be opened once.

    They can't be printed, indexed, copied or pickled, so they reach neither a log nor a training process unnoticed.
    What was opened, and how often, is counted in `openings` and belongs into the signature of a result.

    Args:
        labels: (documents,) integer class ids. They are copied.

    Example:
        >>> sealed = SealedLabels([0, 1, 1])
        >>> accuracy = (predicted == sealed.open()).mean()
        >>> sealed.open()  # raises RuntimeError
    """

    __slots__ = ("__labels", "__openings")

    def __init__(self, labels: ArrayLike) -> None:
        self.__labels = np.array(labels, dtype=np.int64)
        if self.__labels.ndim != 1:
            raise ValueError(f"labels must be one integer per document, found an array of {self.__labels.shape}")
        self.__openings = {"scorer": 0, "reference": 0}

    def open(self) -> NDArray[np.int64]:
        """The labels (documents,), for the final scorer.

        Raises:
            RuntimeError: they were opened before. Whoever needs them twice keeps what the first call returned.
        """
        if self.__openings["scorer"]:
            raise RuntimeError(
                "the test labels were opened before, and may be opened once. Score every system in one place, and keep "
                "what the first call returned."
            )
        self.__openings["scorer"] = 1
        return self.__labels.copy()

    def open_for_reference(self) -> NDArray[np.int64]:
        """The labels (documents,), for the reference that is trained on the target, by cross-validation, and no other.

        May be called any number of times, before and after `open`; it is counted apart.
        """
        self.__openings["reference"] += 1
        return self.__labels.copy()

    @property
    def openings(self) -> dict[str, int]:
        """How often the labels were opened by the ``scorer`` and for the ``reference``."""
        return dict(self.__openings)

    def __len__(self) -> int:
        return len(self.__labels)

    def __repr__(self) -> str:
        return f"SealedLabels({len(self)} labels, opened {self.__openings['scorer']} times)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # What pickles also copies; a copy could be opened again.
        raise TypeError("sealed test labels can't be pickled or copied: only the process that scores may hold them")
