"""The thing that crosses the gap: its layout, its writer, its reader."""
