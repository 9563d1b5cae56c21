"""MV-Adapter: views of an object beside each other, by attention along rows of pixels that is added to a checkpoint's.

Huang, Guo, Wang, Yi, Ma, Cao, Sheng, ICCV 2025, arXiv 2412.03632 (code read at 4277e00): huanngzh/mv-adapter on Stable
Diffusion XL (views of 768 px) and 2.1 base (512 px), from text (t2mv). Left out: its adapters that read a picture, or
the positions and normals of a mesh. The network reads the azimuth of each view from the first one, which is the front;
it was trained with six views, of azimuths 0, 45, 90, 180, 270 and 315 degrees at elevation 0.
"""

from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval

from ..errors import SyncbenchError, quoted
from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.levels import shifted_betas
from .parts.mv_adapter import Branches, Decoupled, Rays, camera_encoder, check_file
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.t2i import Adapted, Features

SHIFT = 8.0
"""The signal-to-noise ratio of the noisiest level is that of the checkpoint's own schedule divided by this."""


class MVAdapter(Recipe):
    """Condition `camera`: (N, 16), rows of camera-to-world.

    Where views are denoised together they meet along their rows of pixels; else each is denoised by itself, from its
    camera.
    """

    id = "sd_mvadapter"
    paper: ClassVar[str] = "2412.03632"
    licence: ClassVar[str] = "Apache-2.0 (adapter)"
    title: ClassVar[str] = "MV-Adapter"

    def __init__(
        self,
        *,
        path: str = "",
        adapter: str = "huanngzh/mv-adapter",
        size: Annotated[int, Interval(ge=0, le=4096)] = 0,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: the base, XL or 2.1, a folder or a hub id; `adapter`: a folder or hub id with MV-Adapter's file.

        `size`: pixels along a side of a view; 0: 768 with XL and 512 with 2.1. Raises SyncbenchError where one is not
        on this machine, is incomplete, or does not fit the other.
        """
        self._adapter, self._size = adapter, size
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for a base that is neither XL nor 2.1, and for a file that is not the adapter for it."""
        check_folder(self.source)
        if not self.source.config("unet").get("use_linear_projection"):
            raise SyncbenchError(
                f"{quoted(self.source.path)} is a Stable Diffusion 1 checkpoint, for which no MV-Adapter was trained: "
                "take one of Stable Diffusion XL or 2.1"
            )
        if self._size % self.cells:
            raise SyncbenchError(
                f"model.size = {self._size}: MV-Adapter reads sides that are multiples of {self.cells}"
            )
        self.adapter = self.folder(self._adapter, what="MV-Adapter")
        self.file = self.adapter.file(self.wanted, "MV-Adapter's weights for this base")
        check_file(self.file, self.wanted)

    @property
    def name(self) -> str:
        """Name of the model in tables: the base and the adapter."""
        return quoted(f"{super().name}+mv-adapter", 100)

    @property
    def xl(self) -> bool:
        """Whether the base checkpoint is Stable Diffusion XL."""
        return self.source.has("text_encoder_2")

    @property
    def cells(self) -> int:
        """Pixels along a side of a cell of the finest features of cameras."""
        return 16 if self.xl else 8

    @property
    def wanted(self) -> str:
        """Name of the adapter's file for this base."""
        return f"mvadapter_t2mv_{'sdxl' if self.xl else 'sd21'}.safetensors"

    def parts(self) -> Parts:
        """The parts of the base, with shifted noise levels, added attention layers, and features of cameras."""
        base = StableDiffusion(self.source, {"trained_betas": shifted_betas(self.source.scheduler(), SHIFT)})
        file, size = self.file, self._size or (768 if self.xl else 512)
        encoder = camera_encoder(file, self.placement, base.unet.config["block_out_channels"])
        cameras = Features(Rays(size), encoder, "camera")
        beside = Decoupled(base.unet, Branches(base.unet.weights, file, self.placement))
        return Parts(
            network=Adapted(beside, (cameras,), base.codec.factor),
            conditioners=(base.text, cameras),
            codec=base.codec,
            levels=base.levels,
            window=size,
            folders={"pipeline": base.revision(), "adapter": self.adapter.file_revision(file)},
        )
