"""The catalogue: every model of it can be asked, and its facts are those documented."""

import pytest

from pipeline.providers import catalogue, ratios

ULTRA = "google/imagen-4.0-ultra-generate-001"


def test_imagen_ultra_is_what_the_vendor_documents() -> None:
    model = catalogue.find(ULTRA)
    assert model is not None
    assert model.max_prompt == 400
    assert set(model.ratios or ()) == {"1:1", "9:16", "16:9", "3:4", "4:3"}
    assert (model.count_parameter, model.max_images) == ("num_images", 4)
    assert model.seed_range == (0, 4294967295)
    assert model.price == 126000
    assert model.required == ("prompt",)
    assert model.default_ratio == "1:1"


def test_an_id_that_is_not_listed_finds_nothing() -> None:
    assert catalogue.find("google/imagen-9") is None


@pytest.mark.parametrize("model_id", catalogue.ids())
def test_every_ratio_of_every_model_can_be_asked_for_and_is_accepted(model_id: str) -> None:
    model = catalogue.find(model_id)
    assert model is not None
    for ratio in model.ratios or ():
        body = model.body("a fox", ratio, None, {}, 1)
        others = {name: value for name, value in body.items() if name not in ("model", "prompt")}
        assert [problem for problem in model.problems({"prompt": "a fox"} | others) if problem[0] in others] == []
        assert model.accepts_shape(ratio, *model.dimensions(body)), (ratio, model.dimensions(body))


@pytest.mark.parametrize("model_id", catalogue.ids())
def test_every_documented_default_is_one_that_the_model_accepts(model_id: str) -> None:
    model = catalogue.find(model_id)
    assert model is not None
    defaults = {name: spec["default"] for name, spec in model.parameters.items() if "default" in spec}
    assert [key for key, *_ in model.problems(defaults) if key in defaults] == []


@pytest.mark.parametrize(
    ("model_id", "count_parameter", "most"),
    [
        ("dall-e-2", "n", 10),
        ("dall-e-3", "n", 1),
        ("recraft-v3", "num_images", 1),
        ("alibaba/qwen-image-edit", None, 1),
        ("klingai/image-o1", "num_images", 9),
        ("stabilityai/stable-diffusion-xl-base-1.0", "n", 1),
    ],
)
def test_the_count_goes_under_the_models_own_name(model_id: str, count_parameter: str | None, most: int) -> None:
    model = catalogue.find(model_id)
    assert model is not None
    assert (model.count_parameter, model.max_images) == (count_parameter, most)
    body = model.body("a fox", None, None, {}, 3)
    assert body.get("num_images", body.get("n")) == (3 if count_parameter else None)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("google/imagen-4-ultra", ULTRA),
        ("GOOGLE/IMAGEN-4.0-ULTRA-GENERATE-001", ULTRA),
        ("dalle-3", "dall-e-3"),
        ("nano-banana-pro", "google/nano-banana-pro"),
    ],
)
def test_a_misspelt_id_leads_to_the_right_one(asked: str, meant: str) -> None:
    assert catalogue.nearest(asked)[0] == meant


@pytest.mark.parametrize("asked", ["", "  ", "qqqqqqqqqqqq"])
def test_an_id_like_no_other_leads_nowhere(asked: str) -> None:
    assert catalogue.nearest(asked) == []


def test_a_model_of_another_server_is_checked_for_nothing() -> None:
    model = catalogue.unknown("my/model")
    assert model.problems({"anything": object()}) == []
    assert (model.ratios, model.max_images, model.price, model.max_prompt) == (None, 1, None, None)
    assert model.seed_range == (0, 2**53 - 1)
    assert model.body("a fox", "5:7", 3, {"steps": 4, "gone": None}, 2) == {
        "model": "my/model",
        "prompt": "a fox",
        "aspect_ratio": "5:7",
        "seed": 3,
        "steps": 4,
    }
    assert model.accepts_shape("5:7", 500, 700)
    assert not model.accepts_shape("5:7", 700, 500)


@pytest.mark.parametrize("ratio", ["auto", "0:1", "1:0", "16x9", ""])
def test_what_is_no_ratio_has_no_proportion(ratio: str) -> None:
    assert ratios.proportion(ratio) is None
    assert ratios.fits(ratio, 3, 1)


@pytest.mark.parametrize(
    ("model_id", "parameter", "wrong", "right"),
    [
        ("blackforestlabs/flux-2-lora", "loras", [{"scale": 1}], [{"path": "https://x.test/a"}]),
        ("blackforestlabs/flux-2-lora", "loras", [{"path": "a", "scale": 5}], [{"path": "a", "scale": 0.5}]),
        ("alibaba/z-image-turbo-lora", "loras", ["a"], []),
        ("recraft-v3", "colors", [{"r": 256, "g": 0, "b": 0}], [{"r": 255, "g": 0, "b": 0}]),
        ("recraft-v3", "colors", [{"r": 1}], []),
        ("flux/kontext-pro/image-to-image", "image_url", ["fox.png"], ["https://x.test/fox.png"]),
        ("luma/uni-1", "prompt", "", "a"),
    ],
)
def test_the_parts_of_a_value_are_checked_as_the_vendor_documents_them(
    model_id: str, parameter: str, wrong: object, right: object
) -> None:
    model = catalogue.of(model_id)
    assert [name for name, *_ in model.problems({parameter: wrong}) if name.startswith(parameter)]
    assert not [name for name, *_ in model.problems({parameter: right}) if name.startswith(parameter)]


@pytest.mark.parametrize(("ratio", "size"), [("16:9", (1280, 768)), ("9:16", (768, 1280))])
def test_the_wide_pictures_of_hunyuan_are_accepted_as_it_makes_them(ratio: str, size: tuple[int, int]) -> None:
    """The vendor's page shows 1280x768 for `landscape_16_9`, which is 6 % off."""
    model = catalogue.of("hunyuan/hunyuan-image-v3-text-to-image")
    assert model.accepts_shape(ratio, *size)
    assert not model.accepts_shape(ratio, *size[::-1])


@pytest.mark.parametrize(
    "model_id",
    ["google/gemini-2.5-flash-image-edit", "google/gemini-3-pro-image-preview-edit", "google/nano-banana-pro-edit"],
)
def test_a_model_that_the_vendor_lists_without_a_document_is_known(model_id: str) -> None:
    model = catalogue.find(model_id)
    assert model is not None
    assert len(model.ratios or ()) == 10
    assert [name for name, *_ in model.problems({"prompt": "a fox"})] == ["image_urls"]
