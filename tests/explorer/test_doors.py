import pytest

from pullback.explorer.doors import Doors

DOORS = Doors(None, token="right", port=8700)


def refusal(path="/scene", query="token=right", **headers):
    named = {"host": "127.0.0.1:8700"} | {k.replace("_", "-"): v for k, v in headers.items()}
    pairs = [(k.encode(), v.encode("latin-1")) for k, v in named.items() if v is not None]
    scope = {"path": path, "query_string": query.encode(), "headers": pairs}
    return DOORS.refusal(scope)


@pytest.mark.parametrize(
    "let",
    [
        {},
        {"host": "localhost:8700"},
        {"host": "LocalHost:8700"},
        {"origin": "http://127.0.0.1:8700"},
        {"origin": "http://localhost:8700"},
        {"query": "", "x_token": "right"},
        {"query": "a=b&token=right"},
        {"path": "/page/main.js", "query": ""},
    ],
)
def test_its_own_page_is_let_in(let):
    assert refusal(**let) is None


@pytest.mark.parametrize(
    ("kept_out", "foreign", "said"),
    [
        ({"query": ""}, False, "needs the token"),
        ({"query": "token="}, False, "needs the token"),
        ({"query": "token=wrong"}, False, "needs the token"),
        ({"query": "token=righ"}, False, "needs the token"),
        ({"query": "token=r%C3%A4ght"}, False, "needs the token"),
        ({"query": "", "x_token": "wr\xf6ng"}, False, "needs the token"),
        ({"host": "evil.org:8700"}, True, "own address only"),
        ({"host": "127.0.0.1"}, True, "own address only"),
        ({"host": "127.0.0.1:8701"}, True, "own address only"),
        ({"host": "127.0.0.1:8700.evil.org"}, True, "own address only"),
        ({"host": None}, True, "own address only"),
        ({"host": "evil.org:8700", "path": "/page/main.js"}, True, "own address only"),
        ({"origin": "http://evil.org"}, True, "Another page"),
        ({"origin": "null"}, True, "Another page"),
        ({"origin": "https://127.0.0.1:8700"}, True, "Another page"),
        ({"origin": "http://127.0.0.1:8888"}, True, "Another page"),
        ({"origin": "http://127.0.0.1:8700.evil.org"}, True, "Another page"),
    ],
)
def test_all_others_are_kept_out(kept_out, foreign, said):
    found = refusal(**kept_out)
    assert found is not None
    assert found.foreign is foreign
    assert said in found.words
