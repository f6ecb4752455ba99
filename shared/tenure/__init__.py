"""What every Tenure service stands on. Nothing here imports a service."""
