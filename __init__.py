"""syncbench: how well does a diffusion method make several outputs agree?"""

__version__ = "0.1.0"
