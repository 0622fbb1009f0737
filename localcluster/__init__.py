"""`triptych up`: runs the whole cluster as processes on one machine, with the real Triton and without containers.

`layout` decides what runs, `process` keeps one child alive, `supervisor` starts and drains them all, `state` tells
other programs about it, `cluster` puts these together; `control` starts, follows and stops a cluster from outside,
`screen` shows it. `triton_runtime` installs Triton, `triton_command` says how it is started.

`triptych tune`: `dimensions` says what there is to try, `tuning` searches, `trial` measures on real clusters,
`tuned_file` keeps what is best for the next `triptych up`.
"""
