"""The parts of the admin that know all rooms: the menu and the start page."""
