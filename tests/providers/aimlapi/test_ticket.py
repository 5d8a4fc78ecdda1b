"""The answers of asynchronous APIs."""

from typing import Any

import pytest

from pipeline.http.wire import Answer
from pipeline.providers.aimlapi import ticket

URL = "https://api.example.com/v1/images/generations"


def found(said: Any, status: int = 200, **headers: str) -> dict[str, str] | None:
    return ticket.found(said, Answer(status, headers, b""), URL)


@pytest.mark.parametrize(
    "said",
    [
        {"data": [{"taskType": "imageInference", "taskUUID": "t-1"}]},
        {"id": "t-1", "object": "image.generation.task", "model": "m", "progress": 0, "results": []},
        {"id": "t-1", "progress": 0.4, "result": None},
        {"id": "t-1", "progress": 99, "output": []},
        {"data": {"attributes": {"task": {"id": "t-1", "status": "PENDING"}}}},
        {"data": [{"id": "t-1", "status": "queued"}]},
        {"data": [{"id": "t-1", "url": None, "status": "IN_PROGRESS"}]},
        {"meta": {"task": {"task_id": "t-1"}}},
    ],
)
def test_a_ticket_is_found_wherever_it_stands(said: Any) -> None:
    assert (found(said) or {}).get("id") == "t-1"


@pytest.mark.parametrize(
    "said",
    [
        {"id": "gen-1", "progress": 100, "results": []},
        {"id": "gen-1", "progress": 1, "results": []},
        {"id": "gen-1", "progress": 1.0, "data": []},
        {"id": "gen-1", "progress": True, "data": []},
        {"id": "gen-1", "progress": -1, "data": []},
        {"id": "gen-1", "progress": "0", "data": []},
        {"progress": 0, "data": []},
        {"id": "gen-1", "data": []},
        {"id": "gen-1", "status": "done", "data": []},
        {"task_id": "t-1", "status": "failed"},
    ],
)
def test_an_answer_that_is_complete_is_no_ticket(said: Any) -> None:
    assert found(said) is None


@pytest.mark.parametrize("name", ["location", "operation-location", "azure-asyncoperation"])
@pytest.mark.parametrize("status", [201, 202])
@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_a_place_to_ask_at_is_enough_where_there_is_no_body(name: str, status: int, body: bytes) -> None:
    answer = Answer(status, {name: "/tasks/7"}, body)
    assert ticket.located(answer)
    assert ticket.found({}, answer, URL) == {"url": "https://api.example.com/tasks/7"}


@pytest.mark.parametrize(
    "answer",
    [Answer(200, {"location": "/x"}, b""), Answer(202, {}, b""), Answer(202, {"location": "/x"}, b"<html>")],
)
def test_without_it_or_beside_a_body_the_body_decides(answer: Answer) -> None:
    assert not ticket.located(answer)
