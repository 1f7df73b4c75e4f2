"""Commands spanning several rooms. No other module of the hall imports a room."""
