"""The world: reproducible, stationary, and one caption for one picture."""

import dataclasses
import json

import numpy as np
import pytest
from syncbench.bench import world


def test_same_seed_same_bytes() -> None:
    first, captions = world.batch(5, 6)
    again, same = world.batch(5, 6)
    assert first.dtype == np.uint8
    assert first.shape == (6, 128, 128, 3)
    assert first.tobytes() == again.tobytes()
    assert captions == same
    assert world.batch(6, 6)[0].tobytes() != first.tobytes()


def test_a_crop_of_a_wide_landscape_is_the_landscape_from_there() -> None:
    scene = world.landscape(world.PANORAMA_CAPTIONS[0], 3)
    wide = world.render(scene, 512)
    assert wide.shape == (128, 512, 3)
    assert wide.dtype == np.float32
    assert wide.min() >= 0
    assert wide.max() <= 1
    np.testing.assert_allclose(world.render(scene, 128, left=200), wide[:, 200:328], atol=1e-5)


@pytest.mark.parametrize("caption", world.PANORAMA_CAPTIONS[:6])
def test_colours_are_global_along_a_panorama_and_differ_between_seeds(caption: str) -> None:
    wide = world.render(world.landscape(caption, 0), 1024)
    left, right = wide[:, :512].mean((0, 1)), wide[:, 512:].mean((0, 1))
    other = world.render(world.landscape(caption, 1), 1024).mean((0, 1))
    assert np.abs(left - right).max() < 0.03
    assert np.abs(other - wide.mean((0, 1))).max() > np.abs(left - right).max()


def test_height_changes_resolution_only() -> None:
    scene = world.landscape(world.PANORAMA_CAPTIONS[1], 0)
    small, large = world.render(scene, 256), world.render(scene, 512, 256)
    halved = large.reshape(128, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 0.02


def test_captions_survive_parsing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        scene = world.sample_scene(rng)
        assert world.parse(scene.caption).caption == scene.caption
        make = world.landscape if scene.kind == "landscape" else world.object_scene
        assert make(scene.caption, 1).kind == scene.kind
        json.dumps(dataclasses.asdict(scene))
        assert set(scene.caption.split()) <= set(world.WORDS)


def test_panorama_captions_are_landscapes_and_cover_the_words() -> None:
    assert len(world.PANORAMA_CAPTIONS) >= 16
    assert len(set(world.PANORAMA_CAPTIONS)) == len(world.PANORAMA_CAPTIONS)
    text = " ".join(world.PANORAMA_CAPTIONS).split()
    assert {*world.SCENES, *world.COLOURS, "cloudy"} <= set(text)
    assert {world.parse(caption).kind for caption in world.PANORAMA_CAPTIONS} == {"landscape"}


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("a landscape of green lawn and red hills under a blue sky", "lawn"),
        ("a landscape of green sea and hills under a blue sky", "hills"),
        ("a landscape of green sea and red hills under a blue sky sky", "sky"),
        ("a landscape of green sea", "the end"),
    ],
)
def test_a_bad_caption_is_refused_by_its_word(caption: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        world.landscape(caption, 0)


def test_a_caption_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'landscape', expected 'object'"):
        world.object_scene(world.PANORAMA_CAPTIONS[0], 0)


def test_alternatives_swap_one_word_of_its_class() -> None:
    caption = "an orange cube with white dots on a green sea under a cloudy blue sky"
    found = world.alternatives(caption)
    assert [(kind, word) for kind, word, _ in found] == [
        ("colour", "orange"),
        ("shape", "cube"),
        ("colour", "white"),
        ("pattern", "dots"),
        ("colour", "green"),
        ("ground", "sea"),
        ("colour", "blue"),
    ]
    for kind, _, others in found:
        assert len(others) == len(world.CLASSES[kind]) - 1
        assert caption not in others
        assert all(world.parse(other).caption == other for other in others)


def test_the_named_colour_is_the_drawn_colour() -> None:
    for colour, expected in {"red": 0, "green": 1, "blue": 2}.items():
        other = "white" if colour != "white" else "grey"
        image = world.render(world.landscape(f"a landscape of {other} sea and {colour} hills under a {other} sky", 0))
        row = image[60:76].reshape(-1, 3)
        assert row.mean(0).argmax() == expected
