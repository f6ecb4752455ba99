"""The services the mall calls, one file each."""
