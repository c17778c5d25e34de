"""The one stream of several processes' lines."""

import io
import json

from turnstile.deploy.local.output import Output


def test_lines_stand_behind_the_names_of_their_processes() -> None:
    stream = io.StringIO()
    output = Output(stream)
    output.line("worker.1", "hello")
    assert stream.getvalue() == "worker.1   | hello\n"


def test_as_json_every_line_is_an_object_that_names_its_process() -> None:
    stream = io.StringIO()
    output = Output(stream, as_json=True)
    for text in ('{"message": "hello", "level": "WARNING"}', 'plain "ä"', "[1]", "{", "", "1"):
        output.line("web", text)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0] == {"message": "hello", "level": "WARNING", "process": "web"}
    assert [line["message"] for line in lines[1:]] == ['plain "ä"', "[1]", "{", "", "1"]
    assert all({"time", "level", "logger", "process"} <= line.keys() for line in lines[1:])
    assert output.last("web")[0].startswith("{")
