"""What Tenure tells about itself: log lines, metrics, traces.

The invariant: no personal data leaves through here. Log lines carry ids, codes and counts; metrics carry no ids at all; spans
carry what metrics and log lines may.
"""

from tenure.telemetry.logs import PERSONAL, configure_logging, mask_personal
from tenure.telemetry.metrics import REGISTRY, Metrics, exposition, metrics, start_at_zero, tell_verified
from tenure.telemetry.traces import configure_tracing, new_traceparent, trace_id

__all__ = [
    "PERSONAL",
    "REGISTRY",
    "Metrics",
    "configure_logging",
    "configure_tracing",
    "exposition",
    "mask_personal",
    "metrics",
    "new_traceparent",
    "start_at_zero",
    "tell_verified",
    "trace_id",
]
