"""How dates are shown where a page names no format, such as in the admin: with the zone."""
