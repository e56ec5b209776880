"""Commands that make the pictures of the documentation from the code that they document."""
