"""The description of a running gateway's routes: valid, whole, and true of what it answers."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import eventually, free_port

from muninn.operations.openapi import PARAMETERS, PATH
from muninn.run.probes import fetch

ROOT = Path(__file__).parents[2]
# Wherever the library names an address that the gateway may serve.
ADDRESS = re.compile(r'"(/(?:(?:api/v[12]|v1)/[\w/{}.-]+|write|healthz|readyz|metrics))"')
QUERY = {"metric": "described", "since": "-1h", "state": "open"}


@pytest.fixture(scope="module")
def gateway(postgres_server: Any, migrated_template: str, valkey_server: Any) -> Iterator[str]:
    """The program as it is started, with one sample sent."""
    url = postgres_server.create("openapi", migrated_template)
    port = free_port()
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MUNINN_")}
    ours = {
        "MUNINN_DATABASE_URL": url,
        "MUNINN_REDIS_URL": valkey_server.url,
        "MUNINN_GATEWAY_PORT": str(port),
    }
    program = subprocess.Popen([sys.executable, "-m", "muninn.run.programs", "gateway"], cwd=ROOT, env={**kept, **ours})
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: fetch(f"{address}/readyz")[0] == 200, 90, "the gateway is ready")
        yield address
    finally:
        program.terminate()
        program.wait(20)
        postgres_server.drop("openapi")


@pytest.fixture(scope="module")
def document(gateway: str) -> Any:
    answer = httpx.get(f"{gateway}{PATH}", timeout=30)
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [(method, path, said) for path, item in document["paths"].items() for method, said in item.items()]


def conforms(document: Any, schema: Any, body: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)


def test_it_is_openapi(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert all(said["summary"] for _, _, said in operations(document))


def test_every_address_that_the_library_names_is_described_and_no_other(document: Any) -> None:
    rooms = (ROOT / "muninn" / room for room in ("ingest", "reads", "operations"))
    named = {found for room in rooms for file in room.rglob("*.py") for found in ADDRESS.findall(file.read_text())}
    assert named == set(document["paths"])


def test_every_address_is_in_the_docs(document: Any) -> None:
    told = set(re.findall(r"(/[\w/{}.-]+)`", (ROOT / "docs" / "http-api.md").read_text()))
    assert document["paths"].keys() - told == set()


def test_every_parameter_that_is_explained_is_used(document: Any) -> None:
    used = {each["name"] for _, _, said in operations(document) for each in said["parameters"]}
    assert used == {*PARAMETERS, "labels"}


def test_what_is_described_is_served_and_refuses_as_described(gateway: str, document: Any) -> None:
    with httpx.Client(base_url=gateway, timeout=60) as client:
        for method, path, said in operations(document):
            address = re.sub(r"\{\w+\}", "0190aaaa-0000-4000-8000-000000000001", path)
            answer = client.request(method, address, **({"content": b"[]"} if "requestBody" in said else {}))
            assert answer.status_code not in (405, 500), (method, path)
            if answer.status_code >= 400:
                assert answer.headers["content-type"].startswith(("application/problem+json", "application/json"))
            if answer.headers.get("content-type") == "application/problem+json":
                conforms(document, {"$ref": "#/components/schemas/Problem"}, answer.json())
            if answer.status_code == 404:
                assert "{" in path, (method, path)
            assert client.put(address).status_code == 405, "and nothing that is not described"


def test_parameters_are_those_that_are_taken(gateway: str, document: Any) -> None:
    with httpx.Client(base_url=gateway, timeout=60) as client:
        for method, path, said in operations(document):
            if method != "get" or "{" in path:
                continue
            names = [each["name"].replace("labels", "label.host") for each in said["parameters"]]
            for name in names:
                answer = client.get(path, params={name: "1"})
                assert "not a parameter" not in answer.text, (path, name)
            if path.startswith("/api/v1/") and path != PATH:
                answer = client.get(path, params={"nonsense": "1"})
                assert (answer.status_code, answer.json()["parameter"]) == (400, "nonsense"), path


def test_answers_have_the_shape_that_is_described(gateway: str, document: Any) -> None:
    with httpx.Client(base_url=gateway, timeout=60) as client:
        sample = {"metric": "described", "timestamp": time.time_ns() // 1_000_000, "value": 1, "labels": {"a": "b"}}
        assert client.post("/api/v1/metrics", json=sample).status_code == 200
        shaped = 0
        for method, path, said in operations(document):
            content = said["responses"].get("200", {}).get("content", {})
            if method != "get" or "{" in path or "application/json" not in content:
                continue
            given = {
                name: text for name, text in QUERY.items() if name in {each["name"] for each in said["parameters"]}
            }
            answer = client.get(path, params=given)
            if answer.status_code == 200:
                conforms(document, content["application/json"]["schema"], answer.json())
                shaped += bool(content["application/json"]["schema"])
        assert shaped == 3
