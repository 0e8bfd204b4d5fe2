"""What this box computes with: processor, memory, graphics and neural processors, found out without changing anything."""
