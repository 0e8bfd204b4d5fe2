"""The core of the appliance; knows no web framework and no broker."""
