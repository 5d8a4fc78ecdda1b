"""One model: its checks, its bodies, its shapes, and what shapes a picture."""

from typing import Any

import pytest

from pipeline.providers import catalogue
from pipeline.providers.image_model import Model


def model(model_id: str = "google/imagen-4.0-ultra-generate-001") -> Model:
    found = catalogue.find(model_id)
    assert found is not None
    return found


BAD: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("", {"enhance_promt": True}, "enhance_promt", "has no parameter 'enhance_promt'", "did you mean enhance_prompt?"),
    ("", {"zzz": True}, "zzz", "has no parameter 'zzz'", "it has convert_base64_to_url, enhance_prompt"),
    ("", {"enhance_prompt": "yes"}, "enhance_prompt", "is 'yes'", "write true or false"),
    ("", {"seed": 1.5}, "seed", "seed is 1.5", "write a whole number"),
    ("", {"seed": True}, "seed", "seed is true", "write a whole number"),
    ("", {"seed": -1}, "seed", "seed is -1", "write 0 to 4294967295"),
    ("", {"num_images": 5}, "num_images", "is 5", "write 4 or less"),
    ("", {"prompt": "x" * 401}, "prompt", "has 401 characters", "shorten it to 400"),
    (
        "",
        {"safety_setting": "block_only_hig"},
        "safety_setting",
        "is 'block_only_hig'",
        "did you mean block_only_high?",
    ),
    ("", {"safety_setting": None}, "safety_setting", "is null", "write text"),
    ("flux/dev", {"seed": 0}, "seed", "seed is 0", "write 1 or more"),
    ("flux/dev", {"guidance_scale": float("nan")}, "guidance_scale", "is nan", "write 1 to 20"),
    ("flux/dev", {"image_size": 3}, "image_size", "is 3", "{width: pixels, height: pixels} or one of square_hd"),
    ("flux/dev", {"image_size": "huge"}, "image_size", "is 'huge'", "the choices are square_hd"),
    (
        "flux/dev",
        {"image_size": {"width": 1000, "height": 512}},
        "image_size.width",
        "1000",
        "multiple of 32: 992 or 1024",
    ),
    ("flux/dev", {"image_size": {"width": 64, "height": 512}}, "image_size.width", "is 64", "write 512 to 1536"),
    ("flux/dev", {"image_size": {"width": 512}}, "image_size", "has no height", "width: pixels"),
    (
        "flux/dev",
        {"image_size": {"width": 512, "height": 512, "depth": 1}},
        "image_size.depth",
        "has no 'depth'",
        "width and height",
    ),
    ("flux-pro/v1.1-ultra", {"raw": True}, "raw", "raw is true", "the only choice is false"),
    ("alibaba/qwen-image-3-edit", {"image_urls": []}, "image_urls", "has 0 entries", "write 1 to 3"),
    ("alibaba/qwen-image-3-edit", {"image_urls": ["x"]}, "image_urls.0", "is 'x'", "https://"),
    ("alibaba/qwen-image-3-edit", {"image_urls": "x"}, "image_urls", "is 'x'", "write a list"),
    ("alibaba/qwen-image-3-edit", {}, "image_urls", "needs image_urls", "add image_urls"),
    ("alibaba/z-image-turbo-lora", {"loras": ["x"]}, "loras.0", "is 'x'", "write a mapping"),
    ("flux/kontext-pro/image-to-image", {"image_url": 4}, "image_url", "is 4", "text or a list"),
    ("flux/dev", {"guidance_scale": "4"}, "guidance_scale", "is '4'", "write a number"),
    ("beeble/switchx-image-to-image", {"max_resolution": 721}, "max_resolution", "is 721", "720, 1080"),
    ("", {"add_watermark": "x" * 100}, "add_watermark", "…", "true or false"),
]


@pytest.mark.parametrize(("model_id", "parameters", "key", "message", "cure"), BAD)
def test_a_bad_parameter_is_named_with_its_cure(
    model_id: str, parameters: dict[str, Any], key: str, message: str, cure: str
) -> None:
    found = model(model_id or "google/imagen-4.0-ultra-generate-001").problems({"prompt": "x"} | parameters)
    matching = [problem for problem in found if problem[0] == key]
    assert matching, found
    assert message in matching[0][1]
    assert cure in matching[0][2]


@pytest.mark.parametrize(
    ("model_id", "parameters"),
    [
        ("google/imagen-4.0-ultra-generate-001", {"enhance_prompt": False, "seed": 0, "num_images": 4}),
        ("flux/dev", {"image_size": {"width": 512, "height": 1536}, "guidance_scale": 4}),
        ("flux/dev", {"image_size": "portrait_16_9"}),
        ("flux/kontext-pro/image-to-image", {"image_url": ["https://a/b.png"]}),
        ("flux/kontext-pro/image-to-image", {"image_url": "data:image/png;base64,xyz"}),
        ("bytedance/uso", {"image_urls": ["https://a/b.png"], "image_size": {"width": 777.5, "height": 333}}),
    ],
)
def test_good_parameters_have_no_problems(model_id: str, parameters: dict[str, Any]) -> None:
    assert model(model_id).problems({"prompt": "x"} | parameters) == []


@pytest.mark.parametrize(
    ("model_id", "ratio", "expected"),
    [
        ("google/imagen-4.0-ultra-generate-001", "16:9", {"aspect_ratio": "16:9"}),
        ("flux/dev", "1:1", {"image_size": "square_hd"}),
        ("flux/dev", "4:3", {"image_size": "landscape_4_3"}),
        ("flux/dev", "9:16", {"image_size": "portrait_16_9"}),
        ("flux/dev", "3:2", {"image_size": {"width": 1056, "height": 704}}),
        ("openai/gpt-image-1", "3:2", {"size": "1536x1024"}),
        ("dall-e-2", "1:1", {"size": "1024x1024"}),
        ("bytedance/seedream-4-5", "1:1", {"image_size": {"width": 2048, "height": 2048}}),
    ],
)
def test_a_ratio_is_asked_for_in_the_models_own_words(model_id: str, ratio: str, expected: dict[str, Any]) -> None:
    body = model(model_id).body("a fox", ratio, None, {}, 1)
    assert body == {"model": model_id, "prompt": "a fox"} | expected


def test_a_body_holds_what_was_set_and_nothing_else() -> None:
    body = model().body("a fox", None, 7, {"enhance_prompt": False, "add_watermark": None}, 1)
    assert body == {
        "model": "google/imagen-4.0-ultra-generate-001",
        "prompt": "a fox",
        "enhance_prompt": False,
        "seed": 7,
    }
    assert model().body("a fox", None, None, {}, 4)["num_images"] == 4


def test_a_model_that_takes_no_prompt_is_sent_none() -> None:
    assert model("topaz-labs/sharpen").body("a fox", None, None, {"mode": "Standard"}, 1) == {
        "model": "topaz-labs/sharpen",
        "mode": "Standard",
    }


@pytest.mark.parametrize("model_id", ["x-ai/grok-2-image", "alibaba/qwen-image-edit", "bytedance/seedream-3.0"])
def test_a_model_that_takes_no_shape_has_no_ratios(model_id: str) -> None:
    assert model(model_id).ratios is None


def test_a_ratio_that_no_size_comes_close_to_is_not_offered() -> None:
    ratios = model("alibaba/qwen-image-2-0").ratios or ()
    assert "21:9" in ratios
    assert "3:1" not in ratios


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1408, 768)),
        ({"aspect_ratio": "4:3"}, (1280, 896)),
        ({"aspect_ratio": "3:4"}, (896, 1280)),
    ],
)
def test_imagen_pictures_have_the_documented_size(body: dict[str, Any], size: tuple[int, int]) -> None:
    assert model().dimensions(body) == size


@pytest.mark.parametrize(
    ("model_id", "body", "size"),
    [
        ("google/gemini-3-pro-image-preview", {"aspect_ratio": "1:1", "resolution": "4K"}, (4096, 4096)),
        ("google/gemini-3-pro-image-preview", {"aspect_ratio": "16:9"}, (1360, 768)),
        ("flux/dev", {"image_size": {"width": 640, "height": 512}}, (640, 512)),
        ("flux/dev", {}, (1024, 768)),
        ("bytedance/seedream-5-0-pro", {}, (1536, 1536)),
        ("bytedance/seedream-4-5", {"image_size": "4K"}, (4096, 4096)),
        ("openai/gpt-image-1", {"size": "1024x1536"}, (1024, 1536)),
        ("x-ai/grok-2-image", {}, (1024, 1024)),
        ("x-ai/grok-imagine-image", {"aspect_ratio": "auto"}, (2048, 2048)),
    ],
)
def test_a_body_says_how_many_pixels_it_asks_for(model_id: str, body: dict[str, Any], size: tuple[int, int]) -> None:
    assert model(model_id).dimensions(body) == size


@pytest.mark.parametrize(
    ("ratio", "size", "accepted"),
    [
        ("16:9", (1408, 768), True),
        ("16:9", (1344, 768), True),
        ("16:9", (1024, 1024), False),
        ("4:3", (1280, 896), True),  # the documented size, 7 % off
        ("4:3", (896, 1280), False),
        ("4:3", (1184, 880), True),
        ("4:3", (1281, 900), False),
        ("1:1", (1024, 1080), False),
        (None, (1, 5000), True),
    ],
)
def test_a_shape_is_accepted_when_close_or_documented(
    ratio: str | None, size: tuple[int, int], *, accepted: bool
) -> None:
    assert model().accepts_shape(ratio, *size) is accepted


def test_only_what_shapes_the_picture_shapes_the_key() -> None:
    parameters = {
        "enhance_prompt": True,  # the default
        "add_watermark": True,
        "convert_base64_to_url": False,  # how it travels
        "safety_setting": None,
    }
    assert model().shaping(parameters) == {"add_watermark": True}


def test_the_same_value_written_differently_shapes_the_same() -> None:
    flux = model("flux/dev")
    one = flux.shaping({"guidance_scale": 4.0, "image_size": {"width": 512, "height": 640.0}})
    two = flux.shaping({"image_size": {"height": 640, "width": 512}, "guidance_scale": 4})
    assert list(one.items()) == list(two.items())
    assert flux.shaping({"image_size": "landscape_4_3"}) == {}
    loras = model("alibaba/z-image-turbo-lora").shaping({"loras": [{"b": 1.0, "a": "x"}]})
    assert loras == {"loras": [{"a": "x", "b": 1}]}


def test_a_size_in_the_users_own_words_is_noticed() -> None:
    assert model("flux/dev").sized({"image_size": "square"}) == "image_size"
    assert model("openai/gpt-image-1").sized({"size": "1024x1024"}) == "size"
    assert model().sized({"size": None}) is None


def test_a_model_that_takes_no_seed_says_so() -> None:
    assert model("openai/gpt-image-1").seed_range is None
