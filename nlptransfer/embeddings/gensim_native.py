"""gensim's own files (`KeyedVectors.save`, `Word2Vec.save`, `FastText.save`), read without running their code."""

from __future__ import annotations

import codecs
import collections
import importlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nlptransfer.embeddings.subwords import Subwords, composed_vectors
from nlptransfer.embeddings.vector_formats import VectorFile, open_vector_file
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError

# What a pickle of arrays calls. Each only builds an array, a type, or a number.
_ARRAY_MODULES = (
    "numpy",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)
_ARRAY_BUILDERS = {
    "_reconstruct",
    "scalar",
    "_frombuffer",
    "ndarray",
    "dtype",
    "float16",
    "float32",
    "float64",
    "uint32",
}


class _State:
    """Stands for any object of gensim's: keeps the attributes, has none of the behaviour."""

    def __new__(cls, *_: Any, **__: Any) -> _State:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _reconstructor(cls: type, _base: type, _state: Any) -> Any:
    """Like copyreg's, for objects without a state of their own."""
    return cls()


_PLAIN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): codecs.encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    ("copyreg", "_reconstructor"): _reconstructor,
    # A Word2Vec model names the hash function that it was trained with.
    ("builtins", "hash"): _State,
    **{("builtins", kind.__name__): kind for kind in (object, set, frozenset, bytearray, int, float)},
}
# Python 2 wrote other names; protocol 2 still does.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class _SafeUnpickler(pickle.Unpickler):
    """Builds arrays and plain data; refuses to import anything else."""

    def find_class(self, module: str, name: str) -> Any:
        module = _RENAMED.get(module, module)
        if module in _ARRAY_MODULES and name in _ARRAY_BUILDERS:
            # Older files name numpy.core, which newer numpy has renamed.
            return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        if module == "gensim" or module.startswith(("gensim.", "numpy.random")):
            return _State
        raise _NotAllowed(f"{module}.{name}")


class _NotAllowed(pickle.UnpicklingError):
    """The file asks for code that reading word vectors has no use for."""


def read_gensim_vectors(
    file: VectorFile, *, wanted: WantedWords | None = None, max_words: int | None = None
) -> tuple[Iterator[tuple[list[str], np.ndarray]], int, Subwords | None]:
    """Read what gensim saved, without executing it: only arrays, numbers, strings, lists and dicts are built.

    Args:
        file: what `detect_format` said. The ``.npy`` files that gensim wrote beside it must still be there.
        wanted: keep only these words.
        max_words: read only so many.

    Returns:
        Words and their vectors in parts, the dimension, and the n-grams of a FastText model.

    Raises:
        InputError: the file asks for code to be run, is damaged, holds no word vectors, or a file beside it is missing.
    """
    state, prefix = _vectors_state(file.path, _unpickle(file))
    attributes = state.__dict__
    words = next(
        (attributes[name] for name in ("index_to_key", "index2word", "index2entity") if name in attributes), None
    )
    # A FastText model leaves out "vectors", which follow from its own vectors of words and of n-grams.
    arrays = (_array(file.path, prefix, attributes, name) for name in ("vectors", "vectors_vocab", "syn0"))
    vectors = next((array for array in arrays if array is not None), None)
    if words is None or vectors is None or not all(isinstance(word, str) for word in words):
        raise InputError(
            "a Python pickle without word vectors",
            where=file.path,
            expected="a file saved by gensim's KeyedVectors, Word2Vec or FastText",
            found=f"the attributes {', '.join(sorted(map(str, attributes))) or 'none'}",
        )
    if vectors.ndim != 2 or len(words) != len(vectors) or not len(words):
        raise InputError(
            "the words and vectors don't match" if len(words) else "the file holds no words",
            where=file.path,
            expected=f"one vector for each of {len(words):,} words",
            found=f"an array of shape {vectors.shape}",
        )
    subwords = None
    ngrams = _array(file.path, prefix, attributes, "vectors_ngrams")
    if ngrams is not None and attributes.get("compatible_hash") and attributes.get("bucket", 0) == len(ngrams) > 0:
        subwords = Subwords(
            ngrams=ngrams,
            num_buckets=int(attributes["bucket"]),
            min_n=int(attributes["min_n"]),
            max_n=int(attributes["max_n"]),
        )
    composed = "vectors" in attributes or "vectors" in attributes.get("__numpys", ())
    chunks = composed_vectors(words, vectors, None if composed else subwords, wanted=wanted, max_words=max_words)
    return chunks, vectors.shape[1], subwords


def _unpickle(file: VectorFile) -> Any:
    with open_vector_file(file.path, compressed=file.compressed) as stream:
        try:
            return _SafeUnpickler(stream, encoding="latin1").load()
        except _NotAllowed as error:
            raise InputError(
                "a Python pickle that asks for code to be run, which was refused",
                where=file.path,
                expected="a file saved by gensim's KeyedVectors, Word2Vec or FastText",
                found=str(error),
                remedy="If you trust it, load it with gensim and save it by save_word2vec_format.",
            ) from error
        except EOFError as error:
            raise InputError("the file is cut short", where=file.path, remedy="Copy the file again.") from error
        except (pickle.UnpicklingError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise InputError(
                "a Python pickle that is damaged or not from gensim", where=file.path, found=str(error)
            ) from error


def _vectors_state(path: Path, saved: Any) -> tuple[_State, str]:
    """The part that holds the vectors, and the prefix of the names of its files."""
    if not isinstance(saved, _State):
        raise InputError(
            "a Python pickle without word vectors",
            where=path,
            expected="a file saved by gensim's KeyedVectors, Word2Vec or FastText",
            found=f"a {type(saved).__name__}",
        )
    inner = saved.__dict__.get("wv")
    return (inner, ".wv") if isinstance(inner, _State) else (saved, "")


def _array(path: Path, prefix: str, attributes: dict[str, Any], name: str) -> np.ndarray | None:
    """An array that was saved within the file or, when large, beside it."""
    if name not in attributes.get("__numpys", ()):
        value = attributes.get(name)
        return value if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None
    packed = path.name.endswith((".gz", ".bz2"))
    beside = path.with_name(f"{path.name}{prefix}.{name}.{'npz' if packed else 'npy'}")
    try:
        if packed:
            with np.load(beside, allow_pickle=False) as archive:
                return archive["val"]
        return np.load(beside, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(
            f"the file with its {name} is missing",
            where=path,
            expected=str(beside),
            remedy="gensim saves large models as several files; copy them all to one folder.",
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError("the array can't be read", where=beside, found=str(error)) from error
