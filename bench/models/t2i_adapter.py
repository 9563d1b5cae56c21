"""A Stable Diffusion checkpoint that follows depth, edges or any other hint, by one or several T2I-Adapters.

Mou et al. 2023, arXiv 2302.08453. For Stable Diffusion 1.x and XL, with adapters of the same family:
`TencentARC/t2iadapter_depth_sd15v2`, `TencentARC/t2i-adapter-depth-midas-sdxl-1.0` and their siblings. Unlike
ControlNets they are small and run once for a sample, not at every step.
"""

from typing import Any, ClassVar

from ..errors import SyncbenchError, quoted
from .parts.composed import Parts
from .parts.fingerprint import Fingerprint, Part
from .parts.hinted import Hinted
from .parts.pictures import Hint
from .parts.stable_diffusion import StableDiffusion
from .parts.t2i import Adapted, Features
from .parts.weights import Folder


class T2iAdapter(Hinted):
    """Conditions are the names in `nets`, e.g. `{"depth": "TencentARC/t2iadapter_depth_sd15v2"}`.

    They are pictures in [0, 1] of a view's size, of as many channels as the adapter reads, or of one. `depth` is
    normalised inverse depth, 1 near and 0 background. An item without one of the conditions is left out.
    """

    id = "t2i_adapter"
    paper: ClassVar[str] = "2302.08453"
    licence: ClassVar[str] = "Apache-2.0 (TencentARC)"
    kind: ClassVar[str] = "T2I-Adapter"
    fingerprint: ClassVar[Fingerprint] = Fingerprint("T2I-Adapter", {"": Part(("T2IAdapter",))})

    def fit(self, name: str, folder: Folder) -> None:
        """Raise SyncbenchError for an adapter of XL on another base or the reverse, or of other widths."""
        config, widths = folder.config(), self.source.config("unet").get("block_out_channels", WIDTHS)
        own, kind = config.get("channels", WIDTHS), config.get("adapter_type", "full_adapter")
        both = min(len(own), len(widths)) if isinstance(own, list) else 0
        if (kind == "full_adapter_xl") != self.source.has("text_encoder_2") or not both or own[:both] != widths[:both]:
            raise SyncbenchError(
                f"the T2I-Adapter for {name} in {quoted(folder.path)} was made for another network than that of "
                f"{quoted(self.source.path)}: it is a {quoted(kind, 40)} of channels {quoted(own, 60)}, and the "
                f"network has block_out_channels = {widths}; take an adapter and a base of one family"
            )

    def parts(self) -> Parts:
        """The parts of the base, with features of hints added inside the blocks of its network."""
        base = StableDiffusion(self.source)
        loaded = {name: folder.weights("T2IAdapter") for name, folder in self.nets.items()}
        features = tuple(
            Features(Hint(name, int(net.config.get("in_channels", 3)), needed=True), net, name, self.scale(name))
            for name, net in loaded.items()
        )
        return Parts(
            network=Adapted(base.unet, features, base.codec.factor),
            conditioners=(base.text, *features),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.revisions(base.revision()),
        )


WIDTHS: list[Any] = [320, 640, 1280, 1280]
"""Widths of the blocks, for configurations of base or adapter without them."""
