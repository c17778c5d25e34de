"""The lines of a batch: JSON lines and CSV, and what is wrong with one."""

import json
import re

import pytest

from tests.support.processes import ROOT
from turnstile.producers.cli.batch.lines import Line, read
from turnstile.turns.errors import InvalidTurn

PAGE = (ROOT / "docs" / "batch.md").read_text()
GOOD = json.dumps({"session": "s", "question": "q"})


def _questions(data: bytes, *, as_csv: bool = False) -> list[Line]:
    lines = read(data, as_csv=as_csv)
    return [line for line in lines if isinstance(line, Line)]


def _request(**more: object) -> str:
    return json.dumps({"custom_id": "q1", "url": "/v1/responses", "body": {"input": "hi"}, **more})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "line 2: not a JSON object."),
        ("[]", "line 2: not a JSON object."),
        ("[" * 100_000, "line 2: not a JSON object."),
        ('{"session": "s"}', "line 2: `session` and `question` are required."),
        ('{"session": "s", "question": "q", "colour": "red"}', "line 2: `colour` is unknown."),
        ('{"session": "s", "question": "q", "temperature": 3}', "line 2: `temperature` must be between 0 and 2."),
        ('{"session": "s", "question": "q", "id": ""}', "line 2: A turn id is "),
        ('{"session": "s", "question": "q", "id": 5}', "line 2: A turn id is "),
        (_request(url="/v1/embeddings"), "line 2: `url` must be one of /v1/responses, /v1/chat/completions."),
        (_request(custom_id=7), "line 2: "),
        (_request(custom_id=""), "line 2: "),
        (_request(body=[]), "line 2: "),
        (_request(body={"input": "hi", "stream": True}), "line 2: `stream` is not supported."),
        (_request(url="/v1/chat/completions"), "line 2: "),
        (f"{_request()}\n{_request(body={'input': 'another'})}", "line 3: its id is that of line 2."),
    ],
)
def test_a_bad_line_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidTurn) as caught:
        read(f"{GOOD}\n{text}\n".encode())
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s,q,x,y\n", "line 2: more cells than the header has."),
        ("s\n", "line 2: `session` and `question` are required."),
        ("s,q,warm\n", "line 2: `temperature` must be a number, true, false, or JSON."),
        (f"s,q,{'[' * 60_000}\n", "line 2: `temperature` must be a number, true, false, or JSON."),
        ('s,"q', "line 2: no CSV (unexpected end of data)."),
    ],
)
def test_a_bad_row_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidTurn) as caught:
        read(f"session,question,temperature\n{text}".encode(), as_csv=True)
    assert str(caught.value) == told


@pytest.mark.parametrize("header", ["session;question", "question", ""])
def test_a_header_of_another_form_is_named(header: str) -> None:
    with pytest.raises(InvalidTurn, match=r"^line 1: the header must name `session` and `question`"):
        read(f"{header}\ns;q\n".encode(), as_csv=True)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_several_lines_is_told_by_its_first(end: str) -> None:
    rows = ["session,question", 's,"one', 'two"', "", 's,"three', "", 'four"', "s,five", ""]
    assert [line.number for line in _questions(end.join(rows).encode(), as_csv=True)] == [2, 5, 8]


def test_the_same_id_twice_is_told_with_both_lines() -> None:
    line = '{"session": "s", "question": "q", "id": "a"}\n'
    with pytest.raises(InvalidTurn, match=r"^line 3: its id is that of line 1\.$"):
        read(f"{line}\n{line}".encode())


def test_text_that_is_not_utf_8_is_named_by_its_line() -> None:
    with pytest.raises(InvalidTurn, match=r"^line 3: not UTF-8\.$"):
        read(f"{GOOD}\n{GOOD}\n".encode() + b"\xe9")


@pytest.mark.parametrize("text", [f"\ufeff{GOOD}\n", f"{GOOD}\r\n", GOOD, f"\n  {GOOD} \n\n"])
def test_what_editors_do_to_a_file_changes_no_id(text: str) -> None:
    [line] = _questions(text.encode())
    assert line.id == _questions(GOOD.encode())[0].id
    assert (line.session, line.question) == ("s", "q")


def test_a_line_separator_within_a_question_ends_no_line() -> None:
    [line] = _questions(json.dumps({"session": "s", "question": "a\u2028b"}, ensure_ascii=False).encode())
    assert line.question == "a\u2028b"


def test_a_long_question_in_csv() -> None:
    [line] = _questions(f"session,question\ns,{'x' * 200_000}\n".encode(), as_csv=True)
    assert len(line.question) == 200_000


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_lines_on_the_page_are_good(form: str) -> None:
    [text] = re.findall(rf"```{form}\n(.*?)```", PAGE, re.DOTALL)
    assert {line.session for line in _questions(text.encode(), as_csv=form == "csv")} == {"customer-7"}


def test_a_request_in_openai_s_form_has_an_id_made_from_its_text() -> None:
    [first] = read(f"{_request()}\n".encode())
    [_, again] = read(f"{GOOD}\n{_request()}".encode())
    [another] = read(_request(body={"input": "another"}).encode())
    assert first.id == again.id != another.id
    assert first.id.startswith("resp_")
