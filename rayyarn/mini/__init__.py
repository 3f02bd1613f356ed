"""The embedded Hadoop: a real ResourceManager and NodeManagers on this machine, as ordinary processes of its user."""
