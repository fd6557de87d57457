"""Plans of requests: what they name is fetched, everything is checked, what was left out is filled in."""

from services.coordinator.service.planning.planner import Planning

__all__ = ["Planning"]
