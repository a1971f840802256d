"""What the user wrote -> a `Manager` -> a `Result`."""
