"""What an API's words and codes mean."""

import pytest

from pipeline.providers.aimlapi import said
from pipeline.providers.aimlapi.said import ServerWords, read


def told(message: str, code: str | int | None = None) -> ServerWords:
    return read({"error": {"message": message, "code": code}})


@pytest.mark.parametrize(
    "message",
    [
        "Your team has either used all available credits or reached its monthly spending limit.",
        "Your newly created team doesn't have any credits yet.",
        "User is locked. Reason: Exhausted balance. Top up your balance.",
        "The API is only accessible to billed users at this time.",
        "The free tier is not available in your country. Please enable billing on your project.",
        "Credit limit exceeded, please add funds",
        "This request requires more credits, or fewer max_tokens.",
        "You provided an invalid authentication token",
        "Access token has expired",
        "You don't have enough credits",
        "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0",
        "ExceededBudget: Key over budget. Spend: 10, Budget=9",
        "login fail: Please carry the API secret key in the header",
        "您的账户已欠费，请充值后重试",
        "账户余额不足",
    ],
)
def test_an_account_that_can_not_pay_or_a_key_that_is_not_taken_is_known_by_its_words(message: str) -> None:
    assert said.is_account(told(message))


@pytest.mark.parametrize("code", ["credit_limit", "budget_exceeded", "spending_limit", "invalid_token"])
def test_the_same_by_its_code(code: str) -> None:
    assert said.is_account(told("x", code))


@pytest.mark.parametrize(
    "message",
    [
        "Invalid value for parameter 'moderation'",
        'unknown field "moderation_level"',
        "`moderation` must be one of low, auto",
        "The value is case-sensitive",
        "The value is insensitive to case",
    ],
)
def test_a_complaint_about_a_parameter_is_no_refusal_of_content(message: str) -> None:
    assert not said.is_moderated(told(message))


@pytest.mark.parametrize(
    "message", ["input flagged", "input new_sensitive", "blocked by moderation", "Prompt flagged!"]
)
def test_a_refusal_of_content_is_known_by_its_words(message: str) -> None:
    assert said.is_moderated(told(message))


def test_a_prompt_that_a_server_repeats_says_nothing_of_what_the_answer_means() -> None:
    prompt = "a poster: insufficient credits, content policy, model not found, rate limit"
    answer = read({"message": f"prompt is too long: {prompt!r}", "code": 400}, prompt)
    meanings = (said.is_account, said.is_moderated, said.is_model, said.is_throttled, said.is_unavailable)
    assert not any(meaning(answer) for meaning in meanings)
    assert prompt in answer.message


def test_a_prompt_of_a_letter_or_two_takes_nothing_from_the_words() -> None:
    assert said.is_account(read({"message": "insufficient credits"}, "e"))


def test_the_error_of_a_choice_is_read() -> None:
    answer = read({"choices": [{"error": {"code": 502, "message": "Provider returned error"}}]})
    assert answer.message == "Provider returned error"
    assert said.is_unavailable(answer)
