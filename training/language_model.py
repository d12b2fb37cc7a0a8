"""Trains a MusicGen (arXiv:2306.05284) on a dataset's tokens, and its text encoder with it.

Model, delay pattern, loss and optimizer are audiocraft's. The differences, for a small model and little time: the T5
starts untrained and learns with the model; captions are dropped one by one instead of by the batch; padded text is
masked, because the engine conditions every request alone; the loss includes a clip's last frames, whose later codebooks
upstream never trains and then has to guess; and the checkpoint keeps averaged weights.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import flashy
import torch
from omegaconf import DictConfig
from torch import nn
from torch.nn import functional

from audiocraft_triton.checkpoints.layout import CODEC_FILE, LM_FILE, Checkpoint
from audiocraft_triton.checkpoints.upstream import LMModel, T5Conditioner, builders
from audiocraft_triton.contract.errors import InvalidRequest
from training.architecture import DEMO, TEXT_ENCODER_FOLDER, Kind, lm_config, save
from training.architecture import MUSIC as MUSIC_KIND
from training.architecture import SOUND as SOUND_KIND
from training.padded_attention import replace_cross_attention
from training.runtime import (
    Report,
    Stateful,
    TrainingRun,
    Worker,
    join_workers,
    seed_everything,
)
from training.text_encoder import (
    TextEncoderSizes,
    text_encoder_config,
    train_tokenizer,
    write_text_encoder,
)
from training.token_batches import TokenBatch, TokenBatches
from training.tokens import TokenSplit, codec_digest, read_tokens
from training.upstream import CosineLRScheduler
from training.weight_average import WeightAverage

TEXT = "description"
VALIDATE_EVERY = 500
_T5_WEIGHTS = f"condition_provider.conditioners.{TEXT}.t5."


@dataclass(frozen=True, slots=True)
class LanguageModelRecipe:
    """Sizes and hyperparameters.

    Attributes:
        kind: sample rate of the codec, and the length of a segment.
        dim, heads, layers: sizes of the transformer.
        card: number of entries in each of the codec's codebooks.
        text: sizes of the text encoder.
        steps: total number of steps.
        batch: clips per step, over all processes.
        dropout: in the transformer and the text encoder.
        text_dropout: share of clips without a caption, for classifier-free guidance.
        cut_share: share of clips that start somewhere in their middle, so that the model can continue audio.
        learning_rate: rises over `warm_up` steps, then falls to zero as a cosine.
        weight_decay: for matrices.
        max_norm: maximum norm of the gradient; a larger one is scaled down.
        average_decay: decay of the moving average of the weights, which is what the checkpoint keeps.
    """

    kind: Kind
    dim: int
    heads: int
    layers: int
    card: int
    text: TextEncoderSizes
    steps: int
    batch: int
    dropout: float = 0.1
    text_dropout: float = 0.2
    cut_share: float = 0.3
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    warm_up: int = 300
    max_norm: float = 1.0
    average_decay: float = 0.999
    seed: int = 1


# With a rate of 1e-3 after 300 steps and gradients up to 1, a training once diverged within 13,000 steps.
MUSIC = LanguageModelRecipe(
    MUSIC_KIND, dim=256, heads=4, layers=5, card=1024, steps=12_000, batch=48,
    learning_rate=9e-4, warm_up=1_000, max_norm=0.3,
    text=TextEncoderSizes(width=96, layers=2, heads=4, head_width=32, feed_forward=256),
)  # fmt: skip
SOUND = LanguageModelRecipe(
    SOUND_KIND, dim=128, heads=4, layers=4, card=512, steps=12_000, batch=64,
    text=TextEncoderSizes(width=64, layers=2, heads=4, head_width=16, feed_forward=128),
)  # fmt: skip


def train_language_model(
    tokens: Path,
    run: Path,
    out: Path,
    recipe: LanguageModelRecipe,
    *,
    minutes: float | None = None,
    report: Report = print,
) -> bool:
    """Trains a language model and its text encoder, resuming where the last call with the same `run` stopped.

    Args:
        tokens: folder that `training.tokens.encode_dataset` wrote.
        run: folder for state and logs.
        out: checkpoint folder; `state_dict.bin` and `t5/` are written there whenever training stops, finished or not.
            If the folder holds a codec already, it must be the one that made the tokens.
        recipe: sizes and hyperparameters.
        minutes: stop after this many minutes; None: only when done.
        report: receives lines of progress.

    Returns:
        Whether all steps are done.

    Raises:
        InvalidRequest: the tokens are missing, belong to another codec or don't fit the recipe; or the run was started
            with other settings.
    """
    worker = join_workers()
    clips = read_tokens(tokens, "train")
    held_out = read_tokens(tokens, "validation")
    _require_match(clips, recipe, out)
    seed_everything(recipe.seed)
    trainer = LanguageModelTrainer(recipe, clips, held_out, worker)
    settings = {**asdict(recipe), "tokens": _digest(clips), "processes": worker.count}
    training = TrainingRun(
        run, worker, trainer.parts(), settings, steps=recipe.steps, minutes=minutes, seed=recipe.seed, report=report
    )
    first = training.step
    for step in training.each_step():
        if step % VALIDATE_EVERY == 0 or step == first:
            validation = trainer.validate()
        training.log({**trainer.step(), "validation": validation})
    if worker.leads:
        report(f"validation loss {float(trainer.validate()):.4f} after {training.step:,} steps")
        trainer.write(out)
    return training.finished


def written_config(recipe: LanguageModelRecipe) -> DictConfig:
    """Returns the config of a recipe's language model, as the checkpoint stores it."""
    shape = replace(DEMO, dim=recipe.dim, layers=recipe.layers, heads=recipe.heads, card=recipe.card)
    config = lm_config(recipe.kind, shape)
    config.classifier_free_guidance.training_dropout = recipe.text_dropout
    return config


class LanguageModelTrainer:
    """A language model with its data and optimizer: everything that a step needs.

    Attributes:
        lm: the LMModel in training, with its T5.
        held_out: the validation clips.
        average: the averaged weights, which the checkpoint keeps.
    """

    def __init__(self, recipe: LanguageModelRecipe, clips: TokenSplit, held_out: TokenSplit, worker: Worker) -> None:
        self._recipe = recipe
        self._device = worker.device
        self._share = worker.share(recipe.batch)
        self._tokenizer = train_tokenizer(
            (caption for captions in clips.captions for caption in captions), recipe.text.vocabulary
        )
        frames = round(recipe.kind.max_duration * clips.frame_rate)
        self._clips = TokenBatches(clips, self._tokenizer, frames, worker.device)
        self.held_out = TokenBatches(held_out, self._tokenizer, frames, worker.device)
        self.lm = self._untrained().train()
        self._cross_attention = replace_cross_attention(self.lm)
        self._interleaved = _interleaved(self.lm, frames).to(worker.device)
        self.average = WeightAverage(self.lm, recipe.average_decay)
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(self.lm, recipe.weight_decay), recipe.learning_rate, betas=recipe.betas,
            fused=worker.device.type == "cuda",
        )  # fmt: skip
        self._schedule = CosineLRScheduler(self._optimizer, recipe.steps, recipe.warm_up)

    def parts(self) -> dict[str, Stateful]:
        """Returns everything that changes during training, by name."""
        return {
            "lm": self.lm,
            "average": self.average,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
        }

    def step(self) -> dict[str, torch.Tensor]:
        """Makes one step; returns the cross-entropy (nats) as a mean and by codebook, and the gradient's norm."""
        batch = self._clips.draw(self._share, self._recipe.cut_share, self._recipe.text_dropout)
        losses = self.losses(batch)
        loss = losses.mean()
        torch.autograd.backward(loss)
        flashy.distrib.sync_model(self.lm)
        norm = nn.utils.clip_grad_norm_(self.lm.parameters(), self._recipe.max_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        self.average.update()
        by_codebook = {f"loss_{index}": value for index, value in enumerate(losses.detach())}
        return {"loss": loss.detach(), **by_codebook, "gradient": norm}

    def losses(self, batch: TokenBatch) -> torch.Tensor:
        """Computes each codebook's cross-entropy over the frames that delay pattern and clips have, [codebooks]."""
        # In float32: a T5 needs the range, and this one is cheap.
        vectors, unpadded = self.lm.condition_provider({TEXT: dict(batch.text)})[TEXT]
        for attention in self._cross_attention:
            attention.unpadded = unpadded.bool()
        nothing = torch.full_like(batch.codes[:, 0, :1], self.lm.special_token_id)
        sequence = torch.cat([batch.codes.flatten(1), nothing], dim=1)[:, self._interleaved]
        targets = sequence[..., 1:]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            logits = self.lm(sequence[..., :-1], [], {TEXT: (vectors * batch.described, unpadded)})
            losses = functional.cross_entropy(
                logits.flatten(0, 2), targets.flatten(), ignore_index=self.lm.special_token_id, reduction="none"
            )
        known = targets != self.lm.special_token_id
        mean: torch.Tensor = losses.view_as(targets).sum(dim=(0, 2)) / known.sum(dim=(0, 2))
        return mean

    @torch.no_grad()
    def validate(self) -> torch.Tensor:
        """Computes the mean cross-entropy on the held-out clips with their main captions."""
        self.lm.eval()
        losses = torch.stack([self.losses(batch).mean() for batch in self.held_out.in_order(self._share)])
        self.lm.train()
        return losses.mean()

    def write(self, out: Path) -> None:
        """Writes the averaged weights as a checkpoint that the engine and audiocraft load."""
        out.mkdir(parents=True, exist_ok=True)
        weights = self.average.module_state()
        text = {name[len(_T5_WEIGHTS) :]: value for name, value in weights.items() if name.startswith(_T5_WEIGHTS)}
        rest = {name: value for name, value in weights.items() if not name.startswith(_T5_WEIGHTS)}
        save(out / LM_FILE, rest, written_config(self._recipe))
        config = text_encoder_config(self._recipe.text, len(self._tokenizer))
        write_text_encoder(out / TEXT_ENCODER_FOLDER, self._tokenizer, config, text)

    def _untrained(self) -> LMModel:
        """Builds the model as upstream initializes it; its T5 goes through a file, because upstream needs one."""
        config = written_config(self._recipe)
        config.device = self._device.type
        config.transformer_lm.dropout = self._recipe.dropout
        config.conditioners[TEXT].t5.finetune = True
        with tempfile.TemporaryDirectory() as folder:
            text_config = text_encoder_config(self._recipe.text, len(self._tokenizer), self._recipe.dropout)
            write_text_encoder(Path(folder), self._tokenizer, text_config)
            config.conditioners[TEXT].t5.name = folder
            T5Conditioner.MODELS.append(folder)
            T5Conditioner.MODELS_DIMS[folder] = self._recipe.text.width
            try:
                return builders.get_lm_model(config)
            finally:
                T5Conditioner.MODELS.remove(folder)
                del T5Conditioner.MODELS_DIMS[folder]


def _interleaved(lm: LMModel, frames: int) -> torch.Tensor:
    """Returns the source of each token in the delay pattern, as upstream builds it.

    Returns:
        int64 [codebooks, frames + codebooks]: indices into codebooks × frames tokens, flattened, and one special token.
    """
    count = lm.num_codebooks * frames
    numbered = torch.arange(count).view(1, lm.num_codebooks, frames)
    pattern = lm.pattern_provider.get_pattern(frames)
    places, _indexes, _mask = pattern.build_pattern_sequence(numbered, count, keep_only_valid_steps=False)
    found: torch.Tensor = places[0]
    return found


def _parameter_groups(lm: LMModel, weight_decay: float) -> list[dict[str, Any]]:
    """Groups the parameters: weight decay for matrices, none for biases and norms."""
    parameters = list(lm.parameters())
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def _require_match(clips: TokenSplit, recipe: LanguageModelRecipe, out: Path) -> None:
    if clips.card != recipe.card:
        raise InvalidRequest("tokens", clips.card, f"entries per codebook: must be {recipe.card} for this recipe")
    codec = Checkpoint(str(out), out)
    if codec.has(CODEC_FILE) and codec_digest(codec) != clips.codec:
        raise InvalidRequest("out", str(out), "holds another codec than the tokens' own: encode the dataset again")


def _digest(clips: TokenSplit) -> str:
    """Returns a digest of the codes and captions, to refuse resuming on other ones."""
    digest = hashlib.sha256(repr(clips.captions).encode())
    digest.update(clips.codes.numpy().tobytes())
    return digest.hexdigest()
