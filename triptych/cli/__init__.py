"""The `triptych` command. Modules import what is heavy inside commands, so that `triptych --help` answers at once."""
