"""Run directories to pictures, videos and tables; it reads files and knows no agent."""
