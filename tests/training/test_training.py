"""The trainers, on a few steps, and the weights they left behind."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from syncbench.bench.training import TRAINERS, base, cards, codec, judge, tokenizer
from syncbench.bench.training.loop import Plan, train
from syncbench.bench.training.stream import codec_of, pictures, psnr, signed
from syncbench.bench.world import PANORAMA_CAPTIONS, WORDS
from transformers import CLIPTokenizer

WEIGHTS = Path(base.__file__).parents[1] / "models" / "weights"
REFERENCE, JUDGE = WEIGHTS / "reference", WEIGHTS / "judge"
shipped = pytest.mark.skipif(not REFERENCE.exists() or not JUDGE.exists(), reason="no weights shipped")


def test_every_word_is_one_token(tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    read = CLIPTokenizer.from_pretrained(tmp_path)
    assert all(len(read(word).input_ids) == 3 for word in WORDS)
    assert read.model_max_length == tokenizer.LENGTH
    assert max(len(read(caption).input_ids) for caption in PANORAMA_CAPTIONS) <= tokenizer.LENGTH
    assert max(read("a zebra").input_ids) == read.eos_token_id


@pytest.mark.parametrize("tail", [None, 0.5])
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path: Path, tail: float | None) -> None:
    def run(out: Path, cut: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)

        def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
            if step == cut:
                raise KeyboardInterrupt
            return {"loss": (model(torch.randn(8, 3, generator=random)) - 1).square().mean()}

        plan = Plan(out, steps=6, resume=True, save_every=2, log_every=1, warmup=2, tail=tail)
        train(model, loss, plan)
        return model.weight.detach()

    whole = run(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 5)
    assert torch.equal(run(tmp_path / "cut", None), whole)
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "cut")]
    assert [row.split(",")[0] for row in logs[0]] == [row.split(",")[0] for row in logs[1]]


def test_a_logged_row_is_a_mean_over_the_steps_since_the_start(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": model(torch.zeros(1, 1)).square().sum() * 0 + 2}

    for steps in (3, 8):
        train(model, loss, Plan(tmp_path, steps=steps, resume=True, log_every=4))
    with (tmp_path / "log.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [2, 2]


def test_trainers_take_three_steps(tmp_path: Path) -> None:
    small = {"steps": 3, "processes": 1, "scenes": 8}
    codec.main(tmp_path / "codec", size=2, crop=32, width=8, **small)
    assert AutoencoderTiny.from_pretrained(tmp_path / "codec").config.latent_channels == codec.CHANNELS
    judge.main(tmp_path / "judge", size=4, solid=4, **small)
    model, words = judge.load(tmp_path / "judge" / "clip")
    assert words(["a red cube"]).shape == (1, tokenizer.LENGTH)
    assert model.encode_image(torch.zeros(1, 3, 128, 128)).shape == (1, judge.CONFIG["embed_dim"])
    base.main(tmp_path / "base", codec=tmp_path / "codec", size=2, **small)
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "base" / "pipeline")
    image = pipe("a red cube", num_inference_steps=1, height=128, width=128, output_type="np").images
    assert image.shape == (1, 128, 128, 3)
    assert {path.parent.name for path in tmp_path.glob("*/state.pt")} == set(list(TRAINERS)[:3])


def test_a_grown_codec_codes_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small, large = codec.build(8, 4), codec.build(8, 6)
    small.save_pretrained(tmp_path)
    codec._begin(large, tmp_path)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(large(x).sample, small(x).sample)


def test_a_codec_that_was_trained_on_is_read_afresh(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for seed in (0, 1):
        torch.manual_seed(seed)
        made = codec.build(8, 4)
        made.save_pretrained(tmp_path)
        torch.testing.assert_close(codec_of(tmp_path)(x).sample, made(x).sample)
    assert codec_of(tmp_path) is codec_of(tmp_path)


@shipped
def test_the_codec_keeps_held_out_scenes() -> None:
    vae = AutoencoderTiny.from_pretrained(REFERENCE, subfolder="vae").eval()
    x = signed(pictures(920_001, 16, 1)[0])
    with torch.no_grad():
        z = vae.encode(x).latents
        assert float(psnr(vae.decode(z).sample, x).mean()) >= 31
    assert float(z.mean((0, 2, 3)).abs().max()) < 0.5
    assert float(z.std((0, 2, 3)).sub(1).abs().max()) < 0.35


@shipped
def test_the_judge_reads_renders() -> None:
    images, captions = pictures(920_002, 64, 1)
    found = judge.recognised(images.float() / 255, captions, JUDGE)
    assert found["colour_accuracy"] >= 0.95
    assert found["scene_accuracy"] >= 0.95


@shipped
def test_the_shipped_pipeline_samples() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(REFERENCE)
    pipe.set_progress_bar_config(disable=True)
    assert pipe.unet.config.in_channels == pipe.vae.config.latent_channels
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    made = [
        pipe(
            PANORAMA_CAPTIONS[2],
            num_inference_steps=4,
            height=128,
            width=128,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images
        for seed in (0, 0)
    ]
    assert np.array_equal(*made)
    assert made[0].std() > 0.05


@shipped
def test_the_weights_stay_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.safetensors")) <= 50e6


def test_cards_hold_figures_and_pictures(tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        run.mkdir()
        (run / "log.csv").write_text("step,seconds,rate,loss\n50,1.0,0.1,2.0\n100,2.0,0.1,1.0\n")
    out = tmp_path / "card"
    out.mkdir()
    cards.curve(runs, "loss", "loss", out / "loss.png")
    cards.sheet(torch.rand(3, 3, 16, 16), 2, out / "sheet.png")
    cards.card(out, "Title", {"data": "renders"}, [("words", ">= 97 %", "90 %")], "Notes.")
    text = (out / "README.md").read_text()
    assert "| words | >= 97 % | 90 % |" in text
    assert "(loss.png)" in text
    assert "(sheet.png)" in text
