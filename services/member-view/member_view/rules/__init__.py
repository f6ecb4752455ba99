"""What a member's row becomes with each event, and how it reads. Pure."""
