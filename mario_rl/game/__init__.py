"""Super Mario Bros. on the console: N games stepped together, with all that happens around the emulator."""
