"""Schemathesis against the document of the JSON API: all that it allows, and much that it does not.

No answer is a 5xx, but for a 503 that says why, and none lies outside the document: its status, its
type, its fields.
"""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from admission.console import Api

EXAMPLES = 4
"""Requests for each operation."""
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_answer_lies_outside_the_document(api: Api) -> None:
    document: Any = schemathesis.openapi.from_asgi("/api/v1/openapi.json", api.app)
    wrong: Counter[str] = Counter()
    seen: Counter[int] = Counter()

    def asked(operation: Any) -> None:
        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck),
            phases=[Phase.generate], database=None, derandomize=True,
        )  # fmt: skip
        @given(operation.as_strategy())
        def run(case: Any) -> None:
            answer = case.call()
            seen[answer.status_code] += 1
            checks = CHECKS if answer.status_code == 503 else [*CHECKS, not_a_server_error]
            try:
                case.validate_response(answer, checks=checks)
            except FailureGroup as failed:
                wrong[f"{operation.label}: {answer.status_code} {failed.exceptions[0]}"] += 1

        run()

    for each in document.get_all_operations():
        operation = each.ok()
        if operation.path != "/stream":  # it does not end
            asked(operation)
    assert dict(wrong) == {}
    assert {200, 400, 404} <= set(seen)
