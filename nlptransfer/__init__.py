"""Transfer learning for NLP: recipes that end in a verdict, and bricks for research code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlptransfer.models.saving import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # `nlptransfer.load` needs torch; importing the package must not.
    if name == "load":
        from nlptransfer.models.saving import load

        return load
    raise AttributeError(f"module 'nlptransfer' has no attribute {name!r}")
