"""Where requests go, and whose pictures count."""

from pathlib import Path

import pytest

from pipeline import Selection, Summary, load_job, run, run_async
from pipeline.errors import KeyRefused
from pipeline.inspection.forecast import plan
from pipeline.plan.decision import Decision, Reason
from sandbox import Sandbox
from tests.policies import QUICK
from tests.run.site import KEY, Site


async def in_process(folder: Path, *prompts: str) -> Summary:
    path = folder / "job.yaml"
    listed = "".join(f"  - {prompt}\n" for prompt in prompts)
    path.write_text(f"endpoint: sandbox\noutput: {folder / 'made'}\naspect_ratios: [16:9]\nprompts:\n{listed}")
    return await run_async(load_job(path), environ={}, policy=QUICK)


async def test_the_sandbox_endpoint_needs_no_key_and_no_server(tmp_path: Path) -> None:
    summary = await in_process(tmp_path, "A fox", "A crow")
    assert (summary.exit_code, summary.made) == (0, 2)
    assert (await in_process(tmp_path, "A fox", "A crow")).made == 0


async def test_the_sandbox_endpoint_finds_its_pictures_again_on_another_port(tmp_path: Path) -> None:
    await in_process(tmp_path, "A fox")
    (picture,) = (tmp_path / "made").glob("*.png")
    before = picture.read_bytes()
    picture.unlink()
    summary = await in_process(tmp_path, "A fox")
    assert (summary.fetched, summary.requests, picture.read_bytes()) == (1, 0, before)


def test_run_is_run_async_with_a_loop_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"endpoint: sandbox\noutput: {tmp_path / 'made'}\nprompts: [A fox]\n")
    assert run(load_job(path)).exit_code == 0


async def test_the_sandbox_endpoint_stays_whatever_the_environment_says(site: Site) -> None:
    environ = {"AIML_API_KEY": KEY, "AIML_API_BASE": site.sandbox.base}
    summary = await site.run("A fox", endpoint="sandbox", environ=environ)
    assert (summary.exit_code, site.posts) == (0, 0)


async def test_aimlapi_without_a_key_stops_before_anything_and_says_both_ways_out(site: Site) -> None:
    with pytest.raises(KeyRefused, match=r"AIML_API_KEY.*--endpoint sandbox") as refused:
        await site.run("A fox", endpoint="aimlapi", environ={})
    assert refused.value.exit_code == 3
    assert not site.output.exists()


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
async def test_aiml_api_base_is_read_with_and_without_v1(site: Site, tail: str) -> None:
    environ = {"AIML_API_KEY": KEY, "AIML_API_BASE": site.sandbox.base + tail}
    assert (await site.run("A fox", endpoint="aimlapi", environ=environ)).exit_code == 0
    assert site.posts == 1


@pytest.mark.parametrize("name", ["AIML_API_KEY", "AIMLAPI_KEY", "AIMLAPI_API_KEY"])
async def test_the_key_is_read_from_each_of_its_variables(site: Site, name: str) -> None:
    async with Sandbox(key=KEY) as strict:
        summary = await site.run("A fox", endpoint="aimlapi", environ={name: KEY, "AIML_API_BASE": strict.base})
    assert summary.exit_code == 0


async def test_pictures_of_a_sandbox_in_the_real_apis_place_are_made_again_for_another_base(site: Site) -> None:
    there = {"AIML_API_KEY": KEY, "AIML_API_BASE": site.sandbox.base}
    await site.run("A fox", endpoint="aimlapi", environ=there)
    assert await site.asks(environ=there) == 0
    async with Sandbox() as other:
        elsewhere = there | {"AIML_API_BASE": other.base}
        assert (await site.run(environ=elsewhere)).exit_code == 0
        assert other.request_log.count() == 1
        await site.run(environ=elsewhere)
        assert other.request_log.count() == 1


async def test_a_job_taken_out_of_the_sandbox_is_made_anew_and_keeps_the_placeholders(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"}, endpoint="sandbox")
    (placeholder,) = site.pictures().values()
    assert await site.asks(endpoint=site.sandbox.base) == 1
    assert site.replaced() == [placeholder]
    assert await site.asks(endpoint="sandbox") == 0
    assert list(site.pictures().values()) == [placeholder]


async def test_a_placeholder_that_the_budget_left_in_its_place_is_not_called_saved(site: Site) -> None:
    there = {"AIML_API_KEY": KEY, "AIML_API_BASE": site.sandbox.base}
    await site.run("A fox", endpoint="aimlapi", environ=there)
    async with Sandbox() as other:
        summary = await site.run(environ=there | {"AIML_API_BASE": other.base}, limits={"budget_tokens": 1})
    assert (summary.exit_code, summary.saved, summary.pending) == (7, 0, 1)
    assert site.record().status == "failed"
    assert (await site.run(environ=there)).saved == 1


async def test_a_plan_says_that_only_the_endpoint_has_changed(site: Site) -> None:
    (site.folder / "job.yaml").write_text("endpoint: sandbox\nprompts: [A fox]\n")
    trial = load_job(site.folder / "job.yaml", output=site.output)
    assert (await run_async(trial, policy=QUICK)).exit_code == 0
    real = load_job(site.folder / "job.yaml", output=site.output, endpoint="aimlapi")
    (decision, _) = plan(real, {}, Selection())
    assert isinstance(decision, Decision)
    assert decision.reasons == {0: Reason.PLACEHOLDER}
