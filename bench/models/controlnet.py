"""A Stable Diffusion checkpoint that follows depth, normals, edges or any other hint, by one or several ControlNets.

Zhang et al. 2023, arXiv 2302.05543. For Stable Diffusion 1.x, 2.x and XL, with ControlNets of the same family:
`lllyasviel/control_v11f1p_sd15_depth`, `lllyasviel/control_v11p_sd15_normalbae`, `diffusers/controlnet-depth-sdxl-1.0`
and their siblings.
"""

from dataclasses import replace
from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval, Len

from ..errors import SyncbenchError, quoted
from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import Fingerprint, Part, check_companion
from .parts.pictures import Hint
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.single_file import single_file
from .parts.stable_diffusion import StableDiffusion
from .parts.wrappers import Control, Controlled


class Controlnet(Recipe):
    """Conditions are the names in `nets`: pictures in [0, 1] of a view's size, of 3 channels or of one.

    `depth` is normalised inverse depth, 1 near and 0 background, as these networks read it; `normal` is red to the
    right, green up, blue towards the camera. An item without one of the conditions is left out.
    """

    id = "controlnet"
    paper: ClassVar[str] = "2302.05543"
    licence: ClassVar[str] = "OpenRAIL (lllyasviel), OpenRAIL++ (diffusers, XL), Apache-2.0 (xinsir)"
    fingerprint: ClassVar[Fingerprint] = Fingerprint("ControlNet", {"": Part(("ControlNetModel",))})

    def __init__(
        self,
        *,
        path: str = "",
        file: str = "",
        nets: Annotated[dict[str, str], Len(min_length=1)] | None = None,
        scales: dict[str, Annotated[float, Interval(ge=0, le=10)]] | None = None,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`nets`: a folder or hub id for each condition, e.g. `{"depth": "lllyasviel/control_v11f1p_sd15_depth"}`.

        `scales`: how much each counts, 1 where nothing is said; residuals of several are added. Other options are those
        of the model `diffusers`. Raises SyncbenchError for networks that were made for another family than the base.
        """
        if not nets:
            raise SyncbenchError(
                'model controlnet needs ControlNets: --set \'model.nets={"depth": "FOLDER"}\' (or hub ids owner/name)'
            )
        self._scales = scales or {}
        self._nets, self._file = nets, file
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Refuse a base or a ControlNet that is not whole, or ControlNets of another family than the base."""
        if self._file:
            self.source = replace(self.source, single=single_file(self._file))
        check_folder(self.source)
        for name in self._scales.keys() - self._nets.keys():
            raise SyncbenchError(f"model controlnet has a scale for '{name}' and no network: add it to model.nets")
        self.nets = {name: self.addition(path, f"ControlNet for {name}") for name, path in self._nets.items()}
        for name, folder in self.nets.items():
            self.fingerprint.check(folder)
            check_companion(folder, self.source, SAME, what=f"ControlNet for {name}")

    @property
    def name(self) -> str:
        """What tables call it: the base and the conditions."""
        base = self.source.single.stem if self.source.single else super().name
        return quoted("+".join([base, *self.nets]), 100)

    def parts(self) -> Parts:
        """The base's, and ControlNets beside its network."""
        base = StableDiffusion(self.source)
        loaded = {name: folder.weights("ControlNetModel") for name, folder in self.nets.items()}
        controls = tuple(Control(net, name, self._scales.get(name, 1.0)) for name, net in loaded.items())
        hints = (
            Hint(name, int(net.config.get("conditioning_channels", 3)), needed=True) for name, net in loaded.items()
        )
        return Parts(
            network=Controlled(base.unet, controls, base.codec.factor),
            conditioners=(base.text, *hints),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders={
                "pipeline": base.revision(),
                **{name: f"{folder.revision()} * {self._scales.get(name, 1.0)}" for name, folder in self.nets.items()},
            },
        )


SAME = (
    *("cross_attention_dim", "block_out_channels", "layers_per_block", "in_channels", "addition_embed_type"),
    *("projection_class_embeddings_input_dim", "class_embed_type"),
)
"""What a ControlNet and the network that it steers have to have alike."""
