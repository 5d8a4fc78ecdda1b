"""Several images of one prompt share requests, and each knows its share of the price."""

from tests.run.site import PRICE, Site, faults

MODEL = "blackforestlabs/flux-2-max"
"""It has no parameter for the number of images."""


async def test_six_images_are_asked_for_as_four_and_two(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "count": 6})
    assert sorted(row.images for row in site.sandbox.request_log.requests()) == [2, 4]
    assert sorted(site.pictures()) == ["fox-2.png", "fox-3.png", "fox-4.png", "fox-5.png", "fox-6.png", "fox.png"]
    assert len(set(site.pictures().values())) == 6


async def test_images_with_seeds_are_asked_for_one_by_one(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "seeds": [7, 11], "count": 4})
    assert sorted(row.images for row in site.sandbox.request_log.requests()) == [1, 1, 2]
    assert [record.seed for record in site.records()] == [7, 11, None, None]


async def test_a_short_answer_asks_for_the_missing_image_alone(site: Site) -> None:
    site.sandbox.behaviour = faults(("short", "ok"))
    summary = await site.run({"prompt": "A fox", "count": 4})
    assert [row.images for row in site.sandbox.request_log.requests()] == [4, 1]
    assert (summary.exit_code, summary.saved) == (0, 4)
    assert [record.attempts for record in site.records()] == [1, 1, 1, 2]


async def test_what_the_lines_cost_adds_up_to_what_was_billed(site: Site) -> None:
    site.sandbox.behaviour = faults(("short", "empty", "500", "ok"))
    summary = await site.run({"prompt": "A fox", "count": 7}, {"prompt": "A crow", "seeds": [1]}, "An owl")
    billed = site.sandbox.request_log.billed_credits()
    assert summary.exit_code == 0
    assert sum(record.tokens_used or 0 for record in site.records()) == summary.tokens_used == billed


async def test_the_share_of_an_image_is_its_part_of_the_request(site: Site) -> None:
    site.sandbox.behaviour = faults("usd-spent")
    await site.run({"prompt": "A fox", "count": 4})
    assert [(record.tokens_used, record.usd) for record in site.records()] == [(PRICE, PRICE / 2_000_000)] * 4


async def test_a_model_without_a_number_of_images_is_asked_for_each(site: Site) -> None:
    await site.run({"prompt": "A fox", "count": 3}, model=MODEL)
    assert [row.images for row in site.sandbox.request_log.requests()] == [1, 1, 1]
