"""The browser's side of the appliance: pages, JSON routes and event streams."""
