"""URLs that the model's server is given to fetch."""

from typing import Any

import pytest

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.file_urls import check_urls
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

REFUSED = (
    "file:///etc/passwd", "FILE:///etc/passwd", "ftp://a.example/x.png", "gopher://a.example", "http://a.example/x.png",
    "/etc/passwd", "https://127.0.0.1/x.png", "https://127.1/x", "https://2130706433/", "https://①②⑦.0.0.1/",
    "https://[::1]/x", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/",
    "https://localhost/x", "https://a.localhost/x", "https://intranet/x.png", "https://db.internal/x",
    "https://printer.local/", "https://", "https://[::1", "", "https://127.0.0.1\\.a.example/", "https://[64:ff9b::7f00:1]/",
    f"https://{'a.' * 126}ab/", "https://[2002:7f00:1::]/", "https://[::7f00:1]/", "https://[fec0::1]/", "https://224.0.0.1/",
    "https://192.0.0.192/", "https://[2002:c000:c0::]/", "https://[5f00::1]/", "https://[2001:4860:0:0::1%25eth0]@10.0.0.1/",
    "https://%31%32%37.0.0.1/", "https://metadata.google%2einternal/", "https://a.example%2f/", "https://metadata.google。internal/",
    "https://a.\uff4cocalhost/", "https://printer.local。/", "https://bücher.example/", "https://a.exam\u00adple/", "https://localhost./",
    "https://a.LOCALHOST./", "https://redis./", "https://printer.local../", "https://10.0.0.1./", "https://./",
    "https://a .example/",
    "https://a.example,127.0.0.1/", "https://[fe80::1%25eth0]/", "https://[v1.a]/", "https://a.example/\r\nHost: redis", "https://[::1].a.example/",
)  # fmt: skip
TAKEN = (
    "https://a.example/x.png",
    f"https://{'a.' * 126}a/{'x' * 10_000}",
    "HTTPS://A.example:8443/x?y=z",
    "https://xn--bcher-kva.example./ü bung/x%20y.png",
    "https://[2001:4860:4860::8888]/x",
    "https://93.184.216.34/x",
    "data:image/png;base64,AA==",
    "DATA:,x",
)


def _forms(url: str) -> list[dict[str, Any]]:
    """The forms in which LangChain and OpenAI write a picture or a file."""
    return [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "image_url", "image_url": {"URL": url}},
        {"type": "image_url", "imageUrl": url},
        {"type": "images", "image_urls": ["https://a.example/x.png", url]},
        {"type": "image", "url": url},
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "file", "file": {"file_url": url}},
        {"type": "video_url", "video_url": {"url": url}},
    ]


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_lead_elsewhere_are_refused_without_being_quoted(url: str) -> None:
    for part in _forms(url):
        with pytest.raises(InvalidTurn) as refused:
            check_urls([[{"type": "text", "text": "look"}, part]], "", "question")
        assert refused.value.param == "question"
        assert not url or url not in str(refused.value)


@pytest.mark.parametrize("url", TAKEN)
def test_public_urls_and_data_are_taken(url: str) -> None:
    check_urls([[part] for part in _forms(url)], "", "question")


def test_further_hosts_are_a_setting() -> None:
    allowed = "pictures.internal:8080, 10.0.0.7"
    for url in ("http://pictures.internal:8080/x", "http://10.0.0.7/x", "https://10.0.0.7/x"):
        check_urls([_forms(url)], allowed, "question")
    for url in ("http://pictures.internal/x", "file://pictures.internal:8080/x", "http://10.0.0.8/x"):
        with pytest.raises(InvalidTurn):
            check_urls([_forms(url)], allowed, "question")


@pytest.mark.parametrize("url", [url for url in REFUSED if "://" in url])
def test_urls_in_the_place_of_a_file_are_urls(url: str) -> None:
    for part in (
        {"file_data": url},
        {"file": {"file_id": f" {url}"}},
        {"fileId": url},
        {"id": f"\x01{url}"},
        {"image": url},
        {"image_url": [url]},
    ):
        with pytest.raises(InvalidTurn):
            check_urls([[part]], "", "question")


@pytest.mark.parametrize(
    "id", ["//10.0.0.1/x", "\\\\10.0.0.1\\x", "/etc/passwd", "../x", "..", "file:x", "a/b", "AAAA//8=", "a?b", " a"]
)
@pytest.mark.parametrize("name", ["file_id", "fileId", "FILE_ID", "input_file_id", "file_ids"])
def test_an_id_of_a_file_is_no_path(name: str, id: str) -> None:
    with pytest.raises(InvalidTurn):
        check_urls([[{"type": "file", "file": {name: id}}]], "", "question")


def test_files_and_ids_are_no_urls() -> None:
    for taken in ("AAAA//8=", "//uQxAAA", "file-abc", "data:application/pdf;base64,AA//", "a" * 1_000_000, *TAKEN):
        check_urls([[{"file_data": taken}, {"id": taken}, {"input_audio": {"data": taken, "format": "wav"}}]], "", "question")
    for taken in ("file-abc", "file_0a.1", "", "a" * 1_000_000, *TAKEN):
        check_urls([[{"file_id": taken}, {"fileId": taken}]], "", "question")


def test_parameters_of_the_models_server_are_contents() -> None:
    store = TurnStore(Settings(redis_url="redis://127.0.0.1:1/0"))
    part = {"type": "image_url", "image_url": {"url": "https://127.0.0.1/"}}
    for name, value in (
        ("prediction", {"type": "content", "content": [part]}),
        ("question", [part]),
        ("image_url", "file:///x"),
    ):
        with pytest.raises(InvalidTurn) as refused:
            store.submit("a", "foo", "hi", Options(parameters={name: value}))
        assert refused.value.param == name


def test_text_that_is_a_url_is_text() -> None:
    check_urls(["file:///etc/passwd", [{"type": "text", "text": "file:///etc/passwd"}]], "", "question")


@pytest.mark.parametrize("place", ["question", "before", "history"])
def test_every_producer_is_bound_by_it(place: str) -> None:
    store = TurnStore(Settings(redis_url="redis://127.0.0.1:1/0"))
    parts = [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]
    options = Options() if place == "question" else Options(**{place: [{"role": "user", "content": parts}]})  # type: ignore[arg-type]
    with pytest.raises(InvalidTurn) as refused:
        store.submit("a", "foo", parts if place == "question" else "hi", options)
    assert refused.value.param == place
