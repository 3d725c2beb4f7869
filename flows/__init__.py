"""When and in what order: Prefect flows, command line, reports. No SQL, no algorithm."""

import os as _os

# Nothing phones home: set before any library that would is imported. A user's own value stays.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "true",
    # what the pipeline logs belongs to the flow run in Prefect's UI
    "PREFECT_LOGGING_EXTRA_LOGGERS": "registry,tasks,flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}.items():
    _os.environ.setdefault(_name, _value)
