"""`triptych up`: runs the whole cluster as processes on one machine, with the real Triton and without containers.

`layout` decides what runs, `process` keeps one child alive, `supervisor` starts and drains them all, `state` tells
other programs about it, `cluster` puts these together; `control` starts, follows and stops a cluster from outside,
`screen` shows it. `triton_runtime` installs Triton, `triton_command` says how it is started.
"""
