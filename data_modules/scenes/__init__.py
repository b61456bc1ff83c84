"""Scenes: the demo corpus's drawings at known places, and texts about them for every task."""

from data_modules.scenes.write import write_scenes

__all__ = ["write_scenes"]
