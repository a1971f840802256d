"""What an author of regularizers meets: the class, the hooks, options, schedules, and what a class must be."""
