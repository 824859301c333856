"""Traces for OpenTelemetry: what one webhook led to, as spans, for a collector that a person names.

Off unless an `OTEL_*` variable asks for it; then the extra `otel` is imported, and not before. Ids
are made from what is on record, so that any process adds to the same trace, also after a restart.
No text, no number and no name of a person goes into a span.
"""
