"""What an index can say, as bytes and as values. Pure."""
