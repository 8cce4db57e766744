"""What only the studio needs."""
