"""The commands of `shale provider`."""
