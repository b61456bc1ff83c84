"""What launchers say of the processes they start, in the environment, before these meet.

torchrun starts ranks, and so do SLURM's srun and Lightning.
"""

import os
import time

from softmask.errors import InputError

RANK = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
"""Names of the environment, the first that is there counts."""
PATIENCE = 20.0
"""Seconds that a rank leaves to the first one to say what is wrong with all."""


def own_rank() -> int:
    """This process's rank among those that were started with it, 0 if it is alone."""
    said = (os.environ[name] for name in RANK if name in os.environ)
    return next((int(text) for text in said if text.isdecimal()), 0)


def started_together() -> int:
    """Ranks that torchrun or a step of srun started, 1 if neither did.

    A batch script has not started as many processes as its job has tasks: only steps count.
    """
    name = "WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in os.environ else "SLURM_STEP_NUM_TASKS"
    text = os.environ.get(name, "1")
    return int(text) if text.isdecimal() else 1


def check_world(devices: int, nodes: int, flags: tuple[str, str]) -> None:
    """Refuse ranks that would each do the whole work, or wait for others that nobody starts.

    Args:
        devices: of each node, as they are set.
        nodes: as they are set.
        flags: that set them.

    Raises:
        InputError: a launcher started some other number.
    """
    started = started_together()
    if started > 1 and started != devices * nodes:
        raise InputError(
            f"The launcher started {started} ranks, and {flags[0]} {devices} times {flags[1]} "
            f"{nodes} are {devices * nodes}: give the devices of a node and the nodes that the "
            f"launcher was given."
        )


def let_the_first_speak() -> None:
    """Wait, on other ranks that have not met: what all find wrong with settings is said once.

    A launcher ends the others as soon as one has ended so. What this rank alone finds wrong, it
    says after the wait; ranks that have met know more than settings, and each speaks at once.
    """
    if own_rank() > 0:
        # Not at the top: the program starts without torch.
        from torch import distributed

        if not distributed.is_initialized():
            time.sleep(PATIENCE)
