"""Keys of the optimizers."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.declare import choice
from svhncli.config.rules import key


@dataclass
class OptimConfig:
    """Keys that all optimizers share."""

    clip: float = key(0.0, "clip the gradient to this norm; 0 does not clip", low=0)
    decay_norm_and_bias: bool = key(False, "apply weight decay to norm layers and biases as well")


@choice("optim", builds="svhncli.engine.optimizers:sgd", lr=0.05)
@dataclass
class SgdConfig(OptimConfig):
    """Stochastic gradient descent with (Nesterov) momentum."""

    name: str = key("sgd", "the optimizer")
    momentum: float = key(0.9, "momentum", low=0, below=1)
    nesterov: bool = key(True, "use Nesterov momentum")
    weight_decay: float = key(5e-4, "weight decay; for SGD the same as an L2 penalty", low=0)


@choice("optim", builds="svhncli.engine.optimizers:adam", lr=3e-4)
@dataclass
class AdamConfig(OptimConfig):
    """Adam (Kingma & Ba 2015); its weight decay is added to the gradient."""

    name: str = key("adam", "the optimizer")
    beta1: float = key(0.9, "decay rate of the gradient's running mean", low=0, below=1)
    beta2: float = key(0.999, "decay rate of the squared gradient's running mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.0, "weight decay, added to the gradient (not decoupled)", low=0)


@choice("optim", builds="svhncli.engine.optimizers:adamw", lr=1e-3)
@dataclass
class AdamwConfig(OptimConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: str = key("adamw", "the optimizer")
    beta1: float = key(0.9, "decay rate of the gradient's running mean", low=0, below=1)
    beta2: float = key(0.999, "decay rate of the squared gradient's running mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.01, "weight decay, decoupled from the gradient and multiplied by lr", low=0)


@choice("optim", builds="svhncli.engine.optimizers:rmsprop", lr=3e-4)
@dataclass
class RmspropConfig(OptimConfig):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: str = key("rmsprop", "the optimizer")
    alpha: float = key(0.99, "decay rate of the squared gradient's running mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    momentum: float = key(0.0, "momentum", low=0, below=1)
    weight_decay: float = key(0.0, "weight decay, added to the gradient", low=0)


@choice("optim", builds="svhncli.engine.optimizers:muon", lr=0.01)
@dataclass
class MuonConfig(OptimConfig):
    """Muon for the weights of layers, AdamW for biases and norm layers (Jordan et al. 2024)."""

    name: str = key("muon", "the optimizer")
    momentum: float = key(0.95, "momentum of the layers' weights, as Nesterov's", low=0, below=1)
    beta1: float = key(0.9, "AdamW: decay rate of the gradient's running mean", low=0, below=1)
    beta2: float = key(0.999, "AdamW: decay rate of the squared gradient's running mean", low=0, below=1)
    eps: float = key(1e-8, "AdamW: added to the denominator", above=0)
    weight_decay: float = key(0.01, "weight decay, decoupled from the gradient and multiplied by lr", low=0)
