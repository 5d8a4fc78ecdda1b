import base64

import openai
import pytest

from sandbox import Sandbox
from tests.sandbox.client import MODEL, PRICE


async def test_the_official_openai_client_works_unchanged() -> None:
    async with (
        Sandbox(key="secret") as sandbox,
        openai.AsyncOpenAI(base_url=sandbox.base + "/v1", api_key="secret", max_retries=0) as client,
    ):
        by_url = await client.images.generate(model=MODEL, prompt="A fox", n=2, size="1792x1024")
        by_bytes = await client.images.generate(model=MODEL, prompt="A fox", response_format="b64_json", user="me")
        assert by_url.data is not None
        assert by_bytes.data is not None
        assert [image.url and image.url.startswith(sandbox.cdn_base) for image in by_url.data] == [True, True]
        assert base64.b64decode(by_bytes.data[0].b64_json or "").startswith(b"\x89PNG")
        assert by_url.created > 0
        assert sandbox.request_log.billed_credits() == 3 * PRICE


async def test_the_official_openai_client_understands_its_errors() -> None:
    async with (
        Sandbox(key="secret") as sandbox,
        openai.AsyncOpenAI(base_url=sandbox.base + "/v1", api_key="wrong", max_retries=0) as client,
    ):
        with pytest.raises(openai.AuthenticationError, match="not valid"):
            await client.images.generate(model=MODEL, prompt="A fox")
