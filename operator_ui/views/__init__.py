"""What the console reads of the API's answers: the fields that it shows. All else in an answer is passed over."""
