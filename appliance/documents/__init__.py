"""From an uploaded file to indexed chunks."""
