"""A Stable Diffusion checkpoint that follows depth, normals, edges or any other hint, by one or several ControlNets.

Zhang et al. 2023, arXiv 2302.05543. For Stable Diffusion 1.x, 2.x and XL, with ControlNets of the same family:
`lllyasviel/control_v11f1p_sd15_depth`, `lllyasviel/control_v11p_sd15_normalbae`, `diffusers/controlnet-depth-sdxl-1.0`
and their siblings.
"""

from typing import ClassVar

from .parts.composed import Parts
from .parts.fingerprint import STEERED, Fingerprint, Part, check_companion
from .parts.hinted import Hinted
from .parts.pictures import Hint
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder
from .parts.wrappers import Control, Controlled


class Controlnet(Hinted):
    """Conditions are the names in `nets`, e.g. `{"depth": "lllyasviel/control_v11f1p_sd15_depth"}`.

    They are pictures in [0, 1] of a view's size, of 3 channels or of one. `depth` is normalised inverse depth, 1 near
    and 0 background, as these networks read it; `normal` is red to the right, green up, blue towards the camera. An
    item without one of the conditions is left out.
    """

    id = "controlnet"
    paper: ClassVar[str] = "2302.05543"
    licence: ClassVar[str] = "OpenRAIL (lllyasviel), OpenRAIL++ (diffusers, XL), Apache-2.0 (xinsir)"
    kind: ClassVar[str] = "ControlNet"
    fingerprint: ClassVar[Fingerprint] = Fingerprint("ControlNet", {"": Part(("ControlNetModel",))})

    def fit(self, name: str, folder: Folder) -> None:
        """Raise SyncbenchError for a ControlNet of another family than the base."""
        check_companion(folder, self.source, STEERED, what=f"ControlNet for {name}")

    def parts(self) -> Parts:
        """The parts of the base checkpoint, with ControlNets added to its network."""
        base = StableDiffusion(self.source)
        loaded = {name: folder.weights("ControlNetModel") for name, folder in self.nets.items()}
        controls = tuple(Control(net, name, self.scale(name)) for name, net in loaded.items())
        hints = (
            Hint(name, int(net.config.get("conditioning_channels", 3)), needed=True) for name, net in loaded.items()
        )
        return Parts(
            network=Controlled(base.unet, controls, base.codec.factor),
            conditioners=(base.text, *hints),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.revisions(base.revision()),
        )
