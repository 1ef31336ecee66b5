"""The bill of a run before anything is sent: tokens, steps, memory, GPU-hours, disk, jobs."""
