"""Noise levels of a checkpoint's scheduler: pairs (a, b) of x_t = a x0 + b eps, with the network's times."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ...errors import SyncbenchError
from .library import library_class, quiet
from .schedule import Prediction, Schedule

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "eps",
    "v_prediction": "v",
    "sample": "sample",
    "flow_prediction": "flow",
}
"""Kinds of prediction, by the values of a scheduler's `prediction_type`."""


class Levels(Protocol):
    """Noise levels for any number of steps."""

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        ...

    def schedule(self, steps: int) -> Schedule:
        """Levels from noisy to clean. Raises SyncbenchError for a number of steps that the scheduler does not have."""
        ...


@dataclass(frozen=True)
class Discrete:
    """Levels of a network trained at `num_train_timesteps` times: those of DDIM, whatever sampler the folder names.

    `config` is a scheduler's configuration with its class's own defaults (`Folder.scheduler`); `overrides` replace
    what its file lacks or has wrong: another beta schedule, zero terminal SNR, trailing times. Each step ends
    where the next one starts. DDIMScheduler steps to t - T // n, which is the same unless `trailing` or `linspace`
    spacing meets a number of steps that does not divide T.
    """

    config: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def _config(self) -> dict[str, Any]:
        return {**self.config, **self.overrides}

    @property
    def prediction(self) -> Prediction:
        """What the network predicts, from the scheduler's configuration."""
        kind = str(self._config.get("prediction_type", "epsilon"))
        if kind not in PREDICTIONS:
            raise SyncbenchError(f"the scheduler says that the network predicts '{kind}': served are {_kinds()}")
        return PREDICTIONS[kind]

    def schedule(self, steps: int) -> Schedule:
        """DDIM's levels from noisy to clean. Raises SyncbenchError for an impossible number of steps."""
        config = self._config
        most = int(config["num_train_timesteps"])
        if not 1 <= steps <= most:
            raise SyncbenchError(f"{steps} denoising steps: this model has 1 to {most}")
        # Every value is given: a configuration of another class is read with this class's defaults otherwise, and
        # Euler's times would become DDIM's.
        names = (
            *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"),
            *("timestep_spacing", "steps_offset", "rescale_betas_zero_snr", "set_alpha_to_one"),
        )
        options = {name: config[name] for name in names if config.get(name) is not None}
        kind = "CogVideoXDDIMScheduler" if config.get("snr_shift_scale") is not None else "DDIMScheduler"
        if kind == "CogVideoXDDIMScheduler":
            options["snr_shift_scale"] = config["snr_shift_scale"]
        scheduler = library_class("diffusers", kind)(**options, clip_sample=False)
        scheduler.set_timesteps(steps)
        times = [int(t) for t in scheduler.timesteps]
        bars = [*scheduler.alphas_cumprod[times].tolist(), float(scheduler.final_alpha_cumprod)]
        if not all(0 <= bar <= 1 for bar in bars):
            raise SyncbenchError("the scheduler has noise levels outside [0, 1]: repair the checkpoint's folder")
        if self.prediction == "eps" and min(bars) < 1e-8:
            raise SyncbenchError(
                "the network predicts noise but starts where nothing else is left (zero terminal SNR), which tells "
                "nothing of the picture: set rescale_betas_zero_snr to false in its scheduler_config.json"
            )
        return Schedule(tuple(map(float, times)), tuple(b**0.5 for b in bars), tuple((1 - b) ** 0.5 for b in bars))


def shifted_betas(config: Mapping[str, Any], scale: float) -> list[float]:
    """Betas of a scheduler's times whose signal-to-noise ratio is divided by `scale ** (t / T)`, t from 0 to T.

    Networks of many views are trained so, because pictures that agree keep more of what noise hides in one: the
    interpolated shift of MV-Adapter (arXiv 2412.03632). For `trained_betas`.
    """
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    options = {name: config[name] for name in names if config.get(name) is not None}
    bars = library_class("diffusers", "DDIMScheduler")(**options).alphas_cumprod.double()
    ratio = bars / (1 - bars) * scale ** -torch.linspace(0, 1, len(bars), dtype=torch.float64)
    shifted = ratio / (1 + ratio)
    return (1 - shifted / torch.cat([shifted.new_ones(1), shifted[:-1]])).tolist()


@dataclass(frozen=True)
class Flow:
    """Levels of rectified flow, x = (1 - s) x0 + s eps, at the sigmas of diffusers' FlowMatchEulerDiscreteScheduler."""

    config: Mapping[str, Any]
    tokens: int | None = None
    """Image tokens of one view, for a shift that grows with them (`use_dynamic_shifting`); the same for all views."""
    even: bool = False
    """Whether sigmas before the shift are evenly spaced from 1 to 1 / steps, as for FLUX, not the trained times."""

    @property
    def prediction(self) -> Prediction:
        """The velocity eps - x0."""
        return "flow"

    def schedule(self, steps: int) -> Schedule:
        """Levels of Euler's sampler from noisy to clean. Raises SyncbenchError for an impossible number of steps."""
        if steps < 1:
            raise SyncbenchError(f"{steps} denoising steps: this model has 1 or more")
        config = dict(self.config)
        # Schedulers of other families that run flow models call the same number `flow_shift`.
        shift = config.get("flow_shift") or config.get("shift") or 1.0
        dynamic = bool(config.get("use_dynamic_shifting"))
        names = (
            *("num_train_timesteps", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len"),
            *("shift_terminal", "time_shift_type", "invert_sigmas"),
        )
        options = {name: config[name] for name in names if config.get(name) is not None}
        scheduler = library_class("diffusers", "FlowMatchEulerDiscreteScheduler")(
            **options, shift=shift, use_dynamic_shifting=dynamic
        )
        how: dict[str, Any] = {"mu": self._mu(config)} if dynamic else {}
        if self.even:
            how["sigmas"] = [1 - i * (1 - 1 / steps) / max(1, steps - 1) for i in range(steps)]
        scheduler.set_timesteps(**how) if self.even else scheduler.set_timesteps(steps, **how)
        sigmas: list[float] = scheduler.sigmas.tolist()
        return Schedule(tuple(scheduler.timesteps.tolist()), tuple(1 - s for s in sigmas), tuple(sigmas))

    def _mu(self, config: Mapping[str, Any]) -> float:
        """The shift's logarithm, linear in the number of tokens."""
        if self.tokens is None:
            raise SyncbenchError(
                "the scheduler shifts its times with resolution, which views of one canvas cannot share"
            )
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        rise = (config.get("max_shift", 1.15) - config.get("base_shift", 0.5)) / (high - low)
        return float(config.get("base_shift", 0.5) + rise * (self.tokens - low))


@dataclass(frozen=True)
class Edm:
    """Levels of a variance-exploding sampler (EulerDiscreteScheduler), rescaled to a^2 + b^2 = 1.

    x_ve = x0 + s eps, divided by sqrt(1 + s^2): that is the sampler's own `scale_model_input`. The network's time is
    the scheduler's, 0.25 ln s where it is continuous.
    """

    config: Mapping[str, Any]

    @property
    def prediction(self) -> Prediction:
        """What the network predicts, from the scheduler's configuration."""
        return PREDICTIONS[str(self.config.get("prediction_type", "epsilon"))]

    def schedule(self, steps: int) -> Schedule:
        """Levels of Euler's sampler from noisy to clean. Raises SyncbenchError for an impossible number of steps."""
        if steps < 1:
            raise SyncbenchError(f"{steps} denoising steps: this model has 1 or more")
        config = {name: value for name, value in self.config.items() if not name.startswith("_")}
        with quiet():  # files carry keys of other classes, which diffusers leaves aside with a warning
            scheduler = library_class("diffusers", "EulerDiscreteScheduler").from_config(config)
        scheduler.set_timesteps(steps)
        sigmas: list[float] = scheduler.sigmas.tolist()
        root = [(1 + s * s) ** 0.5 for s in sigmas]
        times = tuple(float(t) for t in scheduler.timesteps)
        return Schedule(times, tuple(1 / r for r in root), tuple(s / r for s, r in zip(sigmas, root, strict=True)))


def levels_of(config: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Levels:
    """The levels of a scheduler's configuration: `Flow` for schedulers of flow matching, else `Discrete` or `Edm`."""
    flow = "FlowMatch" in str(config.get("_class_name", "")) or config.get("prediction_type") == "flow_prediction"
    return Flow({**config, **(overrides or {})}) if flow else Discrete(config, overrides or {})


def _kinds() -> str:
    return ", ".join(PREDICTIONS)
