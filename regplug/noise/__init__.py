"""The bits of all noise: see `regplug.noise.reference`."""
