"""What trained networks do: on other beats, under stress, by EC57, on a recording, in int8."""
