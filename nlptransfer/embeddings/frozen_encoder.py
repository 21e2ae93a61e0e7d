"""A pretrained encoder that is only read: its hidden states, and a place on disk for what is made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError

from nlptransfer.embeddings.encoder_settings import (
    check_max_length,
    check_weights,
    load_config,
    load_tokenizer,
    padding_id,
)
from nlptransfer.embeddings.find_encoder import encoder_digest, find_encoder, quiet_transformers
from nlptransfer.errors import InputError
from nlptransfer.files import cache_folder, write_whole

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]

# On a CPU larger batches are slower, not faster: what a layer makes of them no longer fits into the processor's cache.
# 22M-parameter encoder in fp32: 1.3 to 1.7 times as fast as with 8,192 positions.
_CPU_POSITIONS = 1024

_log = logging.getLogger(__name__)


class FrozenEncoder:
    """The hidden states of a pretrained encoder, the mean of several layers where several are named.

    Args:
        folder_or_name: a model folder as `transformers` writes it, or a name on the Hugging Face hub, which is looked
            up in the hub's local cache before it is fetched. Its weights must be safetensors; code that comes with a
            model is not run.
        layers: which hidden states are read: 0 is the embeddings, 1 the first layer, -1 the last. Several are averaged.
        precision: of the pass: "fp32", or "bf16" by autocast, with float32 results.
        max_length: the longest input, in subword tokens, special ones included.
        batch_size: inputs of `max_length` tokens that are read at once, at most, or as many more shorter ones.
        device: "cpu", "cuda", "cuda:1" or "mps".
        cache: remember the digests of the encoder's files.

    Raises:
        InputError: there is no such encoder, or it can't be used: no safetensors, no such layer, or a shorter longest
            input.
    """

    def __init__(
        self,
        folder_or_name: str | Path,
        *,
        layers: Sequence[int],
        precision: Precision,
        max_length: int,
        batch_size: int,
        device: str,
        cache: bool,
    ) -> None:
        for name, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value < 1:
                raise InputError(f"{name} is too small", expected="at least 1", found=str(value))
        if precision not in get_args(Precision):
            raise InputError("unknown precision", expected=" or ".join(get_args(Precision)), found=repr(precision))
        self.folder_or_name = str(folder_or_name)
        self.precision = precision
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self.folder = find_encoder(self.folder_or_name)
        if getattr(self._config, "is_encoder_decoder", False):
            raise InputError(
                "the model is an encoder with a decoder",
                where=self.folder,
                expected="an encoder alone, such as those of the BERT family",
                found=str(self._config.model_type),
                remedy="Name another encoder.",
            )
        check_max_length(max_length, self._config, self.tokenizer, where=self.folder)
        last = int(self._config.num_hidden_layers)
        counted = {layer if layer >= 0 else last + 1 + layer for layer in layers}
        if not layers or len(counted) < len(layers) or not all(0 <= layer <= last for layer in counted):
            raise InputError(
                "these are not layers of the encoder",
                where=self.folder,
                expected=f"one or more different ones of 0 (the embeddings) to {last}, or -1 (the last) to {-last - 1}",
                found=", ".join(map(str, layers)) or "none",
            )
        self.layers = tuple(sorted(counted))

    @property
    def dim(self) -> int:
        """H, the width of a hidden state."""
        return int(self._config.hidden_size)

    @cached_property
    def digest(self) -> str:
        """Identifies the encoder: of its weights, its architecture and its tokenizer."""
        return encoder_digest(self.folder, remember=self.cache)

    @property
    def padding(self) -> int:
        """The id that fills up shorter inputs."""
        return padding_id(self._config)

    @property
    def num_positions(self) -> int:
        """How many positions are read at once, at most, but for a single input that is longer."""
        whole = self.batch_size * self.max_length
        return min(whole, _CPU_POSITIONS) if self.device == "cpu" else whole

    @cached_property
    def tokenizer(self) -> Any:
        """The encoder's own."""
        return load_tokenizer(self.folder)

    def hidden_states(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the encoder makes of a batch.

        Args:
            input_ids: (batch, time), with `padding` where there is no token.
            mask: (batch, time), True on tokens.

        Returns:
            (batch, time, H) float32, the mean over the layers.
        """
        import torch

        last = int(self._config.num_hidden_layers)
        several = self.layers != (last,)
        autocast = torch.autocast(torch.device(self.device).type, torch.bfloat16)
        with torch.inference_mode(), nullcontext() if self.precision == "fp32" else autocast:
            output = self._encoder(
                input_ids=input_ids.to(self.device),
                attention_mask=mask.to(self.device).long(),
                output_hidden_states=several,
            )
            if not several:
                states: torch.Tensor = output.last_hidden_state.float()
                return states
            chosen = [output.last_hidden_state if at == last else output.hidden_states[at] for at in self.layers]
            return torch.stack([state.float() for state in chosen]).mean(dim=0)

    @cached_property
    def _config(self) -> Any:
        return load_config(self.folder)

    @cached_property
    def _encoder(self) -> Any:
        import torch
        from transformers import AutoModel

        try:
            with quiet_transformers():
                encoder, found = AutoModel.from_pretrained(
                    self.folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except RuntimeError as error:
            # All that transformers says of it is the name of a flag.
            raise InputError("the weights do not fit the configuration beside them", where=self.folder) from error
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"transformers can't read the encoder ({' '.join(str(error).split())})",
                where=self.folder,
                expected="config.json and *.safetensors of a model that transformers knows",
                remedy="Save it again with save_pretrained, or name another encoder.",
            ) from error
        check_weights(found["missing_keys"], where=self.folder)
        encoder = encoder.to(self.device).eval().requires_grad_(False)
        if self.precision == "bf16":
            # As autocast would round these weights anyway, for each batch anew since they are not trained.
            for module in encoder.modules():
                if isinstance(module, torch.nn.Linear):
                    module.to(torch.bfloat16)
        elif self.device == "cpu":
            from nlptransfer.embeddings.onednn_linear import use_onednn

            use_onednn(encoder)
        return encoder


def kept_features(key: str, shape: tuple[int, int], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Features from the cache; computed and put there where it has none, or damaged ones.

    Args:
        key: identifies everything that decides the features; the name of their file.
        shape: that they must have.
        compute: makes them, float32.
    """
    kept = cache_folder() / "encoder_features" / f"{key}.npy"
    try:
        features = np.load(kept, allow_pickle=False)
        if features.shape == shape and features.dtype == np.float32:
            return np.asarray(features)
        _log.warning("%s does not hold the features that its name says; they are computed anew.", kept)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        _log.warning("%s can't be read (%s); the features are computed anew.", kept, error)
    features = compute()
    try:
        with write_whole(kept) as temporary:
            np.save(temporary, features)
    except OSError as error:
        _log.warning("The encoder's features can't be kept (%s); the next run computes them again.", error)
    return features
