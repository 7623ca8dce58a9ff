"""Documents by the thousand, and the time of reading them."""
