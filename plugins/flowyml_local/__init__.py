"""The backends on this machine: store, registry, endpoint and orchestrator."""
