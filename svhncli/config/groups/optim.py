"""Keys of the optimizers."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class OptimConfig:
    """What all optimisers share."""

    clip: float = key(0.0, "largest norm of the gradient; 0 does not clip", low=0)
    decay_norm_and_bias: bool = key(False, "apply weight decay to norm layers and biases as well")


@dataclass
class SgdConfig(OptimConfig):
    """Stochastic gradient descent with (Nesterov) momentum."""

    name: str = key("sgd", "the optimiser")
    momentum: float = key(0.9, "momentum", low=0, below=1)
    nesterov: bool = key(True, "Nesterov's look-ahead")
    weight_decay: float = key(5e-4, "weight decay; for SGD the same as an L2 penalty", low=0)


@dataclass
class AdamConfig(OptimConfig):
    """Adam (Kingma & Ba 2015); its weight decay is added to the gradient."""

    name: str = key("adam", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.0, "added to the gradient (not decoupled)", low=0)


@dataclass
class AdamwConfig(OptimConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: str = key("adamw", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.01, "decoupled from the gradient, multiplied by lr", low=0)


@dataclass
class RmspropConfig(OptimConfig):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: str = key("rmsprop", "the optimiser")
    alpha: float = key(0.99, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    momentum: float = key(0.0, "momentum", low=0, below=1)
    weight_decay: float = key(0.0, "added to the gradient", low=0)
