"""What is made from the notebooks for others to look at: executed copies, a book, slides. Needs the extra `book`."""
