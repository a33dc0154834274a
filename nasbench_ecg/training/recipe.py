"""The training recipe: hyperparameters of the weights, and the same as options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from nasbench_ecg.options import Options

Precision = Literal["float32", "tf32", "bf16"]
"""Precision of convolutions and matrix products: ``tf32`` rounds their inputs to 10 bits on a GPU
and is ``float32`` on other devices; ``bf16`` computes them in bfloat16."""

LossName = Literal["cross-entropy", "logit-adjustment", "class-balanced", "focal"]
"""Losses; :func:`~nasbench_ecg.training.loss_function` has their formulas."""

Augmentation = Literal["wander", "noise", "scale", "shift", "lead-dropout"]
"""Random changes of training beats: baseline wander and muscle noise, each in half of the beats at
6 to 24 dB; amplitudes times 0.8 to 1.25; windows moved by up to 25 ms; one lead in ten beats lost.
"""

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
"""All of them, in the order in which they are applied."""


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training; the defaults are the paper's final training.

    Source: Lv et al. 2021, section IV-C, and Liu et al. 2019 (DARTS) on CIFAR-10 for values that
    the paper does not state.

    Attributes:
        epochs: Passes over the beats.
        batch_size: Beats in a step.
        lr: Largest learning rate: of the first epoch (cosine), or of the peak (one-cycle).
        lr_min: Final learning rate of the cosine.
        momentum: Momentum of SGD.
        weight_decay: Weight decay: of SGD, or decoupled (AdamW; Loshchilov, Hutter 2019).
        grad_clip: Largest norm of the gradient.
        precision: Precision of convolutions and matrix products.
        optimizer: ``sgd`` as published, or ``adamw``.
        schedule: ``cosine`` over the epochs as published, or ``one-cycle`` over the steps: up over
            the first 30% and down to nearly zero (Smith, Topin 2019, "Super-Convergence").
        loss: The loss; its class frequencies are those of the training beats.
        tau: τ of logit adjustment.
        min_share: Share of the training beats below which logit adjustment leaves a class alone.
        beta: β of the class-balanced loss.
        gamma: γ of the focal loss.
        augment: Random changes of the training beats.
        averaging: Which average of the weights over the steps is the result: ``ema`` or ``swa``;
            None is the last step's weights.
        averaging_decay: Decay of ``ema`` in a step.
    """

    epochs: int = 100
    batch_size: int = 256
    lr: float = 0.025
    lr_min: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    grad_clip: float = 5.0
    precision: Precision = "float32"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["cosine", "one-cycle"] = "cosine"
    loss: LossName = "cross-entropy"
    tau: float = 1.0
    min_share: float = 0.0
    beta: float = 0.9999
    gamma: float = 2.0
    augment: tuple[Augmentation, ...] = ()
    averaging: Literal["ema", "swa"] | None = None
    averaging_decay: float = 0.995


class RecipeOptions(Options):
    """Options of components that train weights; the defaults are those of :class:`Recipe`."""

    epochs: int = Field(Recipe.epochs, ge=1)
    """Passes over the beats."""

    batch_size: int = Field(Recipe.batch_size, ge=2)
    """Beats in a step."""

    lr: float = Field(Recipe.lr, gt=0)
    """Learning rate of the weights (SGD) in the first epoch, annealed by a cosine."""

    lr_min: float = Field(Recipe.lr_min, ge=0)
    """Learning rate that the cosine ends at."""

    momentum: float = Field(Recipe.momentum, ge=0, lt=1)
    """Momentum of the weights."""

    weight_decay: float = Field(Recipe.weight_decay, ge=0)
    """Weight decay of the weights."""

    grad_clip: float = Field(Recipe.grad_clip, gt=0)
    """Largest norm of the weights' gradient."""

    precision: Precision = Recipe.precision
    """``tf32`` rounds what enters convolutions on a GPU, ``bf16`` computes them in bfloat16; faster
    where the processor has it."""

    @model_validator(mode="after")
    def _cosine_falls(self) -> Self:
        recipe = self.recipe
        if recipe.schedule == "cosine" and recipe.lr_min > recipe.lr:
            raise ValueError(
                f"lr_min={recipe.lr_min} is above lr={recipe.lr}, so the rate would rise; set "
                "lr_min, too"
            )
        return self

    @property
    def recipe(self) -> Recipe:
        """The recipe that these options describe; an option that is null has its default."""
        named = {field.name for field in fields(Recipe)} & set(type(self).model_fields)
        own = {name: getattr(self, name) for name in named}
        return Recipe(**{name: value for name, value in own.items() if value is not None})
