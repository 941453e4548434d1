"""Watch: a checkpoint to a page, or a video, that shows what the agent sees and what it expects."""
