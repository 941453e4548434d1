"""What a search does thousands of times a second, compiled: play from a snapshot on, and note the cells passed."""
