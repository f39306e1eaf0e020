"""Beside what Schemathesis can write: lines of JSON are text to it."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
