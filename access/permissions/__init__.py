"""What permits an action: roles of users."""
