"""Endpoints other than the models': health, the studio page, the API documentation and CORS."""

from __future__ import annotations

import httpx


def test_health_says_what_is_ready(http: httpx.Client) -> None:
    answer = http.get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert (health["status"], health["reason"]) == ("ready", None)
    assert health["version"].startswith("2.")
    assert health["models"]["musicgen"] is True
    assert health["discriminators"] == {"mpd": True, "msd": True, "msstftd": True}
    assert http.get("/readyz").text == "ready"


def test_the_page_and_its_files_come_from_here(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    module = http.get("/static/js/main.js")
    assert (module.status_code, module.headers["Cache-Control"]) == (200, "no-cache")
    assert http.get("/static/../settings.py").status_code == 404


def test_the_documentation_needs_no_other_host(http: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        page = http.get(path)
        assert page.status_code == 200
        assert "//cdn" not in page.text
        assert "fonts.googleapis" not in page.text


def test_the_openapi_describes_every_endpoint(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    paths = {"/generate/music", "/generate/audio", "/generate/music/stream", "/generate/audio/stream", "/encode",
             "/decode", "/analyze", "/health", "/livez", "/readyz", "/v1/audio/generate", "/v1/audio/speech",
             "/v1/models"}  # fmt: skip
    assert paths <= set(document["paths"])
    music = document["paths"]["/generate/music"]["post"]
    assert music["operationId"] == "generate_music"
    assert "audio/wav" in music["responses"]["200"]["content"]
    assert "application/problem+json" in music["responses"]["422"]["content"]
    text = document["components"]["schemas"]["ClipRequest"]["properties"]["text"]
    assert text["examples"]


def test_other_origins_may_call_only_when_they_are_listed(start_gateway, http: httpx.Client) -> None:
    def asked(client: httpx.Client, origin: str) -> str | None:
        answer = client.options("/generate/music", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        return answer.headers.get("Access-Control-Allow-Origin")

    assert asked(http, "https://studio.example") is None
    with start_gateway(allowed_origins="https://studio.example, https://other.example").client() as client:
        assert asked(client, "https://studio.example") == "https://studio.example"
        assert asked(client, "https://evil.example") is None
        answer = client.get("/livez", headers={"Origin": "https://studio.example"})
        assert "X-Seed" in answer.headers["Access-Control-Expose-Headers"]
