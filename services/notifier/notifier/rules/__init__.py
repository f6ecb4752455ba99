"""What the notifier decides: what is worth a message, when it may go out, and in which words. Pure."""
