"""What the store needs to take over and to read what Passband 0.2 has made."""
