"""Quality: probes that measure a session in place, and what follows from their verdicts."""
