"""What a process holds in memory."""

import ctypes
import gc
import os


def resident():
    """Bytes in use. What is free goes back first, else it is the allocator's habits that count."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
