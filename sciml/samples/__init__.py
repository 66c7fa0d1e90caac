"""Frames, and the samples that a task cuts from them; numpy only."""

from sciml.samples.frame import Frame, Simulation
from sciml.samples.sample import Sample
from sciml.samples.task import Task
from sciml.samples.windower import Windower

__all__ = ["Frame", "Sample", "Simulation", "Task", "Windower"]
