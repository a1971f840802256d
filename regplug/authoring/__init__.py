"""What an author meets: the class, the hooks, options, schedules, validation."""
